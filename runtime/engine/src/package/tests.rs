use super::*;
use pilotis_spec::golden::GoldenTensor;
use pilotis_spec::manifest::CARD_FILE;
use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::fs::File;
use tempfile::TempDir;

const KITTI: &str = include_str!("../../../spec/tests/kitti_manifest.toml");
const HEAD_FILE: &str = "head.fp32.onnx";
const INPUT_FILE: &str = "golden/input.bin";

type Files = BTreeMap<String, Vec<u8>>;

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn encoder_file(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// Weight `[out, in]` of row * 100 + column, bias of minus its index.
fn encoder_with(n_in: usize, n_out: usize) -> Vec<u8> {
    let weight: Vec<f32> = (0..n_in * n_out).map(|i| (i / n_in * 100 + i % n_in) as f32).collect();
    let bias: Vec<f32> = (0..n_out).map(|i| -(i as f32)).collect();
    encoder_file(&[
        ("pfn.0.weight", Dtype::F32, vec![n_out, n_in], bytes_of(&weight)),
        ("pfn.0.bias", Dtype::F32, vec![n_out], bytes_of(&bias)),
    ])
}

fn golden() -> Golden {
    let tensor =
        |name: &str| GoldenTensor { name: name.to_owned(), idx: vec![0, 7], values: vec![0.5, -1.5] };
    Golden {
        input: INPUT_FILE.to_owned(),
        n_points: 3,
        n_points_kept: 2,
        n_pillars: 1,
        pillars_sha256: "a".repeat(64),
        canvas_sha256: "b".repeat(64),
        head_tolerance: 1e-3,
        tensors: vec![tensor("cls_0"), tensor("box_0"), tensor("dir_0")],
        boxes: vec![],
    }
}

/// Every file but manifest and digests.
fn parts() -> Files {
    BTreeMap::from([
        (ENCODER_FILE.to_owned(), encoder_with(10, 64)),
        (HEAD_FILE.to_owned(), b"a network".to_vec()),
        (GOLDEN_FILE.to_owned(), toml::to_string(&golden()).unwrap().into_bytes()),
        (INPUT_FILE.to_owned(), bytes_of(&[1.0; 12])),
    ])
}

/// The sample manifest with the digests of the parts.
fn manifest_of(parts: &Files) -> String {
    let head = KITTI.split("[files]").next().unwrap();
    let lines: Vec<_> = parts.iter().map(|(p, b)| format!("\"{p}\" = \"{}\"\n", sha256_hex(b))).collect();
    format!("{head}[files]\n{}", lines.concat())
}

fn digests_of(files: &Files) -> String {
    files.iter().map(|(path, bytes)| format!("{}  {path}\n", sha256_hex(bytes))).collect()
}

fn write(dir: &Path, files: &Files) {
    for (path, bytes) in files {
        let full = dir.join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, bytes).unwrap();
    }
}

/// Writes parts and manifest with digests that hold.
fn sealed(parts: &Files, manifest: &str) -> TempDir {
    let mut files = parts.clone();
    files.insert(MANIFEST_FILE.to_owned(), manifest.as_bytes().to_vec());
    let digests = digests_of(&files);
    files.insert(DIGESTS_FILE.to_owned(), digests.into_bytes());
    files.insert(CARD_FILE.to_owned(), b"# A card\n".to_vec());
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &files);
    dir
}

fn good() -> TempDir {
    sealed(&parts(), &manifest_of(&parts()))
}

fn sealed_with(path: &str, bytes: Vec<u8>) -> TempDir {
    let mut parts = parts();
    parts.insert(path.to_owned(), bytes);
    let manifest = manifest_of(&parts);
    sealed(&parts, &manifest)
}

#[track_caller]
fn assert_refused(dir: &TempDir, kind: BuildErrorKind, said: &str) {
    let error = Package::load(dir.path()).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(said), "`{said}` is not in: {error}");
}

