//! Tests of the tables as a whole.

use super::*;
use crate::Dataset;
use crate::nuscenes::fixture::Fixture;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn read(fixture: &Fixture) -> Result<Tables, TablesError> {
    Tables::read(fixture.root(), "v1.0-test", Sensors::Lidar)
}

#[test]
fn tables_know_who_belongs_to_whom() {
    let fixture = Fixture::new();
    let tables = read(&fixture).unwrap();
    let scene = tables.scenes.find(&Token::from("c1")).unwrap();
    let names = |ids: &[Id<Sample>]| -> Vec<String> {
        ids.iter().map(|id| tables.samples[*id].token.to_string()).collect()
    };
    assert_eq!(names(tables.samples_of(scene)), ["s1", "s2"]);
    let sample = tables.samples_of(scene)[0];
    let [car, animal] = *tables.annotations_of(sample) else { panic!("{:?}", tables.annotations_of(sample)) };
    assert_eq!((tables.category_name(car), tables.category_name(animal)), ("vehicle.car", "animal"));
    assert_eq!(tables.attribute_names(car).collect::<Vec<_>>(), ["vehicle.parked"]);
    assert_eq!(tables.attribute_names(animal).count(), 0);
    let chain: Vec<_> = tables.chain_of(tables.annotations[car].instance).collect();
    assert_eq!((chain.len(), chain[0]), (2, car));
    let lidar = &tables.sample_data[tables.key_lidar(sample).unwrap()];
    assert_eq!((lidar.filename.as_str(), lidar.timestamp_us), ("samples/1.pcd.bin", 1_000_000));
    assert_eq!(tables.path_of(&lidar.filename), fixture.root().join("samples/1.pcd.bin"));
}

#[test]
fn rows_of_cameras_are_kept_only_when_asked_for() {
    let fixture = Fixture::new();
    let all = Tables::read(fixture.root(), "v1.0-test", Sensors::All).unwrap();
    assert_eq!((all.sample_data.n_rows(), all.ego_poses.n_rows()), (5, 5));
    let image = &all.sample_data[all.sample_data.find(&Token::from("p1")).unwrap()];
    assert_eq!((image.file_format, image.height, image.width), (FileFormat::Jpg, 900, 1600));
    assert!(all.calibrated_sensors[image.calibrated_sensor].camera_intrinsic.is_some());
    let some = read(&fixture).unwrap();
    assert_eq!((some.sample_data.n_rows(), some.ego_poses.n_rows(), some.sensors.n_rows()), (4, 4, 2));
    assert!(some.sample_data.find(&Token::from("p1")).is_none());
    assert_eq!(some.maps.rows()[0].logs.len(), 1);
}

#[test]
fn every_table_must_be_there() {
    for name in schema::TABLE_NAMES {
        let fixture = Fixture::new();
        fixture.remove(&format!("v1.0-test/{name}.json"));
        let error = read(&fixture).unwrap_err();
        assert!(
            matches!(&error, TablesError::MissingTable { path } if path.ends_with(format!("{name}.json"))),
            "{error}"
        );
    }
}

