//! Package: a model folder, read once, hashed, and only then understood.
//!
//! [`Package::load`] trusts `package.sha256` and nothing else: every other file is read into
//! memory once, its digest compared, and what is parsed afterwards are those same bytes. So no
//! parser meets a byte that was not vouched for, and no file can change between check and use.
//! The digests guard against damage and mix-ups; they are no signature.

use crate::error::{BuildError, BuildErrorKind};
use pilotis_spec::manifest::{CARD_FILE, DIGESTS_FILE, ENCODER_FILE, MANIFEST_FILE, is_inside};
use pilotis_spec::{EncoderSpec, Golden, Manifest, Stage, golden::GOLDEN_FILE};
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that a package may hold.
pub const MAX_FILE_BYTES: u64 = 512 << 20;
/// Most bytes that all files of a package may hold together.
pub const MAX_PACKAGE_BYTES: u64 = 1 << 30;
/// Most files that a package may hold.
pub const MAX_FILES: usize = 64;
/// Most folders one inside the other.
const MAX_DEPTH: usize = 4;
/// Most boxes of a golden.
const MAX_GOLDEN_BOXES: usize = 50;

/// A model package, checked and in memory.
#[derive(Clone, Debug)]
pub struct Package {
    dir: PathBuf,
    digest: String,
    manifest: Manifest,
    encoder: EncoderWeights,
    golden: Option<Golden>,
    files: BTreeMap<String, Vec<u8>>,
}

/// The weights of the pillar feature network, laid out for the kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderWeights {
    /// One linear map a layer, first to last.
    pub layers: Vec<LinearWeights>,
}

/// A linear map with its BatchNorm folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearWeights {
    /// Values in.
    pub n_in: usize,
    /// Values out.
    pub n_out: usize,
    /// `[in, out]`, so that the outputs of one input lie side by side.
    pub weight: Vec<f32>,
    /// `[out]`.
    pub bias: Vec<f32>,
}

impl Package {
    /// Reads and checks a package folder.
    ///
    /// The folder holds `package.sha256` and exactly the files it lists, as regular files; only
    /// the model card may stand beside them, unlisted and never read.
    ///
    /// **Errors**: a file that is missing, unlisted, linked, too large or not as recorded, a
    /// manifest that contradicts itself or the folder, weights that do not fit it; the error
    /// names folder and file. Digests come before contents: damage is
    /// [`BuildErrorKind::Digest`], whatever it would have parsed to.
    pub fn load(dir: &Path) -> Result<Self, BuildError> {
        let is_folder = fs::metadata(dir).map_err(|e| BuildError::io(dir, "open", e))?.is_dir();
        if !is_folder {
            return Err(refuse(dir, "is no folder; give the folder that holds manifest.toml"));
        }
        let mut found = BTreeSet::new();
        list_files(dir, "", 0, &mut found)?;
        if !found.contains(DIGESTS_FILE) {
            return Err(refuse(
                dir,
                format!(
                    "has no {DIGESTS_FILE}, so it is no model package; `pilotis-trainer export` writes one"
                ),
            ));
        }
        let mut budget = MAX_PACKAGE_BYTES;
        let digests_bytes = read_file(dir, DIGESTS_FILE, &mut budget)?;
        let digests = parse_digests(&digests_bytes).map_err(|what| refuse(dir, what))?;
        compare_listing(&digests, &found).map_err(|what| refuse(dir, what))?;

        let mut files = BTreeMap::new();
        for (path, recorded) in &digests {
            let bytes = read_file(dir, path, &mut budget)?;
            let got = sha256_hex(&bytes);
            if got != *recorded {
                return Err(BuildError::new(
                    BuildErrorKind::Digest,
                    format!(
                        "package `{}`: `{path}` has SHA-256 {got}, {DIGESTS_FILE} records {recorded}: \
                         it was changed or damaged; copy or export the package again",
                        dir.display()
                    ),
                ));
            }
            files.insert(path.clone(), bytes);
        }
        // From here on every byte is the one that was hashed.
        let text = utf8(&files, MANIFEST_FILE).map_err(|what| refuse(dir, what))?;
        let manifest = Manifest::from_toml(text)
            .map_err(|e| refuse(dir, format!("{MANIFEST_FILE}: {e}")).caused_by(e))?;
        compare_manifest(&manifest, &digests).map_err(|what| mismatch(dir, what))?;
        let encoder = files
            .get(ENCODER_FILE)
            .ok_or_else(|| format!("{ENCODER_FILE} is missing"))
            .and_then(|bytes| EncoderWeights::from_safetensors(bytes, &manifest.bev))
            .map_err(|what| mismatch(dir, what).at(Stage::Bev))?;
        let golden = match files.contains_key(GOLDEN_FILE) {
            true => Some(read_golden(&files, &manifest).map_err(|what| mismatch(dir, what))?),
            false => None,
        };
        let digest = sha256_hex(&digests_bytes);
        Ok(Self { dir: dir.to_owned(), digest, manifest, encoder, golden, files })
    }

