//! Random variations of a sample: points, boxes and velocities change together.

use super::{GroundTruth, Sample, points_in_box};
use crate::config::AugmentConfig;
use pilotis_spec::Point;
use pilotis_spec::codec::normalize_yaw;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::f32::consts::PI;

/// Half the azimuth that KITTI's camera 2 sees, in degrees: `atan(1242 / 2 / 721.5)` is 40.7, and
/// the image's centre lies off its middle.
const CAMERA_HALF_AZIMUTH_DEG: f32 = 40.5;

/// Varies a sample.
///
/// In this order: camera crop (the view is the sensor's, so it comes before the scene turns),
/// flips, rotation about z, scaling, shift, dropped points, intensities. A box and its velocity
/// go the way of the points, so that a box holds the same points as before, except for those that
/// the crop and the drop take; where these took any, `n_points` is counted anew, and boxes that
/// the crop left without points are dropped.
///
/// **Determinism**: the sample follows from the configuration and the generator's state. Every
/// call draws the same numbers for all variations but the last, so switching one on does not
/// change what the others do.
pub fn augment(sample: &mut Sample, config: &AugmentConfig, rng: &mut ChaCha8Rng) {
    let draws = Draws::new(config, rng);
    if draws.crops {
        crop_to_camera(sample);
    }
    if draws.flips_y {
        each_point(sample, |p| p.y = -p.y);
        for object in &mut sample.objects {
            object.bbox.center[1] = -object.bbox.center[1];
            object.velocity[1] = -object.velocity[1];
            object.bbox.yaw = normalize_yaw(-object.bbox.yaw);
        }
    }
    if draws.flips_x {
        each_point(sample, |p| p.x = -p.x);
        for object in &mut sample.objects {
            object.bbox.center[0] = -object.bbox.center[0];
            object.velocity[0] = -object.velocity[0];
            object.bbox.yaw = normalize_yaw(PI - object.bbox.yaw);
        }
    }
    if config.rotate_rad != 0.0 {
        rotate(sample, draws.angle_rad);
    }
    if config.scale != 0.0 {
        scale(sample, draws.factor);
    }
    if config.shift_m != 0.0 {
        let [dx, dy, dz] = draws.shift_m;
        each_point(sample, |p| (p.x, p.y, p.z) = (p.x + dx, p.y + dy, p.z + dz));
        for object in &mut sample.objects {
            for (value, shift) in object.bbox.center.iter_mut().zip(draws.shift_m) {
                *value += shift;
            }
        }
    }
    if config.drop_points > 0.0 {
        sample.points.retain(|_| rng.random::<f32>() >= draws.drop_share);
        count_points(sample);
    }
    if config.intensity_scale != 0.0 {
        each_point(sample, |p| p.intensity *= draws.intensity_factor);
    }
}

/// What one call does.
struct Draws {
    crops: bool,
    flips_y: bool,
    flips_x: bool,
    angle_rad: f32,
    factor: f32,
    shift_m: [f32; 3],
    drop_share: f32,
    intensity_factor: f32,
}

impl Draws {
    fn new(config: &AugmentConfig, rng: &mut ChaCha8Rng) -> Self {
        Self {
            crops: rng.random::<f32>() < config.camera_crop,
            flips_y: rng.random::<bool>() && config.flip_y,
            flips_x: rng.random::<bool>() && config.flip_x,
            angle_rad: either_way(rng) * config.rotate_rad,
            factor: 1.0 + either_way(rng) * config.scale,
            shift_m: [normal(rng), normal(rng), normal(rng)].map(|v| v * config.shift_m),
            drop_share: rng.random::<f32>() * config.drop_points,
            intensity_factor: 1.0 + either_way(rng) * config.intensity_scale,
        }
    }
}

/// Uniform in `-1..1`.
fn either_way(rng: &mut ChaCha8Rng) -> f32 {
    rng.random::<f32>() * 2.0 - 1.0
}

/// Standard normal (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    // 1 - u is in (0, 1], so its logarithm is finite.
    let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - rng.random::<f32>()));
    radius * libm::cosf(2.0 * PI * rng.random::<f32>())
}

fn each_point(sample: &mut Sample, change: impl FnMut(&mut Point)) {
    sample.points.iter_mut().for_each(change);
}