#[test]
fn references_to_nothing_are_named() {
    for (table, token, column, target) in [
        ("calibrated_sensor", "k", "sensor_token", "sensor"),
        ("scene", "c1", "log_token", "log"),
        ("scene", "c1", "first_sample_token", "sample"),
        ("scene", "c2", "last_sample_token", "sample"),
        ("sample", "s1", "scene_token", "scene"),
        ("sample", "s1", "next", "sample"),
        ("sample", "s2", "prev", "sample"),
        ("sample_data", "d1", "sample_token", "sample"),
        ("sample_data", "d1", "ego_pose_token", "ego_pose"),
        ("sample_data", "d1", "calibrated_sensor_token", "calibrated_sensor"),
        ("sample_data", "d1b", "prev", "sample_data"),
        ("sample_data", "d1b", "next", "sample_data"),
        ("instance", "i", "category_token", "category"),
        ("instance", "i", "first_annotation_token", "sample_annotation"),
        ("instance", "i", "last_annotation_token", "sample_annotation"),
        ("sample_annotation", "a", "sample_token", "sample"),
        ("sample_annotation", "a", "instance_token", "instance"),
        ("sample_annotation", "a", "visibility_token", "visibility"),
        ("sample_annotation", "c", "prev", "sample_annotation"),
        ("sample_annotation", "a", "next", "sample_annotation"),
    ] {
        let fixture = Fixture::new();
        fixture.set(table, token, column, "nobody");
        let error = read(&fixture).unwrap_err().to_string();
        let said = format!("{column} of `{token}` is `nobody`, which no row of {target} has");
        assert!(error.contains(&format!("{table}.json")) && error.contains(&said), "{error}");
    }
    let fixture = Fixture::new();
    fixture.set("sample_annotation", "c", "attribute_tokens", vec!["parked", "nobody"]);
    assert!(read(&fixture).unwrap_err().to_string().contains("attribute_tokens of `c` is `nobody`"));
}

#[test]
fn a_token_names_one_row() {
    for name in schema::TABLE_NAMES {
        let fixture = Fixture::new();
        let twin = fixture.table(name)[0].clone();
        let token = twin["token"].as_str().unwrap().to_owned();
        fixture.add(name, twin);
        let error = read(&fixture).unwrap_err().to_string();
        let said = format!("two records have the token `{token}`");
        assert!(error.contains(&format!("{name}.json")) && error.contains(&said), "{error}");
    }
}

#[test]
fn chains_have_ends() {
    for (table, token, column, to) in [
        ("sample", "s2", "next", "s1"),
        ("sample", "s1", "prev", "s1"),
        ("sample_data", "d1", "prev", "d2"),
        ("sample_data", "d2", "next", "d1b"),
        ("sample_annotation", "c", "next", "a"),
        ("sample_annotation", "b", "prev", "b"),
    ] {
        let fixture = Fixture::new();
        fixture.set(table, token, column, to);
        let error = read(&fixture).unwrap_err();
        let is_found = matches!(&error, TablesError::Cycle { path, column: found, .. }
            if path.ends_with(format!("{table}.json")) && *found == column);
        assert!(is_found, "{table}: {error}");
    }
}

#[test]
fn velocities_are_differences_over_the_time_of_samples() {
    let fixture = Fixture::new();
    let velocity = |token: &str| {
        let tables = read(&fixture).unwrap();
        tables.box_velocity(tables.annotations.find(&Token::from(token)).unwrap())
    };
    let is = |got: [f64; 3], y: f64| {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(got[0], 0.0) && near(got[1], y) && near(got[2], 0.0), "{got:?}, not {y}");
    };
    // One before or one after.
    is(velocity("a"), 2.0);
    is(velocity("c"), 2.0);
    // Alone.
    assert!(velocity("b").iter().all(|v| v.is_nan()));
    // 1.5 s is near enough, a microsecond more is not.
    fixture.set("sample", "s2", "timestamp", 2_500_000);
    is(velocity("a"), 1.0 / 1.5);
    fixture.set("sample", "s2", "timestamp", 2_500_001);
    assert!(velocity("a").iter().all(|v| v.is_nan()));
    // Between two, twice that.
    fixture.set("sample_annotation", "b", "next", "a");
    fixture.set("sample_annotation", "b", "sample_token", "s3");
    fixture.set("sample_annotation", "a", "prev", "b");
    fixture.set("sample", "s3", "timestamp", 0);
    is(velocity("a"), 1.0 / 2.500_001);
    fixture.set("sample", "s3", "timestamp", -500_000);
    assert!(velocity("a").iter().all(|v| v.is_nan()));
}

