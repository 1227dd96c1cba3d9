//! Manifest: a model package, described by itself.

use crate::bev::EncoderSpec;
use crate::boxes::{BoxesSpec, NmsScope};
use crate::error::{SpecError, SpecErrorKind};
use crate::grid::Grid;
use crate::head::HeadLayout;
use crate::pillars::PillarsSpec;
use crate::points::{FieldName, InputStatistics, PointsSpec};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema that this build writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// File of the manifest inside a package.
pub const MANIFEST_FILE: &str = "manifest.toml";
/// File of the encoder's weights.
pub const ENCODER_FILE: &str = "encoder.safetensors";
/// File of digests over every other file of the package, the model card excepted.
pub const DIGESTS_FILE: &str = "package.sha256";
/// File of the model card, which may be edited without breaking a package.
pub const CARD_FILE: &str = "MODEL_CARD.md";

/// A model package's self-description (`manifest.toml`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Schema of this file; see [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Name of the model.
    pub name: String,
    /// Program and version that wrote it.
    pub created_by: String,
    /// Class names in lower case; a detection's class is an index into them.
    pub classes: Vec<String>,
    /// What the points are.
    pub points: PointsSpec,
    /// Which cells there are.
    pub grid: Grid,
    /// How points group.
    pub pillars: PillarsSpec,
    /// How pillars are encoded.
    pub bev: EncoderSpec,
    /// What the network puts out.
    pub head: HeadLayout,
    /// How that becomes boxes.
    pub boxes: BoxesSpec,
    /// What the training data looked like.
    #[serde(default)]
    pub input_statistics: InputStatistics,
    /// The network by precision (`fp32`, ...): file name inside the package.
    pub networks: BTreeMap<String, String>,
    /// SHA-256 in lower-case hex of every file that the manifest speaks of.
    pub files: BTreeMap<String, String>,
}

/// Only as much of a manifest as tells whether the rest can be understood.
#[derive(Deserialize)]
struct SchemaOnly {
    schema_version: u32,
}

impl Manifest {
    /// Reads and validates a manifest.
    ///
    /// **Errors**: text that is not a manifest, another schema, or parts that contradict each
    /// other; the error names the field.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        let parse_error =
            |e: toml::de::Error| SpecError::new(SpecErrorKind::Parse, MANIFEST_FILE, e.to_string());
        let schema: SchemaOnly = toml::from_str(text).map_err(parse_error)?;
        if schema.schema_version != SCHEMA_VERSION {
            return Err(SpecError::new(
                SpecErrorKind::Schema,
                "schema_version",
                format!(
                    "the package has schema {}, this build reads {SCHEMA_VERSION}: export it again, or update Pilotis",
                    schema.schema_version
                ),
            ));
        }
        let manifest: Self = toml::from_str(text).map_err(parse_error)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// The manifest as TOML text.
    ///
    /// **Errors**: those of [`Manifest::validate`]; an invalid manifest is never written.
    pub fn to_toml(&self) -> Result<String, SpecError> {
        self.validate()?;
        toml::to_string(self).map_err(|e| SpecError::new(SpecErrorKind::Parse, MANIFEST_FILE, e.to_string()))
    }

    /// Checks every number, and that the parts fit together.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.classes.is_empty() || self.classes.len() > 64 {
            return Err(SpecError::out_of_range(
                "classes",
                format!("{} classes; 1..=64 can be told apart", self.classes.len()),
            ));
        }
        for (i, name) in self.classes.iter().enumerate() {
            let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if name.is_empty() || !is_plain {
                return Err(SpecError::out_of_range(
                    "classes",
                    format!("`{name}` is not lower case letters, digits and underscores"),
                ));
            }
            if self.classes[..i].contains(name) {
                return Err(SpecError::mismatch("classes", format!("`{name}` stands twice")));
            }
        }
        self.points.validate()?;
        self.pillars.validate(self.grid.n_cells())?;
        self.bev.validate()?;
        self.head.validate(&self.grid, &self.classes)?;
        self.boxes.validate()?;
        if self.bev.recipe.needs_time_lag() && !self.points.layout.has(FieldName::TimeLag) {
            // Not fatal for slices, which may carry a lag that files of this layout do not: a
            // single sweep is one whose lag is 0.
            if self.points.layout.scalar() == crate::points::ScalarType::F16 {
                return Err(SpecError::mismatch(
                    "bev.recipe",
                    "reads a time lag that the f16 sweeps of points.layout do not carry",
                ));
            }
        }
        if !self.points.layout.has(FieldName::Intensity) {
            return Err(SpecError::mismatch("points.layout", "has no intensity, which every recipe reads"));
        }
        if matches!(self.head, HeadLayout::Centers(_)) && self.boxes.nms_scope == NmsScope::Agnostic {
            return Err(SpecError::mismatch(
                "boxes.nms_scope",
                "centre heads suppress per_group (task) or per_class; their scores do not compete across tasks",
            ));
        }
        if self.networks.is_empty() {
            return Err(SpecError::mismatch("networks", "the package names no network"));
        }
        let named = self.networks.values().map(String::as_str).chain([ENCODER_FILE]);
        for file in named {
            if !self.files.contains_key(file) {
                return Err(SpecError::mismatch("files", format!("no digest of `{file}`")));
            }
        }
        for (file, digest) in &self.files {
            if !is_inside(file) {
                return Err(SpecError::out_of_range(
                    "files",
                    format!("`{file}` is not a path inside the package"),
                ));
            }
            if !is_sha256(digest) {
                return Err(SpecError::out_of_range("files", format!("digest of `{file}` is no SHA-256")));
            }
        }
        Ok(())
    }

    /// Index of a class by name.
    pub fn class_idx(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|c| c == name)
    }
}

