//! Range images: what one turn of a LiDAR is, and where its points are.
//!
//! A row is a beam, the highest first; a column is an azimuth, falling from +pi to -pi about the vehicle's z axis, so
//! that the sensor's own azimuth is that less the turn of its mounting. The top LiDAR turns so slowly that the
//! vehicle's pose is given for every pixel.

use glam::{DMat4, DQuat, DVec3};
use pilotis_spec::Point;
use std::f64::consts::PI;

/// Channels of a range image: range, intensity, elongation, whether in a no-label zone.
pub(super) const RANGE_CHANNELS: usize = 4;

/// Channels of a pose image: roll, pitch, yaw, x, y, z.
pub(super) const POSE_CHANNELS: usize = 6;

/// More numbers than any image of the dataset has, 64 x 2650 x 6, by a factor of 16.
pub(super) const MAX_IMAGE_VALUES: usize = 1 << 24;

/// Number of the top LiDAR.
pub(super) const TOP: i32 = 1;

/// A LiDAR's first or second returns.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeImage {
    height: usize,
    width: usize,
    /// `[height, width, 4]`
    values: Vec<f32>,
}

impl RangeImage {
    /// An image of `[height, width, 4]` values.
    ///
    /// **Errors**: a shape that is empty, has other channels, or does not fit the values.
    pub fn new(shape: &[i32], values: Vec<f32>) -> Result<Self, String> {
        let [height, width] = checked_shape(shape, RANGE_CHANNELS, &values)?;
        Ok(Self { height, width, values })
    }
}

/// Where the vehicle was at every pixel of a range image, in the world.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelPoses {
    height: usize,
    width: usize,
    /// `[height, width, 6]`
    values: Vec<f32>,
}

impl PixelPoses {
    /// Poses of `[height, width, 6]` values.
    ///
    /// **Errors**: as of [`RangeImage::new`].
    pub fn new(shape: &[i32], values: Vec<f32>) -> Result<Self, String> {
        let [height, width] = checked_shape(shape, POSE_CHANNELS, &values)?;
        Ok(Self { height, width, values })
    }

    /// From the vehicle's frame at this pixel to the world's.
    fn at(&self, pixel: usize) -> (DQuat, DVec3) {
        let v = &self.values[pixel * POSE_CHANNELS..][..POSE_CHANNELS];
        let [roll, pitch, yaw, x, y, z] = [v[0], v[1], v[2], v[3], v[4], v[5]].map(f64::from);
        let half_turn = |angle: f64| (libm::sin(angle / 2.0), libm::cos(angle / 2.0));
        let ((sr, cr), (sp, cp), (sy, cy)) = (half_turn(roll), half_turn(pitch), half_turn(yaw));
        let about_x = DQuat::from_xyzw(sr, 0.0, 0.0, cr);
        let about_y = DQuat::from_xyzw(0.0, sp, 0.0, cp);
        let about_z = DQuat::from_xyzw(0.0, 0.0, sy, cy);
        (about_z * about_y * about_x, DVec3::new(x, y, z))
    }
}

fn checked_shape(shape: &[i32], n_channels: usize, values: &[f32]) -> Result<[usize; 2], String> {
    let &[height, width, channels] = shape else {
        return Err(format!("has the shape {shape:?} instead of three sizes"));
    };
    let sizes = [height, width, channels].map(|v| usize::try_from(v).unwrap_or(0));
    let n_values = sizes.iter().try_fold(1_usize, |n, size| n.checked_mul(*size));
    if n_values.is_none_or(|n| n == 0) || sizes[2] != n_channels {
        return Err(format!("has the shape {shape:?}, but {n_channels} channels are expected"));
    }
    if n_values != Some(values.len()) {
        return Err(format!("has the shape {shape:?}, but {} values", values.len()));
    }
    Ok([sizes[0], sizes[1]])
}

