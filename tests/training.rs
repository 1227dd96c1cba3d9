//! From simulated sweeps to a package that the runtime runs, in small.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_datasets::check::{OpenOptions, open};
use pilotis_datasets::convert::{Target, convert};
use pilotis_network::Network;
use pilotis_runtime::{EngineBuilder, golden};
use pilotis_spec::{HeadLayout, InputStatistics};
use pilotis_tests::{open_kitti, repository, simulate_drives, to_waymo, why_no_network};
use pilotis_trainer::config::TrainConfig;
use pilotis_trainer::detector::Detector;
use pilotis_trainer::device::training_device;
use pilotis_trainer::export::encoder::PfnWeights;
use pilotis_trainer::export::package::Replace;
use pilotis_trainer::export::{self, export};
use pilotis_trainer::simulate;
use pilotis_trainer::train::{self, TrainArgs};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

fn tiny() -> PathBuf {
    repository("trainer/tests/tiny.toml")
}

fn train_args(data: &Path, out: &Path) -> TrainArgs {
    TrainArgs {
        config: tiny(),
        data: Some(data.to_owned()),
        out: out.to_owned(),
        resume: false,
        init_from: None,
        device: "cpu".to_owned(),
        threads: 1,
        split: None,
        val_split: None,
        val_frames: 1,
        stop_after: None,
        checkpoint_minutes: 60,
    }
}

/// Ten simulated frames: eight to train on, two to validate on.
fn frames() -> &'static Path {
    static FRAMES: OnceLock<PathBuf> = OnceLock::new();
    FRAMES.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("training-frames");
        if out.exists() {
            std::fs::remove_dir_all(&out).unwrap();
        }
        simulate_drives(&out, simulate::Format::Kitti, 11);
        out
    })
}

/// The weights that a run ended with, to be compared.
fn weights(run: &Path) -> (Vec<PfnWeights>, Network) {
    let config = TrainConfig::load(&run.join(train::CONFIG_FILE)).unwrap();
    let detector = Detector::init(&config, &training_device("cpu").unwrap());
    let detector = train::checkpoint::load_detector(detector, &run.join(train::LAST_FILE)).unwrap();
    (detector.encoder_weights(), detector.to_network(&config))
}

#[test]
fn a_run_that_stops_and_resumes_is_the_run_that_never_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, stopped) = (folder.path().join("straight"), folder.path().join("stopped"));
    train::run(&train_args(frames(), &straight)).unwrap();

    let mut args = train_args(frames(), &stopped);
    // In the middle of the first epoch, and then of the second.
    args.stop_after = Some(3);
    train::run(&args).unwrap();
    assert!(train::run(&args).is_err(), "a run must not begin anew in another's folder");
    args.resume = true;
    train::run(&args).unwrap();
    args.stop_after = None;
    train::run(&args).unwrap();

    let trained = weights(&straight);
    assert!(trained == weights(&stopped), "the resumed run ended elsewhere");
    let config = TrainConfig::load(&tiny()).unwrap();
    let untrained = Detector::init(&config, &training_device("cpu").unwrap());
    assert!(trained.1 != untrained.to_network(&config), "training changed nothing");
}

/// The tiny configuration with other data.
fn with_dataset(folder: &Path, name: &str, dataset: &str) -> PathBuf {
    let text = std::fs::read_to_string(tiny()).unwrap();
    let (before, rest) = text.split_once("[dataset]").unwrap();
    let (_, after) = rest.split_once("[train]").unwrap();
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(&path, format!("{before}[dataset]\n{dataset}\n[train]{after}")).unwrap();
    path
}

