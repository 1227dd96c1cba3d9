//! The tables of a nuScenes dataset: the few columns that key frames, poses and boxes need.

use super::{Frame, LIDAR, checked_box, in_file, parse_json, paths_in};
use crate::{DatasetError, GroundTruth};
use glam::{DQuat, DVec3};
use pilotis_spec::Box3d;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A table that every folder of tables has.
const SAMPLES: &str = "sample.json";

/// Detection classes of the categories that have one; the benchmark leaves all others out.
const CLASSES: [(&str, &str); 14] = [
    ("movable_object.barrier", "barrier"),
    ("vehicle.bicycle", "bicycle"),
    ("vehicle.bus.bendy", "bus"),
    ("vehicle.bus.rigid", "bus"),
    ("vehicle.car", "car"),
    ("vehicle.construction", "construction_vehicle"),
    ("vehicle.motorcycle", "motorcycle"),
    ("human.pedestrian.adult", "pedestrian"),
    ("human.pedestrian.child", "pedestrian"),
    ("human.pedestrian.construction_worker", "pedestrian"),
    ("human.pedestrian.police_officer", "pedestrian"),
    ("movable_object.trafficcone", "traffic_cone"),
    ("vehicle.trailer", "trailer"),
    ("vehicle.truck", "truck"),
];

/// Folders of tables: this one, or those within.
pub(super) fn folders(root: &Path) -> Vec<PathBuf> {
    if root.join(SAMPLES).is_file() {
        return vec![root.to_owned()];
    }
    paths_in(root, |p| {
        let named = p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("v1.0-"));
        named && p.join(SAMPLES).is_file()
    })
}

/// The folder of tables.
///
/// **Errors**: none, or several.
pub(super) fn find(root: &Path) -> Result<PathBuf, DatasetError> {
    match folders(root).as_slice() {
        [tables] => Ok(tables.clone()),
        [] => Err(in_file(root, format!("holds no folder `v1.0-...` with a `{SAMPLES}`"))),
        several => {
            let reason = format!("holds {} folders of tables; name one of them instead", several.len());
            Err(in_file(root, reason))
        }
    }
}

/// Key frames with their objects, in the order of scenes and time.
pub(super) fn read(tables: &Path, split: Option<&str>) -> Result<Vec<Frame>, DatasetError> {
    let root = tables.parent().unwrap_or(tables);
    let scenes = scenes_of(tables, split)?;
    let mut frames = key_frames(tables, root, &scenes)?;
    label(tables, &mut frames)?;
    Ok(frames.into_iter().map(|(frame, _)| frame).collect())
}

#[derive(Deserialize)]
struct SceneRow {
    token: String,
    name: String,
}

#[derive(Deserialize)]
struct SampleRow {
    token: String,
    timestamp: i64,
    scene_token: String,
}

#[derive(Deserialize)]
struct SampleDataRow {
    sample_token: String,
    ego_pose_token: String,
    calibrated_sensor_token: String,
    filename: String,
    is_key_frame: bool,
}

#[derive(Deserialize)]
struct SensorRow {
    token: String,
    channel: String,
}

#[derive(Deserialize)]
struct CalibratedSensorRow {
    token: String,
    sensor_token: String,
    translation: [f64; 3],
    rotation: [f64; 4],
}

#[derive(Deserialize)]
struct PoseRow {
    token: String,
    translation: [f64; 3],
    rotation: [f64; 4],
}

#[derive(Deserialize)]
struct AnnotationRow {
    token: String,
    sample_token: String,
    instance_token: String,
    translation: [f64; 3],
    size: [f64; 3],
    rotation: [f64; 4],
    num_lidar_pts: u32,
}

#[derive(Deserialize)]
struct InstanceRow {
    token: String,
    category_token: String,
}

#[derive(Deserialize)]
struct CategoryRow {
    token: String,
    name: String,
}

/// Where a frame lies in another: `p_outer = rotation p + translation`.
#[derive(Clone, Copy, Debug)]
struct Pose {
    rotation: DQuat,
    translation: DVec3,
}

impl Pose {
    fn new(translation: [f64; 3], wxyz: [f64; 4]) -> Self {
        let [w, x, y, z] = wxyz;
        let rotation = DQuat::from_xyzw(x, y, z, w);
        let rotation = if rotation.length_squared() > 0.0 { rotation.normalize() } else { DQuat::IDENTITY };
        Self { rotation, translation: DVec3::from_array(translation) }
    }

    fn point_into(&self, p: DVec3) -> DVec3 {
        self.rotation.inverse() * (p - self.translation)
    }

    fn direction_into(&self, d: DVec3) -> DVec3 {
        self.rotation.inverse() * d
    }
}

/// The poses of a key frame: its car in the world, its sensor on the car.
#[derive(Clone, Copy, Debug)]
struct Poses {
    ego: Pose,
    sensor: Pose,
}

impl Poses {
    /// A box of the world in the sensor frame, upright there.
    fn box_into(&self, row: &AnnotationRow) -> Result<Box3d, String> {
        let upright = Pose::new(row.translation, row.rotation);
        let center = self.sensor.point_into(self.ego.point_into(upright.translation));
        let heading = self.sensor.direction_into(self.ego.direction_into(upright.rotation * DVec3::X));
        let [w, l, h] = row.size;
        checked_box(center.to_array(), [l, w, h], libm::atan2(heading.y, heading.x))
    }
}

