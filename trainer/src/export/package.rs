//! Package: the writing side of [`pilotis_runtime::package`].
//!
//! A package is written into a folder beside its place, read back with the runtime's own
//! [`Package::load`], and only then renamed. So nothing half-written ever stands at its place,
//! and nothing is put there that the runtime would refuse.

use crate::export::encoder::{PfnWeights, to_safetensors};
use crate::export::network::Network;
use crate::export::onnx::{OnnxMeta, to_onnx};
use anyhow::{Context, bail, ensure};
use pilotis_runtime::package::{Package, parse_digests, sha256_hex};
use pilotis_spec::golden::GOLDEN_FILE;
use pilotis_spec::head::CANVAS_TENSOR;
use pilotis_spec::manifest::{CARD_FILE, DIGESTS_FILE, ENCODER_FILE, MANIFEST_FILE, is_inside};
use pilotis_spec::{Golden, Manifest};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// File of the golden cloud inside a package.
pub const GOLDEN_INPUT_FILE: &str = "golden/input.bin";
/// Most bytes that a golden and its cloud may take together.
pub const MAX_GOLDEN_BYTES: usize = 1 << 20;

/// What may be replaced by a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// An empty folder, or a package: digests, the files they list and the card, nothing else.
    Packages,
    /// Any folder. One that is no package is kept, renamed to `<name>.replaced-<number>`.
    Anything,
}

/// The parts of a package to be.
#[derive(Clone, Debug)]
pub struct PackageWriter {
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
    card: Option<String>,
}

impl PackageWriter {
    /// A package without files. The manifest's `networks` and `files` are filled in by what is
    /// added; what they held is forgotten.
    pub fn new(mut manifest: Manifest) -> Self {
        manifest.networks.clear();
        manifest.files.clear();
        Self { manifest, files: BTreeMap::new(), card: None }
    }

    /// Adds the encoder.
    ///
    /// **Errors**: weights that are not the manifest's encoder.
    pub fn encoder(self, layers: &[PfnWeights]) -> anyhow::Result<Self> {
        let got: Vec<_> = layers.iter().map(|layer| (layer.n_in, layer.n_out)).collect();
        let needed = self.manifest.bev.linear_shapes();
        ensure!(
            got == needed,
            "the encoder's layers are (in, out) {got:?}, the manifest's bev needs {needed:?}"
        );
        self.file(ENCODER_FILE, to_safetensors(layers)?)
    }

    /// Adds a network as `head.<precision>.onnx`.
    ///
    /// **Errors**: a network that is none, or whose input or outputs are not the manifest's.
    pub fn network(self, precision: &str, network: &Network) -> anyhow::Result<Self> {
        check_head(network, &self.manifest)?;
        let meta = OnnxMeta {
            graph: self.manifest.name.clone(),
            doc: format!("The 2D network of the Pilotis package `{}`.", self.manifest.name),
            properties: vec![("pilotis.precision".to_owned(), precision.to_owned())],
        };
        let onnx = to_onnx(network, &meta)?;
        self.network_file(precision, onnx)
    }

    /// Adds the bytes of an ONNX file as `head.<precision>.onnx`, unchecked.
    pub fn network_file(mut self, precision: &str, onnx: Vec<u8>) -> anyhow::Result<Self> {
        let path = format!("head.{precision}.onnx");
        self.manifest.networks.insert(precision.to_owned(), path.clone());
        self.file(&path, onnx)
    }

    /// Adds a golden and its cloud; [`Golden::input`] is set to where the cloud goes.
    ///
    /// **Errors**: more than [`MAX_GOLDEN_BYTES`] together.
    pub fn golden(self, mut golden: Golden, cloud: Vec<u8>) -> anyhow::Result<Self> {
        golden.input = GOLDEN_INPUT_FILE.to_owned();
        let text = toml::to_string(&golden).context("golden")?;
        let n_bytes = text.len() + cloud.len();
        ensure!(
            n_bytes <= MAX_GOLDEN_BYTES,
            "the golden takes {n_bytes} bytes, at most {MAX_GOLDEN_BYTES}: choose a smaller cloud"
        );
        self.file(GOLDEN_INPUT_FILE, cloud)?.file(GOLDEN_FILE, text.into_bytes())
    }

