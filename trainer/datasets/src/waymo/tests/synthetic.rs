//! A small segment made by formulas, and its writers in both versions.

pub(super) use super::super::fixture::record;
use super::super::{fixture, label, proto};
use super::parquet_writer::{Column, write_parquet};
use prost::Message;
use std::path::Path;

pub(super) const SEGMENT: &str = "1005081002024129653_5313_150_5333_150";

#[derive(Clone, Debug)]
pub(super) struct Laser {
    pub(super) name: i32,
    pub(super) extrinsic: [f64; 16],
    pub(super) inclinations: Vec<f64>,
    pub(super) inclination_range: [f64; 2],
    pub(super) shape: [i32; 3],
    pub(super) first: Vec<f32>,
    pub(super) second: Option<Vec<f32>>,
    pub(super) poses: Option<Vec<f32>>,
}

#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) type_number: i32,
    pub(super) bbox: [f64; 7],
    pub(super) speed: Option<[f64; 3]>,
    pub(super) n_points: i32,
    pub(super) difficulty: Option<i32>,
}

#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) timestamp: i64,
    pub(super) pose: [f64; 16],
    pub(super) lasers: Vec<Laser>,
    pub(super) labels: Vec<Label>,
}

/// A turn about z and a shift, row by row.
pub(super) fn motion(yaw: f64, [x, y, z]: [f64; 3]) -> [f64; 16] {
    let (s, c) = yaw.sin_cos();
    [c, -s, 0.0, x, s, c, 0.0, y, 0.0, 0.0, 1.0, z, 0.0, 0.0, 0.0, 1.0]
}

/// Two frames of a top LiDAR with poses and two returns, and of a side one with even beams; the first is listed last.
pub(super) fn segment() -> Vec<Frame> {
    (0..2).map(frame).collect()
}

fn frame(k: usize) -> Frame {
    let shift = k as f64;
    let wave = |n: usize, low: f32, high: f32| -> Vec<f32> {
        (0..n).map(|i| low + (high - low) * ((i * 37 + k * 11) % 101) as f32 / 100.0).collect()
    };
    let image = |h: usize, w: usize, missing: usize| -> Vec<f32> {
        let mut values = wave(h * w * 4, 2.0, 60.0);
        for (pixel, v) in values.chunks_exact_mut(4).enumerate() {
            (v[1], v[2]) = (0.25 * (pixel % 7) as f32, 0.5);
            v[3] = if pixel % 5 == 0 { 1.0 } else { 0.0 };
            if pixel % missing == 0 {
                v[0] = if pixel % 2 == 0 { -1.0 } else { 0.0 };
            }
        }
        values
    };
    let poses: Vec<f32> = (0..4 * 10)
        .flat_map(|p| {
            let t = p as f32 / 40.0;
            [0.01 * t, -0.02 * t, 0.3 + 0.05 * t, 100.0 + t + k as f32, -50.0 + 0.5 * t, 3.0]
        })
        .collect();
    let top = Laser {
        name: 1,
        extrinsic: motion(2.6, [1.43, 0.02, 2.184]),
        inclinations: vec![-0.3, -0.15, -0.02, 0.04],
        inclination_range: [-0.31, 0.042],
        shape: [4, 10, 4],
        first: image(4, 10, 4),
        second: Some(image(4, 10, 3)),
        poses: Some(poses),
    };
    let side = Laser {
        name: 3,
        extrinsic: motion(1.57, [3.25, 1.02, 0.98]),
        inclinations: vec![],
        inclination_range: [-1.5, 0.5],
        shape: [3, 6, 4],
        first: image(3, 6, 5),
        second: None,
        poses: None,
    };
    let label = |type_number: i32, difficulty: Option<i32>, speed: Option<[f64; 3]>| Label {
        type_number,
        bbox: [10.0 + shift, -2.0 + f64::from(type_number), 0.8, 4.5, 1.9, 1.6, 3.0],
        speed,
        n_points: 7 * type_number,
        difficulty,
    };
    Frame {
        timestamp: 1_557_325_000_000_000 + 100_000 * k as i64,
        pose: motion(0.3, [100.0 + shift, -50.0, 3.0]),
        lasers: vec![side, top],
        labels: vec![
            label(1, None, Some([3.0, 4.0, 0.1])),
            label(2, Some(2), None),
            label(4, Some(1), Some([0.0, -1.0, 0.0])),
        ],
    }
}