/// How a LiDAR is mounted and where its beams point.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// From the sensor's frame to the vehicle's.
    pub extrinsic: DMat4,
    /// Of each row from the lowest to the highest, in radians; empty where beams lie evenly.
    pub beam_inclinations: Vec<f64>,
    /// Lower and upper edge of beams that lie evenly.
    pub inclination_range: [f64; 2],
}

impl Calibration {
    /// Inclinations of an image's rows, the first one's first.
    fn rows(&self, height: usize) -> Vec<f64> {
        let mut rows = if self.beam_inclinations.is_empty() {
            let [min, max] = self.inclination_range;
            let share = |row: usize| (row as f64 + 0.5) / height as f64;
            (0..height).map(|row| min + share(row) * (max - min)).collect()
        } else {
            self.beam_inclinations.clone()
        };
        rows.reverse();
        rows
    }

    /// Checks that it fits an image.
    pub(super) fn check(&self, image: &RangeImage) -> Result<(), String> {
        let n = self.beam_inclinations.len();
        if n > 0 && n != image.height {
            return Err(format!("has {n} beam inclinations for {} rows", image.height));
        }
        let angles = self.beam_inclinations.iter().chain(&self.inclination_range);
        if angles.clone().any(|v| !v.is_finite()) {
            return Err("has a beam inclination that is not finite".to_owned());
        }
        Ok(())
    }
}

/// Checks that poses fit their image.
pub(super) fn check_poses(poses: &PixelPoses, image: &RangeImage) -> Result<(), String> {
    if [poses.height, poses.width] != [image.height, image.width] {
        return Err(format!(
            "has poses of {} x {} for a range image of {} x {}",
            poses.height, poses.width, image.height, image.width
        ));
    }
    Ok(())
}

/// The points of range images.
#[derive(Clone, Debug, Default)]
pub(super) struct FramePoints {
    /// All that are given.
    pub(super) given: Vec<Point>,
    /// Those in no-label zones, given or not.
    pub(super) in_no_label_zones: Vec<Point>,
}

/// Adds the points of an image, row by row; pixels without a return and points that are not finite are left out.
///
/// `poses` come with the motion from the world to the vehicle's frame.
pub(super) fn append_points(
    image: &RangeImage,
    calibration: &Calibration,
    poses: Option<(&PixelPoses, &DMat4)>,
    drop_no_label_zones: bool,
    points: &mut FramePoints,
) {
    let extrinsic = &calibration.extrinsic;
    let mounting = libm::atan2(extrinsic.x_axis.y, extrinsic.x_axis.x);
    let azimuths: Vec<(f64, f64)> = (0..image.width)
        .map(|column| {
            let share = ((image.width - column) as f64 - 0.5) / image.width as f64;
            let azimuth = (2.0 * share - 1.0) * PI - mounting;
            (libm::sin(azimuth), libm::cos(azimuth))
        })
        .collect();
    for (row, inclination) in calibration.rows(image.height).into_iter().enumerate() {
        let (sin_up, cos_up) = (libm::sin(inclination), libm::cos(inclination));
        for (column, (sin, cos)) in azimuths.iter().enumerate() {
            let pixel = row * image.width + column;
            let v = &image.values[pixel * RANGE_CHANNELS..][..RANGE_CHANNELS];
            let range = f64::from(v[0]);
            if range.is_nan() || range <= 0.0 {
                continue;
            }
            let ray = DVec3::new(cos * cos_up, sin * cos_up, sin_up);
            let mut place = extrinsic.transform_point3(ray * range);
            if let Some((poses, vehicle_of_world)) = poses {
                let (turn, shift) = poses.at(pixel);
                place = vehicle_of_world.transform_point3(turn * place + shift);
            }
            let [x, y, z] = place.to_array().map(|v| v as f32);
            let point = Point { x, y, z, intensity: v[1], time_lag: 0.0 };
            if !point.is_finite() {
                continue;
            }
            let is_in_zone = v[3] > 0.0;
            if is_in_zone {
                points.in_no_label_zones.push(point);
            }
            if !(is_in_zone && drop_no_label_zones) {
                points.given.push(point);
            }
        }
    }
}
