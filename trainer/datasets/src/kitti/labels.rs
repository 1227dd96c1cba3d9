//! Label files of both kinds, line by line.

use super::{Calibration, Difficulty, LidarBox, number, read_lines};
use crate::DatasetError;
use pilotis_spec::Box3d;
use pilotis_spec::codec::normalize_yaw;
use std::fmt;
use std::path::Path;

/// Type of a label line that marks a region in which nothing was labelled.
pub const DONT_CARE: &str = "DontCare";

/// One line of `label_2`, or of a file of results.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelLine {
    /// Type as written: `Car`, `DontCare`, ...
    pub class_name: String,
    /// Share that lies outside of the image; -1 if unknown.
    pub truncation: f64,
    /// 0 visible, 1 partly, 2 largely occluded, 3 unknown; -1 in `DontCare` lines and in results.
    pub occlusion: i32,
    /// Heading relative to the line of sight, in radians.
    pub alpha_rad: f64,
    /// Left, top, right, bottom in pixels.
    pub image_box: [f64; 4],
    /// Height, width, length in metres.
    pub size_hwl: [f64; 3],
    /// Centre of the bottom face in the rectified camera frame (x right, y down, z ahead), metres.
    pub location: [f64; 3],
    /// Heading about the camera's y axis, in radians.
    pub rotation_y: f64,
    /// Score, in files of results.
    pub score: Option<f64>,
}

impl LabelLine {
    /// Reads a line of 15 fields, or 16 with a score.
    ///
    /// Detectors fill in the occlusion of a result as they like, and nobody reads it: any number goes.
    ///
    /// **Errors**: what is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        if fields.len() != 15 && fields.len() != 16 {
            return Err(format!("{} fields; a label has 15, a result 16", fields.len()));
        }
        let n: Vec<f64> =
            fields[1..].iter().enumerate().map(|(k, f)| number(f, k + 2)).collect::<Result<_, _>>()?;
        if n.len() == 14 && (n[1].fract() != 0.0 || !(-1.0..=3.0).contains(&n[1])) {
            return Err(format!("occlusion {} is not one of -1, 0, 1, 2, 3", n[1]));
        }
        Ok(Self {
            class_name: fields[0].to_owned(),
            truncation: n[0],
            occlusion: n[1] as i32,
            alpha_rad: n[2],
            image_box: [n[3], n[4], n[5], n[6]],
            size_hwl: [n[7], n[8], n[9]],
            location: [n[10], n[11], n[12]],
            rotation_y: n[13],
            score: n.get(14).copied(),
        })
    }

    /// Whether the line marks a region in which nothing was labelled. It has no box in 3D.
    pub fn is_dont_care(&self) -> bool {
        self.class_name.eq_ignore_ascii_case(DONT_CARE)
    }

    /// The box in the LiDAR frame, rounded to what the runtime works in; see [`LidarBox::of`].
    pub fn to_lidar(&self, calibration: &Calibration) -> Box3d {
        LidarBox::of(self, calibration).rounded()
    }

    /// Height of the image box in pixels.
    pub fn height_px(&self) -> f64 {
        self.image_box[3] - self.image_box[1]
    }

    /// The easiest of KITTI's levels that counts the object; `None` where none does.
    ///
    /// **Source**: KITTI object development kit, `evaluate_object.cpp`.
    pub fn difficulty(&self) -> Option<Difficulty> {
        Difficulty::ALL.into_iter().find(|level| level.counts(self))
    }

    /// Whether KITTI's hardest level leaves the object out.
    pub fn is_difficult(&self) -> bool {
        self.difficulty().is_none()
    }
}

/// The line as files have it, without a line break.
///
/// Metres, pixels and radians have six decimals; a score has as many as tell it from every other,
/// so that no two scores become equal.
impl fmt::Display for LabelLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class_name, truncation, occlusion, alpha_rad, .. } = self;
        write!(f, "{class_name} {truncation} {occlusion} {alpha_rad:.6}")?;
        for v in self.image_box.iter().chain(&self.size_hwl).chain(&self.location) {
            write!(f, " {v:.6}")?;
        }
        write!(f, " {:.6}", self.rotation_y)?;
        self.score.map_or(Ok(()), |score| write!(f, " {score}"))
    }
}

/// One line of `label_velo`: `type x y z l w h yaw n_points`, in the LiDAR frame.
///
/// **Units and frame**: metres, geometric centre, radians counter-clockwise from +x.
#[derive(Clone, Debug, PartialEq)]
pub struct LidarLabelLine {
    /// Type as written.
    pub class_name: String,
    /// Where the object is.
    pub bbox: Box3d,
    /// Points that hit it.
    pub n_points: u32,
}

impl LidarLabelLine {
    /// Reads a line of nine fields.
    ///
    /// **Errors**: what is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [class_name, numbers @ .., n_points] = fields.as_slice() else {
            return Err("an empty line".to_owned());
        };
        if fields.len() != 9 {
            return Err(format!("{} fields; `type x y z l w h yaw n_points` are 9", fields.len()));
        }
        let n: Vec<f64> =
            numbers.iter().enumerate().map(|(k, f)| number(f, k + 2)).collect::<Result<_, _>>()?;
        let bbox = Box3d {
            center: [n[0] as f32, n[1] as f32, n[2] as f32],
            size: [n[3] as f32, n[4] as f32, n[5] as f32],
            yaw: normalize_yaw(n[6] as f32),
        };
        let n_points = n_points.parse().map_err(|_| format!("`{n_points}` is not a number of points"))?;
        Ok(Self { class_name: (*class_name).to_owned(), bbox, n_points })
    }
}

/// Reads a file of `label_2` or of results, `DontCare` lines included.
///
/// **Errors**: the file, the line, and what is wrong with it.
pub fn read_labels(path: &Path) -> Result<Vec<LabelLine>, DatasetError> {
    read_lines(path, |line| {
        let label = LabelLine::parse(line)?;
        if !label.is_dont_care() && label.size_hwl.iter().any(|v| *v <= 0.0) {
            return Err(format!("a box of {:?} metres", label.size_hwl));
        }
        Ok(label)
    })
}

/// Reads a file of `label_velo`.
///
/// **Errors**: the file, the line, and what is wrong with it.
pub fn read_lidar_labels(path: &Path) -> Result<Vec<LidarLabelLine>, DatasetError> {
    read_lines(path, |line| {
        let label = LidarLabelLine::parse(line)?;
        if label.bbox.size.iter().any(|v| *v <= 0.0) {
            return Err(format!("a box of {:?} metres", label.bbox.size));
        }
        Ok(label)
    })
}
