//! What the suites share: the shipped model, sweeps shipped and simulated, and reasons to skip.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_datasets::kitti::KittiDataset;
use pilotis_datasets::waymo::{TYPE_NAMES, WaymoFrame, WaymoLabel, fixture};
use pilotis_datasets::{Dataset, GroundTruth, SENSOR_HEIGHT_M};
use pilotis_runtime::device::native_parts::Places;
use pilotis_runtime::{BuildError, CloudFile, Package};
use pilotis_trainer::simulate;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The model that ships.
///
/// **Errors**: the package's.
pub fn shipped_model() -> Result<Package, BuildError> {
    Package::load(&repository("models/default"))
}

/// Paths of the simulated sweeps that ship, sorted; never empty in a whole checkout.
pub fn shipped_sweeps() -> Vec<PathBuf> {
    let mut sweeps: Vec<PathBuf> = std::fs::read_dir(repository("tests/data/simulated"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "bin"))
        .collect();
    sweeps.sort();
    sweeps
}

/// A cloud in KITTI's layout.
///
/// **Errors**: the reader's.
pub fn open_kitti(path: &Path) -> Result<CloudFile, BuildError> {
    CloudFile::open(path, Some(&pilotis_spec::PointLayout::kitti()))
}

/// Why suites that run the network cannot, where they cannot.
pub fn why_no_network() -> Option<String> {
    let missing = Places::from_env().onnxruntime().err()?;
    Some(format!("skipped: {missing}"))
}

/// The folder of real frames, or why there is none.
///
/// **Errors**: the reason to skip.
pub fn real_data() -> Result<PathBuf, String> {
    std::env::var_os("PILOTIS_DATA")
        .map(PathBuf::from)
        .ok_or_else(|| "skipped: PILOTIS_DATA is not set".to_owned())
}

/// Five simulated drives of two frames each; the fifth is for validation.
pub fn simulate_drives(out: &Path, format: simulate::Format, seed: u64) {
    let args = simulate::SimulateArgs {
        out: out.to_owned(),
        format,
        scenes: 5,
        seed,
        start: 0,
        sensor: None,
        duration_s: 2.0,
        every_s: 1.0,
        crowd: 1.0,
        weather: simulate::Weather::Clear,
        distortion: simulate::Distortion::Compensated,
        threads: 0,
        resume: false,
        force: false,
    };
    simulate::run(&args).unwrap();
}

/// The label that Waymo would have for an object; its vehicles hold all cars, trucks and buses.
fn waymo_label(object: &GroundTruth) -> WaymoLabel {
    let name = match object.class_name.as_str() {
        "car" | "van" | "truck" | "tram" | "misc" => "vehicle",
        name => name,
    };
    let type_idx = TYPE_NAMES.iter().position(|known| *known == name).unwrap_or(0);
    let [x, y, z] = object.bbox.center;
    WaymoLabel {
        type_idx: type_idx as u8,
        center: [x, y, z + SENSOR_HEIGHT_M].map(f64::from),
        size: object.bbox.size.map(f64::from),
        heading: f64::from(object.bbox.yaw),
        velocity: [0.0; 2],
        n_points: object.n_points,
        difficulty: 0,
    }
}

/// Frames of a split in KITTI's layout as Waymo would have them: a segment, its origin on the ground.
pub fn to_waymo(kitti: &Path, split: &str, out: &Path) {
    let dataset = KittiDataset::open(kitti, split, BTreeMap::new()).unwrap();
    let frames: Vec<WaymoFrame> = (0..dataset.n_samples())
        .map(|idx| {
            let mut sample = dataset.load(idx).unwrap();
            sample.points.iter_mut().for_each(|p| p.z += SENSOR_HEIGHT_M);
            WaymoFrame {
                context_name: "made_0".to_owned(),
                timestamp_micros: 100_000 * idx as i64,
                points: sample.points,
                points_in_no_label_zones: Vec::new(),
                labels: sample.objects.iter().map(waymo_label).collect(),
            }
        })
        .collect();
    fixture::write_segment(out, "made_0", &frames).unwrap();
}
