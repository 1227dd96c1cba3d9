//! A small dataset for tests: all thirteen tables, to be broken at will.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// A quarter turn to the left about z.
pub(crate) const LEFT: [f64; 4] =
    [std::f64::consts::FRAC_1_SQRT_2, 0.0, 0.0, std::f64::consts::FRAC_1_SQRT_2];
/// A quarter turn to the right about z.
pub(crate) const RIGHT: [f64; 4] =
    [std::f64::consts::FRAC_1_SQRT_2, 0.0, 0.0, -std::f64::consts::FRAC_1_SQRT_2];
/// No turn.
pub(crate) const AHEAD: [f64; 4] = [1.0, 0.0, 0.0, 0.0];

/// A dataset's folder, with the tables in `v1.0-test`.
///
/// Scene `one` has the samples `s1` and `s2` half a second later, and a sweep between them; scene `two` has `s3`.
/// The tables name later samples first. In scene `one` the car is at (100, 50), looks along the world's y and
/// stands still; the LiDAR is 1 m ahead of its middle and 2 m up, its x to the right. A car `i` drives with 2 m/s
/// along y: it is 11 m ahead and 3 m to the left in `s1`. With it in `s1` is the animal `j`.
pub(crate) struct Fixture(tempfile::TempDir);

impl Fixture {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        for (name, rows) in tables() {
            fixture.write_table(name, &rows);
        }
        fixture.write_points(
            "samples/1.pcd.bin",
            &[[1.0, 2.0, 3.0, 40.0, 31.0], [0.0, f32::NAN, 0.0, 1.0, 2.0]],
        );
        fixture.write_points("sweeps/1b.pcd.bin", &[[5.0, 6.0, 7.0, 8.0, 9.0], [0.5, -0.5, 0.0, 10.0, 1.0]]);
        fixture.write_points("samples/2.pcd.bin", &[[-3.0, 4.0, -1.0, 100.0, 0.0]]);
        fixture.write_points("samples/3.pcd.bin", &[]);
        fixture
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn write_points(&self, path: &str, points: &[[f32; 5]]) {
        self.write(path, points.iter().flatten().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).unwrap();
    }