    /// Adds any other file.
    ///
    /// **Errors**: a path that leaves the package, or is taken.
    pub fn file(mut self, path: &str, bytes: Vec<u8>) -> anyhow::Result<Self> {
        ensure!(is_inside(path), "`{path}` is not a path inside a package");
        let is_ours = [MANIFEST_FILE, DIGESTS_FILE, CARD_FILE].contains(&path);
        ensure!(!is_ours && !self.files.contains_key(path), "the package has a `{path}` already");
        self.files.insert(path.to_owned(), bytes);
        Ok(self)
    }

    /// Sets the model card, the one file that may be edited later.
    #[must_use]
    pub fn card(mut self, text: impl Into<String>) -> Self {
        self.card = Some(text.into());
        self
    }

    /// Writes the package to `dir`, and gives it as the runtime reads it.
    ///
    /// Everything is on disk before the folder gets its name. A package that stood there is
    /// renamed away first and removed last; between two renames nothing stands at `dir`, and an
    /// interruption there leaves the old one beside it as `<name>.replaced-<number>`.
    ///
    /// **Determinism**: equal parts give equal files.
    ///
    /// **Errors**: a package that the runtime refuses, a place that `replace` does not give up,
    /// or the file system's; what stood at `dir` then still does.
    pub fn write(mut self, dir: &Path, replace: Replace) -> anyhow::Result<Package> {
        let name = dir.file_name().and_then(|n| n.to_str());
        let name = name.with_context(|| format!("`{}` does not end in a folder's name", dir.display()))?;
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let standing = Standing::at(dir)?;
        if let (Standing::Other(why), Replace::Packages) = (&standing, replace) {
            bail!(
                "`{}` is not replaced, for it is no package: {why}; force it, or name another",
                dir.display()
            );
        }
        self.manifest.files = self.files.iter().map(|(p, bytes)| (p.clone(), sha256_hex(bytes))).collect();
        let manifest = self.manifest.to_toml().context("the manifest contradicts itself")?;
        self.files.insert(MANIFEST_FILE.to_owned(), manifest.into_bytes());
        let digests: String =
            self.files.iter().map(|(path, bytes)| format!("{}  {path}\n", sha256_hex(bytes))).collect();
        self.files.insert(DIGESTS_FILE.to_owned(), digests.into_bytes());
        if let Some(card) = self.card.take() {
            self.files.insert(CARD_FILE.to_owned(), card.into_bytes());
        }

        fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
        let staged = Staged::new(parent, name)?;
        for (path, bytes) in &self.files {
            let full = staged.0.join(path);
            write_synced(&full, bytes).with_context(|| format!("cannot write `{}`", full.display()))?;
        }
        sync_folders(&staged.0).with_context(|| format!("cannot sync `{}`", staged.0.display()))?;
        Package::load(&staged.0).context("the runtime refuses the package, so it is not put in place")?;

        let aside = match standing {
            Standing::Nothing => None,
            Standing::Package | Standing::Other(_) => {
                let aside = free_name(parent, &format!("{name}.replaced"))?;
                fs::rename(dir, &aside).with_context(|| format!("cannot rename `{}`", dir.display()))?;
                Some(aside)
            }
        };
        if let Err(error) = fs::rename(&staged.0, dir) {
            if let Some(aside) = &aside {
                fs::rename(aside, dir).with_context(|| {
                    format!("after a failed rename ({error}) the old folder is left at `{}`", aside.display())
                })?;
            }
            return Err(error).with_context(|| format!("cannot put the package at `{}`", dir.display()));
        }
        sync_folder(parent).with_context(|| format!("cannot sync `{}`", parent.display()))?;
        if let (Standing::Package, Some(aside)) = (&standing, &aside) {
            fs::remove_dir_all(aside).with_context(|| format!("cannot remove `{}`", aside.display()))?;
        }
        Ok(Package::load(dir)?)
    }
}

