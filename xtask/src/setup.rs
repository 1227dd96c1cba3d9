//! Setup: fetches the pinned native parts into the cache. Does nothing once they are there.

use crate::parts::{Part, Setup, Table, Wheel, cache, platform};
use crate::run::text_of;
use crate::trt_shim;
use crate::unpack::{check_digest, digest, unpack};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What was unpacked, with its digests: a part without it, or unlike it, is fetched again.
const RECORD_FILE: &str = "files.sha256";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One part only, by its name in native-parts.toml.
    #[arg(long)]
    part: Option<String>,
    /// Only say what is there and what is missing.
    #[arg(long)]
    check: bool,
    /// Compile the C++ side of full TensorRT against the headers of an installed SDK: the folder of NvInfer.h.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["part", "check"])]
    tensorrt_sdk: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (table, cache, platform) = (Table::pinned()?, cache()?, platform());
    let parts: Vec<&Part> = match &arguments.part {
        Some(name) => vec![table.part(name)?],
        None => table.parts.iter().filter(|p| arguments.check || p.setup == Setup::Default).collect(),
    };
    let mut n_missing = 0;
    for part in parts {
        if arguments.part.is_none() && part.is_passed_over(&platform) {
            println!(
                "without  {} {}: not pinned for {platform}; for {}",
                part.name, part.version, part.needed_by
            );
            continue;
        }
        let wheel = part.wheel(&platform)?;
        let folder = cache.join(part.folder(&platform));
        match (state(&folder, wheel), arguments.check) {
            (Ok(()), _) => println!("ready    {} {}: {}", part.name, part.version, folder.display()),
            (Err(why), true) => {
                println!("missing  {} {}: {why}; needed by {}", part.name, part.version, part.needed_by);
                n_missing += usize::from(arguments.part.is_some() || part.setup == Setup::Default);
            }
            (Err(_), false) => {
                fetch(part, wheel, &cache, &folder)?;
                println!("fetched  {} {}: {}", part.name, part.version, folder.display());
            }
        }
    }
    if arguments.part.is_none() {
        n_missing +=
            trt_shim::ensure(&table.trt_shim, &cache, arguments.tensorrt_sdk.as_deref(), arguments.check)?;
    }
    if n_missing > 0 {
        bail!("{n_missing} native part(s) missing: run `cargo xtask setup`");
    }
    Ok(())
}

/// Everything that is fetched by default, for other chores; answers with the cache's folder.
pub(crate) fn ensure() -> Result<PathBuf> {
    run(&Arguments { part: None, check: false, tensorrt_sdk: None })?;
    cache()
}

/// Whether a part is whole, and which bytes of which wheel it is; an error says what is not so.
fn state(folder: &Path, wheel: &Wheel) -> Result<()> {
    if !folder.is_dir() {
        bail!("it is not at `{}`", folder.display());
    }
    let record = fs::read_to_string(folder.join(RECORD_FILE)).context("it has no record of its files")?;
    let mut lines = record.lines();
    if lines.next() != Some(first_line(wheel).as_str()) {
        bail!("it is of another wheel");
    }
    for file in &wheel.files {
        let recorded = record
            .lines()
            .find_map(|l| l.split_once("  ").filter(|(_, name)| *name == file.to).map(|(digest, _)| digest));
        let recorded = recorded.with_context(|| format!("its record lacks `{}`", file.to))?;
        check_digest(&folder.join(&file.to), recorded)?;
    }
    Ok(())
}

fn first_line(wheel: &Wheel) -> String {
    format!("# {} {}", wheel.wheel, wheel.sha256)
}

/// A folder that goes away unless it was moved to where it belongs.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn fetch(part: &Part, wheel: &Wheel, cache: &Path, folder: &Path) -> Result<()> {
    eprintln!("fetching {} {} for {}", part.name, part.version, part.needed_by);
    let aside = Aside(cache.join(format!(".{}-{}", part.name, std::process::id())));
    let downloads = aside.0.join("download");
    fs::create_dir_all(&downloads).with_context(|| format!("cannot make `{}`", downloads.display()))?;
    download(part, wheel, &downloads)?;
    install(wheel, &downloads.join(&wheel.wheel), &aside.0.join("part"), folder)
}

