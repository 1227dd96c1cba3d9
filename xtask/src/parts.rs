//! The table of native parts, and the cache they lie in. The engine reads the same table.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../../runtime/engine/native-parts.toml");
const SCHEMA_VERSION: u32 = 1;

/// Overrides the folder of the cache, here and in the engine.
pub(crate) const NATIVE_DIR_VARIABLE: &str = "PILOTIS_NATIVE_DIR";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    schema_version: u32,
    pub(crate) parts: Vec<Part>,
    pub(crate) trt_shim: Shim,
}

/// The C++ side of TensorRT, which is compiled here.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shim {
    pub(crate) abi: u32,
    /// The crate whose source holds the headers.
    #[serde(rename = "crate")]
    pub(crate) krate: String,
    pub(crate) version: String,
    pub(crate) folder: String,
    pub(crate) files: Vec<String>,
    pub(crate) common: Vec<String>,
    pub(crate) flavours: Vec<Flavour>,
}

/// One TensorRT that the C++ side is compiled for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flavour {
    pub(crate) name: String,
    pub(crate) headers: String,
    pub(crate) sha256: String,
    pub(crate) library: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) project: String,
    pub(crate) setup: Setup,
    pub(crate) needed_by: String,
    /// Whether a platform for which it is not pinned does without it.
    #[serde(default)]
    pub(crate) optional: bool,
    pub(crate) platforms: BTreeMap<String, Wheel>,
}

/// Whether a part is fetched without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Setup {
    Default,
    OnRequest,
}

/// The one wheel of a part for a platform.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wheel {
    pub(crate) wheel: String,
    pub(crate) sha256: String,
    pub(crate) python: String,
    pub(crate) abi: String,
    pub(crate) platform: String,
    pub(crate) files: Vec<PartFile>,
}

/// A file to unpack: its name in the wheel, and its name in the cache.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PartFile {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Table {
    pub(crate) fn pinned() -> Result<Self> {
        Self::parse(TABLE).context("native-parts.toml")
    }

    fn parse(text: &str) -> Result<Self> {
        let table: Self = toml::from_str(text)?;
        if table.schema_version != SCHEMA_VERSION {
            bail!("schema {}, and this command reads {SCHEMA_VERSION}", table.schema_version);
        }
        for part in &table.parts {
            for (platform, wheel) in &part.platforms {
                let place = format!("part `{}` on {platform}", part.name);
                if wheel.sha256.len() != 64
                    || !wheel.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                {
                    bail!("{place}: its sha256 is not 64 hex digits");
                }
                if wheel.files.is_empty() {
                    bail!("{place}: no files to unpack");
                }
                let names = wheel.files.iter().map(|f| f.to.as_str());
                for name in names.chain([&*wheel.wheel, &*part.name, &*part.version, platform]) {
                    if !is_plain_name(name) {
                        bail!("{place}: `{name}` is not a plain file name");
                    }
                }
            }
        }
        let shim = &table.trt_shim;
        let names = shim.files.iter().chain(&shim.common).chain([&shim.krate, &shim.version, &shim.folder]);
        let flavours = shim.flavours.iter().flat_map(|f| [&f.name, &f.headers, &f.library]);
        if let Some(name) = names.chain(flavours).find(|name| !is_plain_name(name)) {
            bail!("trt_shim: `{name}` is not a plain name");
        }
        Ok(table)
    }

    /// The part of a name.
    pub(crate) fn part(&self, name: &str) -> Result<&Part> {
        self.parts.iter().find(|p| p.name == name).with_context(|| {
            let known: Vec<&str> = self.parts.iter().map(|p| p.name.as_str()).collect();
            format!("there is no native part `{name}`; there is {}", known.join(", "))
        })
    }
}

impl Part {
    /// The wheel for a platform.
    pub(crate) fn wheel(&self, platform: &str) -> Result<&Wheel> {
        self.platforms.get(platform).with_context(|| {
            let known: Vec<&str> = self.platforms.keys().map(String::as_str).collect();
            format!("native part `{}` is pinned for {}, not for {platform}", self.name, known.join(", "))
        })
    }

