//! TensorRT's C++ side: compiled here, once for each flavour, into the cache of native parts.
//!
//! The headers are read where another crate's source has them. That crate is downloaded and neither built
//! nor linked; no header enters this repository.

use crate::parts::{Flavour, Shim, platform};
use crate::run::{run, text_of};
use crate::unpack::{digest, hex};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SOURCE: (&str, &str) = ("shim.cpp", include_str!("../../runtime/engine/src/device/trt/shim/shim.cpp"));
const HEADER: (&str, &str) = ("shim.h", include_str!("../../runtime/engine/src/device/trt/shim/shim.h"));
const FLAGS: [&str; 7] = ["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"];
/// The flavour that an installed SDK is of.
const OF_AN_SDK: &str = "full";

/// Compiles what is missing or of another source; yields how many are missing where it may only look.
pub(crate) fn ensure(shim: &Shim, cache: &Path, sdk: Option<&Path>, only_check: bool) -> Result<usize> {
    ensure!(
        HEADER.1.contains(&format!("#define PILOTIS_TRT_ABI {}\n", shim.abi)),
        "native-parts.toml says abi {}, and shim.h another",
        shim.abi
    );
    let folder = cache.join(format!("trt_shim-{}-{}", shim.abi, platform()));
    let mut n_missing = 0;
    for flavour in &shim.flavours {
        let library = folder.join(&flavour.library);
        let sdk = sdk.filter(|_| flavour.name == OF_AN_SDK);
        let identity = identity(flavour, sdk)?;
        let of_an_sdk = fs::read_to_string(record(&library)).is_ok_and(|r| r.contains(" sdk "));
        let is_ready =
            state(&library, &identity).is_ok() || (sdk.is_none() && of_an_sdk && library.is_file());
        match (is_ready, only_check) {
            (true, _) => println!("ready    trt_shim {}: {}", flavour.name, library.display()),
            (false, true) => {
                println!("missing  trt_shim {}: needed by networks on TensorRT", flavour.name);
                n_missing += 1;
            }
            (false, false) => {
                let includes = match sdk {
                    Some(sdk) => vec![sdk.to_owned()],
                    None => pinned_headers(shim, flavour, cache)?,
                };
                compile(&includes, &library, &identity)
                    .with_context(|| format!("the C++ side of TensorRT ({})", flavour.name))?;
                println!("compiled trt_shim {}: {}", flavour.name, library.display());
            }
        }
    }
    Ok(n_missing)
}

/// What a library was made of.
fn identity(flavour: &Flavour, sdk: Option<&Path>) -> Result<String> {
    let mut hash = Sha256::new();
    for text in [SOURCE.1, HEADER.1].into_iter().chain(FLAGS) {
        hash.update(text);
        hash.update([0]);
    }
    let headers = match sdk {
        None => format!("crate {}", flavour.sha256),
        Some(sdk) => {
            let version = fs::read(sdk.join("NvInferVersion.h"))
                .with_context(|| format!("`{}` holds no NvInferVersion.h", sdk.display()))?;
            format!("sdk {}", hex(&Sha256::digest(version)))
        }
    };
    Ok(format!("# {} {headers}\n", hex(&hash.finalize())))
}

fn record(library: &Path) -> PathBuf {
    library.with_extension("record")
}

/// Whether a library is whole and of that identity.
fn state(library: &Path, identity: &str) -> Result<()> {
    let record = fs::read_to_string(record(library)).context("it has no record")?;
    ensure!(record == format!("{identity}{}\n", digest(library)?), "it is of another source, or damaged");
    Ok(())
}

/// Where the pinned headers lie, after their digests were compared.
fn pinned_headers(shim: &Shim, flavour: &Flavour, cache: &Path) -> Result<Vec<PathBuf>> {
    let root = crate_source(shim, cache)?.join(&shim.folder);
    let own = root.join(&flavour.headers);
    let files =
        shim.files.iter().map(|f| (f, own.join(f))).chain(shim.common.iter().map(|f| (f, root.join(f))));
    let mut list = String::new();
    for (name, path) in files {
        list += &format!("{}  {name}\n", digest(&path)?);
    }
    let found = hex(&Sha256::digest(&list));
    if found != flavour.sha256 {
        bail!("the headers in `{}` have the digest {found}, and {} is pinned", own.display(), flavour.sha256);
    }
    Ok(vec![own, root])
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
}