/// Scenes by token: their place in the table. Only those of the split, where one is given.
fn scenes_of(tables: &Path, split: Option<&str>) -> Result<BTreeMap<String, usize>, DatasetError> {
    let scenes: Vec<SceneRow> = parse_json(&tables.join("scene.json"))?;
    let wanted: Option<BTreeSet<String>> = match split {
        None => None,
        Some(split) => {
            let path = tables.join("splits.json");
            if !path.is_file() {
                let reason =
                    format!("is not there, so there is no split `{split}`; leave it out for all scenes");
                return Err(in_file(&path, reason));
            }
            let mut splits: BTreeMap<String, Vec<String>> = parse_json(&path)?;
            let names: Vec<&str> = splits.keys().map(String::as_str).collect();
            let reason = format!("has no split `{split}`; it has: {}", names.join(", "));
            Some(splits.remove(split).ok_or_else(|| in_file(&path, reason))?.into_iter().collect())
        }
    };
    let listed = |name: &String| wanted.as_ref().is_none_or(|w| w.contains(name));
    let places = scenes.into_iter().enumerate().filter(|(_, scene)| listed(&scene.name));
    Ok(places.map(|(place, scene)| (scene.token, place)).collect())
}

/// Key frames of LIDAR_TOP without their objects, by scene and time.
fn key_frames(
    tables: &Path,
    root: &Path,
    scenes: &BTreeMap<String, usize>,
) -> Result<Vec<(Frame, Poses)>, DatasetError> {
    let sensors: Vec<SensorRow> = parse_json(&tables.join("sensor.json"))?;
    let lidars: BTreeSet<String> =
        sensors.into_iter().filter(|s| s.channel == LIDAR).map(|s| s.token).collect();
    let calibrated: Vec<CalibratedSensorRow> = parse_json(&tables.join("calibrated_sensor.json"))?;
    let mountings: BTreeMap<String, Pose> = calibrated
        .into_iter()
        .filter(|c| lidars.contains(&c.sensor_token))
        .map(|c| (c.token, Pose::new(c.translation, c.rotation)))
        .collect();
    let samples: Vec<SampleRow> = parse_json(&tables.join(SAMPLES))?;
    let order: BTreeMap<String, (usize, i64)> = samples
        .into_iter()
        .filter_map(|s| Some((s.token, (*scenes.get(&s.scene_token)?, s.timestamp))))
        .collect();
    let path = tables.join("sample_data.json");
    let mut data: Vec<SampleDataRow> = parse_json(&path)?;
    data.retain(|d| {
        d.is_key_frame
            && mountings.contains_key(&d.calibrated_sensor_token)
            && order.contains_key(&d.sample_token)
    });
    let used: BTreeSet<&str> = data.iter().map(|d| d.ego_pose_token.as_str()).collect();
    let mut poses: Vec<PoseRow> = parse_json(&tables.join("ego_pose.json"))?;
    poses.retain(|p| used.contains(p.token.as_str()));
    let egos: BTreeMap<&str, Pose> =
        poses.iter().map(|p| (p.token.as_str(), Pose::new(p.translation, p.rotation))).collect();
    let mut frames = Vec::with_capacity(data.len());
    for row in &data {
        let (Some(ego), Some(sensor)) =
            (egos.get(row.ego_pose_token.as_str()), mountings.get(&row.calibrated_sensor_token))
        else {
            let reason = format!("`{}` is of the unknown ego pose `{}`", row.filename, row.ego_pose_token);
            return Err(in_file(&path, reason));
        };
        let frame =
            Frame { name: row.sample_token.clone(), cloud: root.join(&row.filename), objects: Vec::new() };
        frames.push((frame, Poses { ego: *ego, sensor: *sensor }));
    }
    frames.sort_by_key(|(frame, _)| order.get(&frame.name).copied());
    Ok(frames)
}

/// Gives every frame its objects, those of the benchmark's classes.
fn label(tables: &Path, frames: &mut [(Frame, Poses)]) -> Result<(), DatasetError> {
    let categories: Vec<CategoryRow> = parse_json(&tables.join("category.json"))?;
    let categories: BTreeMap<String, String> = categories.into_iter().map(|c| (c.token, c.name)).collect();
    let instances: Vec<InstanceRow> = parse_json(&tables.join("instance.json"))?;
    let instances: BTreeMap<String, String> =
        instances.into_iter().map(|i| (i.token, i.category_token)).collect();
    let places: BTreeMap<String, usize> =
        frames.iter().enumerate().map(|(place, (frame, _))| (frame.name.clone(), place)).collect();
    let path = tables.join("sample_annotation.json");
    let annotations: Vec<AnnotationRow> = parse_json(&path)?;
    for row in &annotations {
        let Some((frame, poses)) = places.get(&row.sample_token).and_then(|place| frames.get_mut(*place))
        else {
            continue;
        };
        let category = instances.get(&row.instance_token).and_then(|token| categories.get(token));
        let Some(category) = category else {
            let reason = format!("`{}` is of an instance without a category", row.token);
            return Err(in_file(&path, reason));
        };
        let Some((_, class_name)) = CLASSES.iter().find(|(name, _)| name == category) else { continue };
        let bbox = poses.box_into(row).map_err(|e| in_file(&path, format!("`{}`: {e}", row.token)))?;
        let n_points = row.num_lidar_pts;
        frame.objects.push(GroundTruth {
            class_name: (*class_name).to_owned(),
            bbox,
            n_points,
            ..GroundTruth::default()
        });
    }
    Ok(())
}
