//! Whole frames against trigonometry by hand: which LiDAR, which return, which pose, which channel.

use super::super::{WaymoDataset, WaymoSettings};
use super::synthetic::{Frame, Laser, segment, write_v1};
use glam::{DMat3, DVec3};
use std::collections::BTreeMap;
use std::f64::consts::PI;

/// Places and intensities of an image's returns, row by row.
fn returns(frame: &Frame, laser: &Laser, values: &[f32]) -> Vec<[f64; 4]> {
    let (height, width) = (laser.shape[0] as usize, laser.shape[1] as usize);
    let [low, high] = laser.inclination_range;
    let mut found = Vec::new();
    for (pixel, v) in values.chunks_exact(4).enumerate().filter(|(_, v)| v[0] > 0.0) {
        let (row, column) = (pixel / width, pixel % width);
        let even = low + ((height - row) as f64 - 0.5) / height as f64 * (high - low);
        let inclination = laser.inclinations.get(height - 1 - row).copied().unwrap_or(even);
        // The sensors turn about z alone, so that columns are azimuths about the vehicle's z axis.
        let azimuth = PI - (column as f64 + 0.5) * 2.0 * PI / width as f64;
        let (across, up) = (f64::from(v[0]) * inclination.cos(), f64::from(v[0]) * inclination.sin());
        let mounted = DVec3::new(laser.extrinsic[3], laser.extrinsic[7], laser.extrinsic[11]);
        let mut place = DVec3::new(across * azimuth.cos(), across * azimuth.sin(), up) + mounted;
        if let Some(poses) = &laser.poses {
            let pose: Vec<f64> = poses[6 * pixel..6 * pixel + 6].iter().map(|v| f64::from(*v)).collect();
            let turn = DMat3::from_rotation_z(pose[2]) * DMat3::from_rotation_y(pose[1]);
            let world = turn * DMat3::from_rotation_x(pose[0]) * place + DVec3::from_slice(&pose[3..]);
            let vehicle = DVec3::new(frame.pose[3], frame.pose[7], frame.pose[11]);
            place = DMat3::from_rotation_z(-0.3) * (world - vehicle);
        }
        found.push([place.x, place.y, place.z, f64::from(v[1])]);
    }
    found
}

#[test]
fn lidars_come_by_number_and_every_return_of_the_top_one_by_its_pixels_poses() {
    let folder = tempfile::tempdir().unwrap();
    let frames = segment();
    write_v1(&folder.path().join("train"), &frames);
    for second_returns in [false, true] {
        let settings = WaymoSettings { second_returns, ..WaymoSettings::default() };
        let dataset = WaymoDataset::open(folder.path(), "train", BTreeMap::new(), settings).unwrap();
        for (idx, frame) in frames.iter().enumerate() {
            let mut lasers: Vec<&Laser> = frame.lasers.iter().collect();
            lasers.sort_by_key(|laser| laser.name);
            assert_ne!(lasers[0].name, frame.lasers[0].name);
            let mut expected = Vec::new();
            for laser in lasers {
                expected.extend(returns(frame, laser, &laser.first));
                if let Some(second) = laser.second.as_ref().filter(|_| second_returns) {
                    expected.extend(returns(frame, laser, second));
                }
            }
            let points = dataset.load_frame(idx).unwrap().points;
            assert_eq!(points.len(), expected.len());
            for (p, e) in points.iter().zip(expected) {
                let off = [p.x, p.y, p.z, p.intensity].map(f64::from);
                // Places are rounded to f32, up to 64 m away.
                assert!(off.iter().zip(e).all(|(a, b)| (a - b).abs() < 1e-5), "{p:?} {e:?}");
            }
        }
    }
}
