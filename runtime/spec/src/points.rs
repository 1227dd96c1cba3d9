//! Points: how the bytes of a cloud become `x, y, z, intensity, time lag`.

use crate::error::SpecError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One validated point in the sensor frame.
///
/// **Units and frame**: metres; intensity in the scale of the model's training data; time lag
/// in seconds, `>= 0`, before the key sweep (0 for single sweeps).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Metres along x.
    pub x: f32,
    /// Metres along y.
    pub y: f32,
    /// Metres along z.
    pub z: f32,
    /// Return intensity in the data set's own scale.
    pub intensity: f32,
    /// Seconds before the key sweep.
    pub time_lag: f32,
}

impl Point {
    /// Whether every value is finite.
    #[inline]
    pub fn is_finite(&self) -> bool {
        // v * 0 is 0 for finite v and NaN otherwise, so one sum tests all five without branches.
        let zero = self.x * 0.0 + self.y * 0.0 + self.z * 0.0 + self.intensity * 0.0 + self.time_lag * 0.0;
        zero == 0.0
    }
}

/// The scalar types that point clouds are stored in (little endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum ScalarType {
    F16,
    F32,
    F64,
    U8,
    U16,
    U32,
    I8,
    I16,
    I32,
}

impl ScalarType {
    /// Bytes of one value.
    pub fn n_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::F16 | Self::U16 | Self::I16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::F64 => 8,
        }
    }
}

/// What a column of a cloud means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FieldName {
    X,
    Y,
    Z,
    Intensity,
    TimeLag,
    /// A column that Pilotis skips (ring, for instance).
    Other,
}

/// The layout of a headerless cloud file: records of equally typed columns, packed.
///
/// Written as `SCALAR:COLUMN,...`, for instance `f32:x,y,z,intensity`, with `_` for a column to
/// skip; or as one of the names `kitti`, `nuscenes`, `nuscenes-sweeps-f16`.
///
/// **Source**: KITTI object devkit readme; nuScenes `LidarPointCloud.from_file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PointLayout {
    scalar: ScalarType,
    columns: Vec<FieldName>,
}

const NAMED_LAYOUTS: [(&str, &str); 3] = [
    ("kitti", "f32:x,y,z,intensity"),
    ("nuscenes", "f32:x,y,z,intensity,_"),
    ("nuscenes-sweeps-f16", "f16:x,y,z,intensity,time_lag"),
];

impl PointLayout {
    /// KITTI's velodyne `.bin`: four `f32`, intensity 0..1.
    pub fn kitti() -> Self {
        use FieldName::{Intensity, X, Y, Z};
        Self { scalar: ScalarType::F32, columns: vec![X, Y, Z, Intensity] }
    }

    /// nuScenes' `.pcd.bin`: five `f32`, intensity 0..255, the last one the ring.
    pub fn nuscenes() -> Self {
        use FieldName::{Intensity, Other, X, Y, Z};
        Self { scalar: ScalarType::F32, columns: vec![X, Y, Z, Intensity, Other] }
    }

    /// Aggregated nuScenes sweeps: five `f16`, the last one the time lag in seconds.
    pub fn nuscenes_sweeps_f16() -> Self {
        use FieldName::{Intensity, TimeLag, X, Y, Z};
        Self { scalar: ScalarType::F16, columns: vec![X, Y, Z, Intensity, TimeLag] }
    }

    /// The scalar type of every column.
    pub fn scalar(&self) -> ScalarType {
        self.scalar
    }

    /// The columns in file order.
    pub fn columns(&self) -> &[FieldName] {
        &self.columns
    }

    /// Bytes of one point.
    pub fn stride_bytes(&self) -> usize {
        self.scalar.n_bytes() * self.columns.len()
    }

    /// Byte offset of a field within a point, where the layout has it.
    pub fn offset_of(&self, field: FieldName) -> Option<usize> {
        self.columns.iter().position(|c| *c == field).map(|i| i * self.scalar.n_bytes())
    }