/// Whether a text is a SHA-256 in lower-case hex.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a package path stays inside the package, on any platform.
pub fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 255
        && path.split('/').all(|part| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kitti() -> Manifest {
        Manifest::from_toml(KITTI).unwrap()
    }

    const KITTI: &str = include_str!("../tests/kitti_manifest.toml");

    #[test]
    fn a_manifest_survives_its_text() {
        let manifest = kitti();
        let text = manifest.to_toml().unwrap();
        assert_eq!(Manifest::from_toml(&text).unwrap(), manifest);
        let shapes: Vec<_> = manifest.head.tensors(&manifest.grid).into_iter().map(|t| t.shape).collect();
        assert_eq!(shapes, vec![[18, 248, 216], [42, 248, 216], [12, 248, 216]]);
    }

    #[test]
    fn every_contradiction_is_refused_at_its_field() {
        let cases: [(&str, &str, &str); 14] = [
            ("schema_version = 1", "schema_version = 2", "schema_version"),
            ("\"cyclist\"]", "\"cyclist\", \"tram\"]", "head"),
            ("\"cyclist\"]", "\"Cyclist\"]", "classes"),
            ("\"cyclist\"]", "\"car\"]", "classes"),
            ("max_points = 150000", "max_points = 0", "points.max_points"),
            ("layout = \"kitti\"", "layout = \"f32:x,y,z\"", "points.layout"),
            ("max_pillars = 40000", "max_pillars = 4000000", "pillars.max_pillars"),
            ("max_points_per_pillar = 32", "max_points_per_pillar = 0", "pillars.max_points_per_pillar"),
            ("channels = [64]", "channels = [63]", "bev.channels"),
            ("stride = 2", "stride = 5", "head.stride"),
            ("score_threshold = 0.1", "score_threshold = 1.5", "boxes.score_threshold"),
            ("max_boxes = 500", "max_boxes = 5000", "boxes.max_boxes"),
            ("fp32 = \"head.fp32.onnx\"", "fp32 = \"../head.onnx\"", "files"),
            ("\"head.fp32.onnx\" = \"11", "\"head.fp32.onnx\" = \"zz", "files"),
        ];
        for (from, to, place) in cases {
            assert!(KITTI.contains(from), "the sample lacks `{from}`");
            let error = Manifest::from_toml(&KITTI.replacen(from, to, 1)).unwrap_err();
            assert_eq!(error.place(), place, "{to}: {error}");
        }
    }

    #[test]
    fn unknown_fields_and_missing_fields_are_parse_errors() {
        for text in [KITTI.replace("max_points = 150000", ""), format!("colour = 1\n{KITTI}"), String::new()]
        {
            assert_eq!(Manifest::from_toml(&text).unwrap_err().kind(), SpecErrorKind::Parse);
        }
    }

    #[test]
    fn package_paths_cannot_leave_the_package() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "C:x", "a/./b", "a\0b"] {
            assert!(!is_inside(bad), "{bad}");
        }
        assert!(is_inside("golden/golden.toml"));
    }

    proptest! {
        #[test]
        fn no_mutation_of_a_manifest_panics(at in 0_usize..2000, byte in 0_u8..128) {
            let mut bytes = KITTI.as_bytes().to_vec();
            let n = bytes.len();
            bytes[at % n] = byte;
            if let Ok(text) = String::from_utf8(bytes) {
                let _ = Manifest::from_toml(&text);
            }
        }
    }
}