/// The network reads the manifest's canvas and puts out the manifest's tensors, in order.
fn check_head(network: &Network, manifest: &Manifest) -> anyhow::Result<()> {
    let shapes = network.shapes()?;
    let grid = &manifest.grid;
    let canvas = [manifest.bev.n_channels(), grid.ny(), grid.nx()];
    ensure!(
        network.input == CANVAS_TENSOR && network.input_shape == canvas,
        "the network reads `{}` {:?}, the manifest gives `{CANVAS_TENSOR}` {canvas:?}",
        network.input,
        network.input_shape
    );
    let got: Vec<_> = network.outputs.iter().map(|o| (o.clone(), shapes.get(o.as_str()).copied())).collect();
    let needed: Vec<_> =
        manifest.head.tensors(grid).into_iter().map(|tensor| (tensor.name, Some(tensor.shape))).collect();
    if got != needed {
        let spelled = |tensors: &[(String, Option<[usize; 3]>)]| {
            let each = tensors.iter().map(|(name, shape)| format!("{name} {:?}", shape.unwrap_or_default()));
            each.collect::<Vec<_>>().join(", ")
        };
        bail!("the network puts out {}; the manifest's head is {}", spelled(&got), spelled(&needed));
    }
    Ok(())
}

/// What stands where a package is to go.
enum Standing {
    Nothing,
    Package,
    /// A folder that is no package, and why.
    Other(String),
}

impl Standing {
    fn at(dir: &Path) -> anyhow::Result<Self> {
        match fs::symlink_metadata(dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::Nothing),
            Err(e) => Err(e).with_context(|| format!("cannot inspect `{}`", dir.display())),
            Ok(metadata) if !metadata.is_dir() => {
                bail!("`{}` is a file or a link, and is not replaced by a package", dir.display())
            }
            Ok(_) => Self::of_folder(dir).with_context(|| format!("cannot inspect `{}`", dir.display())),
        }
    }

    fn of_folder(dir: &Path) -> std::io::Result<Self> {
        if fs::read_dir(dir)?.next().is_none() {
            return Ok(Self::Package);
        }
        // A damaged package may be replaced, so digests are not compared.
        let listed = match fs::read(dir.join(DIGESTS_FILE)) {
            Ok(bytes) => parse_digests(&bytes),
            Err(e) => Err(format!("{DIGESTS_FILE}: {e}")),
        };
        let listed = match listed {
            Ok(listed) => listed,
            Err(why) => return Ok(Self::Other(why)),
        };
        let mut folders = vec![dir.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let (path, kind) = entry.and_then(|e| Ok((e.path(), e.file_type()?)))?;
                if kind.is_dir() {
                    folders.push(path);
                    continue;
                }
                let inside = path.strip_prefix(dir).unwrap_or(&path);
                let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
                let inside = parts.join("/");
                let is_ours = inside == DIGESTS_FILE || inside == CARD_FILE || listed.contains_key(&inside);
                if !is_ours {
                    return Ok(Self::Other(format!("it holds `{inside}`")));
                }
            }
        }
        Ok(Self::Package)
    }
}

/// A folder under construction; removed unless it was renamed.
struct Staged(PathBuf);

