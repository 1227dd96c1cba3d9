//! Compile: C++ files to one library, every object file kept by the digest of all that it is made of.

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The name that the library calls itself: the first that is looked for.
pub(crate) const SONAME: &str = "libcuda.so";

/// What both the compiler and the linker are told.
const FLAGS: &[&str] = &["-std=c++20", "-O1", "-g1", "-fPIC"];

/// As the compiler of the PTX: every multiplication and every addition rounds.
const COMPILE_FLAGS: &[&str] = &["-c", "-fvisibility=hidden", "-ffp-contract=off", "-w", "-I."];

/// The last one makes it guard shared memory too, which lies in a section of its own.
const SANITIZE_FLAGS: &[&str] =
    &["-fsanitize=address", "-fno-omit-frame-pointer", "-fsanitize-sections=pilotis_shared"];

/// A file by name.
pub(crate) type File = (String, String);

/// A C++ compiler, and its word on what it is.
pub(crate) struct Compiler {
    program: OsString,
    version: Vec<u8>,
}

impl Compiler {
    /// The one that `CXX` names, or `c++`.
    ///
    /// **Errors**: no such program, with what to install.
    pub(crate) fn find() -> Result<Self> {
        Self::named(std::env::var_os("CXX").filter(|c| !c.is_empty()).unwrap_or_else(|| "c++".into()))
    }

    pub(crate) fn named(program: OsString) -> Result<Self> {
        let asked = Command::new(&program).arg("--version").output();
        let version = asked.with_context(|| no_compiler(&program))?.stdout;
        Ok(Self { program, version })
    }

    /// What it says that it is called by.
    pub(crate) fn program(&self) -> &OsStr {
        &self.program
    }

    /// The path of a library that belongs to it.
    pub(crate) fn library(&self, name: &str) -> Result<Option<PathBuf>> {
        let output = Command::new(&self.program).arg(format!("-print-file-name={name}")).output();
        let output = output.with_context(|| no_compiler(&self.program))?;
        // It answers with the bare name where it has no such library.
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(Some(path).filter(|p| p.is_absolute()))
    }

    /// The library of these sources in a folder; built unless it is there.
    ///
    /// Object files are kept too: a change of one source compiles that one alone.
    pub(crate) fn library_of(
        &self,
        folder: &Path,
        headers: &[File],
        units: &[File],
        sanitize: bool,
    ) -> Result<PathBuf> {
        ensure!(!units.is_empty(), "there is nothing to compile");
        let extra = if sanitize { SANITIZE_FLAGS } else { &[] };
        let keys: Vec<String> = units.iter().map(|unit| self.key(headers, unit, extra)).collect();
        let all: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
        let done = folder.join(format!("emulator-{}", digest(&all))).join(SONAME);
        if done.is_file() {
            return Ok(done);
        }
        let aside = Aside::new(folder)?;
        for (name, text) in headers.iter().chain(units) {
            fs::write(aside.0.join(name), text).with_context(|| format!("cannot write `{name}`"))?;
        }
        let kept = folder.join("objects");
        fs::create_dir_all(&kept).with_context(|| format!("cannot make `{}`", kept.display()))?;
        let objects: Vec<PathBuf> = keys.iter().map(|key| kept.join(format!("{key}.o"))).collect();
        let running: Vec<_> = units
            .iter()
            .zip(&objects)
            .filter(|(_, object)| !object.is_file())
            .map(|((name, _), object)| Ok((name, object, self.start(&aside.0, name, extra)?)))
            .collect::<Result<_>>()?;
        // Every one is waited for, the ones behind a failure included.
        let finished: Vec<Result<()>> =
            running.into_iter().map(|(name, object, child)| finish(&aside.0, name, object, child)).collect();
        finished.into_iter().collect::<Result<()>>()?;
        self.link(&aside.0, &objects, extra)?;
        place(&aside.0.join("linked"), done.parent().unwrap_or(folder))?;
        Ok(done)
    }

    fn key(&self, headers: &[File], unit: &File, extra: &[&str]) -> String {
        let mut parts: Vec<&[u8]> = vec![self.program.as_encoded_bytes(), &self.version];
        parts.extend([FLAGS, COMPILE_FLAGS, extra].concat().iter().map(|flag| flag.as_bytes()));
        for (name, text) in headers.iter().chain([unit]) {
            parts.extend([name.as_bytes(), text.as_bytes()]);
        }
        digest(&parts)
    }

    fn start(&self, folder: &Path, unit: &str, extra: &[&str]) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(FLAGS).args(COMPILE_FLAGS).args(extra);
        command.args(["-o", &object_name(unit), unit]).stdin(Stdio::null()).stderr(Stdio::piped());
        command.spawn().with_context(|| no_compiler(&self.program))
    }

    /// Links into a folder `linked`.
    fn link(&self, folder: &Path, objects: &[PathBuf], extra: &[&str]) -> Result<()> {
        fs::create_dir(folder.join("linked")).context("cannot make a folder to link in")?;
        let mut command = Command::new(&self.program);
        command.args(FLAGS).args(["-shared", &format!("-Wl,-soname,{SONAME}")]).args(extra).args(objects);
        command.arg("-o").arg(folder.join("linked").join(SONAME));
        let output = command.output().with_context(|| no_compiler(&self.program))?;
        if !output.status.success() {
            bail!("the emulator cannot be linked:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

fn finish(folder: &Path, unit: &str, object: &Path, child: Child) -> Result<()> {
    let output = child.wait_with_output().context("cannot wait for the C++ compiler")?;
    if !output.status.success() {
        bail!("the C++ compiler refuses `{unit}`:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    place(&folder.join(object_name(unit)), object)
}

/// Moves to a place that another process may have filled meanwhile, with the same.
fn place(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(_) if to.exists() => Ok(()),
        moved => moved.with_context(|| format!("cannot move `{}` to its place", to.display())),
    }
}

fn object_name(unit: &str) -> String {
    format!("{unit}.o")
}

fn no_compiler(program: &OsStr) -> String {
    format!(
        "cannot start the C++ compiler `{}`: install one (the package g++, for instance), or set CXX",
        program.to_string_lossy()
    )
}

/// The first 64 bits of a digest of parts and their lengths, for a name.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A folder of this build alone, gone at its end.
struct Aside(PathBuf);

impl Aside {
    fn new(folder: &Path) -> Result<Self> {
        static N_BUILDS: AtomicU32 = AtomicU32::new(0);
        let build_idx = N_BUILDS.fetch_add(1, Ordering::Relaxed);
        let aside = folder.join(format!("aside-{}-{build_idx}", std::process::id()));
        // One that a process of the same id left behind.
        let _ = fs::remove_dir_all(&aside);
        fs::create_dir_all(&aside).with_context(|| format!("cannot make `{}`", aside.display()))?;
        Ok(Self(aside))
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