    /// Appends a point in this layout; columns that Pilotis skips are 0.
    pub fn write(&self, point: &Point, bytes: &mut Vec<u8>) {
        for column in &self.columns {
            let value = match column {
                FieldName::X => point.x,
                FieldName::Y => point.y,
                FieldName::Z => point.z,
                FieldName::Intensity => point.intensity,
                FieldName::TimeLag => point.time_lag,
                FieldName::Other => 0.0,
            };
            match self.scalar {
                ScalarType::F16 => bytes.extend(half::f16::from_f32(value).to_le_bytes()),
                ScalarType::F64 => bytes.extend(f64::from(value).to_le_bytes()),
                // Parsing lets no other scalar in.
                _ => bytes.extend(value.to_le_bytes()),
            }
        }
    }

    /// Whether the layout has the field.
    pub fn has(&self, field: FieldName) -> bool {
        self.columns.contains(&field)
    }
}

impl FromStr for PointLayout {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let named = NAMED_LAYOUTS.iter().find(|(name, _)| *name == text);
        let spelled = named.map_or(text, |(_, spelled)| spelled);
        let bad = |why: String| {
            SpecError::unknown(
                "points.layout",
                format!(
                    "{why}; use kitti, nuscenes, nuscenes-sweeps-f16 or SCALAR:COLUMNS such as f32:x,y,z,intensity,_"
                ),
            )
        };
        let Some((scalar, columns)) = spelled.split_once(':') else {
            return Err(bad(format!("`{text}` is no layout")));
        };
        let scalar = match scalar {
            "f16" => ScalarType::F16,
            "f32" => ScalarType::F32,
            "f64" => ScalarType::F64,
            other => return Err(bad(format!("scalar `{other}` of `{text}` is unknown"))),
        };
        let columns = columns
            .split(',')
            .map(|column| match column.trim() {
                "x" => Ok(FieldName::X),
                "y" => Ok(FieldName::Y),
                "z" => Ok(FieldName::Z),
                "intensity" | "i" => Ok(FieldName::Intensity),
                "time_lag" | "t" => Ok(FieldName::TimeLag),
                "_" => Ok(FieldName::Other),
                other => Err(bad(format!("column `{other}` of `{text}` is unknown"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if columns.len() > 64 {
            return Err(bad(format!("`{}...` has more than 64 columns", &spelled[..16])));
        }
        for field in [FieldName::X, FieldName::Y, FieldName::Z, FieldName::Intensity, FieldName::TimeLag] {
            let n = columns.iter().filter(|c| **c == field).count();
            let is_coordinate = matches!(field, FieldName::X | FieldName::Y | FieldName::Z);
            if n > 1 || (n == 0 && is_coordinate) {
                return Err(bad(format!("`{text}` has {n} columns for {field:?}")));
            }
        }
        Ok(Self { scalar, columns })
    }
}

impl fmt::Display for PointLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scalar = match self.scalar {
            ScalarType::F16 => "f16",
            ScalarType::F64 => "f64",
            _ => "f32",
        };
        let columns: Vec<_> = self
            .columns
            .iter()
            .map(|column| match column {
                FieldName::X => "x",
                FieldName::Y => "y",
                FieldName::Z => "z",
                FieldName::Intensity => "intensity",
                FieldName::TimeLag => "time_lag",
                FieldName::Other => "_",
            })
            .collect();
        let spelled = format!("{scalar}:{}", columns.join(","));
        let named = NAMED_LAYOUTS.iter().find(|(_, s)| *s == spelled);
        f.write_str(named.map_or(spelled.as_str(), |(name, _)| name))
    }
}

impl TryFrom<String> for PointLayout {
    type Error = SpecError;
    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl From<PointLayout> for String {
    fn from(layout: PointLayout) -> Self {
        layout.to_string()
    }
}

/// What the model expects of its points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointsSpec {
    /// Layout of headerless files, unless the caller names another.
    pub layout: PointLayout,
    /// Most points of one frame; further ones are dropped and counted.
    pub max_points: u32,
    /// Full scale of the intensity in training: 1 for KITTI, 255 for nuScenes.
    pub intensity_full_scale: f32,
}

impl PointsSpec {
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        if self.max_points == 0 || self.max_points > 1 << 24 {
            return Err(SpecError::out_of_range(
                "points.max_points",
                format!("{} is not in 1..=16777216", self.max_points),
            ));
        }
        if !(self.intensity_full_scale > 0.0 && self.intensity_full_scale.is_finite()) {
            return Err(SpecError::out_of_range(
                "points.intensity_full_scale",
                format!("{} is not positive and finite", self.intensity_full_scale),
            ));
        }
        Ok(())
    }
}

/// Statistics of the points that a model was trained on, in range, per frame.
///
/// The runtime compares each frame with them, so that a model that meets another sensor says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputStatistics {
    /// Frames measured; 0 means unknown, and nothing is compared.
    pub n_frames: u32,
    /// Mean points in range a frame.
    pub points_per_frame: f32,
    /// Mean intensity.
    pub intensity_mean: f32,
    /// Largest intensity seen.
    pub intensity_max: f32,
    /// Mean height in metres.
    pub z_mean_m: f32,
    /// Largest time lag in seconds.
    pub time_lag_max_s: f32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn named_layouts_are_what_their_constructors_say() {
        for (name, made) in [
            ("kitti", PointLayout::kitti()),
            ("nuscenes", PointLayout::nuscenes()),
            ("nuscenes-sweeps-f16", PointLayout::nuscenes_sweeps_f16()),
        ] {
            let parsed: PointLayout = name.parse().unwrap();
            assert_eq!(parsed, made);
            assert_eq!(made.to_string(), name);
        }
        assert_eq!(PointLayout::kitti().stride_bytes(), 16);
        assert_eq!(PointLayout::nuscenes().stride_bytes(), 20);
        assert_eq!(PointLayout::nuscenes_sweeps_f16().stride_bytes(), 10);
        assert_eq!(PointLayout::nuscenes_sweeps_f16().offset_of(FieldName::TimeLag), Some(8));
    }

