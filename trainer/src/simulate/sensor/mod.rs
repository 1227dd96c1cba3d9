//! The scanner: a description that stands in a file, and what it makes of a world.

mod air;
mod ground_line;
mod response;
mod scan;
mod slice;
#[cfg(test)]
mod tests;
mod visibility;

pub use air::Weather;
pub(in crate::simulate) use scan::{Body, Instant, Turning};
#[cfg(test)]
pub(in crate::simulate) use slice::count_lost_hits;
pub(in crate::simulate) use visibility::count_free;

use super::drive::Pose3;
use anyhow::{Context, ensure};
use glam::{DQuat, DVec3};
use serde::Deserialize;
use std::path::Path;

/// Scanners that come with the trainer, by the name that `--sensor` takes.
const BUILT_IN: [(&str, &str); 2] = [
    ("hdl64e", include_str!("../../../../configs/sensor/hdl64e.toml")),
    ("hdl32e", include_str!("../../../../configs/sensor/hdl32e.toml")),
];

/// A rotating scanner.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sensor {
    /// What it is called.
    name: String,
    /// Turns a second.
    rate_hz: f64,
    /// Times a turn that all beams fire.
    n_columns: usize,
    /// Where the first column looks, counter-clockwise from the sensor's x, degrees.
    first_azimuth_deg: f32,
    /// Sense of rotation, seen from above.
    is_clockwise: bool,
    /// Share of the turn that is over at the reference time.
    reference_share: f64,
    /// Place on the own car, in the frame of its rear axle, metres.
    mounting_m: [f64; 3],
    /// Direction of the sensor's x, counter-clockwise from the own car's, degrees.
    mounting_yaw_deg: f64,
    /// Elevation of each beam, lowest first, degrees.
    elevation_deg: Vec<f32>,
    /// Height of each beam's laser over the sensor's origin, metres; all zero where empty.
    #[serde(default)]
    rise_m: Vec<f32>,
    /// Offset of each beam's azimuth from its column's, degrees; all zero where empty.
    #[serde(default)]
    azimuth_offset_deg: Vec<f32>,
    /// Returns nearer are not reported, metres.
    min_range_m: f32,
    /// Returns farther are not reported, metres.
    max_range_m: f32,
    /// Deviation of a range, metres.
    range_noise_m: f32,
    /// Width of a beam, milliradians: what lies within it mixes at edges.
    divergence_mrad: f32,
    /// Range at which a surface of reflectivity 0.13, met head-on, answers every beam, metres.
    full_range_m: f32,
    /// Share of beams that come back whatever they meet.
    kept_share: f32,
    /// Whether a beam without a return is reported, as a point at the origin.
    reports_misses: bool,
    /// Whether the own car's roof and bonnet are in the way of its beams.
    sees_own_car: bool,
    /// Beams that the own car blocks before they leave.
    #[serde(default)]
    blocked: Vec<Blocked>,
    /// How strong returns are reported.
    intensity: Intensity,
    /// Whose vehicles this scanner usually meets.
    #[serde(default)]
    region: RegionName,
}

/// Beams, between azimuths, that never leave.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocked {
    /// First and last beam, counted from the lowest.
    rings: [usize; 2],
    /// From and to, counter-clockwise from the sensor's x, degrees in 0..360.
    azimuth_deg: [f32; 2],
}

/// From the light that comes back to the number that is reported.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intensity {
    /// Reported value of a white, matt surface met head-on, as a share of full scale.
    gain: f32,
    /// Step of reported values, as a share of full scale.
    step: f32,
    /// Share of returns from car paint that are reported as nothing.
    paint_zero_share: f32,
    /// Further share of returns reported as nothing, a metre of range beyond 22 m.
    zero_share_per_m: f32,
}

/// Names of regions in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RegionName {
    #[default]
    Europe,
    UsAsia,
}

impl Sensor {
    /// The scanner of a built-in name, or of a TOML file.
    ///
    /// **Errors**: a file that cannot be read or understood, and numbers that cannot be, by name.
    pub(crate) fn load(name_or_file: &str) -> anyhow::Result<Self> {
        let built_in = BUILT_IN.iter().find(|(name, _)| *name == name_or_file);
        let text = match built_in {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(Path::new(name_or_file)).with_context(|| {
                let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
                format!("--sensor {name_or_file}: no file of that name, and not one of {}", names.join(", "))
            })?,
        };
        let sensor: Self = toml::from_str(&text).with_context(|| format!("sensor `{name_or_file}`"))?;
        sensor.check().with_context(|| format!("sensor `{name_or_file}`"))?;
        Ok(sensor)
    }

