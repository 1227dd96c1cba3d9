//! Model: which package a command uses.

use anyhow::{Context, Result, anyhow};
use pilotis_runtime::Package;
use pilotis_spec::manifest::MANIFEST_FILE;
use std::path::{Path, PathBuf};

/// Names the model package, where the command line does not.
const MODEL_VARIABLE: &str = "PILOTIS_MODEL";
/// The model that comes with the source.
const DEFAULT_MODEL: &str = "models/default";
/// This crate's way to the root of the source tree.
const SOURCE_TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Places where a file of the source tree may be: here, beside the executable, in the tree that
/// the executable was built from.
pub(super) fn places_of(relative: &str) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from(relative)];
    if let Some(dir) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        places.push(dir.join(relative));
    }
    let tree = Path::new(SOURCE_TREE);
    places.push(tree.canonicalize().unwrap_or_else(|_| tree.to_owned()).join(relative));
    places
}

/// The package's folder: `--model`, else `PILOTIS_MODEL`, else `models/default`.
///
/// **Errors**: no default model at any of the places.
pub(super) fn find(option: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = option {
        return Ok(dir.to_owned());
    }
    if let Some(dir) = std::env::var_os(MODEL_VARIABLE).filter(|v| !v.is_empty()) {
        return Ok(dir.into());
    }
    let places = places_of(DEFAULT_MODEL);
    places.iter().find(|dir| dir.join(MANIFEST_FILE).is_file()).cloned().ok_or_else(|| {
        let listed: Vec<_> = places.iter().map(|p| format!("`{}`", p.display())).collect();
        anyhow!("no model package at {}: name one with --model DIR or {MODEL_VARIABLE}", listed.join(" or "))
    })
}

/// Finds and reads the package.
pub(super) fn load(option: Option<&Path>) -> Result<Package> {
    let dir = find(option)?;
    Package::load(&dir).with_context(|| format!("the model `{}` cannot be used", dir.display()))
}
