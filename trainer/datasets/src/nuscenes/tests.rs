//! Tests of the tables as a whole.

use super::*;
use crate::nuscenes::fixture::Fixture;

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
