use super::*;
use glam::DMat3;
use pilotis_datasets::nuscenes::Pose;
use pilotis_spec::Box3d;

const CLASSES: [DetectionClass; 10] = DetectionClass::ALL;

fn pose() -> SensorPose {
    let (half_turn, slope) = (0.6_f64, 0.02_f64);
    let turned = |rad: f64| [(rad / 2.0).cos(), 0.0, 0.0, (rad / 2.0).sin()];
    let tilted = [(slope / 2.0).cos(), (slope / 2.0).sin(), 0.0, 0.0];
    SensorPose {
        ego: Pose::new([1000.0, -2000.0, 3.0], tilted),
        sensor: Pose::new([0.9, 0.0, 1.8], turned(half_turn)),
    }
}

fn detection() -> Detection {
    Detection {
        bbox: Box3d { center: [12.0, -3.0, -0.7], size: [4.2, 1.8, 1.5], yaw: 0.4 },
        score: 0.625,
        velocity: [3.0, -1.0],
        ..Detection::default()
    }
}

#[test]
fn a_box_in_the_world_comes_back_into_the_frame_of_the_model() {
    let (pose, turn_rad, detection) = (pose(), -1.25, detection());
    let rule = AttributeRule { has_velocity: true };
    let written = submitted("s", &detection, DetectionClass::Car, &pose, turn_rad, rule);

    let forth = DMat3::from_rotation_z(turn_rad);
    let center = forth * pose.point_into(DVec3::from_array(written.translation));
    let want = DVec3::from_array(detection.bbox.center.map(f64::from));
    assert!(center.abs_diff_eq(want, 1e-9), "{center}");

    let [w, x, y, z] = written.rotation;
    let ahead = DQuat::from_xyzw(x, y, z, w) * DVec3::X;
    let ahead = forth * pose.direction_into(ahead);
    let yaw = f64::from(detection.bbox.yaw);
    assert!(ahead.abs_diff_eq(DVec3::new(yaw.cos(), yaw.sin(), 0.0), 1e-9), "{ahead}");
    // Width before length, as submissions have it.
    assert_eq!(written.size.map(f64::to_bits), [1.8_f32, 4.2, 1.5].map(|v| f64::from(v).to_bits()));
    assert_eq!((written.attribute_name, written.detection_name), ("vehicle.moving", "car"));

    // The road is tilted by a hundredth, so the velocity in the ground plane keeps its length within a thousandth.
    let speed = written.velocity[0].hypot(written.velocity[1]);
    assert!((speed - 10.0_f64.sqrt()).abs() < 3e-3, "{speed}");
    let back = forth * pose.direction_into(DVec3::new(written.velocity[0], written.velocity[1], 0.0));
    assert!((back.x - 3.0).abs() < 0.01 && (back.y + 1.0).abs() < 0.01, "{back}");
}

#[test]
fn every_class_has_the_attribute_that_its_speed_says() {
    let rule = AttributeRule { has_velocity: true };
    let names = |speed| CLASSES.map(|class| rule.of(class, speed).map_or("", Attribute::name));
    let moving = "vehicle.moving";
    let rider = "cycle.with_rider";
    let walks = "pedestrian.moving";
    assert_eq!(names(0.21), [moving, moving, moving, moving, moving, walks, rider, rider, "", ""]);
    let (parked, alone) = ("vehicle.parked", "cycle.without_rider");
    let stands = "pedestrian.standing";
    assert_eq!(names(0.2), [parked, parked, "vehicle.stopped", parked, parked, stands, alone, alone, "", ""]);
}

#[test]
fn without_velocities_every_class_has_its_commonest_attribute() {
    let rule = AttributeRule { has_velocity: false };
    let names = CLASSES.map(|class| rule.of(class, 0.0).map_or("", Attribute::name));
    let (parked, alone) = ("vehicle.parked", "cycle.without_rider");
    assert_eq!(
        names,
        [parked, parked, "vehicle.moving", parked, parked, "pedestrian.moving", alone, alone, "", ""]
    );
}

#[test]
fn a_cyclist_is_a_bicycle_and_other_strangers_are_none() {
    assert_eq!(detection_class("cyclist"), Some(DetectionClass::Bicycle));
    assert_eq!(detection_class("traffic_cone"), Some(DetectionClass::TrafficCone));
    assert_eq!(detection_class("tram"), None);
}
