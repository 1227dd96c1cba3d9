//! Calibration files, and the frames they join.

use super::number;
use crate::{DatasetError, read_text};
use glam::{DMat3, DMat4, DVec3, DVec4};
use pilotis_spec::Point;
use std::collections::BTreeMap;
use std::path::Path;

/// One of the four cameras of KITTI's car.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Camera {
    /// Left grey camera, the origin of the rectified frame.
    Gray0,
    /// Right grey camera.
    Gray1,
    /// Left colour camera, whose images are labelled.
    Color2,
    /// Right colour camera.
    Color3,
}

/// Focal lengths in pixels of the five recording days, and the sizes of the rectified images that
/// go with them. Days differ by 0.04 px and more.
const USUAL_SIZES: [(f64, [f64; 2]); 5] = [
    (721.5377, [1242.0, 375.0]),
    (707.0493, [1224.0, 370.0]),
    (718.3351, [1238.0, 374.0]),
    (707.0912, [1226.0, 370.0]),
    (718.856, [1241.0, 376.0]),
];
/// A focal length is one of those if it is this near, in pixels.
const SAME_FOCAL_PX: f64 = 0.01;

/// Calibration of one frame: LiDAR frame to rectified camera frame to the images of the cameras.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Projections of cameras 0 to 3; only that of camera 2 is always there.
    projections: [Option<[[f64; 4]; 3]>; 4],
    p2: [[f64; 4]; 3],
    to_camera: DMat4,
    to_lidar: DMat4,
}

/// The matrices of a file by name, each with its line.
struct Matrices<'a>(BTreeMap<&'a str, (usize, Vec<f64>)>);

impl<'a> Matrices<'a> {
    fn read(text: &'a str) -> Result<Self, (usize, String)> {
        let mut rows = BTreeMap::new();
        for (idx, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let Some((name, values)) = line.split_once(':') else {
                return Err((idx + 1, "no `NAME: numbers`".to_owned()));
            };
            let values: Result<Vec<f64>, String> =
                values.split_ascii_whitespace().enumerate().map(|(k, f)| number(f, k + 2)).collect();
            let values = values.map_err(|reason| (idx + 1, reason))?;
            if let Some((first, _)) = rows.insert(name.trim(), (idx + 1, values)) {
                return Err((idx + 1, format!("`{}` is already in line {first}", name.trim())));
            }
        }
        Ok(Self(rows))
    }

    /// The numbers of a matrix that may be missing.
    fn find(&self, name: &str, n_values: usize) -> Result<Option<&[f64]>, (usize, String)> {
        match self.0.get(name) {
            None => Ok(None),
            Some((_, values)) if values.len() == n_values => Ok(Some(values)),
            Some((line, values)) => {
                Err((*line, format!("`{name}` has {} numbers, not {n_values}", values.len())))
            }
        }
    }

    fn take(&self, name: &str, n_values: usize) -> Result<&[f64], (usize, String)> {
        self.find(name, n_values)?.ok_or_else(|| (0, format!("no `{name}`")))
    }
}

impl Calibration {
    /// Reads the text of a calibration file; `P2`, `R0_rect` and `Tr_velo_to_cam` are needed.
    ///
    /// `P0`, `P1` and `P3` are checked where they are there; other matrices are not read.
    ///
    /// **Errors**: the line counted from 1 (0 where one is missing), and what is wrong.
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let matrices = Matrices::read(text)?;
        let p2 = rows(matrices.take("P2", 12)?);
        let others =
            ["P0", "P1", "P3"].map(|name| Ok::<_, (usize, String)>(matrices.find(name, 12)?.map(rows)));
        let [p0, p1, p3] = others;
        let rectify = DMat3::from_cols_slice(matrices.take("R0_rect", 9)?).transpose();
        let [x, y, z] = rows(matrices.take("Tr_velo_to_cam", 12)?).map(DVec4::from_array);
        let velo_to_cam = DMat4::from_cols(x, y, z, DVec4::W).transpose();
        let to_camera = DMat4::from_mat3(rectify) * velo_to_cam;
        let to_lidar = to_camera.inverse();
        if !to_lidar.is_finite() {
            return Err((0, "`R0_rect` and `Tr_velo_to_cam` cannot be inverted".to_owned()));
        }
        Ok(Self { projections: [p0?, p1?, Some(p2), p3?], p2, to_camera, to_lidar })
    }

    /// The projection of a camera, rows of three by four; `None` where the file does not have it.
    ///
    /// **Units and frame**: from metres of the rectified camera frame to pixels.
    pub fn projection(&self, camera: Camera) -> Option<&[[f64; 4]; 3]> {
        self.projections[camera as usize].as_ref()
    }

    /// Width and height in pixels of the image that usually goes with this calibration.
    ///
    /// KITTI's images were rectified a recording day at a time, and the focal length tells the day:
    /// 721.5377 px goes with 1242 x 375, 707.0493 with 1224 x 370, 718.3351 with 1238 x 374,
    /// 707.0912 with 1226 x 370, 718.856 with 1241 x 376. Any other has the commonest,
    /// [`super::IMAGE_SIZE_PX`].
    pub fn usual_image_size_px(&self) -> [f64; 2] {
        let focal_px = self.p2[0][0];
        let known = USUAL_SIZES.iter().find(|(known_px, _)| (known_px - focal_px).abs() < SAME_FOCAL_PX);
        known.map_or(super::IMAGE_SIZE_PX, |(_, size)| *size)
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

/// Three rows of four.
fn rows(values: &[f64]) -> [[f64; 4]; 3] {
    let (rows, _) = values.as_chunks::<4>();
    std::array::from_fn(|k| rows.get(k).copied().unwrap_or_default())
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
