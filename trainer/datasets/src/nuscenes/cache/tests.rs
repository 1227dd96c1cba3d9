//! Tests of the binary file.

use super::*;
use crate::nuscenes::fixture::Fixture;
use std::fs;
use std::time::{Duration, SystemTime};

fn open(fixture: &Fixture, options: &ReadOptions) -> (Tables, CacheUse) {
    Tables::open(fixture.root(), "v1.0-test", options).unwrap()
}

fn parsed(fixture: &Fixture) -> Tables {
    Tables::read(fixture.root(), "v1.0-test", Sensors::Lidar).unwrap()
}

const INDEX: &str = "v1.0-test/.pilotis-index-lidar";

/// Lets every table have been written a while ago, so that times alone tell that it is the same.
fn age(fixture: &Fixture) {
    for entry in fs::read_dir(fixture.root().join("v1.0-test")).unwrap() {
        let file = fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
}

#[test]
fn tables_from_the_file_are_those_that_were_parsed() {
    let fixture = Fixture::new();
    let options = ReadOptions::default();
    let expected = parsed(&fixture);
    assert_eq!(open(&fixture, &options), (expected.clone(), CacheUse::Written(None)));
    assert_eq!(open(&fixture, &options), (expected, CacheUse::Read));
    let all = ReadOptions { sensors: Sensors::All, ..options };
    let (tables, written) = open(&fixture, &all);
    assert_eq!((tables.sample_data.n_rows(), written), (5, CacheUse::Written(None)));
    assert_eq!(open(&fixture, &all), (tables, CacheUse::Read));
}

/// Another count of points, in as many bytes and with the time of before.
fn change_in_secret(fixture: &Fixture) {
    let path = fixture.root().join("v1.0-test/sample_annotation.json");
    let time = path.metadata().unwrap().modified().unwrap();
    let text = fs::read_to_string(&path).unwrap().replace("\"num_lidar_pts\":7", "\"num_lidar_pts\":8");
    fs::write(&path, text).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_file_of_other_tables_is_not_believed() {
    let fixture = Fixture::new();
    let options = ReadOptions::default();
    open(&fixture, &options);
    age(&fixture);
    // As many bytes as before, and the same time as before: only the content tells, or that the system knows better.
    change_in_secret(&fixture);
    let (tables, cache_use) = open(&fixture, &options);
    assert_eq!(tables.annotations.rows()[0].n_lidar_points, 8);
    let CacheUse::Written(Some(reason)) = &cache_use else { panic!("{cache_use:?}") };
    assert!(reason.contains("sample_annotation.json"), "{reason}");
    // Another size, too.
    fixture.set("scene", "c1", "description", "longer than before, by far");
    let (tables, cache_use) = open(&fixture, &options);
    assert!(tables.scenes.rows()[0].description.starts_with("longer"));
    assert!(
        matches!(&cache_use, CacheUse::Written(Some(reason)) if reason.contains("scene.json")),
        "{cache_use:?}"
    );
    // A table that is gone is missed, whatever the file says.
    fixture.remove("v1.0-test/map.json");
    let error = Tables::open(fixture.root(), "v1.0-test", &options).unwrap_err();
    assert!(matches!(&error, TablesError::MissingTable { path } if path.ends_with("map.json")), "{error}");
}

#[test]
fn tables_with_new_times_and_old_contents_are_still_known() {
    let fixture = Fixture::new();
    let options = ReadOptions::default();
    let (expected, _) = open(&fixture, &options);
    for name in ["scene", "sample_data"] {
        let rows = fixture.table(name);
        fixture.write_table(name, &rows);
    }
    assert_eq!(open(&fixture, &options), (expected, CacheUse::Read));
}

#[test]
fn no_byte_of_the_file_can_change_unnoticed() {
    let fixture = Fixture::new();
    let options = ReadOptions::default();
    let (expected, _) = open(&fixture, &options);
    let intact = fs::read(fixture.root().join(INDEX)).unwrap();
    for place in (0..intact.len()).step_by(7).chain(0..40) {
        let mut bytes = intact.clone();
        bytes[place] ^= 0x10;
        fixture.write(INDEX, &bytes);
        let (tables, cache_use) = open(&fixture, &options);
        assert_eq!(tables, expected);
        assert!(matches!(cache_use, CacheUse::Written(Some(_))), "byte {place}: {cache_use:?}");
    }
    for n_bytes in [0, 1, 16, 24, 100, intact.len() / 2, intact.len() - 1] {
        fixture.write(INDEX, &intact[..n_bytes]);
        assert!(matches!(open(&fixture, &options), (_, CacheUse::Written(Some(_)))), "{n_bytes} bytes");
    }
    fixture.write(INDEX, [&intact[..], b"more"].concat());
    assert!(matches!(open(&fixture, &options), (_, CacheUse::Written(Some(_)))));
    assert_eq!(open(&fixture, &options).1, CacheUse::Read);
}

#[test]
fn the_file_lies_where_it_is_wanted_or_nowhere() {
    let fixture = Fixture::new();
    let off = ReadOptions { cache: CachePlace::Nowhere, ..ReadOptions::default() };
    assert_eq!(open(&fixture, &off).1, CacheUse::Off);
    let elsewhere = tempfile::tempdir().unwrap();
    let options = ReadOptions {
        cache: CachePlace::Folder(elsewhere.path().join("new/folder")),
        ..ReadOptions::default()
    };
    assert_eq!(open(&fixture, &options).1, CacheUse::Written(None));
    assert_eq!(open(&fixture, &options).1, CacheUse::Read);
    assert!(!fixture.root().join(INDEX).exists());
    // Tables of another folder have a file of their own there.
    assert_eq!(open(&Fixture::new(), &options).1, CacheUse::Written(None));
    assert_eq!(open(&fixture, &options).1, CacheUse::Read);
    // Where nothing can be written, tables are read all the same.
    elsewhere.close().unwrap();
    let blocked = fixture.root().join("blocked");
    fs::write(&blocked, "a file").unwrap();
    let options = ReadOptions { cache: CachePlace::Folder(blocked), ..ReadOptions::default() };
    let (tables, cache_use) = open(&fixture, &options);
    assert_eq!(tables, parsed(&fixture));
    assert!(matches!(cache_use, CacheUse::NotWritten(_)), "{cache_use:?}");
}

#[test]
fn an_older_time_on_other_contents_deceives_nobody() {
    let fixture = Fixture::new();
    age(&fixture);
    let options = ReadOptions::default();
    open(&fixture, &options);
    // The tables seem an hour old when they are indexed, and seem so again after the change.
    change_in_secret(&fixture);
    let (tables, cache_use) = open(&fixture, &options);
    assert_eq!(tables.annotations.rows()[0].n_lidar_points, 8);
    assert!(matches!(cache_use, CacheUse::Written(Some(_))), "{cache_use:?}");
}

#[test]
fn times_are_believed_only_where_a_later_change_would_have_another() {
    let fixture = Fixture::new();
    let folder = fixture.root().join("v1.0-test");
    let (_, mut sources) = resolve::read_rows(&folder, Sensors::Lidar).unwrap();
    // Were contents hashed, this one's would not fit.
    sources.tables[3].digest = [0; 32];
    let is_same = |sources: &Sources| matches!(sources.compare(&folder).unwrap(), source::Verdict::Same(_));
    assert!(!is_same(&sources));
    // Had they been written well before they were opened, nothing would need to be hashed.
    sources.opened_ns += 3_000_000_000;
    assert!(is_same(&sources));
    sources.opened_ns -= 2_000_000_000;
    assert!(!is_same(&sources));
}

#[test]
fn a_file_of_other_sensors_is_not_believed() {
    let fixture = Fixture::new();
    let all = ReadOptions { sensors: Sensors::All, ..ReadOptions::default() };
    let (expected, _) = open(&fixture, &all);
    open(&fixture, &ReadOptions::default());
    fs::copy(fixture.root().join(INDEX), fixture.root().join("v1.0-test/.pilotis-index-all")).unwrap();
    let (tables, cache_use) = open(&fixture, &all);
    assert_eq!(tables, expected);
    assert!(
        matches!(&cache_use, CacheUse::Written(Some(reason)) if reason.contains("other sensors")),
        "{cache_use:?}"
    );
}

#[test]
fn tables_that_have_settled_are_hashed_once_more_and_then_no_longer() {
    let fixture = Fixture::new();
    let options = ReadOptions::default();
    let index = || fs::read(fixture.root().join(INDEX)).unwrap();
    open(&fixture, &options);
    let young = index();
    // Written a moment ago, tables are hashed, and times that prove nothing are not stated anew.
    assert_eq!(open(&fixture, &options).1, CacheUse::Read);
    assert_eq!(index(), young);
    std::thread::sleep(Duration::from_millis(2100));
    assert_eq!(open(&fixture, &options).1, CacheUse::Read);
    let settled = index();
    assert_ne!(settled, young);
    assert_eq!(open(&fixture, &options).1, CacheUse::Read);
    assert_eq!(index(), settled);
}