    /// Whether there is none for a platform, and need not be.
    pub(crate) fn is_passed_over(&self, platform: &str) -> bool {
        self.optional && !self.platforms.contains_key(platform)
    }

    /// Its folder in the cache.
    pub(crate) fn folder(&self, platform: &str) -> String {
        format!("{}-{}-{platform}", self.name, self.version)
    }
}

/// A name that is one component of a path, on any platform, and not hidden.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+'))
}

/// The platform's name in the table, such as `x86_64-linux`.
pub(crate) fn platform() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// The cache's folder, absolute: `PILOTIS_NATIVE_DIR`, else `pilotis/native` in `XDG_CACHE_HOME`,
/// else in `~/.cache`.
pub(crate) fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty());
    let cache = cache_of(variable(NATIVE_DIR_VARIABLE), variable("XDG_CACHE_HOME"), variable("HOME"));
    let cache =
        cache.with_context(|| format!("set {NATIVE_DIR_VARIABLE} or HOME: there is no place for a cache"))?;
    std::path::absolute(&cache).with_context(|| format!("cannot tell where `{}` is", cache.display()))
}

fn cache_of(native: Option<OsString>, xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    native.map(PathBuf::from).or_else(|| {
        let xdg = xdg.map(PathBuf::from).filter(|p| p.is_absolute());
        let cache = xdg.or_else(|| home.map(|home| Path::new(&home).join(".cache")));
        cache.map(|c| c.join("pilotis").join("native"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_parses_for_both_platforms() {
        let table = Table::pinned().unwrap();
        let part = table.part("onnxruntime").unwrap();
        assert_eq!(part.setup, Setup::Default);
        let mut digests = Vec::new();
        for (platform, tag) in [("x86_64-linux", "x86_64"), ("aarch64-linux", "aarch64")] {
            let wheel = part.wheel(platform).unwrap();
            assert!(wheel.wheel.starts_with(&format!("{}-{}-", part.project, part.version)));
            assert!(
                wheel.wheel.ends_with(&format!("{}.whl", wheel.platform)) && wheel.platform.ends_with(tag)
            );
            assert!(wheel.wheel.contains(&wheel.abi) && wheel.abi.ends_with(&wheel.python));
            assert!(wheel.files.iter().any(|f| f.to == "libonnxruntime.so"));
            assert_eq!(part.folder(platform), format!("onnxruntime-{}-{platform}", part.version));
            digests.push(&wheel.sha256);
        }
        assert_ne!(digests[0], digests[1]);
        assert!(part.wheel("m68k-linux").unwrap_err().to_string().contains("aarch64-linux, x86_64-linux"));
        assert!(table.part("nothing").unwrap_err().to_string().contains("onnxruntime"));
    }

    #[test]
    fn a_table_that_could_write_elsewhere_is_refused() {
        for (from, to) in [
            ("to = \"libonnxruntime.so\"", "to = \"../libonnxruntime.so\""),
            ("to = \"libonnxruntime.so\"", "to = \"/etc/x\""),
            ("to = \"libonnxruntime.so\"", "to = \"\""),
            ("name = \"onnxruntime\"", "name = \"..\""),
            ("sha256 = \"5a34", "sha256 = \"zz34"),
            ("schema_version = 1", "schema_version = 2"),
            ("abi = ", "unknown = 1\nabi = "),
        ] {
            assert!(TABLE.contains(from), "{from}");
            assert!(Table::parse(&TABLE.replacen(from, to, 1)).is_err(), "{to}");
        }
    }

    #[test]
    fn the_cache_is_where_the_variables_say_in_order() {
        let some = |text: &str| Some(OsString::from(text));
        assert_eq!(cache_of(None, None, some("/h")), Some("/h/.cache/pilotis/native".into()));
        assert_eq!(cache_of(None, some("relative"), some("/h")), Some("/h/.cache/pilotis/native".into()));
        assert_eq!(cache_of(None, some("/x"), some("/h")), Some("/x/pilotis/native".into()));
        assert_eq!(cache_of(some("/n"), some("/x"), some("/h")), Some("/n".into()));
        assert_eq!(cache_of(None, None, None), None);
    }
}
