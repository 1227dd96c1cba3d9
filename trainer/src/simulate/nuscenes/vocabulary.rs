//! What is the same in every data set: nuScenes' categories, attributes and levels of visibility, and which of
//! them a simulated thing gets.

use super::tables::{AttributeRow, CategoryRow, SensorRow, VisibilityRow, token};
use crate::simulate::drive::{Attribute, Seen};
use crate::simulate::things::Category;

/// The one sensor's channel.
pub(super) const CHANNEL: &str = "LIDAR_TOP";

/// All of nuScenes' categories. Those that no simulated thing has stand here too: readers look them up.
const CATEGORIES: [(&str, &str); 23] = [
    ("human.pedestrian.adult", "A grown person."),
    ("human.pedestrian.child", "A child."),
    ("human.pedestrian.wheelchair", "A wheelchair. Not simulated."),
    ("human.pedestrian.stroller", "A stroller. Not simulated."),
    ("human.pedestrian.personal_mobility", "A small personal vehicle. Not simulated."),
    ("human.pedestrian.police_officer", "A police officer. Not simulated."),
    ("human.pedestrian.construction_worker", "A person at roadworks."),
    ("animal", "An animal. Not simulated."),
    ("vehicle.car", "A car or a van."),
    ("vehicle.motorcycle", "A motorcycle or a scooter, its rider included."),
    ("vehicle.bicycle", "A bicycle, its rider included."),
    ("vehicle.bus.bendy", "A bus with a joint. Not simulated."),
    ("vehicle.bus.rigid", "A bus without a joint."),
    ("vehicle.truck", "A lorry."),
    ("vehicle.construction", "A construction vehicle."),
    ("vehicle.emergency.ambulance", "An ambulance. Not simulated."),
    ("vehicle.emergency.police", "A police vehicle. Not simulated."),
    ("vehicle.trailer", "A trailer."),
    ("movable_object.barrier", "A temporary barrier."),
    ("movable_object.trafficcone", "A traffic cone."),
    ("movable_object.pushable_pullable", "A bin or a cart. Not simulated."),
    ("movable_object.debris", "Something left on the road. Not simulated."),
    ("static_object.bicycle_rack", "A bicycle rack. Not simulated."),
];

/// All of nuScenes' attributes.
const ATTRIBUTES: [(&str, &str); 8] = [
    ("vehicle.moving", "Moves."),
    ("vehicle.stopped", "Stands, with somebody at the wheel."),
    ("vehicle.parked", "Stands, left by its driver."),
    ("cycle.with_rider", "Somebody sits on it."),
    ("cycle.without_rider", "Nobody sits on it."),
    ("pedestrian.sitting_lying_down", "Sits or lies."),
    ("pedestrian.standing", "Stands."),
    ("pedestrian.moving", "Walks or runs."),
];

/// Levels of visibility from token "1" up, and the share of beams from which each begins.
const VISIBILITIES: [(&str, f64, &str); 4] = [
    ("v0-40", 0.0, "Less than 40 % of the beams that could meet it do."),
    ("v40-60", 0.4, "40 to 60 % of the beams that could meet it do."),
    ("v60-80", 0.6, "60 to 80 % of the beams that could meet it do."),
    ("v80-100", 0.8, "At least 80 % of the beams that could meet it do."),
];

/// nuScenes' name of a thing's category.
pub(super) fn category_name(category: Category) -> &'static str {
    match category {
        Category::Car | Category::Van => "vehicle.car",
        Category::Truck => "vehicle.truck",
        Category::Bus => "vehicle.bus.rigid",
        Category::Trailer => "vehicle.trailer",
        Category::ConstructionVehicle => "vehicle.construction",
        Category::Motorcycle => "vehicle.motorcycle",
        Category::Bicycle => "vehicle.bicycle",
        Category::Adult => "human.pedestrian.adult",
        Category::Child => "human.pedestrian.child",
        Category::Worker => "human.pedestrian.construction_worker",
        Category::Barrier => "movable_object.barrier",
        Category::Cone => "movable_object.trafficcone",
    }
}

/// nuScenes' name of an attribute.
pub(super) fn attribute_name(attribute: Attribute) -> &'static str {
    match attribute {
        Attribute::VehicleMoving => "vehicle.moving",
        Attribute::VehicleStopped => "vehicle.stopped",
        Attribute::VehicleParked => "vehicle.parked",
        Attribute::CycleWithRider => "cycle.with_rider",
        Attribute::CycleWithoutRider => "cycle.without_rider",
        Attribute::PedestrianMoving => "pedestrian.moving",
        Attribute::PedestrianStanding => "pedestrian.standing",
        Attribute::PedestrianSitting => "pedestrian.sitting_lying_down",
    }
}

/// The token of the level of visibility of a thing: "1" to "4".
pub(super) fn visibility_token(seen: Seen) -> String {
    let share = f64::from(seen.n_met) / f64::from(seen.n_free.max(1));
    let n_reached = VISIBILITIES.iter().filter(|(_, from, _)| share >= *from).count();
    n_reached.to_string()
}

/// The token of a row that is known by its name.
fn name_token(seed: u64, table: &str, name: &str) -> String {
    token(seed, &format!("{table} {name}"), &[])
}

/// The token of a thing's category.
pub(super) fn category_token(seed: u64, category: Category) -> String {
    name_token(seed, "category", category_name(category))
}

/// The token of an attribute.
pub(super) fn attribute_token(seed: u64, attribute: Attribute) -> String {
    name_token(seed, "attribute", attribute_name(attribute))
}

/// The token of the one sensor.
pub(super) fn sensor_token(seed: u64) -> String {
    name_token(seed, "sensor", CHANNEL)
}

/// The table `category`.
pub(super) fn category_rows(seed: u64) -> Vec<CategoryRow> {
    let row = |(name, description): &(&str, &str)| CategoryRow {
        token: name_token(seed, "category", name),
        name: (*name).to_owned(),
        description: (*description).to_owned(),
    };
    CATEGORIES.iter().map(row).collect()
}

/// The table `attribute`.
pub(super) fn attribute_rows(seed: u64) -> Vec<AttributeRow> {
    let row = |(name, description): &(&str, &str)| AttributeRow {
        token: name_token(seed, "attribute", name),
        name: (*name).to_owned(),
        description: (*description).to_owned(),
    };
    ATTRIBUTES.iter().map(row).collect()
}

/// The table `visibility`.
pub(super) fn visibility_rows() -> Vec<VisibilityRow> {
    let row = |(idx, (level, _, description)): (usize, &(&str, f64, &str))| VisibilityRow {
        token: (idx + 1).to_string(),
        level: (*level).to_owned(),
        description: (*description).to_owned(),
    };
    VISIBILITIES.iter().enumerate().map(row).collect()
}

/// The table `sensor`.
pub(super) fn sensor_rows(seed: u64) -> Vec<SensorRow> {
    vec![SensorRow { token: sensor_token(seed), channel: CHANNEL.to_owned(), modality: "lidar".to_owned() }]
}