    /// The self-description.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The encoder's weights.
    pub fn encoder(&self) -> &EncoderWeights {
        &self.encoder
    }

    /// The bytes of the network of a precision (`fp32`, ...).
    ///
    /// **Errors**: a precision that the package does not carry; the error lists those it does.
    pub fn network(&self, precision: &str) -> Result<&[u8], BuildError> {
        let file = self.manifest.networks.get(precision).ok_or_else(|| {
            let known: Vec<_> = self.manifest.networks.keys().map(String::as_str).collect();
            mismatch(&self.dir, format!("has no `{precision}` network; it has {}", known.join(", ")))
                .at(Stage::Head)
        })?;
        self.file(file).ok_or_else(|| mismatch(&self.dir, format!("`{file}` is missing")).at(Stage::Head))
    }

    /// What every stage must answer to the golden input, where the package carries one.
    pub fn golden(&self) -> Option<&Golden> {
        self.golden.as_ref()
    }

    /// The golden input, a cloud in the manifest's layout.
    pub fn golden_input(&self) -> Option<&[u8]> {
        self.file(&self.golden.as_ref()?.input)
    }

    /// The bytes of any file that the package lists.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// The folder it was read from.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The package's identity: the SHA-256 of its `package.sha256`, in lower-case hex.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl EncoderWeights {
    /// Reads weights and checks them against the specification.
    ///
    /// **Errors**: a text without the place of the file: names, shapes or types that are not
    /// those of [`EncoderSpec`], or values that are not finite.
    fn from_safetensors(bytes: &[u8], spec: &EncoderSpec) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes)
            .map_err(|e| format!("{ENCODER_FILE} is no safetensors file: {e}"))?;
        let shapes = spec.linear_shapes();
        let expected: BTreeSet<String> =
            (0..shapes.len()).flat_map(|i| [format!("pfn.{i}.weight"), format!("pfn.{i}.bias")]).collect();
        if let Some(extra) = tensors.names().into_iter().find(|name| !expected.contains(*name)) {
            return Err(format!(
                "{ENCODER_FILE} holds `{extra}`, which the {} layers of bev.channels do not have",
                shapes.len()
            ));
        }
        let mut layers = Vec::with_capacity(shapes.len());
        for (i, (n_in, n_out)) in shapes.into_iter().enumerate() {
            let rows = read_f32(&tensors, &format!("pfn.{i}.weight"), &[n_out, n_in])?;
            let bias = read_f32(&tensors, &format!("pfn.{i}.bias"), &[n_out])?;
            let mut weight = Vec::with_capacity(rows.len());
            for input in 0..n_in {
                weight.extend(rows.iter().skip(input).step_by(n_in));
            }
            layers.push(LinearWeights { n_in, n_out, weight, bias });
        }
        Ok(Self { layers })
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digest = Sha256::digest(bytes);
    digest.iter().flat_map(|b| [HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]).collect()
}

/// Reads the lines of a `package.sha256`: 64 hex digits, two spaces, a path inside the package.
///
/// **Errors**: a text without the place of the package: a line of another form, a path that
/// leaves the package or stands twice, or a list without the manifest.
pub fn parse_digests(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{DIGESTS_FILE} is no text"))?;
    let Some(lines) = text.strip_suffix('\n') else {
        return Err(format!("{DIGESTS_FILE} is empty or lacks its last newline: it is cut off"));
    };
    let mut digests = BTreeMap::new();
    for (i, line) in lines.split('\n').enumerate() {
        let place = format!("{DIGESTS_FILE} line {}", i + 1);
        let is_hex = |d: &str| d.len() == 64 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (digest, path) = line
            .split_once("  ")
            .filter(|(digest, _)| is_hex(digest))
            .ok_or_else(|| format!("{place}: `{}` is not `SHA-256  PATH`", line.escape_debug()))?;
        if !is_inside(path) {
            return Err(format!("{place}: `{}` is not a path inside the package", path.escape_debug()));
        }
        if path == DIGESTS_FILE || path == CARD_FILE {
            return Err(format!("{place}: `{path}` cannot be listed"));
        }
        if digests.insert(path.to_owned(), digest.to_owned()).is_some() {
            return Err(format!("{place}: `{path}` stands twice"));
        }
    }
    if digests.len() > MAX_FILES {
        return Err(format!(
            "{DIGESTS_FILE} lists {} files; a package has at most {MAX_FILES}",
            digests.len()
        ));
    }
    if !digests.contains_key(MANIFEST_FILE) {
        return Err(format!("{DIGESTS_FILE} does not list {MANIFEST_FILE}"));
    }
    Ok(digests)
}