#[test]
fn sha256_is_the_published_one() {
    // FIPS 180-4, example of one block.
    assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[test]
fn a_good_package_gives_what_was_put_in() {
    let dir = good();
    let package = Package::load(dir.path()).unwrap();
    assert_eq!(package.dir(), dir.path());
    assert_eq!(package.manifest().name, "pointpillars-kitti");
    assert_eq!(package.network("fp32").unwrap(), b"a network");
    assert_eq!(package.golden(), Some(&golden()));
    assert_eq!(package.golden_input().unwrap().len(), 48);
    assert_eq!(package.digest(), sha256_hex(&fs::read(dir.path().join(DIGESTS_FILE)).unwrap()));
    let error = package.network("int8").unwrap_err();
    assert!(error.to_string().contains("it has fp32"), "{error}");
}

#[test]
fn encoder_weights_come_out_input_major() {
    let package = Package::load(good().path()).unwrap();
    let [layer] = package.encoder().layers.as_slice() else { unreachable!() };
    assert_eq!((layer.n_in, layer.n_out), (10, 64));
    for input in 0..10 {
        for output in 0..64 {
            let expected = (output * 100 + input) as f32;
            assert_eq!(layer.weight[input * 64 + output].to_bits(), expected.to_bits());
        }
    }
    assert_eq!(layer.bias[63..], [-63.0]);
}

#[test]
fn a_package_without_golden_has_none() {
    let mut parts = parts();
    parts.remove(GOLDEN_FILE);
    parts.remove(INPUT_FILE);
    let dir = sealed(&parts, &manifest_of(&parts));
    let package = Package::load(dir.path()).unwrap();
    assert!(package.golden().is_none() && package.golden_input().is_none());
}

#[test]
fn the_card_may_change_or_go() {
    let dir = good();
    let before = Package::load(dir.path()).unwrap().digest().to_owned();
    fs::write(dir.path().join(CARD_FILE), "edited").unwrap();
    assert_eq!(Package::load(dir.path()).unwrap().digest(), before);
    fs::remove_file(dir.path().join(CARD_FILE)).unwrap();
    assert_eq!(Package::load(dir.path()).unwrap().digest(), before);
}

#[test]
fn a_flipped_byte_or_a_cut_in_any_file_is_a_digest_error() {
    for path in parts().keys().map(String::as_str).chain([MANIFEST_FILE]) {
        let dir = good();
        let full = dir.path().join(path);
        let original = fs::read(&full).unwrap();
        let mut flipped = original.clone();
        flipped[0] ^= 1;
        let cut = original[..original.len() - 1].to_vec();
        let grown = [original.as_slice(), b"x"].concat();
        for damaged in [flipped, cut, grown, vec![]] {
            fs::write(&full, damaged).unwrap();
            assert_refused(&dir, BuildErrorKind::Digest, path);
        }
        fs::write(&full, original).unwrap();
        Package::load(dir.path()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_flipped_byte_of_any_file_gets_through(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        mask in 1_u8..=255,
    ) {
        let dir = good();
        let mut paths: Vec<_> = parts().into_keys().collect();
        paths.extend([MANIFEST_FILE.to_owned(), DIGESTS_FILE.to_owned()]);
        let path = which.get(&paths);
        let full = dir.path().join(path);
        let mut bytes = fs::read(&full).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        fs::write(&full, bytes).unwrap();
        let error = Package::load(dir.path()).unwrap_err();
        if path != DIGESTS_FILE {
            prop_assert_eq!(error.kind(), BuildErrorKind::Digest);
            prop_assert!(error.to_string().contains(path.as_str()));
        }
    }
}

#[test]
fn swapped_files_are_a_digest_error() {
    let dir = good();
    let (a, b) = (dir.path().join(ENCODER_FILE), dir.path().join(HEAD_FILE));
    let (a_bytes, b_bytes) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    fs::write(a, b_bytes).unwrap();
    fs::write(b, a_bytes).unwrap();
    assert_refused(&dir, BuildErrorKind::Digest, ENCODER_FILE);
}

#[test]
fn missing_and_unlisted_files_are_named() {
    for path in parts().keys().map(String::as_str).chain([MANIFEST_FILE]) {
        let dir = good();
        fs::remove_file(dir.path().join(path)).unwrap();
        assert_refused(&dir, BuildErrorKind::Package, &format!("`{path}` is missing"));
    }
    for path in ["notes.txt", "golden/extra.bin", ".hidden", "more/model_card.md"] {
        let dir = good();
        write(dir.path(), &BTreeMap::from([(path.to_owned(), vec![1])]));
        assert_refused(&dir, BuildErrorKind::Package, &format!("`{path}` is not listed"));
    }
    let dir = good();
    fs::write(dir.path().join("a name"), "x").unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "`a name`");
    let dir = good();
    write(dir.path(), &BTreeMap::from([("a/b/c/d/e".to_owned(), vec![1])]));
    assert_refused(&dir, BuildErrorKind::Package, "too deep");
    let dir = good();
    write(dir.path(), &(0..100).map(|i| (format!("n{i}"), vec![])).collect());
    assert_refused(&dir, BuildErrorKind::Package, "more than 64 files");
}

#[test]
fn what_is_no_package_says_so() {
    let dir = tempfile::tempdir().unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "is no model package");
    let absent = dir.path().join("absent");
    assert_eq!(Package::load(&absent).unwrap_err().kind(), BuildErrorKind::Io);
    fs::write(&absent, "x").unwrap();
    assert!(Package::load(&absent).unwrap_err().to_string().contains("no folder"));
}

#[cfg(unix)]
#[test]
fn links_and_sockets_are_refused_even_with_the_right_content() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let elsewhere = tempfile::tempdir().unwrap();
    for path in [ENCODER_FILE, DIGESTS_FILE, CARD_FILE, INPUT_FILE, "golden"] {
        let dir = good();
        let target = elsewhere.path().join(path.replace('/', "_"));
        fs::rename(dir.path().join(path), &target).unwrap();
        symlink(&target, dir.path().join(path)).unwrap();
        assert_refused(&dir, BuildErrorKind::Package, &format!("`{path}` is a symbolic link"));
    }
    let dir = good();
    fs::remove_file(dir.path().join(HEAD_FILE)).unwrap();
    let _socket = UnixListener::bind(dir.path().join(HEAD_FILE)).unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "not a regular file");
    let dir = good();
    fs::remove_file(dir.path().join(HEAD_FILE)).unwrap();
    fs::create_dir(dir.path().join(HEAD_FILE)).unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "is missing");
}