impl Staged {
    fn new(parent: &Path, name: &str) -> anyhow::Result<Self> {
        let path = free_name(parent, &format!(".{name}.staged-{}", std::process::id()))?;
        fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing here, and nothing to report.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn free_name(parent: &Path, stem: &str) -> anyhow::Result<PathBuf> {
    let names = (1..1000).map(|i| parent.join(format!("{stem}-{i}")));
    let mut free = names.filter(|path| fs::symlink_metadata(path).is_err());
    free.next().with_context(|| format!("`{}` is full of `{stem}-*`; remove some", parent.display()))
}

fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Brings the names in `folder` and below to disk.
fn sync_folders(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders cannot be synced here; the file system orders renames itself.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::golden::golden_tensor;
    use crate::export::network::{Conv, Node, Op, Weight};
    use tempfile::TempDir;

    const KITTI: &str = include_str!("../../../runtime/spec/tests/kitti_manifest.toml");

    fn manifest() -> Manifest {
        Manifest::from_toml(KITTI).unwrap()
    }

    fn layers() -> Vec<PfnWeights> {
        let weight = (0..640).map(|i| i as f32).collect();
        vec![PfnWeights { weight, bias: vec![0.25; 64], n_in: 10, n_out: 64 }]
    }

    fn network() -> Network {
        let conv = |inputs: &str, output: &str, n_in: usize, n_out: usize, stride: usize| Node {
            name: format!("{output}.conv"),
            op: Op::Conv(Conv {
                weight: Weight {
                    shape: [n_out, n_in, stride, stride],
                    values: vec![0.5; n_out * n_in * stride * stride],
                },
                bias: vec![0.0; n_out],
                stride,
                padding: 0,
                relu: false,
            }),
            inputs: vec![inputs.to_owned()],
            output: output.to_owned(),
        };
        Network {
            input: "canvas".to_owned(),
            input_shape: [64, 496, 432],
            nodes: vec![
                conv("canvas", "maps", 64, 4, 2),
                conv("maps", "cls_0", 4, 18, 1),
                conv("maps", "box_0", 4, 42, 1),
                conv("maps", "dir_0", 4, 12, 1),
            ],
            outputs: ["cls_0", "box_0", "dir_0"].map(str::to_owned).to_vec(),
        }
    }

    fn golden() -> (Golden, Vec<u8>) {
        let tensors =
            ["cls_0", "box_0", "dir_0"].map(|name| golden_tensor(name, &[0.1, -2.0, 3.0], 3)).to_vec();
        let golden = Golden {
            input: String::new(),
            n_points: 2,
            n_points_kept: 2,
            n_pillars: 1,
            pillars_sha256: "a".repeat(64),
            canvas_sha256: "b".repeat(64),
            head_tolerance: 1e-3,
            tensors,
            boxes: vec![],
        };
        (golden, vec![0; 32])
    }

    fn writer() -> PackageWriter {
        let (golden, cloud) = golden();
        PackageWriter::new(manifest())
            .encoder(&layers())
            .unwrap()
            .network("fp32", &network())
            .unwrap()
            .golden(golden, cloud)
            .unwrap()
            .card("# Tiny\n")
    }

    /// Names in a folder: nothing staged or set aside may stay.
    fn names(dir: &TempDir) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_is_what_the_runtime_reads() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("models/tiny");
        let package = writer().write(&dir, Replace::Packages).unwrap();
        assert_eq!(package.dir(), dir);
        assert_eq!(package.encoder().layers[0].weight[1..3], [10.0, 20.0], "input 0 of outputs 1 and 2");
        assert_eq!(package.network("fp32").unwrap(), fs::read(dir.join("head.fp32.onnx")).unwrap());
        let read = package.golden().unwrap();
        assert_eq!((read.input.as_str(), read.tensors.len()), (GOLDEN_INPUT_FILE, 3));
        assert_eq!(read.tensors[0].values, [0.1, -2.0, 3.0]);
        assert_eq!(package.golden_input().unwrap(), [0; 32]);
        let listed: Vec<_> = package.manifest().files.keys().map(String::as_str).collect();
        assert_eq!(listed, [ENCODER_FILE, GOLDEN_FILE, GOLDEN_INPUT_FILE, "head.fp32.onnx"]);
        let text = fs::read_to_string(dir.join(DIGESTS_FILE)).unwrap();
        let paths: Vec<_> = text.lines().map(|line| line.split_once("  ").unwrap().1).collect();
        assert_eq!(paths, [ENCODER_FILE, GOLDEN_FILE, GOLDEN_INPUT_FILE, "head.fp32.onnx", MANIFEST_FILE]);
        assert_eq!(fs::read_to_string(dir.join(CARD_FILE)).unwrap(), "# Tiny\n");
    }

    #[test]
    fn equal_parts_give_an_equal_package_and_replace_it() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("tiny");
        let first = writer().write(&dir, Replace::Packages).unwrap();
        let second = writer().write(&dir, Replace::Packages).unwrap();
        assert_eq!(first.digest(), second.digest());
        let third = writer().file("calibration.toml", b"x = 1\n".to_vec()).unwrap();
        let third = third.write(&dir, Replace::Packages).unwrap();
        assert_ne!(first.digest(), third.digest());
        assert_eq!(third.file("calibration.toml"), Some(b"x = 1\n".as_slice()));
        // A damaged package is one too.
        fs::write(dir.join("head.fp32.onnx"), "damaged").unwrap();
        writer().write(&dir, Replace::Packages).unwrap();
        assert!(!dir.join("calibration.toml").exists());
        assert_eq!(names(&home), ["tiny"]);
    }