fn rotate(sample: &mut Sample, angle_rad: f32) {
    let (sin, cos) = (libm::sinf(angle_rad), libm::cosf(angle_rad));
    let turn = |x: f32, y: f32| (x * cos - y * sin, x * sin + y * cos);
    each_point(sample, |p| (p.x, p.y) = turn(p.x, p.y));
    for GroundTruth { bbox, velocity, .. } in &mut sample.objects {
        (bbox.center[0], bbox.center[1]) = turn(bbox.center[0], bbox.center[1]);
        (velocity[0], velocity[1]) = turn(velocity[0], velocity[1]);
        bbox.yaw = normalize_yaw(bbox.yaw + angle_rad);
    }
}

fn scale(sample: &mut Sample, factor: f32) {
    each_point(sample, |p| (p.x, p.y, p.z) = (p.x * factor, p.y * factor, p.z * factor));
    for GroundTruth { bbox, velocity, .. } in &mut sample.objects {
        bbox.center = bbox.center.map(|v| v * factor);
        bbox.size = bbox.size.map(|v| v * factor);
        *velocity = velocity.map(|v| v * factor);
    }
}

/// Keeps the points that a forward camera would see, and the boxes that keep any.
fn crop_to_camera(sample: &mut Sample) {
    let slope = libm::tanf(CAMERA_HALF_AZIMUTH_DEG.to_radians());
    sample.points.retain(|p| p.y.abs() <= p.x * slope);
    count_points(sample);
    sample.objects.retain(|o| o.n_points > 0);
}

