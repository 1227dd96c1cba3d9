//! Package: the writing side of [`pilotis_runtime::package`].
//!
//! A package is written into a folder beside its place, read back with the runtime's own
//! [`Package::load`], and only then renamed. So nothing half-written ever stands at its place,
//! and nothing is put there that the runtime would refuse.

mod place;
#[cfg(test)]
mod tests;

use crate::export::encoder::{PfnWeights, to_safetensors};
use anyhow::{Context, bail, ensure};
use pilotis_network::Network;
use pilotis_network::onnx::{OnnxMeta, to_onnx};
use pilotis_runtime::package::{Package, sha256_hex};
use pilotis_spec::golden::GOLDEN_FILE;
use pilotis_spec::head::CANVAS_TENSOR;
use pilotis_spec::manifest::{CARD_FILE, DIGESTS_FILE, ENCODER_FILE, MANIFEST_FILE, is_inside};
use pilotis_spec::{Golden, Manifest};
use place::{Staged, Standing, free_name, sync_folder, sync_folders, write_synced};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
            producer: "pilotis-trainer".to_owned(),
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