/// Checks a wheel, unpacks it aside, and moves the result to its place at once.
fn install(wheel: &Wheel, file: &Path, unpacked: &Path, folder: &Path) -> Result<()> {
    if !file.is_file() {
        bail!("the download brought no `{}`: the tags of native-parts.toml select another file", wheel.wheel);
    }
    check_digest(file, &wheel.sha256)?;
    fs::create_dir_all(unpacked).with_context(|| format!("cannot make `{}`", unpacked.display()))?;
    unpack(file, &wheel.files, unpacked)?;
    let mut record = first_line(wheel) + "\n";
    for f in &wheel.files {
        record += &format!("{}  {}\n", digest(&unpacked.join(&f.to))?, f.to);
    }
    fs::write(unpacked.join(RECORD_FILE), record).context("cannot write the record of files")?;
    if folder.exists() {
        // Broken, or of another wheel; or another setup was faster, and then its part is as good.
        if state(folder, wheel).is_ok() {
            return Ok(());
        }
        fs::remove_dir_all(folder).with_context(|| format!("cannot replace `{}`", folder.display()))?;
    }
    match fs::rename(unpacked, folder) {
        Err(_) if state(folder, wheel).is_ok() => Ok(()),
        moved => moved.with_context(|| format!("cannot move the part to `{}`", folder.display())),
    }
}

fn download(part: &Part, wheel: &Wheel, into: &Path) -> Result<()> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    match pip.status() {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            bail!("python3 is not on the PATH; its pip fetches `{}`", wheel.wheel)
        }
        Err(e) => return Err(e).context("cannot start python3"),
        Ok(status) if !status.success() => {
            bail!("python3 has no pip (`python3 -m ensurepip`, or the package python3-pip)")
        }
        Ok(_) => {}
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--progress-bar", "off", "--python-version", &wheel.python, "--implementation", "cp"]);
    pip.args(["--abi", &wheel.abi, "--platform", &wheel.platform]).arg("--dest").arg(into);
    pip.arg(format!("{}=={}", part.project, part.version));
    // Of pip's words only the errors are let through; they go to stderr.
    let output = pip.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = output.with_context(|| format!("cannot start `{}`", text_of(&pip)))?;
    if !status.success() {
        bail!(
            "the download of {} {} failed; pip says why above. Without a network, copy the cache of a machine \
             that has it, or set PILOTIS_NATIVE_DIR",
            part.project,
            part.version
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::PartFile;
    use std::io::Write;

    fn wheel_in(folder: &Path) -> (Wheel, PathBuf) {
        let path = folder.join("part-1.whl");
        let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
        writer.start_file("a/lib.so.1", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(b"library").unwrap();
        writer.finish().unwrap();
        let wheel = Wheel {
            wheel: "part-1.whl".into(),
            sha256: digest(&path).unwrap(),
            python: "311".into(),
            abi: "cp311".into(),
            platform: "any".into(),
            files: vec![PartFile { from: "a/lib.so.1".into(), to: "lib.so".into() }],
        };
        (wheel, path)
    }

    #[test]
    fn a_part_is_ready_once_installed_and_no_longer_when_changed() {
        let root = tempfile::tempdir().unwrap();
        let (wheel, path) = wheel_in(root.path());
        let (aside, folder) = (root.path().join("aside"), root.path().join("part-1-any"));
        assert!(state(&folder, &wheel).is_err());
        install(&wheel, &path, &aside, &folder).unwrap();
        state(&folder, &wheel).unwrap();

        fs::write(folder.join("lib.so"), b"lib rary").unwrap();
        assert!(state(&folder, &wheel).unwrap_err().to_string().contains("lib.so"));
        install(&wheel, &path, &aside, &folder).unwrap();
        state(&folder, &wheel).unwrap();

        let other = Wheel { sha256: "0".repeat(64), ..wheel_in(root.path()).0 };
        assert!(state(&folder, &other).unwrap_err().to_string().contains("another wheel"));
        fs::remove_file(folder.join("lib.so")).unwrap();
        assert!(state(&folder, &wheel).is_err());
    }

    #[test]
    fn a_wheel_of_another_digest_installs_nothing() {
        let root = tempfile::tempdir().unwrap();
        let (mut wheel, path) = wheel_in(root.path());
        wheel.sha256 = "0".repeat(64);
        let (aside, folder) = (root.path().join("aside"), root.path().join("part-1-any"));
        let error = install(&wheel, &path, &aside, &folder).unwrap_err();
        assert!(error.to_string().contains("pinned"), "{error}");
        assert!(!folder.exists() && !aside.exists());
        let error = install(&wheel, &root.path().join("nothing.whl"), &aside, &folder).unwrap_err();
        assert!(error.to_string().contains("part-1.whl"), "{error}");
    }
}
