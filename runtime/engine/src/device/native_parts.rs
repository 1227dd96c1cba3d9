//! Native parts: where the libraries lie that are opened at run time.
//!
//! `native-parts.toml` pins them; `cargo xtask setup` fetches them into a cache that is laid out
//! `<part>-<version>-<platform>/<file>`. Nothing here fetches, opens or executes anything.

use crate::error::{BuildError, BuildErrorKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Overrides the folder of the cache.
pub const NATIVE_DIR_VARIABLE: &str = "PILOTIS_NATIVE_DIR";
/// Names the ONNX Runtime library itself, past the cache.
pub const ORT_DYLIB_VARIABLE: &str = "ORT_DYLIB_PATH";
/// Names the TensorRT library itself, past the cache; the ONNX parser is looked for beside it.
pub const TENSORRT_VARIABLE: &str = "PILOTIS_TENSORRT_LIB";
/// The command that fetches what is missing.
pub const SETUP_COMMAND: &str = "cargo xtask setup";

const TABLE: &str = include_str!("../../native-parts.toml");

/// As much of the table as finding a part takes; the rest is for the command that fetches it.
#[derive(Deserialize)]
struct Table {
    parts: Vec<Part>,
    trt_shim: Shim,
}

#[derive(Deserialize)]
struct Shim {
    abi: u32,
    flavours: Vec<Flavour>,
}

#[derive(Deserialize)]
struct Flavour {
    name: String,
    library: String,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    version: String,
    platforms: BTreeMap<String, Platform>,
}

#[derive(Deserialize)]
struct Platform {
    files: Vec<PartFile>,
}

#[derive(Deserialize)]
struct PartFile {
    to: String,
}

/// The variables of the process that say where native parts are.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// [`NATIVE_DIR_VARIABLE`].
    pub native_dir: Option<OsString>,
    /// `XDG_CACHE_HOME`.
    pub xdg_cache_home: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
    /// [`ORT_DYLIB_VARIABLE`].
    pub ort_dylib_path: Option<OsString>,
    /// [`TENSORRT_VARIABLE`].
    pub tensorrt_lib: Option<OsString>,
}

impl Places {
    /// What the process's environment says; empty variables count as unset.
    pub fn from_env() -> Self {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        Self {
            native_dir: variable(NATIVE_DIR_VARIABLE),
            xdg_cache_home: variable("XDG_CACHE_HOME"),
            home: variable("HOME"),
            ort_dylib_path: variable(ORT_DYLIB_VARIABLE),
            tensorrt_lib: variable(TENSORRT_VARIABLE),
        }
    }

    /// The cache's folder: `PILOTIS_NATIVE_DIR`, else `pilotis/native` in `XDG_CACHE_HOME`, else
    /// in `~/.cache`; `None` when no variable says where.
    pub fn cache(&self) -> Option<PathBuf> {
        let user_cache = || {
            // The XDG base directory specification has relative paths ignored.
            let xdg = self.xdg_cache_home.as_ref().map(PathBuf::from).filter(|p| p.is_absolute());
            xdg.or_else(|| self.home.as_ref().map(|home| Path::new(home).join(".cache")))
                .map(|cache| cache.join("pilotis").join("native"))
        };
        self.native_dir.as_ref().map(PathBuf::from).or_else(user_cache)
    }

    fn cache_for(&self, what: &str) -> Result<PathBuf, BuildError> {
        self.cache().ok_or_else(|| {
            let text = format!(
                "{what} has nowhere to be: set {NATIVE_DIR_VARIABLE} or HOME, then run `{SETUP_COMMAND}`"
            );
            BuildError::new(BuildErrorKind::NativePartMissing, text)
        })
    }

    /// Path of the ONNX Runtime library: `ORT_DYLIB_PATH` where it is set, else the cache's.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] with the place looked at.
    pub fn onnxruntime(&self) -> Result<PathBuf, BuildError> {
        match named(ORT_DYLIB_VARIABLE, self.ort_dylib_path.as_ref())? {
            Some(path) => Ok(path),
            None => self.file("onnxruntime", "libonnxruntime.so"),
        }
    }

    /// Path of the C++ side of TensorRT, by the flavour's name.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] with the place looked at.
    pub fn trt_shim(&self, flavour: &str) -> Result<PathBuf, BuildError> {
        let missing = |why: String| BuildError::new(BuildErrorKind::NativePartMissing, why);
        let table: Table = toml::from_str(TABLE).map_err(|e| missing(format!("native-parts.toml: {e}")))?;
        let known = table.trt_shim.flavours.iter().find(|f| f.name == flavour);
        let known = known.ok_or_else(|| missing(format!("native-parts.toml has no trt_shim `{flavour}`")))?;
        let cache = self.cache_for("the C++ side of TensorRT")?;
        let path = cache.join(format!("trt_shim-{}-{}", table.trt_shim.abi, platform())).join(&known.library);
        if path.is_file() {
            return Ok(path);
        }
        Err(missing(format!(
            "the C++ side of TensorRT is not at `{}`: run `{SETUP_COMMAND}`, which compiles it",
            path.display()
        )))
    }

