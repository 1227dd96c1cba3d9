//! A package on simulated frames: official results, the benchmark's figures of them, a run, a gate.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_datasets::SENSOR_HEIGHT_M;
use pilotis_datasets::nuscenes::SweepStyle;
use pilotis_runtime::DeviceChoice;
use pilotis_runtime::head::tensorrt::Precision;
use pilotis_tests::{repository, simulate_drives, to_waymo, why_no_network};
use pilotis_trainer::evaluate::deployed::{DeployArgs, PackageArgs};
use pilotis_trainer::evaluate::frames::DataKind;
use pilotis_trainer::evaluate::official::{
    KITTI_RESULTS_FOLDER, NUSCENES_RESULTS_FILE, WAYMO_GROUND_TRUTHS_FILE, WAYMO_PREDICTIONS_FILE,
};
use pilotis_trainer::evaluate::{compare, deployed, exit, gate, kitti, nuscenes, report, waymo};
use pilotis_trainer::simulate;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn simulated(folder: &Path, format: simulate::Format) -> PathBuf {
    let out = folder.join("frames");
    simulate_drives(&out, format, 23);
    out
}

fn package_args(data: &Path, split: &str, out: &Path) -> PackageArgs {
    PackageArgs {
        deploy: DeployArgs {
            model: repository("models/default"),
            data: data.to_owned(),
            kind: DataKind::Auto,
            version: None,
            sweeps: 1,
            sweep_style: SweepStyle::default(),
            turn_rad: None,
            raise_m: 0.0,
            device: DeviceChoice::Cpu,
            precision: Precision::Fp32,
            threads: 1,
            allow_mismatch: true,
        },
        split: split.to_owned(),
        min_points: 5,
        score: 0.3,
        json: None,
        out: Some(out.to_owned()),
        machine: Some("the machine of this test".to_owned()),
    }
}

fn json(path: &Path) -> Value {
    // The devkit writes NaN for errors that a class does not have, which JSON does not know.
    let text = std::fs::read_to_string(path).unwrap().replace(": NaN", ": null");
    serde_json::from_str(&text).unwrap()
}

/// A gate for the run of this folder, with one floor for the average precision of cars.
fn write_gate(path: &Path, run: &Value, car_floor: f64, sha256: &str) {
    let (rules, dataset) = (&run["rules"], &run["dataset"]);
    let floor = |name: &str| if name == "car" { car_floor } else { 1e-9 };
    let mut text = format!(
        "schema_version = 1\n[dataset]\nsha256 = \"{sha256}\"\nmin_frames = {}\n[rules]\nregion_m = {}\nmin_points = {}\n\
         score = {}\n[latency]\np99_ms = 1e6\nmachine = \"the machine of this test\"\ndevice = \"cpu, 1 thread\"\n\
         precision = \"fp32\"\n",
        dataset["n_frames"], rules["region_m"], rules["min_points"], rules["score"]
    );
    for class in run["classes"].as_array().unwrap() {
        let name = class["name"].as_str().unwrap();
        text += &format!(
            "[classes.{name}]\nmin_objects = 1\nmin = {{ mean_average_precision = {:?} }}\n",
            floor(name)
        );
    }
    std::fs::write(path, text).unwrap();
}

fn exit_code(result: anyhow::Result<()>) -> u8 {
    result.err().map_or(0, |e| e.downcast_ref::<exit::ExitWith>().unwrap().code)
}

