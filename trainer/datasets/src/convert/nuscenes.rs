//! nuScenes' layout, written: version `v1.0-converted`, one scene of one sample for each sweep.
//!
//! Sweeps of other datasets need not follow each other, so nothing is said of motion: every scene has one key frame,
//! and every box an instance of its own. The sensor sits at the car's origin, turned as nuScenes' LiDAR is.

use super::{Converted, is_for_validation, make_folders, number, to_convention, write_file};
use crate::check::Inspect;
use crate::nuscenes::LIDAR_CHANNEL;
use crate::nuscenes::rows::{
    AttributeRow, CalibratedSensorRow, CategoryRow, EgoPoseRow, InstanceRow, LogRow, MapRow, Row,
    SampleAnnotationRow, SampleDataRow, SampleRow, SceneRow, SensorRow, VisibilityRow, token,
};
use crate::{Convention, DatasetError, GroundTruth, Sample};
use pilotis_spec::PointLayout;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2};
use std::path::Path;

const VERSION: &str = "v1.0-converted";
/// Where the car's frame has x ahead, the sensor's has y ahead: a quarter turn clockwise, w, x, y, z.
const MOUNTING: [f64; 4] = [FRAC_1_SQRT_2, 0.0, 0.0, -FRAC_1_SQRT_2];
const IDENTITY: [f64; 4] = [1.0, 0.0, 0.0, 0.0];
/// Between two samples, which have nothing to do with each other.
const STEP_US: u64 = 1_000_000;
/// Tokens follow from this, the table and the row's numbers.
const SEED: u64 = 0;

/// Categories for classes of datasets, and the attribute that the class implies.
const CATEGORIES: [(&str, &str, Option<&str>); 14] = [
    ("barrier", "movable_object.barrier", None),
    ("bicycle", "vehicle.bicycle", None),
    ("bus", "vehicle.bus.rigid", None),
    ("car", "vehicle.car", None),
    ("construction_vehicle", "vehicle.construction", None),
    ("cyclist", "vehicle.bicycle", Some("cycle.with_rider")),
    ("motorcycle", "vehicle.motorcycle", None),
    ("pedestrian", "human.pedestrian.adult", None),
    ("person_sitting", "human.pedestrian.adult", Some("pedestrian.sitting_lying_down")),
    ("traffic_cone", "movable_object.trafficcone", None),
    ("trailer", "vehicle.trailer", None),
    ("truck", "vehicle.truck", None),
    ("van", "vehicle.car", None),
    // Waymo's: mostly cars.
    ("vehicle", "vehicle.car", None),
];
/// nuScenes' other categories: readers look all of them up.
const OTHER_CATEGORIES: [&str; 13] = [
    "animal",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "static_object.bicycle_rack",
    "vehicle.bus.bendy",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
];
const ATTRIBUTES: [&str; 8] = [
    "vehicle.moving",
    "vehicle.stopped",
    "vehicle.parked",
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "pedestrian.moving",
];
/// Levels of visibility, tokens from "1" up.
const VISIBILITIES: [&str; 4] = ["v0-40", "v40-60", "v60-80", "v80-100"];
/// A white picture, 1 x 1: the layout wants a map, and there is nothing to draw.
const MAP_SIZE: u32 = 1;

/// The rows that a sample adds.
#[derive(Default)]
struct Rows {
    scene: Vec<SceneRow>,
    sample: Vec<SampleRow>,
    sample_data: Vec<SampleDataRow>,
    ego_pose: Vec<EgoPoseRow>,
    instance: Vec<InstanceRow>,
    annotation: Vec<SampleAnnotationRow>,
    left_out: BTreeMap<String, u64>,
}