    fn check(&self) -> anyhow::Result<()> {
        let n = self.elevation_deg.len();
        ensure!((1..=256).contains(&n), "elevation_deg: {n} beams; from 1 to 256 are possible");
        ensure!(
            self.elevation_deg.iter().all(|e| e.abs() < 89.0),
            "elevation_deg: every beam must lie between -89 and 89 degrees"
        );
        for (name, list) in [("rise_m", &self.rise_m), ("azimuth_offset_deg", &self.azimuth_offset_deg)] {
            ensure!(list.is_empty() || list.len() == n, "{name}: {} values for {n} beams", list.len());
            ensure!(list.iter().all(|v| v.is_finite()), "{name}: a value is not finite");
        }
        ensure!(
            (0.5..=100.0).contains(&self.rate_hz),
            "rate_hz: {} is not between 0.5 and 100",
            self.rate_hz
        );
        let columns = self.n_columns;
        ensure!((16..=20_000).contains(&columns), "n_columns: {columns} is not between 16 and 20000");
        ensure!((0.0..=1.0).contains(&self.reference_share), "reference_share: not between 0 and 1");
        ensure!(
            0.0 <= self.min_range_m && self.min_range_m < self.max_range_m && self.max_range_m <= 300.0,
            "min_range_m and max_range_m: need 0 <= min < max <= 300"
        );
        let full_circle = |b: &Blocked| b.azimuth_deg.iter().all(|a| (0.0..=360.0).contains(a));
        ensure!(self.blocked.iter().all(full_circle), "blocked: azimuth_deg must lie in 0..360");
        let i = &self.intensity;
        ensure!(i.gain > 0.0 && i.step > 0.0 && i.step < 1.0, "intensity: gain and step must be positive");
        ensure!(
            self.range_noise_m >= 0.0 && self.divergence_mrad >= 0.0 && self.full_range_m > 0.0,
            "range_noise_m, divergence_mrad and full_range_m must not be negative"
        );
        Ok(())
    }

    /// What the scanner is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Turns a second.
    pub(crate) fn rate_hz(&self) -> f64 {
        self.rate_hz
    }

    /// Whose streets and vehicles this scanner usually meets.
    pub(crate) fn region(&self) -> super::things::Region {
        match self.region {
            RegionName::Europe => super::things::Region::Europe,
            RegionName::UsAsia => super::things::Region::UsAsia,
        }
    }

    /// The sensor's frame in that of the own car's rear axle.
    pub(crate) fn mounting(&self) -> Pose3 {
        Pose3 {
            translation: DVec3::from_array(self.mounting_m),
            rotation: about_z(self.mounting_yaw_deg.to_radians()),
        }
    }

    /// When a column fires, in seconds from the reference time.
    fn column_time_s(&self, column: usize) -> f64 {
        let share = (column as f64 + 0.5) / self.n_columns as f64;
        (share - self.reference_share) / self.rate_hz
    }
}

/// A turn about z; from `libm`, so that it is the same on every platform.
fn about_z(angle_rad: f64) -> DQuat {
    DQuat::from_xyzw(0.0, 0.0, libm::sin(angle_rad * 0.5), libm::cos(angle_rad * 0.5))
}

impl Sensor {
    /// Whether the own car is in the way of a beam at an azimuth, degrees in 0..360.
    fn is_blocked(&self, ring: usize, azimuth_deg: f32) -> bool {
        self.blocked.iter().any(|b| {
            let ([first, last], [from, to]) = (b.rings, b.azimuth_deg);
            (first..=last).contains(&ring) && azimuth_deg >= from && azimuth_deg < to
        })
    }

    /// Share of beams at an edge that straddle it: the beam's width against the step from column to column.
    fn mixing_share(&self) -> f32 {
        let step_mrad = 1e3 * std::f32::consts::TAU / self.n_columns as f32;
        (0.3 * self.divergence_mrad / step_mrad).min(0.5)
    }
}

impl Sensor {
    /// Elevation, radians, and height over the origin, metres, of each laser.
    fn lasers(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        let rise = |idx: usize| self.rise_m.get(idx).copied().unwrap_or(0.0);
        self.elevation_deg.iter().enumerate().map(move |(idx, e)| (e.to_radians(), rise(idx)))
    }

    /// Returns farther are not reported, metres.
    pub(in crate::simulate) fn max_range_m(&self) -> f32 {
        self.max_range_m
    }

    /// Whether the own car is among what the beams can meet.
    pub(in crate::simulate) fn sees_own_car(&self) -> bool {
        self.sees_own_car
    }
}