pub(super) fn matrix(shape: [i32; 3], values: &[f32]) -> Vec<u8> {
    fixture::matrix(shape, values).unwrap()
}

pub(super) fn deflate(bytes: &[u8]) -> Vec<u8> {
    fixture::deflate(bytes).unwrap()
}

pub(super) fn to_proto(frame: &Frame) -> proto::Frame {
    let transform = |m: &[f64; 16]| Some(proto::Transform { transform: m.to_vec() });
    let calibration = |l: &Laser| proto::LaserCalibration {
        name: Some(l.name),
        beam_inclinations: l.inclinations.clone(),
        beam_inclination_min: Some(l.inclination_range[0]),
        beam_inclination_max: Some(l.inclination_range[1]),
        extrinsic: transform(&l.extrinsic),
    };
    let laser = |l: &Laser| proto::Laser {
        name: Some(l.name),
        ri_return1: Some(proto::RangeImage {
            range_image_compressed: Some(matrix(l.shape, &l.first)),
            range_image_pose_compressed: l
                .poses
                .as_ref()
                .map(|poses| matrix([l.shape[0], l.shape[1], 6], poses)),
        }),
        ri_return2: l.second.as_ref().map(|second| proto::RangeImage {
            range_image_compressed: Some(matrix(l.shape, second)),
            range_image_pose_compressed: None,
        }),
    };
    let label = |l: &Label| {
        let [x, y, z, length, width, height, heading] = l.bbox;
        proto::Label {
            id: None,
            bbox: Some(label::LabelBox::new([x, y, z], [length, width, height], heading)),
            metadata: l.speed.map(|[x, y, z]| label::Metadata {
                speed_x: Some(x),
                speed_y: Some(y),
                speed_z: Some(z),
            }),
            object_type: Some(l.type_number),
            detection_difficulty_level: l.difficulty,
            num_lidar_points_in_box: Some(l.n_points),
        }
    };
    proto::Frame {
        context: Some(proto::Context {
            name: Some(SEGMENT.to_owned()),
            laser_calibrations: frame.lasers.iter().map(calibration).collect(),
        }),
        timestamp_micros: Some(frame.timestamp),
        pose: transform(&frame.pose),
        lasers: frame.lasers.iter().map(laser).collect(),
        laser_labels: frame.labels.iter().map(label).collect(),
    }
}

pub(super) fn write_v1(split: &Path, frames: &[Frame]) {
    std::fs::create_dir_all(split).unwrap();
    let bytes: Vec<u8> = frames.iter().flat_map(|f| record(&to_proto(f).encode_to_vec())).collect();
    std::fs::write(split.join(format!("segment-{SEGMENT}_with_camera_labels.tfrecord")), bytes).unwrap();
}

/// Writes version 2, `rows_per_group` in a row group.
pub(super) fn write_v2(split: &Path, frames: &[Frame], rows_per_group: usize) {
    for (component, columns) in components(frames) {
        write_component(split, component, &columns, rows_per_group);
    }
}

pub(super) fn write_component(split: &Path, component: &str, columns: &[Column], rows_per_group: usize) {
    std::fs::create_dir_all(split.join(component)).unwrap();
    let path = split.join(component).join(format!("{SEGMENT}.parquet"));
    write_parquet(&path, columns, rows_per_group);
}