/// Writes all samples below `root`.
pub(super) fn write(
    from: &dyn Inspect,
    convention: Convention,
    root: &Path,
    step: &(dyn Fn() + Sync),
) -> anyhow::Result<Converted> {
    make_folders(root, &[VERSION, "maps", "samples/LIDAR_TOP", "sweeps/LIDAR_TOP"])?;
    let n_samples = from.n_samples();
    let per_sample: Vec<Rows> = (0..n_samples)
        .into_par_iter()
        .map(|idx| {
            let mut sample = from.load(idx)?;
            to_convention(&mut sample, convention, Convention::NUSCENES);
            let rows = write_sample(root, idx, &sample)?;
            step();
            Ok(rows)
        })
        .collect::<anyhow::Result<_>>()?;
    let mut rows = Rows::default();
    for one in per_sample {
        rows.scene.extend(one.scene);
        rows.sample.extend(one.sample);
        rows.sample_data.extend(one.sample_data);
        rows.ego_pose.extend(one.ego_pose);
        rows.instance.extend(one.instance);
        rows.annotation.extend(one.annotation);
        for (name, n) in one.left_out {
            *rows.left_out.entry(name).or_default() += n;
        }
    }
    write_tables(root, &rows, from.kind().to_string())?;
    write_splits(root, n_samples)?;
    Ok(Converted {
        n_samples: n_samples as u64,
        n_objects: rows.annotation.len() as u64,
        left_out: rows.left_out,
    })
}

fn name_token(table: &str, name: &str) -> String {
    token(SEED, &format!("{table} {name}"), &[])
}

fn scene_name(idx: usize) -> String {
    format!("scene-{}", number(idx))
}

fn write_sample(root: &Path, idx: usize, sample: &Sample) -> Result<Rows, DatasetError> {
    let filename = format!("samples/{LIDAR_CHANNEL}/{}.pcd.bin", number(idx));
    let mut bytes = Vec::with_capacity(sample.points.len() * 20);
    let layout = PointLayout::nuscenes();
    sample.points.iter().for_each(|point| layout.write(point, &mut bytes));
    write_file(&root.join(&filename), &bytes)?;
    let i = idx as u64;
    let of = |table| token(SEED, table, &[i]);
    let timestamp = (i + 1) * STEP_US;
    let mut rows = Rows::default();
    rows.scene.push(SceneRow {
        token: of("scene"),
        log_token: name_token("log", VERSION),
        nbr_samples: 1,
        first_sample_token: of("sample"),
        last_sample_token: of("sample"),
        name: scene_name(idx),
        description: sample.name.clone(),
    });
    rows.sample.push(SampleRow {
        token: of("sample"),
        timestamp,
        prev: String::new(),
        next: String::new(),
        scene_token: of("scene"),
    });
    rows.ego_pose.push(EgoPoseRow {
        token: of("ego_pose"),
        timestamp,
        rotation: IDENTITY,
        translation: [0.0; 3],
    });
    rows.sample_data.push(SampleDataRow {
        token: of("sample_data"),
        sample_token: of("sample"),
        ego_pose_token: of("ego_pose"),
        calibrated_sensor_token: name_token("calibrated_sensor", LIDAR_CHANNEL),
        timestamp,
        fileformat: "pcd".to_owned(),
        is_key_frame: true,
        height: 0,
        width: 0,
        filename,
        prev: String::new(),
        next: String::new(),
    });
    for object in &sample.objects {
        let known = CATEGORIES.iter().find(|(name, ..)| *name == object.class_name);
        let Some((_, category, attribute)) = known else {
            *rows.left_out.entry(object.class_name.clone()).or_default() += 1;
            continue;
        };
        let place = [i, rows.annotation.len() as u64];
        rows.instance.push(InstanceRow {
            token: token(SEED, "instance", &place),
            category_token: name_token("category", category),
            nbr_annotations: 1,
            first_annotation_token: token(SEED, "sample_annotation", &place),
            last_annotation_token: token(SEED, "sample_annotation", &place),
        });
        rows.annotation.push(annotation(object, *attribute, &of("sample"), &place));
    }
    Ok(rows)
}

/// The box in the world, which is the car's frame: the sensor's frame a quarter turn on.
fn annotation(
    object: &GroundTruth,
    attribute: Option<&str>,
    sample_token: &str,
    place: &[u64],
) -> SampleAnnotationRow {
    let [x, y, z] = object.bbox.center.map(f64::from);
    let [l, w, h] = object.bbox.size.map(f64::from);
    let half = (f64::from(object.bbox.yaw) - FRAC_PI_2) / 2.0;
    let visibility = match object.occlusion {
        0 => "4",
        1 => "2",
        2 => "1",
        _ => "",
    };
    SampleAnnotationRow {
        token: token(SEED, "sample_annotation", place),
        sample_token: sample_token.to_owned(),
        instance_token: token(SEED, "instance", place),
        visibility_token: visibility.to_owned(),
        attribute_tokens: attribute.map(|name| name_token("attribute", name)).into_iter().collect(),
        translation: [y, -x, z],
        size: [w, l, h],
        rotation: [libm::cos(half), 0.0, 0.0, libm::sin(half)],
        prev: String::new(),
        next: String::new(),
        num_lidar_pts: u64::from(object.n_points),
        num_radar_pts: 0,
    }
}