#[test]
fn categories_have_the_classes_of_the_benchmark() {
    assert_eq!(detection_class("vehicle.bus.rigid"), Some("bus"));
    assert_eq!(detection_class("human.pedestrian.wheelchair"), None);
    assert_eq!(detection_class("Vehicle.Car"), None);
    let fixture = Fixture::new();
    let tables = read(&fixture).unwrap();
    let sample = tables.samples.find(&Token::from("s1")).unwrap();
    let [object] = &tables.objects_of(sample).unwrap()[..] else { panic!("only the car has a class") };
    assert_eq!((object.class_name.as_str(), object.n_points, object.occlusion), ("car", 7, 0));
    for (level, occlusion) in [("v60-80", 1), ("v40-60", 1), ("v0-40", 2), ("unheard of", 3)] {
        fixture.set("visibility", "4", "level", level);
        let tables = read(&fixture).unwrap();
        assert_eq!(tables.objects_of(sample).unwrap()[0].occlusion, occlusion, "{level}");
    }
    fixture.set("sample_annotation", "a", "visibility_token", "");
    assert_eq!(read(&fixture).unwrap().objects_of(sample).unwrap()[0].occlusion, 3);
}

#[test]
fn every_category_has_the_class_that_the_benchmark_gives_it() {
    let classes = [
        ("human.pedestrian.adult", "pedestrian"),
        ("human.pedestrian.child", "pedestrian"),
        ("human.pedestrian.wheelchair", ""),
        ("human.pedestrian.stroller", ""),
        ("human.pedestrian.personal_mobility", ""),
        ("human.pedestrian.police_officer", "pedestrian"),
        ("human.pedestrian.construction_worker", "pedestrian"),
        ("animal", ""),
        ("vehicle.car", "car"),
        ("vehicle.motorcycle", "motorcycle"),
        ("vehicle.bicycle", "bicycle"),
        ("vehicle.bus.bendy", "bus"),
        ("vehicle.bus.rigid", "bus"),
        ("vehicle.truck", "truck"),
        ("vehicle.construction", "construction_vehicle"),
        ("vehicle.emergency.ambulance", ""),
        ("vehicle.emergency.police", ""),
        ("vehicle.trailer", "trailer"),
        ("movable_object.barrier", "barrier"),
        ("movable_object.trafficcone", "traffic_cone"),
        ("movable_object.pushable_pullable", ""),
        ("movable_object.debris", ""),
        ("static_object.bicycle_rack", ""),
    ];
    for (category, class) in classes {
        assert_eq!(detection_class(category).unwrap_or_default(), class, "{category}");
    }
}

#[test]
fn velocities_lie_along_the_axes_of_the_sensor_and_unknown_ones_are_zero() {
    let fixture = Fixture::new();
    // The LiDAR looks ahead and 30 degrees down; the car drives ahead, and its box rises, which counts for nothing.
    let half = std::f64::consts::PI / 12.0;
    fixture.set("calibrated_sensor", "k", "rotation", vec![half.cos(), 0.0, half.sin(), 0.0]);
    fixture.set("sample_annotation", "c", "translation", vec![97.0, 62.0, 4.0]);
    // The other is seen but once, and by radars too.
    fixture.set("category", "d", "name", "vehicle.truck");
    fixture.set("sample_annotation", "b", "num_radar_pts", 5);
    let tables = read(&fixture).unwrap();
    let sample = tables.samples.find(&Token::from("s1")).unwrap();
    let [car, truck] = &tables.objects_of(sample).unwrap()[..] else { panic!("two objects") };
    let ahead = 2.0 * (2.0 * half).cos() as f32;
    let [x, y] = car.velocity;
    assert!((x - ahead).abs() < 1e-6 && y.abs() < 1e-6, "{x} {y}, not {ahead}");
    assert!(truck.velocity.iter().all(|v| v.to_bits() == 0), "{truck:?}");
    assert_eq!(truck.n_points, 7);
}

