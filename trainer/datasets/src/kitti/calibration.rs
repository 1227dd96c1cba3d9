//! Calibration files, and the frames they join.

use super::number;
use crate::{DatasetError, read_text};
use glam::{DMat3, DMat4, DVec3, DVec4};
use pilotis_spec::Point;
use std::collections::BTreeMap;
use std::path::Path;

/// Calibration of one frame: LiDAR frame to rectified camera frame to the image of camera 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    p2: [[f64; 4]; 3],
    to_camera: DMat4,
    to_lidar: DMat4,
}

impl Calibration {
    /// Reads the text of a calibration file; `P2`, `R0_rect` and `Tr_velo_to_cam` are needed.
    ///
    /// **Errors**: the line counted from 1 (0 where one is missing), and what is wrong.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut rows: BTreeMap<&str, (usize, Vec<f64>)> = BTreeMap::new();
        for (idx, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let Some((name, values)) = line.split_once(':') else {
                return Err((idx + 1, "no `NAME: numbers`".to_owned()));
            };
            let values: Result<Vec<f64>, String> =
                values.split_ascii_whitespace().enumerate().map(|(k, f)| number(f, k + 2)).collect();
            rows.insert(name.trim(), (idx + 1, values.map_err(|reason| (idx + 1, reason))?));
        }
        let take = |name: &str, n_values: usize| match rows.get(name) {
            None => Err((0, format!("no `{name}`"))),
            Some((_, values)) if values.len() == n_values => Ok(values.as_slice()),
            Some((line, values)) => {
                Err((*line, format!("`{name}` has {} numbers, not {n_values}", values.len())))
            }
        };
        let p2 = take("P2", 12)?;
        let rectify = DMat3::from_cols_slice(take("R0_rect", 9)?).transpose();
        let velo = take("Tr_velo_to_cam", 12)?;
        let row = |m: &[f64], k: usize| DVec4::new(m[4 * k], m[4 * k + 1], m[4 * k + 2], m[4 * k + 3]);
        let velo_to_cam = DMat4::from_cols(row(velo, 0), row(velo, 1), row(velo, 2), DVec4::W).transpose();
        let to_camera = DMat4::from_mat3(rectify) * velo_to_cam;
        let to_lidar = to_camera.inverse();
        if !to_lidar.is_finite() {
            return Err((0, "`R0_rect` and `Tr_velo_to_cam` cannot be inverted".to_owned()));
        }
        Ok(Self { p2: [row(p2, 0), row(p2, 1), row(p2, 2)].map(|r| r.to_array()), to_camera, to_lidar })
    }

    /// A point of the LiDAR frame in the rectified camera frame (x right, y down, z ahead), metres.
    pub fn lidar_to_camera(&self, point: [f64; 3]) -> [f64; 3] {
        self.to_camera.transform_point3(DVec3::from_array(point)).to_array()
    }

    /// A point of the rectified camera frame in the LiDAR frame, metres.
    pub fn camera_to_lidar(&self, point: [f64; 3]) -> [f64; 3] {
        self.to_lidar.transform_point3(DVec3::from_array(point)).to_array()
    }

    /// The pixel of camera 2's image that a point of the rectified camera frame falls on.
    ///
    /// A point in or behind the camera's plane has none.
    pub fn project(&self, point: [f64; 3]) -> Option<[f64; 2]> {
        let [x, y, z] = point;
        let [u, v, w] = self.p2.map(|r| r[0] * x + r[1] * y + r[2] * z + r[3]);
        (z >= 0.0 && w > 0.0).then(|| [u / w, v / w])
    }

    /// Whether camera 2 sees a point of the LiDAR frame, in an image of this many pixels.
    pub fn sees(&self, point: &Point, image_size_px: [f64; 2]) -> bool {
        let camera = self.lidar_to_camera([point.x, point.y, point.z].map(f64::from));
        self.project(camera).is_some_and(|pixel| {
            (0.0..image_size_px[0]).contains(&pixel[0]) && (0.0..image_size_px[1]).contains(&pixel[1])
        })
    }
}

/// Reads a file of `calib`.
///
/// **Errors**: the file, the line, and what is wrong with it.
pub fn read_calibration(path: &Path) -> Result<Calibration, DatasetError> {
    Calibration::parse(&read_text(path)?).map_err(|(line, reason)| match line {
        0 => DatasetError::File { path: path.to_owned(), reason },
        line => DatasetError::Line { path: path.to_owned(), line, reason },
    })
}