fn write_tables(root: &Path, rows: &Rows, source: String) -> anyhow::Result<()> {
    let log = name_token("log", VERSION);
    let map = name_token("map", VERSION);
    let map_file = format!("maps/{map}.png");
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, MAP_SIZE, MAP_SIZE);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&[255])?;
    writer.finish()?;
    write_file(&root.join(&map_file), &picture)?;
    let used = CATEGORIES.iter().map(|(_, category, _)| *category);
    let mut categories: Vec<&str> = used.chain(OTHER_CATEGORIES).collect();
    categories.sort_unstable();
    categories.dedup();
    let category = |name: &&str| CategoryRow {
        token: name_token("category", name),
        name: (*name).to_owned(),
        description: String::new(),
    };
    let attribute = |name: &&str| AttributeRow {
        token: name_token("attribute", name),
        name: (*name).to_owned(),
        description: String::new(),
    };
    let visibility = |(idx, level): (usize, &&str)| VisibilityRow {
        token: (idx + 1).to_string(),
        level: (*level).to_owned(),
        description: String::new(),
    };
    write_table(root, &categories.iter().map(category).collect::<Vec<_>>())?;
    write_table(root, &ATTRIBUTES.iter().map(attribute).collect::<Vec<_>>())?;
    write_table(root, &VISIBILITIES.iter().enumerate().map(visibility).collect::<Vec<_>>())?;
    write_table(
        root,
        &[SensorRow {
            token: name_token("sensor", LIDAR_CHANNEL),
            channel: LIDAR_CHANNEL.to_owned(),
            modality: "lidar".to_owned(),
        }],
    )?;
    write_table(
        root,
        &[CalibratedSensorRow {
            token: name_token("calibrated_sensor", LIDAR_CHANNEL),
            sensor_token: name_token("sensor", LIDAR_CHANNEL),
            translation: [0.0; 3],
            rotation: MOUNTING,
            camera_intrinsic: Vec::new(),
        }],
    )?;
    write_table(
        root,
        &[LogRow {
            token: log.clone(),
            logfile: source,
            vehicle: String::new(),
            date_captured: String::new(),
            location: String::new(),
        }],
    )?;
    let map = MapRow {
        token: map,
        category: "semantic_prior".to_owned(),
        filename: map_file,
        log_tokens: vec![log],
    };
    write_table(root, &[map])?;
    write_table(root, &rows.scene)?;
    write_table(root, &rows.sample)?;
    write_table(root, &rows.sample_data)?;
    write_table(root, &rows.ego_pose)?;
    write_table(root, &rows.instance)?;
    write_table(root, &rows.annotation)
}

fn write_table<R: Row>(root: &Path, rows: &[R]) -> anyhow::Result<()> {
    let path = root.join(VERSION).join(format!("{}.json", R::TABLE));
    let lines: Vec<String> = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(write_file(&path, format!("[\n{}\n]\n", lines.join(",\n")).as_bytes())?)
}

/// Each fifth scene is for validation. The devkit knows `train` and `val` itself, and reads only other names here.
fn write_splits(root: &Path, n_samples: usize) -> anyhow::Result<()> {
    let names = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
        (0..n_samples).filter(|idx| keep(*idx)).map(scene_name).collect()
    };
    let (train, val) = (names(&|idx| !is_for_validation(idx)), names(&is_for_validation));
    let splits = BTreeMap::from([
        ("train", &train),
        ("val", &val),
        ("converted_train", &train),
        ("converted_val", &val),
    ]);
    Ok(write_file(&root.join(VERSION).join("splits.json"), &serde_json::to_vec_pretty(&splits)?)?)
}