fn count_points(sample: &mut Sample) {
    let Sample { points, objects, .. } = sample;
    for object in objects {
        object.n_points = points_in_box(points, &object.bbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::BoxTest;
    use pilotis_spec::Box3d;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};

    const IDENTITY: AugmentConfig = AugmentConfig {
        flip_y: false,
        flip_x: false,
        rotate_rad: 0.0,
        scale: 0.0,
        shift_m: 0.0,
        camera_crop: 0.0,
        drop_points: 0.0,
        intensity_scale: 0.0,
    };

    /// Points all around, most of them near the boxes, none within a centimetre of a face.
    fn random_sample(seed: u64) -> Sample {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut sample = Sample { name: "random".into(), ..Sample::default() };
        for _ in 0..6 {
            let bbox = Box3d {
                center: [
                    either_way(&mut rng) * 60.0,
                    either_way(&mut rng) * 60.0,
                    either_way(&mut rng) * 2.0,
                ],
                size: [
                    1.0 + 8.0 * rng.random::<f32>(),
                    0.5 + 2.0 * rng.random::<f32>(),
                    1.0 + 2.0 * rng.random::<f32>(),
                ],
                yaw: either_way(&mut rng) * PI,
            };
            for _ in 0..200 {
                let [x, y, z] = bbox.center;
                sample.points.push(Point {
                    x: x + either_way(&mut rng) * 5.0,
                    y: y + either_way(&mut rng) * 5.0,
                    z: z + either_way(&mut rng) * 2.0,
                    intensity: rng.random(),
                    time_lag: 0.0,
                });
            }
            let velocity = [either_way(&mut rng) * 10.0, either_way(&mut rng) * 10.0];
            sample.objects.push(GroundTruth {
                class_name: "car".into(),
                bbox,
                velocity,
                ..GroundTruth::default()
            });
        }
        for object in sample.objects.clone() {
            let grown =
                |by: f32| BoxTest::new(&Box3d { size: object.bbox.size.map(|v| v + by), ..object.bbox });
            let (inner, outer) = (grown(-0.02), grown(0.02));
            sample.points.retain(|p| inner.contains(p) == outer.contains(p));
        }
        count_points(&mut sample);
        sample
    }

    /// Which points each box holds.
    fn held(sample: &Sample) -> Vec<Vec<bool>> {
        let held_by = |o: &GroundTruth| -> Vec<bool> {
            let test = BoxTest::new(&o.bbox);
            sample.points.iter().map(|p| test.contains(p)).collect()
        };
        sample.objects.iter().map(held_by).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn boxes_hold_the_same_points_after_every_movement(seed in any::<u64>(), which in 0_usize..6) {
            let before = random_sample(seed);
            prop_assume!(before.objects.iter().any(|o| o.n_points > 20));
            let config = match which {
                0 => AugmentConfig { flip_y: true, ..IDENTITY },
                1 => AugmentConfig { flip_x: true, ..IDENTITY },
                2 => AugmentConfig { rotate_rad: PI, ..IDENTITY },
                3 => AugmentConfig { scale: 0.2, ..IDENTITY },
                4 => AugmentConfig { shift_m: 3.0, ..IDENTITY },
                _ => AugmentConfig {
                    flip_y: true, flip_x: true, rotate_rad: PI, scale: 0.2, shift_m: 2.0, ..IDENTITY
                },
            };
            let mut after = before.clone();
            augment(&mut after, &config, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert_eq!(held(&before), held(&after));
            for (a, b) in after.objects.iter().zip(&before.objects) {
                prop_assert_eq!(a.n_points, b.n_points);
                prop_assert!(a.bbox.yaw > -PI - 1e-6 && a.bbox.yaw <= PI + 1e-6);
            }
        }

        #[test]
        fn a_velocity_turns_and_mirrors_with_its_box(seed in any::<u64>()) {
            let mut sample = random_sample(seed);
            for object in &mut sample.objects {
                let yaw = object.bbox.yaw;
                object.velocity = [libm::cosf(yaw) * 5.0, libm::sinf(yaw) * 5.0];
            }
            let config = AugmentConfig { flip_y: true, flip_x: true, rotate_rad: PI, scale: 0.1, ..IDENTITY };
            augment(&mut sample, &config, &mut ChaCha8Rng::seed_from_u64(seed));
            for object in &sample.objects {
                let heading = libm::atan2f(object.velocity[1], object.velocity[0]);
                // Two rotations in single precision, each rounded at 2^-23 of a half turn.
                prop_assert!(normalize_yaw(heading - object.bbox.yaw).abs() < 1e-5);
                let speed = libm::hypotf(object.velocity[0], object.velocity[1]);
                prop_assert!((4.49..=5.51).contains(&speed), "{}", speed);
            }
        }

        #[test]
        fn the_identity_changes_nothing(seed in any::<u64>()) {
            let before = random_sample(seed);
            let mut after = before.clone();
            augment(&mut after, &IDENTITY, &mut ChaCha8Rng::seed_from_u64(seed));
            prop_assert_eq!(before, after);
        }
    }

    #[test]
    fn a_rotation_is_counter_clockwise() {
        let mut sample = random_sample(1);
        sample.points = vec![Point { x: 1.0, ..Point::default() }];
        sample.objects.truncate(1);
        sample.objects[0].bbox = Box3d { center: [0.0, 2.0, 0.0], size: [1.0; 3], yaw: 0.0 };
        rotate(&mut sample, PI / 2.0);
        // cos(pi/2) is -4.4e-8 in single precision.
        assert!((sample.points[0].y - 1.0).abs() < 1e-6 && sample.points[0].x.abs() < 1e-6);
        assert!((sample.objects[0].bbox.center[0] + 2.0).abs() < 1e-6);
        assert!((sample.objects[0].bbox.yaw - PI / 2.0).abs() < 1e-6);
    }

    #[test]
    fn each_flip_is_made_in_half_of_the_samples() {
        let flips = |config: AugmentConfig| {
            let mut n = [0_usize; 2];
            for seed in 0..400 {
                let point = Point { x: 1.0, y: 2.0, ..Point::default() };
                let mut sample = Sample { points: vec![point], ..Sample::default() };
                augment(&mut sample, &config, &mut ChaCha8Rng::seed_from_u64(seed));
                n[0] += usize::from(sample.points[0].x < 0.0);
                n[1] += usize::from(sample.points[0].y < 0.0);
            }
            n
        };
        // Five deviations of 400 tosses are 50.
        let [x, y] = flips(AugmentConfig { flip_y: true, ..IDENTITY });
        assert!(x == 0 && (150..250).contains(&y), "{x} {y}");
        let [x, y] = flips(AugmentConfig { flip_x: true, ..IDENTITY });
        assert!(y == 0 && (150..250).contains(&x), "{x} {y}");
    }

    #[test]
    fn intensities_change_by_one_factor_and_nothing_else_does() {
        let before = random_sample(2);
        let mut after = before.clone();
        let config = AugmentConfig { intensity_scale: 0.2, ..IDENTITY };
        augment(&mut after, &config, &mut ChaCha8Rng::seed_from_u64(2));
        let factor = after.points[0].intensity / before.points[0].intensity;
        assert!((0.8..=1.2).contains(&factor) && (factor - 1.0).abs() > 1e-3);
        for (a, b) in after.points.iter_mut().zip(&before.points) {
            assert!((a.intensity - b.intensity * factor).abs() < 1e-6);
            a.intensity = b.intensity;
        }
        assert_eq!(after, before);
    }

    #[test]
    fn movements_reach_their_limits_and_stay_within() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let config = AugmentConfig {
            rotate_rad: 0.3,
            scale: 0.05,
            shift_m: 0.5,
            camera_crop: 0.3,
            drop_points: 0.4,
            intensity_scale: 0.2,
            flip_y: true,
            flip_x: false,
        };
        let draws: Vec<Draws> = (0..4000).map(|_| Draws::new(&config, &mut rng)).collect();
        let spread = |f: &dyn Fn(&Draws) -> f32| {
            let low = draws.iter().map(f).fold(f32::INFINITY, f32::min);
            (low, draws.iter().map(f).fold(f32::NEG_INFINITY, f32::max))
        };
        // 4000 uniform draws come within 1 % of both ends but for a chance of e^-20.
        for ((low, high), (least, most)) in [
            (spread(&|d| d.angle_rad), (-0.3, 0.3)),
            (spread(&|d| d.factor), (0.95, 1.05)),
            (spread(&|d| d.drop_share), (0.0, 0.4)),
            (spread(&|d| d.intensity_factor), (0.8, 1.2)),
        ] {
            let edge = (most - least) * 0.01;
            assert!(low >= least - 1e-6 && low < least + edge, "{low} {least}");
            assert!(high <= most + 1e-6 && high > most - edge, "{high} {most}");
        }
        let share = |n: usize| n as f64 / draws.len() as f64;
        // Five standard deviations of a share of 4000 are below 0.04.
        assert!((share(draws.iter().filter(|d| d.flips_y).count()) - 0.5).abs() < 0.04);
        assert!((share(draws.iter().filter(|d| d.crops).count()) - 0.3).abs() < 0.04);
        assert!(!draws.iter().any(|d| d.flips_x));
        for axis in 0..3 {
            let squares: f64 = draws.iter().map(|d| f64::from(d.shift_m[axis]).powi(2)).sum();
            let deviation = (squares / draws.len() as f64).sqrt();
            assert!((deviation - 0.5).abs() < 0.03, "{deviation}");
        }
    }

    #[test]
    fn the_camera_crop_keeps_the_forward_view_and_its_boxes() {
        let mut sample = Sample::default();
        // A ring of posts 20 m away, one a degree, each a box with one point.
        for degree in -180_i16..180 {
            let azimuth = f32::from(degree).to_radians();
            let (x, y) = (20.0 * libm::cosf(azimuth), 20.0 * libm::sinf(azimuth));
            sample.points.push(Point { x, y, ..Point::default() });
            let bbox = Box3d { center: [x, y, 0.0], size: [0.1; 3], yaw: azimuth };
            sample.objects.push(GroundTruth { bbox, n_points: 1, ..GroundTruth::default() });
        }
        let config = AugmentConfig { camera_crop: 1.0, ..IDENTITY };
        augment(&mut sample, &config, &mut ChaCha8Rng::seed_from_u64(1));
        // -40 to 40 degrees.
        assert_eq!(sample.points.len(), 81);
        assert_eq!(sample.objects.len(), 81);
        assert!(sample.objects.iter().all(|o| o.n_points == 1 && o.bbox.center[0] > 15.0));
    }

    #[test]
    fn dropped_points_are_no_longer_counted() {
        let mut total = [0_usize; 2];
        for seed in 0..20 {
            let before = random_sample(seed);
            let mut after = before.clone();
            let config = AugmentConfig { drop_points: 0.6, ..IDENTITY };
            augment(&mut after, &config, &mut ChaCha8Rng::seed_from_u64(seed));
            assert_eq!(after.objects.len(), before.objects.len());
            for object in &after.objects {
                assert_eq!(object.n_points, points_in_box(&after.points, &object.bbox));
            }
            total[0] += before.points.len();
            total[1] += after.points.len();
        }
        // 30 % of the points go on average, within four deviations of a mean of 20 shares.
        let kept = total[1] as f64 / total[0] as f64;
        assert!((kept - 0.7).abs() < 0.16, "{kept}");
    }

    #[test]
    fn one_generator_state_makes_one_sample() {
        let config = AugmentConfig {
            flip_x: true,
            shift_m: 0.2,
            camera_crop: 0.5,
            drop_points: 0.3,
            intensity_scale: 0.2,
            ..AugmentConfig::default()
        };
        let vary = |seed: u64| {
            let mut sample = random_sample(3);
            augment(&mut sample, &config, &mut ChaCha8Rng::seed_from_u64(seed));
            sample
        };
        assert_eq!(vary(5), vary(5));
        assert_ne!(vary(5), vary(6));
    }
}
