//! Drawn frames for tests: streets with objects, and a model that sees them more or less well.

use super::{Found, Frame, FrameSet, Object, Rules};
use crate::run::{About, Model as RunModel, Platform, Run};
use pilotis_spec::{Box3d, StageTimes};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub(crate) const CLASSES: [&str; 3] = ["car", "pedestrian", "cyclist"];

/// How well a model sees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    /// Seed of what it gets wrong.
    pub(crate) seed: u64,
    /// Share of the objects that it finds.
    pub(crate) found: f32,
    /// Largest error of a centre along each axis.
    pub(crate) off_m: f32,
    /// False boxes a frame, at most.
    pub(crate) max_false: usize,
}

impl Default for Model {
    fn default() -> Self {
        Self { seed: 1, found: 0.85, off_m: 0.8, max_false: 6 }
    }
}

pub(crate) fn classes() -> Vec<String> {
    CLASSES.map(str::to_owned).to_vec()
}

/// Frames of the streets of one seed, as a model sees them.
pub(crate) fn frames(streets: u64, n_frames: usize, model: &Model) -> Vec<Frame> {
    let mut street = ChaCha8Rng::seed_from_u64(streets);
    let mut eye = ChaCha8Rng::seed_from_u64(model.seed ^ 0x5eed);
    (0..n_frames).map(|idx| frame(idx, &mut street, &mut eye, model)).collect()
}

pub(crate) fn set(streets: u64, n_frames: usize, model: &Model) -> FrameSet {
    FrameSet::new(classes(), frames(streets, n_frames, model)).unwrap()
}

pub(crate) fn about(name: &str) -> About {
    About {
        model: RunModel { name: name.to_owned(), package_sha256: "ab".repeat(32) },
        platform: Platform {
            machine: "bench-1".to_owned(),
            device: "cpu, 2 threads".to_owned(),
            precision: "fp32".to_owned(),
        },
        dataset: "drawn streets".to_owned(),
        split: "val".to_owned(),
    }
}

pub(crate) fn run_of(set: FrameSet) -> Run {
    Run::new(about("drawn"), set, &Rules::default()).unwrap()
}

fn frame(idx: usize, street: &mut ChaCha8Rng, eye: &mut ChaCha8Rng, model: &Model) -> Frame {
    let n_objects = street.random_range(2..12);
    let objects: Vec<Object> = (0..n_objects).map(|_| object(street)).collect();
    let mut detections = Vec::new();
    for o in &objects {
        let luck: f32 = eye.random();
        let shift: [f32; 2] = [0, 1].map(|_| eye.random_range(-1.0..1.0) * model.off_m);
        let score = eye.random_range(0.3_f32..0.95);
        let confused = eye.random::<f32>() < 0.06;
        // Objects of few points are hard to find.
        let found = if o.n_points < 10 { model.found * 0.5 } else { model.found };
        if luck < found {
            let [x, y, z] = o.bbox.center;
            let bbox = Box3d { center: [x + shift[0], y + shift[1], z], ..o.bbox };
            let class_idx = if confused { (o.class_idx + 1) % 3 } else { o.class_idx };
            let velocity = o.velocity.map(|[vx, vy]| [vx + shift[1], vy]);
            detections.push(Found { class_idx, bbox, score, velocity, n_points: Some(o.n_points) });
        }
    }
    let n_false = if model.max_false == 0 { 0 } else { eye.random_range(0..=model.max_false) };
    for _ in 0..n_false {
        let o = object(eye);
        let score = eye.random_range(0.05_f32..0.6);
        let n_points = Some(o.n_points);
        let (class_idx, bbox, velocity) = (o.class_idx, o.bbox, o.velocity);
        detections.push(Found { class_idx, bbox, score, velocity, n_points });
    }
    let ns = |ms: f32| (ms * 1e6) as u64;
    let head_ns = ns(20.0 + 6.0 * eye.random::<f32>());
    let frame_ns = head_ns + ns(9.0);
    Frame {
        name: format!("{idx:06}"),
        group: Some(format!("drive-{:02}", idx / 4)),
        objects,
        detections,
        times: Some(StageTimes {
            points_ns: ns(2.0),
            head_ns,
            boxes_ns: ns(1.0),
            frame_ns,
            ..StageTimes::default()
        }),
    }
}

fn object(rng: &mut ChaCha8Rng) -> Object {
    let class_idx = rng.random_range(0..3_u32);
    let size = [[4.2, 1.8, 1.5], [0.7, 0.6, 1.75], [1.8, 0.7, 1.7]][class_idx as usize];
    let center = [rng.random_range(2.0..70.0), rng.random_range(-30.0..30.0), -0.8];
    let distance = libm::hypotf(center[0], center[1]);
    let yaw = rng.random_range(-3.1..3.1_f32);
    let speed = if rng.random::<f32>() < 0.4 { 0.0 } else { rng.random_range(0.0..14.0_f32) };
    Object {
        class_idx,
        bbox: Box3d { center, size, yaw },
        velocity: Some([speed * libm::cosf(yaw), speed * libm::sinf(yaw)]),
        n_points: (8000.0 * size[0] * size[2] / (distance * distance) * rng.random_range(0.1..1.0_f32))
            as u32,
        occlusion: Some(rng.random_range(0..3)),
        ignored: false,
    }
}