#[test]
fn every_dataset_is_trained_on_and_a_cache_gives_the_run_of_what_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let root = |name: &str| folder.path().join(name);
    simulate_drives(&root("nuscenes"), simulate::Format::Nuscenes, 11);
    for (split, name) in [("train", "training"), ("val", "validation")] {
        to_waymo(frames(), split, &root("waymo").join(name));
        let source = OpenOptions { split: Some(split.to_owned()), ..OpenOptions::default() };
        let frames = open(frames(), &source).unwrap();
        std::fs::create_dir_all(root("cache")).unwrap();
        convert(frames.as_ref(), &root("cache").join(split), Target::Cache, &|| {}).unwrap();
    }
    let trained = |name: &str, dataset: &str, data: &Path| {
        let config = with_dataset(folder.path(), name, dataset);
        let out = root(&format!("run of {name}"));
        train::run(&TrainArgs { config, ..train_args(data, &out) }).unwrap();
        // The best detector was chosen on the validation split.
        assert!(out.join(train::BEST_FILE).exists(), "{name}");
        weights(&out)
    };
    trained("nuscenes", "kind = \"nuscenes\"\nroot = \"\"\nn_sweeps = 2\n", &root("nuscenes"));
    let waymo = "kind = \"waymo\"\nroot = \"\"\ntrain_split = \"training\"\nval_split = \"validation\"\n\
                 rename = { vehicle = \"car\" }\n";
    trained("waymo", waymo, &root("waymo"));
    let of_kitti = trained("kitti", "kind = \"kitti\"\nroot = \"\"\nreading_threads = 3\n", frames());
    let of_cache = trained("cache", "kind = \"cache\"\nroot = \"\"\n", &root("cache"));
    assert!(of_kitti == of_cache, "the cache trains another detector");
}

#[test]
fn a_trained_run_becomes_a_package_that_the_runtime_runs() {
    if let Some(reason) = why_no_network() {
        println!("{reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("package"));
    let mut args = train_args(frames(), &run);
    args.stop_after = None;
    train::run(&args).unwrap();
    let export_args = export::ExportArgs {
        run: Some(run),
        config: None,
        random_weights: false,
        seed: 1,
        data: Some(frames().to_owned()),
        out: out.clone(),
        force: false,
    };
    export::run(&export_args).unwrap();
    let package = pilotis_runtime::Package::load(&out).unwrap();
    assert!(package.manifest().input_statistics.n_frames > 0);
    let mut engine = EngineBuilder::new().threads(2).build(&package).unwrap();
    let matched = golden::check(&package, &mut engine).unwrap();
    assert!(matched.largest_difference <= export::parity::PARITY_TOLERANCE);
    let cloud = open_kitti(&frames().join("training/velodyne/000000.bin")).unwrap();
    assert!(engine.infer(&cloud.view()).unwrap().report.n_pillars > 100);
    // Exporting again gives the same files, so a package can be reproduced.
    let digest = package.digest().to_owned();
    export::run(&export_args).unwrap();
    assert_eq!(pilotis_runtime::Package::load(&out).unwrap().digest(), digest);
}

/// A shipped configuration on a grid of an eighth of its cells, so that it runs in seconds.
fn shrunk(name: &str) -> TrainConfig {
    let mut config = TrainConfig::load(&repository("configs/train").join(name)).unwrap();
    let (min, max, cell) = (config.grid.min(), config.grid.max(), config.grid.cell());
    let middle = [(min[0] + max[0]) / 2.0, (min[1] + max[1]) / 2.0];
    let half = [cell[0] * 64.0, cell[1] * 64.0];
    let low = [middle[0] - half[0], middle[1] - half[1], min[2]];
    let high = [middle[0] + half[0], middle[1] + half[1], max[2]];
    config.grid = pilotis_spec::Grid::new(low, high, cell).unwrap();
    config.pillars.max_pillars = config.pillars.max_pillars.min(16_000);
    config
}

#[test]
fn every_shipped_configuration_exports_in_parity() {
    if let Some(reason) = why_no_network() {
        println!("{reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names =
        ["pointpillars_kitti", "pointpillars_nuscenes_8gb", "centerpoint_nuscenes_8gb", "demo", "street"];
    let mut kinds = [0, 0];
    for name in names {
        let config = shrunk(&format!("{name}.toml"));
        kinds[usize::from(matches!(config.head, HeadLayout::Centers(_)))] += 1;
        let detector = Detector::init(&config, &training_device("cpu").unwrap());
        let statistics = InputStatistics::default();
        let out = folder.path().join(name);
        let exported =
            export(&config, &detector, statistics, String::new(), 3, &out, Replace::Packages).unwrap();
        assert!(exported.n_values > 40_000, "{name}: {}", exported.n_values);
    }
    assert!(kinds[0] > 0 && kinds[1] > 0, "both kinds of head must be there");
}
