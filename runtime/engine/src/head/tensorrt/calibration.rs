//! Calibration files: ranges of a network's tensors as TOML.

use crate::error::{BuildError, BuildErrorKind};
use crate::package::Package;
use pilotis_network::Calibration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file in a package.
pub const CALIBRATION_FILE: &str = "calibration.toml";
const SCHEMA_VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema_version: u32,
    /// How the ranges were found, for people.
    #[serde(default)]
    method: String,
    /// Frames that they were measured on.
    #[serde(default)]
    n_frames: u64,
    /// Largest magnitude of each tensor.
    amax: BTreeMap<String, f32>,
}

/// The calibration that a package carries.
///
/// **Errors**: [`BuildErrorKind::Mismatch`] where it carries none, with what to do.
pub fn of_package(package: &Package) -> Result<Calibration, BuildError> {
    let Some(bytes) = package.file(CALIBRATION_FILE) else {
        let text = format!(
            "package `{}` has no {CALIBRATION_FILE}, which this precision needs: measure one with `pilotis engine \
             calibrate` and give it with --calibration",
            package.dir().display()
        );
        return Err(BuildError::new(BuildErrorKind::Mismatch, text));
    };
    parse(bytes, &package.dir().join(CALIBRATION_FILE))
}

/// Reads a calibration file.
///
/// **Errors**: a file that cannot be read, or is no calibration of this schema; the error names file and line.
pub fn read(path: &Path) -> Result<Calibration, BuildError> {
    let bytes = std::fs::read(path).map_err(|e| BuildError::io(path, "read", e))?;
    parse(&bytes, path)
}

fn parse(bytes: &[u8], path: &Path) -> Result<Calibration, BuildError> {
    let refuse = |what: String| {
        BuildError::new(BuildErrorKind::Package, format!("calibration `{}`: {what}", path.display()))
    };
    let text = std::str::from_utf8(bytes).map_err(|e| refuse(e.to_string()))?;
    let file: File = toml::from_str(text).map_err(|e| refuse(e.to_string()))?;
    if file.schema_version != SCHEMA_VERSION {
        return Err(refuse(format!(
            "it is of schema {}, and this version reads {SCHEMA_VERSION}",
            file.schema_version
        )));
    }
    if file.amax.is_empty() {
        return Err(refuse("it has no ranges".to_owned()));
    }
    Ok(Calibration { amax: file.amax })
}

/// A calibration as the text of a file.
///
/// **Errors**: none that a calibration of finite ranges could cause.
pub fn to_toml(calibration: &Calibration, method: &str, n_frames: u64) -> Result<String, BuildError> {
    let amax = calibration.amax.clone();
    let file = File { schema_version: SCHEMA_VERSION, method: method.to_owned(), n_frames, amax };
    toml::to_string(&file)
        .map_err(|e| BuildError::new(BuildErrorKind::Io, format!("cannot write a calibration: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_comes_back() {
        let amax = BTreeMap::from([("canvas".to_owned(), 1.5), ("backbone.block0".to_owned(), 0.25)]);
        let calibration = Calibration { amax };
        let text = to_toml(&calibration, "max", 3).unwrap();
        assert_eq!(parse(text.as_bytes(), Path::new("c.toml")).unwrap(), calibration);
    }

    #[test]
    fn what_is_no_calibration_is_refused_by_name() {
        for (text, expected) in [
            ("schema_version = 2\n[amax]\na = 1.0", "schema 2"),
            ("schema_version = 1\n[amax]\n", "no ranges"),
            ("schema_version = 1\n", "amax"),
            ("schema_version = 1\nmore = 1\n[amax]\na = 1.0", "more"),
            ("\u{0}", "c.toml"),
        ] {
            let error = parse(text.as_bytes(), Path::new("c.toml")).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("c.toml"), "{error}");
        }
    }
}
