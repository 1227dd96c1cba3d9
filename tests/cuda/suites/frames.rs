//! Clouds of every origin, faults on the way, and what a frame may cost: the engine on a card.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_cuda_tests::counting::{Counting, n_allocations};
use pilotis_cuda_tests::{Answers, cases, engine, why_no_device};
use pilotis_runtime::points::{Pose, Sweep, to_key};
use pilotis_runtime::{CanvasFormat, CloudFile, CloudView, DeviceChoice, Engine};
use pilotis_spec::{FrameErrorCode, Manifest, Point, PointLayout};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

macro_rules! need_device {
    () => {
        if let Some(reason) = why_no_device() {
            println!("{reason}");
            return;
        }
    };
}

/// Engines of a drawn model on both processors.
struct Pair {
    cpu: Engine,
    card: Engine,
    manifest: Manifest,
}

impl Pair {
    fn of(seed: u64, change: impl FnOnce(&mut Manifest)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = cases::manifest(seed);
        change(&mut manifest);
        let package = cases::package(manifest, seed, folder.path());
        let tensors = cases::tensors(package.manifest(), seed);
        Self {
            cpu: engine(&package, &tensors, DeviceChoice::Cpu, CanvasFormat::default()),
            card: engine(&package, &tensors, DeviceChoice::Cuda, CanvasFormat::default()),
            manifest: package.manifest().clone(),
        }
    }

    #[track_caller]
    fn assert_alike(&mut self, cloud: &CloudView<'_>) -> Answers {
        let want = Answers::of(&mut self.cpu, cloud);
        assert_eq!(Answers::of(&mut self.card, cloud), want);
        want
    }
}

/// A cloud of some hundred points, most of them in range.
fn ordinary(manifest: &Manifest) -> Vec<Point> {
    (0..100).map(|s| cases::cloud(manifest, 6, s)).find(|c| c.len() > 500).unwrap()
}

#[test]
fn clouds_of_every_layout_and_origin_come_out_alike() {
    need_device!();
    let mut pair = Pair::of(7, |m| m.points.max_points = 3000);
    let points = ordinary(&pair.manifest);
    let folder = tempfile::tempdir().unwrap();
    for text in
        ["kitti", "nuscenes", "nuscenes-sweeps-f16", "f64:_,z,y,x,intensity", "f32:y,x,z,time_lag,intensity"]
    {
        let layout: PointLayout = text.parse().unwrap();
        let mut bytes = Vec::new();
        points.iter().for_each(|p| layout.write(p, &mut bytes));
        pair.assert_alike(&CloudView::from_bytes(&bytes, &layout).unwrap());
        // Records that start at odd addresses.
        let shifted = [&[0][..], &bytes].concat();
        pair.assert_alike(&CloudView::from_bytes(&shifted[1..], &layout).unwrap());
        let path = folder.path().join("cloud.bin");
        std::fs::write(&path, &bytes).unwrap();
        pair.assert_alike(&CloudFile::open(&path, Some(&layout)).unwrap().view());
    }
    let four: Vec<[f32; 4]> = points.iter().map(|p| [p.x, p.y, p.z, p.intensity]).collect();
    pair.assert_alike(&CloudView::from_records(&four));
    let five: Vec<[f32; 5]> = points.iter().map(|p| [p.x, p.y, p.z, p.intensity, p.time_lag]).collect();
    pair.assert_alike(&CloudView::from_records_with_time_lag(&five));
    // Integers and doubles, as PCD files have them.
    let path = folder.path().join("cloud.pcd");
    let mut pcd = format!(
        "VERSION 0.7\nFIELDS x y z intensity\nSIZE 8 4 2 1\nTYPE F F I U\nCOUNT 1 1 1 1\nWIDTH {0}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {0}\nDATA binary\n",
        points.len()
    )
    .into_bytes();
    for p in &points {
        pcd.extend(f64::from(p.x).to_le_bytes());
        pcd.extend(p.y.to_le_bytes());
        pcd.extend((p.z as i16).to_le_bytes());
        pcd.push((p.intensity * 200.0) as u8);
    }
    std::fs::write(&path, pcd).unwrap();
    let answers = pair.assert_alike(&CloudFile::open(&path, None).unwrap().view());
    assert!(answers.pillars.len() > 10, "the clouds miss the grid, so nothing was compared");
}

#[test]
fn a_cloud_larger_than_the_staging_memory_goes_up_in_chunks() {
    need_device!();
    // 64 KiB of staging memory hold 3,276 points of 20 bytes.
    let mut pair = Pair::of(8, |m| m.points.max_points = 3000);
    let points: Vec<Point> = (0..20).flat_map(|s| cases::cloud(&pair.manifest, s, s)).collect();
    assert!(points.len() > 3 * 3276, "{}", points.len());
    let answers = pair.assert_alike(&CloudView::from_points(&points));
    assert!(answers.report.dropped_over_capacity > 0);
    // Nearly all of it out of range: chunks without a kept point between chunks with some.
    let far = Point { x: 1e5, ..points[0] };
    let mut sparse = vec![far; 12_000];
    for (at, point) in sparse.iter_mut().step_by(997).zip(&points) {
        *at = *point;
    }
    pair.assert_alike(&CloudView::from_points(&sparse));
}