#[test]
fn of_several_key_frames_of_the_top_lidar_the_last_counts_and_of_other_lidars_none() {
    let fixture = Fixture::new();
    fixture.add("sensor", serde_json::json!({"token": "side", "channel": "LIDAR_SIDE", "modality": "lidar"}));
    let copy = |table: &str, token: &str, changes: &[(&str, &str)]| {
        let rows = fixture.table(table);
        let mut row = rows.as_array().unwrap().iter().find(|row| row["token"] == token).unwrap().clone();
        changes.iter().for_each(|(column, value)| row[*column] = (*value).into());
        fixture.add(table, row);
    };
    copy("calibrated_sensor", "k", &[("token", "beside"), ("sensor_token", "side")]);
    let key = || {
        let tables = read(&fixture).unwrap();
        let sample = tables.samples.find(&Token::from("s2")).unwrap();
        tables.sample_data[tables.key_lidar(sample).unwrap()].token.to_string()
    };
    copy("sample_data", "d2", &[("token", "d2s"), ("calibrated_sensor_token", "beside"), ("prev", "")]);
    assert_eq!(key(), "d2");
    copy("sample_data", "d2", &[("token", "d2t"), ("prev", "")]);
    assert_eq!(key(), "d2t");
}

#[test]
fn a_split_loads_with_its_sweeps_its_boxes_and_other_names() {
    let fixture = Fixture::new();
    let sweeps = Sweeps { n_sweeps: 2, style: SweepStyle::Devkit };
    let rename = BTreeMap::from([("car".to_owned(), "vehicle".to_owned())]);
    let open = |version: Option<&str>, split: Option<&str>| {
        NuscenesDataset::open(fixture.root(), version, split, sweeps, rename.clone(), CachePlace::Nowhere)
    };
    let dataset = open(None, None).unwrap();
    assert_eq!((dataset.n_samples(), dataset.name(1), dataset.name(3)), (3, "s2", ""));
    let sample = dataset.load(1).unwrap();
    let lags: Vec<u32> = sample.points.iter().map(|p| p.time_lag.to_bits()).collect();
    assert_eq!(lags, [0.0_f32, 0.25].map(f32::to_bits));
    let [object] = &sample.objects[..] else { panic!("{:?}", sample.objects) };
    assert_eq!((sample.name.as_str(), object.class_name.as_str()), ("s2", "vehicle"));
    assert!((object.velocity[1] - 2.0).abs() < 1e-6 && object.velocity[0].abs() < 1e-6, "{object:?}");
    assert!(dataset.load(3).unwrap_err().to_string().contains("no sample 3"));
    assert!(open(Some("v1.0-other"), None).unwrap_err().to_string().contains("v1.0-other"));
    assert!(open(Some("v1.0-test"), Some("val")).unwrap_err().to_string().contains("no sample of it"));
}

fn at_a_byte(fixture: &Fixture, name: &str, place: prop::sample::Index, byte: u8) {
    let mut bytes = std::fs::read(fixture.root().join(format!("v1.0-test/{name}.json"))).unwrap();
    let place = place.index(bytes.len());
    bytes[place] = byte;
    fixture.write(&format!("v1.0-test/{name}.json"), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_of_a_table_panic(
        name in prop::sample::select(schema::TABLE_NAMES.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let fixture = Fixture::new();
        for (place, byte) in changes {
            at_a_byte(&fixture, name, place, byte);
        }
        if let Ok(tables) = read(&fixture) {
            // What was accepted can be used.
            for (sample, _) in tables.samples.iter() {
                let _ = tables.objects_of(sample);
                let _ = tables.read_sweeps(sample, &Sweeps { n_sweeps: 10, style: SweepStyle::Mmdet3d });
            }
            for (instance, _) in tables.instances.iter() {
                prop_assert!(tables.chain_of(instance).count() <= tables.annotations.n_rows());
            }
        }
    }
}