/// The components of version 2; every one has its rows in the order of frames.
pub(super) fn components(frames: &[Frame]) -> Vec<(&'static str, Vec<Column>)> {
    let mut all = Vec::new();
    let mut write = |component, columns: Vec<Column>| all.push((component, columns));
    let timestamps = |n: &dyn Fn(&Frame) -> usize| -> Vec<Option<i64>> {
        frames.iter().flat_map(|f| vec![Some(f.timestamp); n(f)]).collect()
    };
    let key =
        |n: &dyn Fn(&Frame) -> usize| Column::Int64("key.frame_timestamp_micros".to_owned(), timestamps(n));
    let lasers: Vec<&Laser> = frames.iter().flat_map(|f| &f.lasers).collect();
    let names =
        |of: &[&Laser]| Column::Int32("key.laser_name".to_owned(), of.iter().map(|l| Some(l.name)).collect());
    write(
        "vehicle_pose",
        vec![
            key(&|_| 1),
            Column::Doubles(
                "[VehiclePoseComponent].world_from_vehicle.transform".to_owned(),
                frames.iter().map(|f| Some(f.pose.to_vec())).collect(),
            ),
        ],
    );
    let images = |of: &[&Laser],
                  component: &str,
                  name: &str,
                  channels: i32,
                  values: &dyn Fn(&Laser) -> Option<Vec<f32>>| {
        let shape = |l: &&Laser| values(l).map(|_| vec![l.shape[0], l.shape[1], channels]);
        vec![
            Column::Floats(format!("[{component}].{name}.values"), of.iter().map(|l| values(l)).collect()),
            Column::Ints(format!("[{component}].{name}.shape"), of.iter().map(shape).collect()),
        ]
    };
    let mut lidar = vec![key(&|f| f.lasers.len()), names(&lasers)];
    lidar.extend(images(&lasers, "LiDARComponent", "range_image_return1", 4, &|l| Some(l.first.clone())));
    lidar.extend(images(&lasers, "LiDARComponent", "range_image_return2", 4, &|l| l.second.clone()));
    write("lidar", lidar);
    let tops: Vec<&Laser> = lasers.iter().copied().filter(|l| l.poses.is_some()).collect();
    let mut pose = vec![key(&|f| f.lasers.iter().filter(|l| l.poses.is_some()).count()), names(&tops)];
    pose.extend(images(&tops, "LiDARPoseComponent", "range_image_return1", 6, &|l| l.poses.clone()));
    write("lidar_pose", pose);
    let first: Vec<&Laser> = frames[0].lasers.iter().collect();
    let calibration = |name: &str| format!("[LiDARCalibrationComponent].{name}");
    write(
        "lidar_calibration",
        vec![
            names(&first),
            Column::Doubles(
                calibration("extrinsic.transform"),
                first.iter().map(|l| Some(l.extrinsic.to_vec())).collect(),
            ),
            Column::Double(
                calibration("beam_inclination.min"),
                first.iter().map(|l| Some(l.inclination_range[0])).collect(),
            ),
            Column::Double(
                calibration("beam_inclination.max"),
                first.iter().map(|l| Some(l.inclination_range[1])).collect(),
            ),
            Column::Doubles(
                calibration("beam_inclination.values"),
                first.iter().map(|l| (!l.inclinations.is_empty()).then(|| l.inclinations.clone())).collect(),
            ),
        ],
    );
    let labels: Vec<&Label> = frames.iter().flat_map(|f| &f.labels).collect();
    let name = |name: &str| format!("[LiDARBoxComponent].{name}");
    let mut columns = vec![key(&|f| f.labels.len())];
    for (k, part) in
        ["center.x", "center.y", "center.z", "size.x", "size.y", "size.z", "heading"].into_iter().enumerate()
    {
        let values = labels.iter().map(|l| Some(l.bbox[k])).collect();
        columns.push(Column::Double(name(&format!("box.{part}")), values));
    }
    for (k, axis) in ["x", "y", "z"].into_iter().enumerate() {
        let values = labels.iter().map(|l| l.speed.map(|s| s[k])).collect();
        columns.push(Column::Double(name(&format!("speed.{axis}")), values));
    }
    columns.push(Column::Int32(name("type"), labels.iter().map(|l| Some(l.type_number)).collect()));
    columns.push(Column::Int64(
        name("num_lidar_points_in_box"),
        labels.iter().map(|l| Some(i64::from(l.n_points))).collect(),
    ));
    columns.push(Column::Int32(
        name("difficulty_level.detection"),
        labels.iter().map(|l| l.difficulty).collect(),
    ));
    write("lidar_box", columns);
    all
}