#[test]
fn oversized_files_are_refused_before_they_are_read() {
    let dir = good();
    File::create(dir.path().join(HEAD_FILE)).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "536870913 bytes");
    let dir = good();
    let mut budget = 8;
    assert!(read_file(dir.path(), HEAD_FILE, &mut budget).is_err());
    let mut budget = 10;
    read_file(dir.path(), HEAD_FILE, &mut budget).unwrap();
    assert_eq!(budget, 1, "nine bytes were read");
}

#[test]
fn malformed_lists_are_refused_at_their_line() {
    let dir = good();
    let list = dir.path().join(DIGESTS_FILE);
    let text = fs::read_to_string(&list).unwrap();
    let first = text.lines().next().unwrap();
    let zeros = "0".repeat(64);
    let manifest_line = text.lines().find(|l| l.ends_with(MANIFEST_FILE)).unwrap();
    let cases = [
        (String::new(), "empty"),
        (text.trim_end().to_owned(), "newline"),
        (format!("{text}{first}\n"), "stands twice"),
        (format!("{text}{zeros}  ../secret\n"), "line 6: `../secret` is not a path inside"),
        (format!("{text}{zeros}  /etc/passwd\n"), "not a path inside"),
        (format!("{text}{zeros}  a\\b\n"), "not a path inside"),
        (format!("{text}{zeros}  {DIGESTS_FILE}\n"), "cannot be listed"),
        (format!("{text}{zeros}  {CARD_FILE}\n"), "cannot be listed"),
        (format!("{text}{zeros}  absent.bin\n"), "`absent.bin` is missing"),
        (format!("{text}\n"), "line 6"),
        (text.replace('\n', "\r\n"), "line 1"),
        (text.replace("  ", " *"), "is not `SHA-256  PATH`"),
        (text.to_uppercase(), "is not `SHA-256  PATH`"),
        (text.replace(&format!("{manifest_line}\n"), ""), "does not list manifest.toml"),
    ];
    for (changed, said) in cases {
        fs::write(&list, changed).unwrap();
        assert_refused(&dir, BuildErrorKind::Package, said);
    }
    fs::write(&list, [0xff, 0xfe, b'\n']).unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "no text");
    let many: String = (0..65).map(|i| format!("{zeros}  n{i}\n")).collect();
    fs::write(&list, many).unwrap();
    assert_refused(&dir, BuildErrorKind::Package, "lists 65 files");
}