    #[test]
    fn points_are_written_column_by_column() {
        let point = Point { x: 1.0, y: 2.0, z: 3.0, intensity: 4.0, time_lag: 0.5 };
        let written = |layout: &str| {
            let mut bytes = Vec::new();
            layout.parse::<PointLayout>().unwrap().write(&point, &mut bytes);
            bytes
        };
        assert_eq!(written("f64:z,x,y")[..8], 3.0_f64.to_le_bytes());
        let nuscenes = written("nuscenes");
        assert_eq!(nuscenes[12..16], 4.0_f32.to_le_bytes());
        assert_eq!(nuscenes[16..], [0; 4]);
        assert_eq!(written("nuscenes-sweeps-f16")[8..], half::f16::from_f32(0.5).to_le_bytes());
    }

    #[test]
    fn unusable_layouts_are_refused_with_the_right_spelling() {
        for bad in ["", "velodyne", "f32", "f32:", "f32:x,y", "f32:x,y,z,x", "u8:x,y,z", "f32:x,y,z,colour"] {
            let error = bad.parse::<PointLayout>().unwrap_err();
            assert!(error.to_string().contains("f32:x,y,z,intensity,_"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_custom_layout_survives_its_text() {
        let layout: PointLayout = "f64:t,_,z,y,x".parse().unwrap();
        assert_eq!(layout.to_string().parse::<PointLayout>().unwrap(), layout);
        assert_eq!(layout.offset_of(FieldName::X), Some(32));
        assert!(!layout.has(FieldName::Intensity));
    }

    proptest! {
        #[test]
        fn no_text_panics_the_layout_parser(text in ".{0,80}") {
            let _ = text.parse::<PointLayout>();
        }
    }

    #[test]
    fn finite_means_every_value() {
        let good = Point { x: 1.0, y: 2.0, z: 3.0, intensity: 0.5, time_lag: 0.0 };
        assert!(good.is_finite());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(!Point { x: bad, ..good }.is_finite());
            assert!(!Point { y: bad, ..good }.is_finite());
            assert!(!Point { z: bad, ..good }.is_finite());
            assert!(!Point { intensity: bad, ..good }.is_finite());
            assert!(!Point { time_lag: bad, ..good }.is_finite());
        }
    }
}