    #[test]
    fn folders_that_are_no_package_stay_unless_forced_and_even_then_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("work");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("thesis.tex"), "years").unwrap();
        let error = writer().write(&dir, Replace::Packages).unwrap_err();
        assert!(error.to_string().contains("no package"), "{error:#}");
        assert_eq!(names(&home), ["work"]);
        writer().write(&dir, Replace::Anything).unwrap();
        assert_eq!(names(&home), ["work", "work.replaced-1"]);
        assert_eq!(fs::read_to_string(home.path().join("work.replaced-1/thesis.tex")).unwrap(), "years");
        // A package with a stranger in it is no package either.
        fs::create_dir(dir.join("notes")).unwrap();
        fs::write(dir.join("notes/a.txt"), "mine").unwrap();
        let error = writer().write(&dir, Replace::Packages).unwrap_err();
        assert!(error.to_string().contains("`notes/a.txt`"), "{error:#}");
        assert_eq!(fs::read_to_string(dir.join("notes/a.txt")).unwrap(), "mine");
    }

    #[test]
    fn an_empty_folder_is_taken_and_a_file_never() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("tiny");
        fs::create_dir(&dir).unwrap();
        writer().write(&dir, Replace::Packages).unwrap();
        let file = home.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(writer().write(&file, Replace::Anything).is_err());
        assert!(writer().write(Path::new("/"), Replace::Anything).is_err());
        assert_eq!(names(&home), ["file", "tiny"]);
    }

    #[test]
    fn a_package_that_the_runtime_refuses_leaves_the_old_one_alone() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("tiny");
        let old = writer().write(&dir, Replace::Packages).unwrap();
        let (mut golden, cloud) = golden();
        golden.n_points = 3;
        let refused = PackageWriter::new(manifest()).encoder(&layers()).unwrap();
        let refused = refused.network("fp32", &network()).unwrap().golden(golden, cloud).unwrap();
        let error = format!("{:#}", refused.write(&dir, Replace::Packages).unwrap_err());
        assert!(error.contains("the runtime refuses") && error.contains("3 points"), "{error}");
        let headless = PackageWriter::new(manifest()).encoder(&layers()).unwrap();
        let error = format!("{:#}", headless.write(&dir, Replace::Packages).unwrap_err());
        assert!(error.contains("names no network"), "{error}");
        assert_eq!(Package::load(&dir).unwrap().digest(), old.digest());
        assert_eq!(names(&home), ["tiny"]);
    }

    #[test]
    fn parts_that_do_not_fit_the_manifest_are_refused() {
        let new = || PackageWriter::new(manifest());
        let say = |result: anyhow::Result<PackageWriter>| format!("{:#}", result.unwrap_err());
        let narrow = PfnWeights { weight: vec![0.0; 576], n_in: 9, ..layers()[0].clone() };
        assert!(say(new().encoder(&[narrow])).contains("(9, 64)"));
        let mut canvas = network();
        canvas.input_shape = [64, 248, 432];
        assert!(say(new().network("fp32", &canvas)).contains("[64, 248, 432]"));
        let mut order = network();
        order.outputs.swap(0, 1);
        assert!(say(new().network("fp32", &order)).contains("puts out box_0 [42, 248, 216], cls_0"));
        let (golden, _) = golden();
        assert!(say(new().golden(golden, vec![0; MAX_GOLDEN_BYTES])).contains("smaller cloud"));
        for path in ["../x", "/x", "", MANIFEST_FILE, DIGESTS_FILE, CARD_FILE] {
            assert!(new().file(path, vec![]).is_err(), "{path}");
        }
        assert!(say(writer().file(ENCODER_FILE, vec![])).contains("already"));
    }
}
