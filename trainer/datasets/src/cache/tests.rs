use super::*;
use crate::GroundTruth;
use crate::check::{Inspect, check};
use pilotis_spec::{Box3d, Point};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// Samples of different sizes, one of them empty.
struct Made(Vec<Sample>);

impl Made {
    fn new(n: usize) -> Self {
        let sample = |idx: usize| Sample {
            name: format!("sample/{idx} \u{e4}"),
            points: (0..idx * 10).map(|k| point(k as f32 + idx as f32 / 8.0)).collect(),
            objects: (0..idx % 3).map(|k| object(idx, k)).collect(),
        };
        Self((0..n).map(sample).collect())
    }
}

fn point(v: f32) -> Point {
    Point { x: v, y: -v, z: v * 0.5, intensity: 0.25, time_lag: v * 0.125 }
}

fn object(idx: usize, k: usize) -> GroundTruth {
    GroundTruth {
        class_name: ["car", "person_sitting"][k % 2].to_owned(),
        bbox: Box3d { center: [idx as f32, k as f32, 1.0], size: [4.0, 2.0, 1.5], yaw: -0.5 },
        velocity: [1.5, -2.5],
        n_points: 7,
        occlusion: 2,
        difficult: k == 1,
    }
}

impl Dataset for Made {
    fn n_samples(&self) -> usize {
        self.0.len()
    }

    fn name(&self, idx: usize) -> &str {
        &self.0[idx].name
    }

    fn load(&self, idx: usize) -> anyhow::Result<Sample> {
        anyhow::ensure!(self.0[idx].name != "broken", "sample {idx} is broken");
        Ok(self.0[idx].clone())
    }
}

impl Inspect for Made {
    fn kind(&self) -> Kind {
        Kind::Kitti
    }
}

fn written(n: usize, shard_bytes: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("cache");
    let converted = write_cache(&Made::new(n), &root, shard_bytes, &|| {}).unwrap();
    let n_objects = (0..n).map(|idx| idx as u64 % 3).sum();
    assert_eq!((converted.n_samples, converted.n_objects), (n as u64, n_objects));
    (folder, root)
}

fn names_in(root: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn samples_come_back_as_they_were_to_the_bit() {
    // Shards of a few samples, and more samples than are read at once.
    let (_folder, root) = written(70, 20_000);
    let cache = CachedDataset::open(&root).unwrap();
    let made = Made::new(70);
    assert_eq!(cache.n_samples(), 70);
    for idx in (0..70).rev() {
        assert_eq!(cache.name(idx), made.name(idx));
        assert_eq!(cache.load(idx).unwrap(), made.0[idx]);
    }
    assert!(names_in(&root).len() > 10, "{:?}", names_in(&root));
    assert!(cache.load(70).unwrap_err().to_string().contains("no sample 70"));
    assert_eq!(cache.name(70), "");
    assert_eq!(cache.convention(), Some(Convention::KITTI));
    assert!(check(&cache, &|| {}).is_sound());
}

#[test]
fn the_same_samples_give_the_same_bytes_for_any_number_of_threads() {
    let run = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        let (folder, root) = pool.install(|| written(70, 20_000));
        let files: Vec<Vec<u8>> = names_in(&root).iter().map(|n| fs::read(root.join(n)).unwrap()).collect();
        drop(folder);
        files
    };
    assert_eq!(run(1), run(4));
}

#[test]
fn any_byte_that_changed_is_noticed() {
    let (_folder, root) = written(4, 1000);
    for name in names_in(&root).into_iter().filter(|n| n.ends_with(".bin")) {
        let path = root.join(&name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let is_noticed = CachedDataset::open(&root)
                .map_or(true, |cache| (0..cache.n_samples()).any(|idx| cache.load(idx).is_err()));
            assert!(is_noticed, "byte {at} of {name}");
        }
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        let error = CachedDataset::open(&root).unwrap_err().to_string();
        assert!(error.contains(&name) && error.contains("convert again"), "{error}");
        fs::write(&path, &good).unwrap();
    }
    CachedDataset::open(&root).unwrap();
}

#[test]
fn other_versions_and_lists_that_do_not_fit_are_refused() {
    let (_folder, root) = written(4, 1000);
    let path = root.join(CACHE_FILE);
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, said) in [
        ("\"version\": 1", "\"version\": 2", "version 2"),
        ("\"n_samples\": 4,\n  \"shards\"", "\"n_samples\": 5,\n  \"shards\"", "5 samples"),
        ("shard-00000.bin", "../shard-00000.bin", "no name of a shard"),
        ("shard-00000.bin", "shard-00009.bin", "shard-00009.bin"),
        ("\"source\"", "\"sauce\"", "sauce"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        fs::write(&path, bad).unwrap();
        let error = CachedDataset::open(&root).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_sample_that_cannot_be_read_leaves_no_cache() {
    let folder = tempfile::tempdir().unwrap();
    let mut made = Made::new(5);
    made.0[3].name = "broken".to_owned();
    let root = folder.path().join("cache");
    let error = write_cache(&made, &root, 1000, &|| {}).unwrap_err().to_string();
    assert!(error.contains("sample 3 is broken"), "{error}");
    assert!(names_in(folder.path()).is_empty());
    // And one that is there is not written over.
    fs::create_dir(&root).unwrap();
    fs::write(root.join("precious"), b"x").unwrap();
    assert!(write_cache(&Made::new(1), &root, 1000, &|| {}).is_err());
    assert_eq!(names_in(&root), ["precious"]);
}

#[test]
fn a_list_that_counts_a_shard_wrongly_is_refused() {
    // The sum over the shards is right.
    let (_folder, root) = written(4, 300);
    let path = root.join(CACHE_FILE);
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let shards = index["shards"].as_array_mut().unwrap();
    assert!(shards.len() >= 2, "{shards:?}");
    for (shard, more) in shards.iter_mut().zip([1, -1]) {
        shard["n_samples"] = (shard["n_samples"].as_i64().unwrap() + more).into();
    }
    fs::write(&path, index.to_string()).unwrap();
    let error = CachedDataset::open(&root).unwrap_err().to_string();
    assert!(error.contains("shard-00000.bin") && error.contains("are listed"), "{error}");
}

#[test]
fn bytes_behind_a_sample_make_it_none() {
    let mut bytes = Vec::new();
    bytes::put_sample(&mut bytes, &Made::new(3).0[2]);
    assert!(bytes::Reader(&bytes).sample(String::new()).is_some());
    bytes.push(0);
    assert!(bytes::Reader(&bytes).sample(String::new()).is_none());
}

proptest! {
    #[test]
    fn bytes_that_are_no_sample_are_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let sample = bytes::Reader(&bytes).sample("a".to_owned());
        if let Some(sample) = sample {
            let mut again = Vec::new();
            bytes::put_sample(&mut again, &sample);
            prop_assert_eq!(again.len(), bytes.len());
        }
    }

    #[test]
    fn counts_are_not_believed(n_points in any::<u32>(), n_objects in any::<u32>(), rest in 0usize..100) {
        let mut bytes = [n_points.to_le_bytes(), n_objects.to_le_bytes()].concat();
        bytes.resize(8 + rest, 0);
        let fits = n_points as usize * 20 == rest && n_objects == 0;
        prop_assert_eq!(bytes::Reader(&bytes).sample(String::new()).is_some(), fits);
    }
}