#[test]
fn sweeps_are_moved_and_aged_alike() {
    need_device!();
    for seed in [20, 21, 22] {
        let mut pair = Pair::of(seed, |m| m.points.max_points = 6000);
        let clouds: Vec<Vec<Point>> = (0..40).map(|s| cases::cloud(&pair.manifest, s, seed + s)).collect();
        let still = Pose { rotation: [1.0, 0.0, 0.0, 0.0], translation: [0.0; 3] };
        let sweeps: Vec<Sweep<'_>> = clouds
            .iter()
            .enumerate()
            .map(|(i, cloud)| {
                let half = 0.01 * i as f64;
                let then = Pose {
                    rotation: [half.cos(), 0.0, 0.0, half.sin()],
                    translation: [0.3 * i as f64, -0.1, 0.02],
                };
                let motion = (i > 0).then(|| to_key(&still, &then, &still, &still).unwrap());
                Sweep::new(CloudView::from_points(cloud), motion, 0.05 * i as f32, 1.0).unwrap()
            })
            .collect();
        // One, a few, and more than one chunk takes.
        for n in [1, 10, 40] {
            let answers = pair.assert_alike(&CloudView::from_sweeps(&sweeps[..n]));
            assert!(n == 1 || answers.report.dropped_near_sensor > 0);
        }
    }
}

#[test]
fn after_a_frame_that_failed_half_way_the_next_one_is_as_ever() {
    need_device!();
    let mut pair = Pair::of(9, |m| m.points.max_points = 3000);
    let layout = PointLayout::kitti();
    let points = ordinary(&pair.manifest);
    let mut bytes = Vec::new();
    // The first chunk is whole, the second is gone.
    for p in points.iter().cycle().take(9000) {
        layout.write(p, &mut bytes);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cloud.bin");
    std::fs::write(&path, &bytes).unwrap();
    let file = CloudFile::open(&path, Some(&layout)).unwrap();
    let before = pair.assert_alike(&CloudView::from_points(&points));
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(16 * 6000).unwrap();
    for engine in [&mut pair.cpu, &mut pair.card] {
        assert_eq!(engine.infer(&file.view()).unwrap_err().code, FrameErrorCode::CloudVanished);
    }
    let mut after = pair.assert_alike(&CloudView::from_points(&points));
    after.report.frame_idx = before.report.frame_idx;
    assert_eq!(after, before);
    // A cloud without intensity does not get as far as the card.
    let blind: PointLayout = "f32:x,y,z,_".parse().unwrap();
    for engine in [&mut pair.cpu, &mut pair.card] {
        let error = engine.infer(&CloudView::from_bytes(&bytes, &blind).unwrap()).unwrap_err();
        assert_eq!(error.code, FrameErrorCode::MissingField);
    }
    pair.assert_alike(&CloudView::from_points(&points));
}

#[test]
fn a_frame_allocates_nothing_of_ours() {
    need_device!();
    assert_eq!(n_allocations(|| drop(std::hint::black_box(vec![1_u8; 3]))), 1, "the allocator counts");
    for seed in [30, 31, 32, 33] {
        let mut pair = Pair::of(seed, |m| m.points.max_points = 3000);
        for kind in 0..7 {
            let cloud = cases::cloud(&pair.manifest, kind, seed);
            let view = CloudView::from_points(&cloud);
            assert_eq!(
                n_allocations(|| assert!(pair.card.infer(&view).is_ok())),
                0,
                "model {seed}, cloud {kind}"
            );
        }
    }
}

#[test]
fn the_shipped_model_answers_its_golden_on_a_card() {
    need_device!();
    if let Err(missing) = pilotis_runtime::device::native_parts::Places::from_env().onnxruntime() {
        println!("skipped: {missing}");
        return;
    }
    let model = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/default");
    let package = pilotis_runtime::Package::load(&model).unwrap();
    let builder = pilotis_runtime::EngineBuilder::new().device(DeviceChoice::Cuda).threads(2);
    let mut engine = builder.build(&package).unwrap();
    let matched = pilotis_runtime::golden::check(&package, &mut engine).unwrap();
    assert!(matched.n_samples >= 3 * 64, "{matched:?}");
}

#[test]
fn a_lost_device_answers_every_frame_with_its_fault() {
    const FAULT: &str = "PILOTIS_EMULATOR_FAULT";
    let (Some(emulator), Some(_)) =
        (std::env::var_os("PILOTIS_CUDA_EMULATOR"), DeviceChoice::Cuda.resolve().ok())
    else {
        println!("skipped: only an emulator loses its device when it is told to");
        return;
    };
    if std::env::var_os(FAULT).is_none() {
        // In a process of its own: the fault lasts as long as the driver. Building waits a few times.
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["a_lost_device_answers_every_frame_with_its_fault", "--exact", "--nocapture"])
            .env("PILOTIS_CUDA_EMULATOR", emulator)
            .env(FAULT, "cuStreamSynchronize:700:40")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let mut pair = Pair::of(9, |m| m.points.max_points = 3000);
    let points = ordinary(&pair.manifest);
    let cloud = CloudView::from_points(&points);
    let n_good = (0..40).take_while(|_| pair.card.infer(&cloud).is_ok()).count();
    assert!((1..40).contains(&n_good), "{n_good} frames before the device was lost");
    for _ in 0..3 {
        let error = pair.card.infer(&cloud).unwrap_err();
        assert_eq!((error.code, error.got), (FrameErrorCode::DeviceFault, 700));
    }
}