fn refuse(dir: &Path, what: impl AsRef<str>) -> BuildError {
    BuildError::new(BuildErrorKind::Package, format!("package `{}`: {}", dir.display(), what.as_ref()))
}

fn mismatch(dir: &Path, what: impl AsRef<str>) -> BuildError {
    BuildError::new(BuildErrorKind::Mismatch, format!("package `{}`: {}", dir.display(), what.as_ref()))
}

/// Collects the regular files below `dir`; refuses everything that is neither file nor folder.
fn list_files(dir: &Path, below: &str, depth: usize, found: &mut BTreeSet<String>) -> Result<(), BuildError> {
    let folder = dir.join(below);
    for entry in fs::read_dir(&folder).map_err(|e| BuildError::io(&folder, "list", e))? {
        let entry = entry.map_err(|e| BuildError::io(&folder, "list", e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = if below.is_empty() { name.into_owned() } else { format!("{below}/{name}") };
        // Of the entry itself: links are not followed.
        let kind = entry.file_type().map_err(|e| BuildError::io(&entry.path(), "inspect", e))?;
        if !is_inside(&path) {
            return Err(refuse(
                dir,
                format!("holds `{}`, a name that no package file has; remove it", path.escape_debug()),
            ));
        }
        if kind.is_dir() {
            if depth + 1 >= MAX_DEPTH {
                return Err(refuse(dir, format!("folder `{path}` lies too deep; remove it")));
            }
            list_files(dir, &path, depth + 1, found)?;
        } else if kind.is_file() {
            found.insert(path);
        } else {
            let what = if kind.is_symlink() { "a symbolic link" } else { "not a regular file" };
            return Err(refuse(dir, format!("`{path}` is {what}; put the file itself there")));
        }
        // Card and digests are not among the listed ones.
        if found.len() > MAX_FILES + 2 {
            return Err(refuse(dir, format!("holds more than {MAX_FILES} files")));
        }
    }
    Ok(())
}

/// Every listed file exists, and every existing file is listed.
fn compare_listing(digests: &BTreeMap<String, String>, found: &BTreeSet<String>) -> Result<(), String> {
    if let Some(missing) = digests.keys().find(|path| !found.contains(*path)) {
        return Err(format!("`{missing}` is missing; copy or export the package again"));
    }
    let is_known = |path: &str| path == DIGESTS_FILE || path == CARD_FILE || digests.contains_key(path);
    if let Some(extra) = found.iter().find(|path| !is_known(path)) {
        return Err(format!(
            "`{extra}` is not listed in {DIGESTS_FILE}; remove it (only {CARD_FILE} may stand unlisted)"
        ));
    }
    Ok(())
}

/// Reads a file whole and takes its size off the budget.
fn read_file(dir: &Path, path: &str, budget: &mut u64) -> Result<Vec<u8>, BuildError> {
    let full = dir.join(path);
    let file = File::open(&full).map_err(|e| BuildError::io(&full, "open", e))?;
    let metadata = file.metadata().map_err(|e| BuildError::io(&full, "inspect", e))?;
    if !metadata.is_file() {
        return Err(refuse(dir, format!("`{path}` is not a regular file")));
    }
    let cap = MAX_FILE_BYTES.min(*budget);
    let too_large = |n_bytes: u64| {
        refuse(
            dir,
            format!(
                "`{path}` has {n_bytes} bytes; a file may have {MAX_FILE_BYTES}, all together {MAX_PACKAGE_BYTES}"
            ),
        )
    };
    if metadata.len() > cap {
        return Err(too_large(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read; the cap holds all the same.
    let n_bytes =
        file.take(cap + 1).read_to_end(&mut bytes).map_err(|e| BuildError::io(&full, "read", e))? as u64;
    *budget = budget.checked_sub(n_bytes).filter(|_| n_bytes <= cap).ok_or_else(|| too_large(n_bytes))?;
    Ok(bytes)
}

fn utf8<'a>(files: &'a BTreeMap<String, Vec<u8>>, path: &str) -> Result<&'a str, String> {
    let bytes = files.get(path).ok_or_else(|| format!("`{path}` is missing"))?;
    std::str::from_utf8(bytes).map_err(|e| format!("`{path}` is no UTF-8 text: {e}"))
}

/// The manifest's digests are those of the list.
fn compare_manifest(manifest: &Manifest, digests: &BTreeMap<String, String>) -> Result<(), String> {
    for (path, digest) in &manifest.files {
        match digests.get(path) {
            None => return Err(format!("{MANIFEST_FILE} speaks of `{path}`, {DIGESTS_FILE} does not")),
            Some(listed) if listed != digest => {
                return Err(format!(
                    "`{path}` is {digest} in {MANIFEST_FILE} and {listed} in {DIGESTS_FILE}: \
                     files of two packages are mixed; export again"
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn read_f32(tensors: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let tensor = tensors.tensor(name).map_err(|e| format!("{ENCODER_FILE}: `{name}`: {e}"))?;
    if tensor.dtype() != Dtype::F32 {
        return Err(format!("{ENCODER_FILE}: `{name}` is {:?}, not F32", tensor.dtype()));
    }
    if tensor.shape() != shape {
        return Err(format!(
            "{ENCODER_FILE}: `{name}` is {:?}, the manifest's bev wants {shape:?}",
            tensor.shape()
        ));
    }
    let (chunks, _) = tensor.data().as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|b| f32::from_le_bytes(*b)).collect();
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(format!("{ENCODER_FILE}: `{name}` has {} at {i}; the training diverged", values[i])),
        None => Ok(values),
    }
}

/// Reads the golden and checks it against manifest and folder.
fn read_golden(files: &BTreeMap<String, Vec<u8>>, manifest: &Manifest) -> Result<Golden, String> {
    let text = utf8(files, GOLDEN_FILE)?;
    let golden: Golden = toml::from_str(text).map_err(|e| format!("{GOLDEN_FILE}: {e}"))?;
    let wrong = |what: String| Err(format!("{GOLDEN_FILE}: {what}"));
    let Some(input) = files.get(&golden.input) else {
        return wrong(format!("its input `{}` is not in the package", golden.input.escape_debug()));
    };
    let n_bytes = u64::from(golden.n_points) * manifest.points.layout.stride_bytes() as u64;
    if input.len() as u64 != n_bytes {
        return wrong(format!(
            "{} points of layout {} are {n_bytes} bytes, `{}` has {}",
            golden.n_points,
            manifest.points.layout,
            golden.input,
            input.len()
        ));
    }
    if golden.n_points_kept > golden.n_points || golden.n_pillars > golden.n_points_kept {
        return wrong(format!(
            "{} pillars of {} kept of {} points cannot be",
            golden.n_pillars, golden.n_points_kept, golden.n_points
        ));
    }
    for (name, digest) in
        [("pillars_sha256", &golden.pillars_sha256), ("canvas_sha256", &golden.canvas_sha256)]
    {
        if digest.len() != 64 || !digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return wrong(format!("{name} is no SHA-256"));
        }
    }
    if !(golden.head_tolerance.is_finite() && golden.head_tolerance >= 0.0) {
        return wrong(format!("head_tolerance {} is no tolerance", golden.head_tolerance));
    }
    let tensors = manifest.head.tensors(&manifest.grid);
    for spec in &tensors {
        let n = golden.tensors.iter().filter(|t| t.name == spec.name).count();
        if n != 1 {
            return wrong(format!("tensor `{}` stands {n} times", spec.name));
        }
    }
    for sample in &golden.tensors {
        let Some(spec) = tensors.iter().find(|t| t.name == sample.name) else {
            return wrong(format!("the head has no tensor `{}`", sample.name));
        };
        if sample.idx.is_empty() || sample.idx.len() != sample.values.len() {
            return wrong(format!(
                "tensor `{}` has {} indices and {} values",
                sample.name,
                sample.idx.len(),
                sample.values.len()
            ));
        }
        if let Some(idx) = sample.idx.iter().find(|idx| **idx as usize >= spec.n_values()) {
            return wrong(format!("tensor `{}` has {} values, none at {idx}", sample.name, spec.n_values()));
        }
        if sample.values.iter().any(|v| !v.is_finite()) {
            return wrong(format!("tensor `{}` has a value that is not finite", sample.name));
        }
    }
    if golden.boxes.len() > MAX_GOLDEN_BOXES {
        return wrong(format!("has {} boxes, at most {MAX_GOLDEN_BOXES}", golden.boxes.len()));
    }
    if golden.boxes.iter().any(|b| b.class_idx as usize >= manifest.classes.len()) {
        return wrong(format!("a box is of none of the {} classes", manifest.classes.len()));
    }
    Ok(golden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotis_spec::golden::GoldenTensor;
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;
    use tempfile::TempDir;

    const KITTI: &str = include_str!("../../spec/tests/kitti_manifest.toml");
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
            (
                encoder_file(&[("pfn.0.weight", Dtype::I32, vec![64, 10], weight(0.0)), bias()]),
                "is I32, not F32",
            ),
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
}
