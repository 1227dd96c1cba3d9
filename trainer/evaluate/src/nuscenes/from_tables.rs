//! The objects of a split from the dataset's tables.

use super::ground_truth::{
    BicycleRack, GroundTruth, GroundTruthBox, GroundTruthError, GroundTruthSample, SplitKind,
};
use super::names::{Attribute, DetectionClass};
use pilotis_datasets::nuscenes::{Annotation, Id, Sample, Tables, built_in_split};
use std::collections::HashSet;

/// The category of racks of bicycles.
const RACK: &str = "static_object.bicycle_rack";

/// How the name of a version ends that has the samples of a built-in split.
fn version_ending(split: &str) -> Option<&'static str> {
    match split {
        "train" | "val" | "train_detect" | "train_track" => Some("trainval"),
        "mini_train" | "mini_val" => Some("mini"),
        "test" => Some("test"),
        _ => None,
    }
}

impl GroundTruth {
    /// The objects of a split: one of the benchmark's, else one of the `splits.json` beside the tables.
    ///
    /// Samples are in the order of their table, and objects of a sample in that of theirs, as the devkit has them.
    ///
    /// **Errors**: a split that is not there or not of this version; a sample without a key frame of the LiDAR; an
    /// object of two attributes, or of one that the benchmark does not know; those of [`GroundTruth::new`].
    pub fn from_tables(tables: &Tables, split: &str) -> Result<Self, GroundTruthError> {
        let kind = if built_in_split(split).is_some() { SplitKind::Predefined } else { SplitKind::Custom };
        let version = tables.folder().file_name().unwrap_or_default().to_string_lossy();
        if let Some(ending) = version_ending(split)
            && !version.ends_with(ending)
        {
            return Err(GroundTruthError::OtherVersion {
                split: split.to_owned(),
                version: version.into_owned(),
                ending,
            });
        }
        let scenes: HashSet<String> = tables.scene_names_of_split(split)?.into_iter().collect();
        let of_split = tables.samples.iter().filter(|(_, s)| scenes.contains(&tables.scenes[s.scene].name));
        let samples: Result<Vec<_>, _> = of_split.map(|(id, _)| sample(tables, id)).collect();
        Self::new(samples?, kind)
    }
}

fn sample(tables: &Tables, id: Id<Sample>) -> Result<GroundTruthSample, GroundTruthError> {
    let token = tables.samples[id].token.to_string();
    let Some(lidar) = tables.key_lidar(id) else { return Err(GroundTruthError::NoLidar { token }) };
    let ego_translation_m = tables.ego_poses[tables.sample_data[lidar].ego_pose].translation;
    let (mut boxes, mut racks) = (Vec::new(), Vec::new());
    for annotation in tables.annotations_of(id) {
        let row = &tables.annotations[*annotation];
        let category = tables.category_name(*annotation);
        if category == RACK {
            racks.push(BicycleRack {
                translation_m: row.translation,
                size_m: row.size_wlh,
                rotation: row.rotation,
            });
        }
        let Some(class) = DetectionClass::of_category(category) else { continue };
        let [vx, vy, _] = tables.box_velocity(*annotation);
        boxes.push(GroundTruthBox {
            class,
            translation_m: row.translation,
            size_m: row.size_wlh,
            rotation: row.rotation,
            velocity_mps: [vx, vy],
            attribute: attribute(tables, *annotation)?,
            n_points: u64::from(row.n_lidar_points) + u64::from(row.n_radar_points),
        });
    }
    Ok(GroundTruthSample { token, ego_translation_m, boxes, racks })
}

fn attribute(tables: &Tables, id: Id<Annotation>) -> Result<Option<Attribute>, GroundTruthError> {
    let names: Vec<&str> = tables.attribute_names(id).collect();
    let wrong = || GroundTruthError::Attribute {
        annotation: tables.annotations[id].token.to_string(),
        names: names.join(", "),
    };
    match names.as_slice() {
        [] => Ok(None),
        [name] => Attribute::from_name(name).map(Some).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}
