use super::*;

fn file() -> PlanFile {
    let plan = b"the plan of a library".to_vec();
    let key = PlanKey {
        onnx_sha256: "ab".repeat(32),
        library: "TensorRT for RTX 1.7.1.116".to_owned(),
        precision: "fp16".to_owned(),
        targets: vec![89, 120],
        canvas: "channels_last_by_8".to_owned(),
    };
    let header = PlanHeader {
        model: "street".to_owned(),
        package: "cd".repeat(32),
        key,
        plan_sha256: sha256_hex(&plan),
        plan_bytes: plan.len() as u64,
        build_ms: 412,
    };
    PlanFile { header, plan }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_kept_plan_comes_back_and_is_its_owners_alone() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path().join("plans"));
    assert_eq!(cache.get(&file().header.key), None);
    let path = cache.put(&file()).unwrap();
    assert_eq!(cache.get(&file().header.key), Some(file()));
    assert_eq!((mode(&path), mode(&root.path().join("plans"))), (0o600, 0o700));
    // Kept again, over the first.
    cache.put(&file()).unwrap();
    assert_eq!(fs::read_dir(root.path().join("plans")).unwrap().count(), 1);
}

#[test]
fn every_part_of_a_key_makes_another_digest() {
    let key = file().header.key;
    let changes: [&dyn Fn(&mut PlanKey); 6] = [
        &|k| k.onnx_sha256 = "ac".repeat(32),
        &|k| k.library.push('7'),
        &|k| k.precision = "fp32".to_owned(),
        &|k| k.targets = vec![89],
        &|k| k.targets = vec![8, 9120],
        &|k| k.canvas = "planes".to_owned(),
    ];
    let mut digests: Vec<_> = changes
        .iter()
        .map(|change| {
            let mut other = key.clone();
            change(&mut other);
            other.digest()
        })
        .collect();
    digests.push(key.digest());
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 7);
}

#[test]
fn a_plan_that_was_changed_is_not_loaded() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path());
    let path = cache.put(&file()).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in [0, 20, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(cache.get(&file().header.key), None, "byte {at}");
    }
    for n in [0, 10, 60, whole.len() - 1] {
        fs::write(&path, &whole[..n]).unwrap();
        assert_eq!(cache.get(&file().header.key), None, "{n} bytes");
    }
    fs::write(&path, &whole).unwrap();
    assert!(cache.get(&file().header.key).is_some());
}

#[test]
fn a_plan_under_another_keys_name_is_not_loaded() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path());
    let other = PlanKey { precision: "fp32".to_owned(), ..file().header.key };
    fs::rename(cache.put(&file()).unwrap(), cache.path(&other)).unwrap();
    assert_eq!(cache.get(&other), None);
}

#[test]
fn a_plan_that_others_may_write_to_is_not_loaded() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path());
    let path = cache.put(&file()).unwrap();
    for (bad, is_loaded) in [(0o666, false), (0o620, false), (0o644, true), (0o600, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bad)).unwrap();
        assert_eq!(cache.get(&file().header.key).is_some(), is_loaded, "{bad:o}");
    }
    let error = {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o606)).unwrap();
        PlanFile::read(&path).unwrap_err().to_string()
    };
    assert!(error.contains("606") && error.contains("code"), "{error}");
}

#[test]
fn kernels_are_kept_by_plan_and_card() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path().join("plans"));
    let key = file().header.key;
    assert!(cache.kernels(&key, "RTX 4070").is_empty());
    cache.put_kernels(&key, "RTX 4070", b"kernels").unwrap();
    assert_eq!(cache.kernels(&key, "RTX 4070"), b"kernels");
    assert!(cache.kernels(&key, "RTX 4090").is_empty());
    // Kernels are code as well.
    let path = cache.kernels_path(&key, "RTX 4070");
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
    assert!(cache.kernels(&key, "RTX 4070").is_empty());
}

#[test]
fn a_plan_of_someone_else_is_not_loaded() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path());
    let path = cache.put(&file()).unwrap();
    cache.put_kernels(&file().header.key, "RTX 4070", b"kernels").unwrap();
    let kernels = cache.kernels_path(&file().header.key, "RTX 4070");
    for path in [&path, &kernels] {
        if let Err(e) = std::os::unix::fs::chown(path, Some(54_321), None) {
            println!("skipped: only root gives files away: {e}");
            return;
        }
    }
    assert_eq!(cache.get(&file().header.key), None);
    assert!(cache.kernels(&file().header.key, "RTX 4070").is_empty());
    let error = PlanFile::read(&path).unwrap_err().to_string();
    assert!(error.contains("54321") && error.contains("code"), "{error}");
}

#[test]
fn a_plan_is_replaced_whole_and_never_written_over() {
    let root = tempfile::tempdir().unwrap();
    let cache = PlanCache::at(root.path());
    let path = cache.put(&file()).unwrap();
    // Who has the old file open goes on reading the old file: a second name shows it.
    let held = root.path().join("held");
    fs::hard_link(&path, &held).unwrap();
    let mut other = file();
    other.header.build_ms += 1;
    cache.put(&other).unwrap();
    assert_eq!(PlanFile::read(&held).unwrap(), file());
    assert_eq!(cache.get(&file().header.key), Some(other));
}
