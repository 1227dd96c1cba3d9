//! The words of the benchmark: ten classes, eight attributes, five errors of true positives.

use std::fmt;

/// Gives an enum a table of all its values and the names that files use.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident, $n:literal: $($(#[$doc:meta])* $value:ident = $text:literal),* $(,)?) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $value,)*
        }

        impl $name {
            /// All of them, in the devkit's order.
            pub const ALL: [Self; $n] = [$(Self::$value),*];

            /// The name in files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)*
                }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$value),)*
                    _ => None,
                }
            }

            /// Its place in [`Self::ALL`].
            pub const fn idx(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

/// Classes of the benchmark.
pub const N_CLASSES: usize = 10;
/// Kinds of error of a true positive.
pub const N_ERRORS: usize = 5;

named! {
    /// A class of the detection benchmark.
    DetectionClass, 10:
    /// Cars and vans.
    Car = "car",
    /// Trucks.
    Truck = "truck",
    /// Buses, rigid and bendy.
    Bus = "bus",
    /// Trailers.
    Trailer = "trailer",
    /// Diggers, cranes and the like.
    ConstructionVehicle = "construction_vehicle",
    /// People on foot.
    Pedestrian = "pedestrian",
    /// Motorcycles.
    Motorcycle = "motorcycle",
    /// Bicycles.
    Bicycle = "bicycle",
    /// Cones.
    TrafficCone = "traffic_cone",
    /// Temporary barriers.
    Barrier = "barrier",
}

named! {
    /// What may be true of an object at a time; the benchmark allows one a box.
    Attribute, 8:
    /// A person who walks or runs.
    PedestrianMoving = "pedestrian.moving",
    /// A person who sits or lies.
    PedestrianSittingLyingDown = "pedestrian.sitting_lying_down",
    /// A person who stands.
    PedestrianStanding = "pedestrian.standing",
    /// Somebody rides it.
    CycleWithRider = "cycle.with_rider",
    /// Nobody rides it.
    CycleWithoutRider = "cycle.without_rider",
    /// It drives.
    VehicleMoving = "vehicle.moving",
    /// It stands, without a driver who means to go on.
    VehicleParked = "vehicle.parked",
    /// It stands, and is about to go on.
    VehicleStopped = "vehicle.stopped",
}

named! {
    /// An error of a true positive.
    TpError, 5:
    /// Distance of centres in the ground plane, in metres.
    Translation = "trans_err",
    /// 1 - IoU after centres and headings are aligned.
    Scale = "scale_err",
    /// Difference of headings, in radians.
    Orientation = "orient_err",
    /// Length of the difference of velocities, in metres per second.
    Velocity = "vel_err",
    /// 0 where the attribute is right, 1 where it is wrong.
    Attribute = "attr_err",
}

impl DetectionClass {
    /// The class that a category of the dataset counts as; `None` for those that do not count.
    pub fn of_category(category: &str) -> Option<Self> {
        Some(match category {
            "vehicle.car" => Self::Car,
            "vehicle.truck" => Self::Truck,
            "vehicle.bus.bendy" | "vehicle.bus.rigid" => Self::Bus,
            "vehicle.trailer" => Self::Trailer,
            "vehicle.construction" => Self::ConstructionVehicle,
            "human.pedestrian.adult"
            | "human.pedestrian.child"
            | "human.pedestrian.construction_worker"
            | "human.pedestrian.police_officer" => Self::Pedestrian,
            "vehicle.motorcycle" => Self::Motorcycle,
            "vehicle.bicycle" => Self::Bicycle,
            "movable_object.trafficcone" => Self::TrafficCone,
            "movable_object.barrier" => Self::Barrier,
            _ => return None,
        })
    }

    /// Whether an error means something for the class: a cone has no heading, and neither cones nor barriers move
    /// or have attributes.
    pub const fn has_error(self, error: TpError) -> bool {
        !matches!(
            (self, error),
            (Self::TrafficCone, TpError::Orientation | TpError::Velocity | TpError::Attribute)
                | (Self::Barrier, TpError::Velocity | TpError::Attribute)
        )
    }

    /// Whether boxes of the class are dropped where a rack of bicycles is.
    pub(super) const fn is_cycle(self) -> bool {
        matches!(self, Self::Bicycle | Self::Motorcycle)
    }
}