    /// Paths of the TensorRT library of a flavour, and of its ONNX parser where there is one:
    /// `PILOTIS_TENSORRT_LIB` where it is set, else the cache's.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] with the place looked at.
    pub fn tensorrt(&self, flavour: &str) -> Result<(PathBuf, Option<PathBuf>), BuildError> {
        let Some(named) = named(TENSORRT_VARIABLE, self.tensorrt_lib.as_ref())? else {
            return Ok(match flavour {
                "rtx" => (
                    self.file("tensorrt_rtx", "libtensorrt_rtx.so.1")?,
                    Some(self.file("tensorrt_rtx", "libtensorrt_onnxparser_rtx.so.1")?),
                ),
                _ => (self.file("tensorrt_lean", "libnvinfer_lean.so.11")?, None),
            });
        };
        let parsers = ["libtensorrt_onnxparser_rtx.so.1", "libnvonnxparser.so.11"];
        let beside = parsers.iter().map(|name| named.with_file_name(name)).find(|path| path.is_file());
        Ok((named, beside))
    }

    /// Path of a part's file in the cache, on this platform.
    ///
    /// **Errors**: [`BuildErrorKind::NativePartMissing`] with the place looked at, and the command
    /// that fetches it.
    pub fn file(&self, part: &str, file: &str) -> Result<PathBuf, BuildError> {
        let missing = |why: String| BuildError::new(BuildErrorKind::NativePartMissing, why);
        let platform = platform();
        let folder = pinned_folder(part, &platform, file).map_err(missing)?;
        let cache = self.cache_for(&format!("native part `{part}`"))?;
        let path = cache.join(folder).join(file);
        if path.is_file() {
            return Ok(path);
        }
        Err(missing(format!(
            "native part `{part}` is not at `{}`: run `{SETUP_COMMAND}`, or set {NATIVE_DIR_VARIABLE}",
            path.display()
        )))
    }
}

/// The file that a variable names, where it is set.
///
/// **Errors**: it names nothing; that is no reason to fall back.
fn named(variable: &str, value: Option<&OsString>) -> Result<Option<PathBuf>, BuildError> {
    match value.map(PathBuf::from) {
        Some(path) if !path.is_file() => {
            let text = format!(
                "{variable} names `{}`, where there is no file: correct it, or unset it and run `{SETUP_COMMAND}`",
                path.display()
            );
            Err(BuildError::new(BuildErrorKind::NativePartMissing, text))
        }
        path => Ok(path),
    }
}

/// The platform's name in the table, such as `x86_64-linux`.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The folder that the table gives a part, if it pins that file of it for the platform.
fn pinned_folder(part: &str, platform: &str, file: &str) -> Result<String, String> {
    let table: Table = toml::from_str(TABLE).map_err(|e| format!("native-parts.toml: {e}"))?;
    let Some(pinned) = table.parts.iter().find(|p| p.name == part) else {
        return Err(format!("native part `{part}` is not in native-parts.toml"));
    };
    let Some(wheel) = pinned.platforms.get(platform) else {
        let known: Vec<&str> = pinned.platforms.keys().map(String::as_str).collect();
        return Err(format!("native part `{part}` is pinned for {}, not for {platform}", known.join(", ")));
    };
    if wheel.files.iter().any(|f| f.to == file) {
        Ok(format!("{part}-{}-{platform}", pinned.version))
    } else {
        Err(format!("native part `{part}` has no `{file}` on {platform}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_cache_is_where_the_variables_say_in_order() {
        let mut places = Places { home: Some("/h".into()), ..Places::default() };
        assert_eq!(places.cache(), Some("/h/.cache/pilotis/native".into()));
        places.xdg_cache_home = Some("relative".into());
        assert_eq!(places.cache(), Some("/h/.cache/pilotis/native".into()));
        places.xdg_cache_home = Some("/x".into());
        assert_eq!(places.cache(), Some("/x/pilotis/native".into()));
        places.native_dir = Some("/n".into());
        assert_eq!(places.cache(), Some("/n".into()));
        assert_eq!(Places::default().cache(), None);
    }

    #[test]
    fn the_table_pins_onnxruntime_for_both_platforms() {
        for platform in ["x86_64-linux", "aarch64-linux"] {
            let folder = pinned_folder("onnxruntime", platform, "libonnxruntime.so").unwrap();
            assert_eq!(folder, format!("onnxruntime-1.32.0-{platform}"));
        }
        let error = pinned_folder("onnxruntime", "m68k-linux", "libonnxruntime.so").unwrap_err();
        assert!(error.contains("x86_64-linux"), "{error}");
        assert!(pinned_folder("onnxruntime", "x86_64-linux", "other.so").is_err());
        assert!(pinned_folder("unheard_of", "x86_64-linux", "libonnxruntime.so").is_err());
    }

    #[test]
    fn a_missing_part_names_the_place_and_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places { native_dir: Some(folder.path().into()), ..Places::default() };
        let error = places.onnxruntime().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::NativePartMissing);
        let text = error.to_string();
        assert!(text.contains(SETUP_COMMAND), "{text}");
        assert!(text.contains(folder.path().to_str().unwrap()), "{text}");

        let part = folder.path().join(format!("onnxruntime-1.32.0-{}", platform()));
        fs::create_dir(&part).unwrap();
        fs::write(part.join("libonnxruntime.so"), b"x").unwrap();
        assert_eq!(places.onnxruntime().unwrap(), part.join("libonnxruntime.so"));
    }

    #[test]
    fn an_override_that_names_nothing_is_an_error_and_not_a_fallback() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = folder.path().join("libonnxruntime.so");
        let places = Places { ort_dylib_path: Some(nothing.into()), ..Places::default() };
        let error = places.onnxruntime().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::NativePartMissing);
        assert!(error.to_string().contains(ORT_DYLIB_VARIABLE), "{error}");
    }
}
