//! The shipped model on real frames, which are found by `PILOTIS_DATA` alone.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_runtime::{CloudFile, EngineBuilder};
use pilotis_spec::{FrameErrorCode, PointLayout};
use pilotis_tests::{open_kitti, real_data, shipped_model, why_no_network};
use std::path::PathBuf;

/// The folder of real frames; returns from the test, saying why, where it cannot run.
macro_rules! need_real_data {
    () => {{
        if let Some(reason) = why_no_network() {
            println!("{reason}");
            return;
        }
        match real_data() {
            Ok(folder) => folder,
            Err(reason) => {
                println!("{reason}");
                return;
            }
        }
    }};
}

fn bins(folder: PathBuf) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn kitti_sweeps_run_and_cars_are_found() {
    let data = need_real_data!();
    let package = shipped_model().unwrap();
    let mut engine = EngineBuilder::new().threads(2).build(&package).unwrap();
    let frames = bins(data.join("kitti/training/velodyne_reduced"));
    assert_eq!(frames.len(), 23);
    let mut n_boxes = 0;
    for path in frames {
        let file = open_kitti(&path).unwrap();
        let frame = engine.infer(&file.view()).unwrap();
        assert_eq!(frame.report.n_points as usize, file.n_points());
        assert_eq!(frame.report.dropped_nan, 0);
        n_boxes += frame.detections.iter().filter(|d| d.score > 0.3).count();
    }
    // The model has never seen a real frame; that it sees anything is what this asks.
    assert!(n_boxes > 0);
}

#[test]
fn a_nuscenes_sweep_is_refused_for_its_intensity() {
    let data = need_real_data!();
    let package = shipped_model().unwrap();
    let mut engine = EngineBuilder::new().build(&package).unwrap();
    let clouds: Vec<_> = bins(data.join("nuscenes_frame"))
        .into_iter()
        .filter(|p| p.to_string_lossy().ends_with(".pcd.bin"))
        .collect();
    let file = CloudFile::open(&clouds[0], Some(&PointLayout::nuscenes())).unwrap();
    assert_eq!(file.n_points(), 34_688);
    assert_eq!(engine.infer(&file.view()).unwrap_err().code, FrameErrorCode::IntensityMismatch);
}
