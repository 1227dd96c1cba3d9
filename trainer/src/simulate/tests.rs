use super::drive::{Distortion, DriveOptions};
use super::sensor::{Sensor, Weather};
use super::things::Region;
use super::{Format, SimulateArgs, run};
use pilotis_datasets::Dataset;
use pilotis_datasets::kitti::KittiDataset;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A drive of some seconds on Europe's streets.
pub(super) fn options(duration_s: f64) -> DriveOptions {
    DriveOptions {
        duration_s,
        region: Region::Europe,
        all_classes: false,
        crowd: 1.0,
        weather: Weather::Clear,
        distortion: Distortion::Compensated,
    }
}

fn args(out: &Path, threads: usize) -> SimulateArgs {
    SimulateArgs {
        format: Format::Kitti,
        out: out.to_path_buf(),
        scenes: 2,
        seed: 11,
        start: 3,
        sensor: None,
        duration_s: 2.0,
        every_s: 1.0,
        crowd: 1.0,
        weather: Weather::Clear,
        distortion: Distortion::Compensated,
        threads,
        resume: false,
        force: false,
    }
}

/// All files below a folder with their bytes.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.strip_prefix(folder).unwrap().to_path_buf(), fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn a_folder_is_the_same_for_one_thread_and_two() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (temp.path().join("one"), temp.path().join("two"));
    run(&args(&one, 1)).unwrap();
    run(&args(&two, 2)).unwrap();
    let (one, two) = (contents(&one), contents(&two));
    assert_eq!(one.len(), 4 * 5 + 6, "five files a frame, three splits, two of drives and the README");
    assert!(one == two, "the thread count changed the output");
    let other = temp.path().join("other");
    run(&SimulateArgs { seed: 12, ..args(&other, 2) }).unwrap();
    assert!(contents(&other) != one, "the seed changed nothing");
}

#[test]
fn a_folder_in_use_is_refused_and_a_resumed_one_keeps_its_drives() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("set");
    run(&args(&out, 2)).unwrap();
    assert!(run(&args(&out, 2)).is_err(), "written over without a word");
    let other = SimulateArgs { seed: 12, resume: true, ..args(&out, 2) };
    let error = run(&other).unwrap_err().to_string();
    assert!(error.contains("other options") && error.contains("seed: 12"), "{error}");

    let complete = contents(&out);
    let kept = out.join("training/velodyne/000006.bin");
    fs::write(&kept, b"kept").unwrap();
    fs::remove_file(out.join("training/label_velo/000009.txt")).unwrap();
    fs::remove_file(out.join("training/velodyne/000009.bin")).unwrap();
    run(&SimulateArgs { resume: true, ..args(&out, 2) }).unwrap();
    assert_eq!(fs::read(&kept).unwrap(), b"kept", "a complete drive was simulated again");
    let frame = Path::new("training/velodyne/000009.bin");
    assert_eq!(contents(&out).get(frame), complete.get(frame));
    run(&SimulateArgs { force: true, ..args(&out, 2) }).unwrap();
    assert!(contents(&out) == complete);
}

#[test]
fn options_that_cannot_be_are_refused_by_name() {
    let temp = tempfile::tempdir().unwrap();
    let base = args(temp.path(), 1);
    for (args, word) in [
        (SimulateArgs { scenes: 0, ..base.clone() }, "--scenes"),
        (SimulateArgs { duration_s: 0.1, ..base.clone() }, "--duration-s"),
        (SimulateArgs { every_s: 3.0, ..base.clone() }, "--every-s"),
        (SimulateArgs { every_s: f64::NAN, ..base.clone() }, "--every-s"),
        (SimulateArgs { crowd: -1.0, ..base.clone() }, "--crowd"),
        (SimulateArgs { start: 99_999, ..base.clone() }, "--start"),
        (SimulateArgs { sensor: Some("no_such_scanner".into()), ..base }, "no_such_scanner"),
    ] {
        let error = format!("{:#}", run(&args).unwrap_err());
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(contents(temp.path()).is_empty(), "something was written all the same");
}

#[test]
fn the_reduced_sweep_and_the_splits_are_parts_of_the_whole() {
    let temp = tempfile::tempdir().unwrap();
    run(&args(temp.path(), 2)).unwrap();
    let points = |folder: &str| -> BTreeSet<Vec<u8>> {
        let bytes = fs::read(temp.path().join(format!("training/{folder}/000006.bin"))).unwrap();
        assert_eq!(bytes.len() % 16, 0);
        bytes.chunks(16).map(<[u8]>::to_vec).collect()
    };
    let (full, reduced) = (points("velodyne"), points("velodyne_reduced"));
    assert!(reduced.is_subset(&full));
    let share = reduced.len() as f32 / full.len() as f32;
    assert!((0.05..0.3).contains(&share), "the camera sees {share} of the sweep");
    // Two frames a drive, drives 3 and 4; each fifth drive is for validation.
    let list = |name: &str| fs::read_to_string(temp.path().join("ImageSets").join(name)).unwrap();
    assert_eq!(list("all.txt"), "000006\n000007\n000008\n000009\n");
    assert_eq!(list("train.txt"), "000006\n000007\n");
    assert_eq!(list("val.txt"), "000008\n000009\n");
    let all = KittiDataset::open(temp.path(), "all", BTreeMap::new()).unwrap();
    let drives: Vec<Option<String>> = (0..4).map(|idx| all.drive(idx)).collect();
    let [third, fourth] = [3, 4].map(|number| Some(format!("simulated_drive_{number:04}")));
    assert_eq!(drives, [third.clone(), third, fourth.clone(), fourth]);
}

#[test]
fn sensors_come_from_files_and_wrong_ones_say_what_is_wrong() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("scanner.toml");
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/sensor/hdl32e.toml")).unwrap();
    let load = |text: &str| {
        fs::write(&file, text).unwrap();
        Sensor::load(file.to_str().unwrap())
    };
    assert_eq!(load(&text).unwrap(), Sensor::load("hdl32e").unwrap());
    for (from, to, word) in [
        ("rate_hz = 20.0", "rate_hz = 0.0", "rate_hz"),
        ("n_columns = 1084", "n_columns = 3", "n_columns"),
        ("min_range_m = 0.35", "min_range_m = 200.0", "min_range_m"),
        ("-30.67,", "-95.0,", "elevation_deg"),
        ("gain = 0.2", "gain = -1.0", "gain"),
        ("[intensity]", "rise_m = [0.1]\n[intensity]", "rise_m"),
        ("rate_hz", "rate", "unknown field"),
    ] {
        assert!(text.contains(from), "the file lacks {from}");
        let error = format!("{:#}", load(&text.replacen(from, to, 1)).unwrap_err());
        assert!(error.contains(word), "{to}: {error}");
    }
}