#[test]
fn kitti_results_are_evaluated_to_the_figures_of_the_run_and_a_gate_opens_or_not() {
    if let Some(reason) = why_no_network() {
        println!("{reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = simulated(folder.path(), simulate::Format::Kitti);
    let out = folder.path().join("run");
    deployed::run(&package_args(&data, "all", &out)).unwrap();

    // The files of results alone give the same figures.
    let again = folder.path().join("again");
    let args = kitti::KittiArgs {
        gt: data.join("training/label_2"),
        pred: out.join(KITTI_RESULTS_FOLDER),
        out: again.clone(),
        split: None,
        strict_cpp: false,
        missing_as_empty: false,
    };
    kitti::run(&args).unwrap();
    let (first, second) = (json(&out.join("kitti_summary.json")), json(&again.join("kitti_summary.json")));
    assert_eq!(first, second);
    let run = json(&out.join("run.json"));
    assert_eq!(run["dataset"]["n_frames"], 10);
    let figure = |name: &str| run["figures"][name].as_f64().unwrap();
    let car = figure("KITTI/Car_3D_AP40_moderate_strict");
    assert!(car > 1.0, "a model without a car proves nothing: {car} %");
    let of_file = first["figures"]["KITTI/Car_3D_AP40_moderate_strict"].as_f64().unwrap();
    assert_eq!(car.to_bits(), of_file.to_bits());
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("KITTI/Car_3D_AP40_moderate_strict") && report.contains("<svg"));

    // Another run into the same folder would mix its results with these.
    let refused = deployed::run(&package_args(&data, "val", &out)).unwrap_err().to_string();
    assert!(refused.contains("another run"), "{refused}");

    let config = folder.path().join("gate.toml");
    let judged = || {
        gate::run(&gate::GateArgs { config: config.clone(), run: out.clone(), reference: None, json: None })
    };
    let sha256 = run["dataset"]["sha256"].as_str().unwrap();
    let classes = run["classes"].as_array().unwrap();
    let of_car = classes.iter().find(|c| c["name"] == "car").unwrap();
    let car_ap = of_car["mean_average_precision"].as_f64().unwrap();
    write_gate(&config, &run, (car_ap - 1e-6).max(1e-9), sha256);
    let found_all = classes
        .iter()
        .all(|c| c["mean_average_precision"].as_f64().unwrap() > 0.0 && c["n_objects"].as_u64().unwrap() > 0);
    assert!(found_all, "a class without a box cannot pass: {classes:?}");
    assert_eq!(exit_code(judged()), 0);
    write_gate(&config, &run, (car_ap + 1e-6).min(1.0), sha256);
    assert_eq!(exit_code(judged()), 1);
    write_gate(&config, &run, (car_ap - 1e-6).max(1e-9), &"0".repeat(64));
    assert_eq!(exit_code(judged()), 1);

    // A run beside itself differs in nothing; beside that of other frames it is not compared.
    let compared = folder.path().join("comparison.json");
    let draw = || compare::DrawArgs { resamples: 200, seed: 1, level: 0.05, percentile: false };
    let beside = |b: &Path| {
        let (a, b, json) = (out.clone(), b.to_owned(), Some(compared.clone()));
        compare::run(&compare::CompareArgs { a, b, draw: draw(), json })
    };
    beside(&out).unwrap();
    let comparison = json(&compared);
    assert_eq!((&comparison["unit"], &comparison["n_units"]), (&"group".into(), &5.into()));
    let rows = comparison["rows"].as_array().unwrap();
    let is_same = |row: &Value| row["difference"].as_f64().is_none_or(|d| d == 0.0);
    assert!(rows.len() > 10 && rows.iter().all(is_same), "{comparison}");
    let part = folder.path().join("part");
    deployed::run(&package_args(&data, "val", &part)).unwrap();
    let refused = beside(&part).unwrap_err().to_string();
    assert!(refused.contains("frames"), "{refused}");

    let page = folder.path().join("page.html");
    let args = report::ReportArgs {
        run: out.clone(),
        reference: Some(out.clone()),
        gate: Some(config.clone()),
        draw: draw(),
        out: page.clone(),
    };
    report::run(&args).unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("Gate: failed") && page.contains("Differences of two runs"));
}