#[test]
fn manifests_that_contradict_the_folder_are_refused() {
    let parts = parts();
    let manifest = manifest_of(&parts);
    let cases = [
        (manifest.replace("schema_version = 1", "schema_version = 2"), "schema 2"),
        (manifest.replace("channels = [64]", "channels = [63]"), "bev.channels"),
        ("no manifest".to_owned(), "manifest.toml"),
        (manifest.replace("pedestrian", "\u{fffd}"), "manifest.toml"),
    ];
    for (text, said) in cases {
        assert_refused(&sealed(&parts, &text), BuildErrorKind::Package, said);
    }
    let other = manifest.replace(&sha256_hex(b"a network"), &"0".repeat(64));
    assert_refused(&sealed(&parts, &other), BuildErrorKind::Mismatch, "two packages are mixed");
    let absent = format!("{manifest}\"absent.bin\" = \"{}\"\n", "0".repeat(64));
    assert_refused(&sealed(&parts, &absent), BuildErrorKind::Mismatch, "`absent.bin`");
    let wider = manifest.replace("channels = [64]", "channels = [128]");
    assert_refused(&sealed(&parts, &wider), BuildErrorKind::Mismatch, "wants [128, 10]");
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let weight = |v: f32| bytes_of(&[v; 640]);
    let bias = || ("pfn.0.bias", Dtype::F32, vec![64], bytes_of(&[0.0; 64]));
    let w = |shape: [usize; 2], data| ("pfn.0.weight", Dtype::F32, shape.to_vec(), data);
    let cases = [
        (b"no tensors".to_vec(), "no safetensors"),
        (encoder_with(11, 64), "[64, 11]"),
        (encoder_file(&[w([10, 64], weight(0.0)), bias()]), "[10, 64]"),
        (encoder_file(&[w([64, 10], weight(f32::NAN)), bias()]), "NaN at 0"),
        (encoder_file(&[w([64, 10], weight(f32::INFINITY)), bias()]), "inf at 0"),
        (encoder_file(&[w([64, 10], weight(0.0))]), "pfn.0.bias"),
        (encoder_file(&[("pfn.0.weight", Dtype::I32, vec![64, 10], weight(0.0)), bias()]), "is I32, not F32"),
        (
            encoder_file(&[
                w([64, 10], weight(0.0)),
                bias(),
                ("pfn.1.bias", Dtype::F32, vec![1], vec![0; 4]),
            ]),
            "holds `pfn.1.bias`",
        ),
    ];
    for (bytes, said) in cases {
        assert_refused(&sealed_with(ENCODER_FILE, bytes), BuildErrorKind::Mismatch, said);
    }
    let error = Package::load(sealed_with(ENCODER_FILE, vec![]).path()).unwrap_err();
    assert_eq!(error.stage(), Some(Stage::Bev));
}

#[test]
fn goldens_that_do_not_fit_are_refused() {
    type Edit = fn(&mut Golden);
    let cases: [(Edit, &str); 13] = [
        (|g| g.input = "../input.bin".to_owned(), "not in the package"),
        (|g| g.n_points = 4, "64 bytes"),
        (|g| g.n_points_kept = 4, "cannot be"),
        (|g| g.n_pillars = 3, "cannot be"),
        (|g| g.pillars_sha256 = String::new(), "pillars_sha256"),
        (|g| g.canvas_sha256.make_ascii_uppercase(), "canvas_sha256"),
        (|g| g.head_tolerance = -1.0, "tolerance"),
        (|g| g.tensors[0].name = "cls_9".to_owned(), "`cls_0` stands 0 times"),
        (|g| g.tensors.push(GoldenTensor { name: "x".to_owned(), ..g.tensors[0].clone() }), "`x`"),
        (|g| g.tensors[1].idx[1] = 42 * 248 * 216, "none at 2249856"),
        (|g| g.tensors[1].values.truncate(1), "2 indices and 1 values"),
        (|g| g.tensors[2].values[0] = f32::NAN, "not finite"),
        (
            |g| g.boxes.push(pilotis_spec::Detection { class_idx: 3, ..Default::default() }),
            "none of the 3 classes",
        ),
    ];
    for (edit, said) in cases {
        let mut edited = golden();
        edit(&mut edited);
        let text = toml::to_string(&edited).unwrap();
        assert_refused(&sealed_with(GOLDEN_FILE, text.into_bytes()), BuildErrorKind::Mismatch, said);
    }
    assert_refused(&sealed_with(GOLDEN_FILE, vec![0xff]), BuildErrorKind::Mismatch, "UTF-8");
    assert_refused(&sealed_with(GOLDEN_FILE, b"x = 1".to_vec()), BuildErrorKind::Mismatch, GOLDEN_FILE);
}