/// The folder of a crate's source in cargo's own cache, which cargo has checked against the registry's digest.
fn crate_source(shim: &Shim, cache: &Path) -> Result<PathBuf> {
    let scratch = cache.join(format!(".headers-{}", std::process::id()));
    let metadata = scratch_metadata(shim, &scratch);
    // Nobody needs it any more, whatever came of it.
    let _ = fs::remove_dir_all(&scratch);
    let found = metadata?.packages.into_iter().find(|p| p.name == shim.krate);
    let found = found.with_context(|| format!("cargo knows no source of `{}`", shim.krate))?;
    Ok(found.manifest_path.parent().map(Path::to_owned).unwrap_or_default())
}

fn scratch_metadata(shim: &Shim, scratch: &Path) -> Result<Metadata> {
    fs::create_dir_all(scratch).with_context(|| format!("cannot make `{}`", scratch.display()))?;
    // Build metadata is no part of a requirement.
    let version = shim.version.split('+').next().unwrap_or_default();
    let manifest = format!(
        "[package]\nname = \"headers\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[lib]\npath = \"lib.rs\"\n\n\
         [dependencies]\n{} = \"={version}\"\n\n[workspace]\n",
        shim.krate
    );
    fs::write(scratch.join("Cargo.toml"), manifest).context("cannot write the scratch manifest")?;
    fs::write(scratch.join("lib.rs"), "").context("cannot write the scratch source")?;
    eprintln!("fetching the source of {} {} for the headers of TensorRT", shim.krate, shim.version);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo
        .args(["metadata", "--format-version", "1", "--quiet", "--manifest-path"])
        .arg(scratch.join("Cargo.toml"));
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{}`", text_of(&cargo)))?;
    ensure!(output.status.success(), "cargo cannot fetch `{}`; it says why above", shim.krate);
    serde_json::from_slice(&output.stdout).context("cargo's metadata")
}

fn compile(includes: &[PathBuf], library: &Path, identity: &str) -> Result<()> {
    let folder = library.parent().context("a library without a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let aside = folder.join(format!(".build-{}", std::process::id()));
    fs::create_dir_all(&aside).with_context(|| format!("cannot make `{}`", aside.display()))?;
    let done = compile_aside(includes, &aside, library, identity);
    let _ = fs::remove_dir_all(&aside);
    done
}

fn compile_aside(includes: &[PathBuf], aside: &Path, library: &Path, identity: &str) -> Result<()> {
    for (name, text) in [SOURCE, HEADER] {
        fs::write(aside.join(name), text).with_context(|| format!("cannot write `{name}`"))?;
    }
    let compiler = std::env::var_os("CXX").filter(|v| !v.is_empty()).unwrap_or_else(|| OsString::from("c++"));
    let built = aside.join("shim.so");
    let mut command = Command::new(compiler);
    command.args(FLAGS);
    for folder in includes {
        command.arg("-isystem").arg(folder);
    }
    run(command.arg(aside.join(SOURCE.0)).arg("-ldl").arg("-o").arg(&built))?;
    let digest = digest(&built).context("the compiler made nothing")?;
    // The record goes first: a library with another's record is compiled again, and so is one without.
    fs::write(record(library), format!("{identity}{digest}\n")).context("cannot write the record")?;
    fs::rename(&built, library).with_context(|| format!("cannot move `{}`", library.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Table;

    #[test]
    fn a_library_of_another_source_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lib.so");
        let table = Table::pinned().unwrap();
        let identity = identity(&table.trt_shim.flavours[0], None).unwrap();
        assert!(state(&library, &identity).is_err());
        fs::write(&library, b"code").unwrap();
        fs::write(record(&library), format!("{identity}{}\n", hex(&Sha256::digest(b"code")))).unwrap();
        state(&library, &identity).unwrap();
        assert!(state(&library, "# other\n").is_err());
        fs::write(&library, b"other").unwrap();
        assert!(state(&library, &identity).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn what_is_no_sdk_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::pinned().unwrap();
        let error = identity(&table.trt_shim.flavours[1], Some(folder.path())).unwrap_err();
        assert!(error.to_string().contains("NvInferVersion.h"), "{error}");
    }
}
