//! What is there: the objects of every sample of a split.

use super::geometry::Region;
use super::names::{Attribute, DetectionClass};
use pilotis_datasets::nuscenes::TablesError;
use std::collections::HashMap;

/// How a split came to be, which decides how results are read against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitKind {
    /// One of the benchmark's own (`val`, `mini_val`, ...): results hold its samples and no others, and their order
    /// in the file is that of the evaluation.
    Predefined,
    /// One of the dataset's `splits.json`: samples that are not in it are left out, the order is the dataset's.
    Custom,
}

/// An object.
///
/// **Units and frame**: metres in the world's frame; `size` is width, length, height; `rotation` is `w, x, y, z`.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundTruthBox {
    /// What it is.
    pub class: DetectionClass,
    /// Its centre.
    pub translation_m: [f64; 3],
    /// Width, length, height.
    pub size_m: [f64; 3],
    /// Its heading, a quaternion.
    pub rotation: [f64; 4],
    /// Velocity in the ground plane, in metres per second; NaN where it is not known.
    pub velocity_mps: [f64; 2],
    /// What is true of it.
    pub attribute: Option<Attribute>,
    /// LiDAR and radar points in it; objects without any do not count.
    pub n_points: u64,
}

/// Where bicycles are parked in bulk: cycles in it do not count.
#[derive(Clone, Debug, PartialEq)]
pub struct BicycleRack {
    /// Its centre.
    pub translation_m: [f64; 3],
    /// Width, length, height.
    pub size_m: [f64; 3],
    /// Its heading, a quaternion.
    pub rotation: [f64; 4],
}

impl BicycleRack {
    pub(super) fn region(&self) -> Region {
        Region::new(self.translation_m, self.size_m, self.rotation)
    }
}

/// A sample: what is there at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct GroundTruthSample {
    /// Its token.
    pub token: String,
    /// Where the vehicle was when the LiDAR recorded.
    pub ego_translation_m: [f64; 3],
    /// Objects of the benchmark's classes, in the order of the table.
    pub boxes: Vec<GroundTruthBox>,
    /// Racks of bicycles.
    pub racks: Vec<BicycleRack>,
}

/// A ground truth that cannot be evaluated against.
#[derive(Debug, thiserror::Error)]
pub enum GroundTruthError {
    /// The split is not there, or not what it should be.
    #[error(transparent)]
    Tables(#[from] TablesError),
    /// A split of the benchmark, and tables of another version than that which has its samples.
    #[error(
        "split `{split}` is one of a version whose name ends with `{ending}`, and these tables are `{version}`"
    )]
    OtherVersion {
        /// The split.
        split: String,
        /// The version of the tables.
        version: String,
        /// What its name should end with.
        ending: &'static str,
    },
    /// The LiDAR recorded nothing at a sample, so that no range can be told.
    #[error("sample `{token}` has no key frame of the LiDAR")]
    NoLidar {
        /// The sample.
        token: String,
    },
    /// An object has several attributes, or one that the benchmark does not know.
    #[error(
        "annotation `{annotation}` has the attributes `{names}` instead of at most one of the benchmark's"
    )]
    Attribute {
        /// The object.
        annotation: String,
        /// What it has.
        names: String,
    },
    /// The split has no sample.
    #[error("the split has no samples")]
    NoSamples,
    /// No sample has an object of the benchmark's classes, as in the test set, whose objects are not published.
    #[error(
        "none of the {n_samples} samples has an object of the benchmark's classes: is the split annotated?"
    )]
    NoBoxes {
        /// Samples of the split.
        n_samples: usize,
    },
    /// A token belongs to two samples.
    #[error("sample `{token}` is there twice")]
    DuplicateSample {
        /// The token.
        token: String,
    },
    /// A number of a box or of the vehicle's place is not finite.
    #[error("sample `{token}`: `{field}` of {what} is not of finite numbers")]
    Unsound {
        /// The sample.
        token: String,
        /// `object 3`, `rack 0` or `the vehicle`.
        what: String,
        /// Which numbers.
        field: &'static str,
    },
}

/// The objects of a split.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    samples: Vec<GroundTruthSample>,
    kind: SplitKind,
    idx_of: HashMap<String, u32>,
}

impl GroundTruth {
    /// The objects of these samples, which are in the dataset's order.
    ///
    /// **Errors**: no samples, no objects at all, a token that is there twice, numbers that are not finite (velocities
    /// may be NaN). A size that is not above 0 is an error of the evaluation, and only where the object is found.
    pub fn new(samples: Vec<GroundTruthSample>, kind: SplitKind) -> Result<Self, GroundTruthError> {
        if samples.is_empty() {
            return Err(GroundTruthError::NoSamples);
        }
        if samples.iter().all(|sample| sample.boxes.is_empty()) {
            return Err(GroundTruthError::NoBoxes { n_samples: samples.len() });
        }
        let mut idx_of = HashMap::with_capacity(samples.len());
        for (idx, sample) in (0_u32..).zip(&samples) {
            check(sample)?;
            if idx_of.insert(sample.token.clone(), idx).is_some() {
                return Err(GroundTruthError::DuplicateSample { token: sample.token.clone() });
            }
        }
        Ok(Self { samples, kind, idx_of })
    }

    /// The samples, in the dataset's order.
    pub fn samples(&self) -> &[GroundTruthSample] {
        &self.samples
    }

    /// How the split came to be.
    pub fn kind(&self) -> SplitKind {
        self.kind
    }

    /// Which sample has a token.
    pub fn idx_of(&self, token: &str) -> Option<usize> {
        self.idx_of.get(token).map(|idx| *idx as usize)
    }
}

fn check(sample: &GroundTruthSample) -> Result<(), GroundTruthError> {
    let unsound =
        |what: String, field| Err(GroundTruthError::Unsound { token: sample.token.clone(), what, field });
    let is_finite = |numbers: &[f64]| numbers.iter().all(|v| v.is_finite());
    let bad_field = |translation: &[f64], size: &[f64], rotation: &[f64]| {
        if !is_finite(translation) {
            Some("translation")
        } else if !is_finite(size) {
            Some("size")
        } else {
            (!is_finite(rotation)).then_some("rotation")
        }
    };
    if !is_finite(&sample.ego_translation_m) {
        return unsound("the vehicle".to_owned(), "translation");
    }
    for (idx, object) in sample.boxes.iter().enumerate() {
        if let Some(field) = bad_field(&object.translation_m, &object.size_m, &object.rotation) {
            return unsound(format!("object {idx}"), field);
        }
    }
    for (idx, rack) in sample.racks.iter().enumerate() {
        if let Some(field) = bad_field(&rack.translation_m, &rack.size_m, &rack.rotation) {
            return unsound(format!("rack {idx}"), field);
        }
    }
    Ok(())
}