#[test]
fn a_nuscenes_submission_is_evaluated_to_the_figures_of_the_run() {
    if let Some(reason) = why_no_network() {
        println!("{reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = simulated(folder.path(), simulate::Format::Nuscenes);
    let out = folder.path().join("run");
    deployed::run(&package_args(&data, "sim_val", &out)).unwrap();

    let again = folder.path().join("again");
    let args = nuscenes::NuscenesArgs {
        data,
        version: "v1.0-sim".to_owned(),
        split: "sim_val".to_owned(),
        results: out.join(NUSCENES_RESULTS_FILE),
        out: again.clone(),
        config: None,
        ties: nuscenes::Ties::File,
    };
    nuscenes::run(&args).unwrap();
    let (run, summary) = (json(&out.join("run.json")), json(&again.join("metrics_summary.json")));
    let close = |a: &Value, b: &Value| (a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-12;
    assert!(close(&run["figures"]["nuscenes.nd_score"], &summary["nd_score"]), "{run}");
    assert!(close(&run["figures"]["nuscenes.car.mean_ap"], &summary["mean_dist_aps"]["car"]), "{run}");
    // Boxes stand where the objects are: turned back and moved into the world.
    let car = summary["mean_dist_aps"]["car"].as_f64().unwrap();
    assert!(car > 0.2, "cars in the world: {car}");
    assert_eq!(run["dataset"]["n_groups"], 1);
}

#[test]
fn waymo_files_are_evaluated_to_the_figures_of_the_run_and_boxes_are_those_of_the_same_frames_elsewhere() {
    if let Some(reason) = why_no_network() {
        println!("{reason}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, root) = (simulated(folder.path(), simulate::Format::Kitti), folder.path().join("waymo"));
    to_waymo(&data, "all", &root.join("validation"));
    let out = folder.path().join("run");
    let mut args = package_args(&root, "validation", &out);
    args.deploy.raise_m = -SENSOR_HEIGHT_M;
    deployed::run(&args).unwrap();
    let run = json(&out.join("run.json"));
    assert_eq!((&run["dataset"]["n_frames"], &run["dataset"]["n_groups"]), (&10.into(), &1.into()));

    // The files alone give the same figures.
    let again = folder.path().join("again");
    let files = waymo::WaymoArgs {
        gt: out.join(WAYMO_GROUND_TRUTHS_FILE),
        pred: out.join(WAYMO_PREDICTIONS_FILE),
        out: again.clone(),
    };
    waymo::run(&files).unwrap();
    assert_eq!(json(&out.join("waymo_summary.json")), json(&again.join("metrics_summary.json")));
    let near = run["figures"]["waymo.RANGE_TYPE_VEHICLE_[0, 30)_LEVEL_2.ap"].as_f64().unwrap();
    // Of what stands all around, the model sees what is ahead; an overlap of 0.7 is asked. Boxes elsewhere have none.
    assert!(near > 0.1, "vehicles in the vehicle's frame: {near}");
    let sign = run["figures"].as_object().unwrap().keys().find(|key| key.contains("SIGN"));
    assert_eq!(sign, None, "the model knows no signs");

    // The same clouds give the same boxes, whatever they were read from: pedestrians are the same class in both.
    let of_kitti = folder.path().join("of_kitti");
    deployed::run(&package_args(&data, "all", &of_kitti)).unwrap();
    let average = |run: &Value| {
        let classes = run["classes"].as_array().unwrap();
        let pedestrian = classes.iter().find(|c| c["name"] == "pedestrian").unwrap();
        pedestrian["mean_average_precision"].as_f64().unwrap()
    };
    let (ours, theirs) = (average(&run), average(&json(&of_kitti.join("run.json"))));
    assert!(theirs > 0.05, "a model that finds nobody proves nothing: {theirs}");
    // Heights are rounded anew where the origin moves, so that points at the edge of a pillar may change sides.
    assert!((ours - theirs).abs() < 0.02, "{ours} {theirs}");
}