    pub(crate) fn table(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.root().join(format!("v1.0-test/{name}.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn write_table(&self, name: &str, rows: &Value) {
        self.write(&format!("v1.0-test/{name}.json"), rows.to_string());
    }

    /// Sets a column of the row that has this token.
    pub(crate) fn set(&self, table: &str, token: &str, column: &str, value: impl Into<Value>) {
        let mut rows = self.table(table);
        let row = rows.as_array_mut().unwrap().iter_mut().find(|row| row["token"] == token).unwrap();
        row[column] = value.into();
        self.write_table(table, &rows);
    }

    /// Adds a row.
    pub(crate) fn add(&self, table: &str, row: Value) {
        let mut rows = self.table(table);
        rows.as_array_mut().unwrap().push(row);
        self.write_table(table, &rows);
    }
}

fn sample(token: &str, time: i64, scene: &str, prev: &str, next: &str) -> Value {
    json!({"token": token, "timestamp": time, "scene_token": scene, "prev": prev, "next": next})
}

fn sweep(token: &str, sample: &str, time: i64, file: &str, prev: &str, next: &str) -> Value {
    let is_key_frame = file.starts_with("samples");
    json!({"token": token, "sample_token": sample, "ego_pose_token": format!("e{token}"), "timestamp": time,
        "calibrated_sensor_token": "k", "fileformat": "pcd", "is_key_frame": is_key_frame, "height": 0, "width": 0,
        "filename": file, "prev": prev, "next": next})
}

fn pose(token: &str, time: i64, translation: [f64; 3], rotation: [f64; 4]) -> Value {
    json!({"token": token, "timestamp": time, "translation": translation, "rotation": rotation})
}

fn annotation(token: &str, sample: &str, instance: &str, y: f64, prev: &str, next: &str) -> Value {
    let attributes = if instance == "i" { vec!["parked"] } else { vec![] };
    json!({"token": token, "sample_token": sample, "instance_token": instance, "visibility_token": "4",
        "attribute_tokens": attributes, "translation": [97, y, 3], "size": [2, 4, 1.5], "rotation": LEFT,
        "prev": prev, "next": next, "num_lidar_pts": 7, "num_radar_pts": 0})
}

fn tables() -> Vec<(&'static str, Value)> {
    let image = json!({"token": "p1", "sample_token": "s1", "ego_pose_token": "ep1", "timestamp": 1_000_000,
        "calibrated_sensor_token": "q", "fileformat": "jpg", "is_key_frame": true, "height": 900, "width": 1600,
        "filename": "samples/4.jpg", "prev": "", "next": ""});
    vec![
        (
            "scene",
            json!([
                {"token": "c1", "name": "one", "description": "a {\"[quiet]\\\" street", "log_token": "g",
                    "nbr_samples": 2, "first_sample_token": "s1", "last_sample_token": "s2"},
                {"token": "c2", "name": "two", "description": "", "log_token": "g",
                    "nbr_samples": 1, "first_sample_token": "s3", "last_sample_token": "s3"},
            ]),
        ),
        (
            "sample",
            json!([
                sample("s3", 9_000_000, "c2", "", ""),
                sample("s2", 1_500_000, "c1", "s1", ""),
                sample("s1", 1_000_000, "c1", "", "s2"),
            ]),
        ),
        (
            "sensor",
            json!([
                {"token": "top", "channel": "LIDAR_TOP", "modality": "lidar"},
                {"token": "cam", "channel": "CAM_FRONT", "modality": "camera"},
            ]),
        ),
        (
            "calibrated_sensor",
            json!([
                {"token": "k", "sensor_token": "top", "translation": [1, 0, 2], "rotation": RIGHT,
                    "camera_intrinsic": []},
                {"token": "q", "sensor_token": "cam", "translation": [0, 0, 0], "rotation": AHEAD,
                    "camera_intrinsic": [[1000, 0, 800], [0, 1000, 450], [0, 0, 1]]},
            ]),
        ),
        (
            "sample_data",
            json!([
                sweep("d3", "s3", 9_000_000, "samples/3.pcd.bin", "", ""),
                sweep("d1", "s1", 1_000_000, "samples/1.pcd.bin", "", "d1b"),
                sweep("d1b", "s2", 1_250_000, "sweeps/1b.pcd.bin", "d1", "d2"),
                sweep("d2", "s2", 1_500_000, "samples/2.pcd.bin", "d1b", ""),
                image,
            ]),
        ),
        (
            "ego_pose",
            json!([
                pose("ed1", 1_000_000, [100.0, 50.0, 0.0], LEFT),
                pose("ed1b", 1_250_000, [100.0, 50.0, 0.0], LEFT),
                pose("ed2", 1_500_000, [100.0, 50.0, 0.0], LEFT),
                pose("ed3", 9_000_000, [0.0; 3], AHEAD),
                pose("ep1", 1_000_000, [100.0, 50.0, 0.0], LEFT),
            ]),
        ),
        (
            "category",
            json!([
                {"token": "t", "name": "vehicle.car", "description": "", "index": 17},
                {"token": "d", "name": "animal", "description": ""},
            ]),
        ),
        ("attribute", json!([{"token": "parked", "name": "vehicle.parked", "description": ""}])),
        ("visibility", json!([{"token": "4", "level": "v80-100", "description": ""}])),
        (
            "instance",
            json!([
                {"token": "i", "category_token": "t", "nbr_annotations": 2,
                    "first_annotation_token": "a", "last_annotation_token": "c"},
                {"token": "j", "category_token": "d", "nbr_annotations": 1,
                    "first_annotation_token": "b", "last_annotation_token": "b"},
            ]),
        ),
        (
            "sample_annotation",
            json!([
                annotation("a", "s1", "i", 61.0, "", "c"),
                annotation("b", "s1", "j", 61.0, "", ""),
                annotation("c", "s2", "i", 62.0, "a", ""),
            ]),
        ),
        (
            "log",
            json!([{"token": "g", "logfile": "n1", "vehicle": "n", "date_captured": "2026-01-01", "location": "here"}]),
        ),
        (
            "map",
            json!([{"token": "m", "category": "semantic_prior", "filename": "maps/m.png", "log_tokens": ["g", "x"]}]),
        ),
    ]
}
