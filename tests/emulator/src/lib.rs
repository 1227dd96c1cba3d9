//! The emulator: a `libcuda.so` without a device, made of the very sources of the kernels.
//!
//! [`build`] compiles `pilotis_kernels::MODULES` and the C++ of `cpp/` with the C++ compiler of the
//! machine. The runtime opens the result where `PILOTIS_CUDA_EMULATOR` names it, and never
//! otherwise. `cpp/driver.cpp` lists the switches of the environment.
//!
//! It runs the sources, not the PTX, one thread at a time. Real races, real asynchrony and TensorRT
//! are beyond it.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use pilotis_kernels::{HEADERS, MODULES, Module};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Our C++, by file name.
const SOURCES: [(&str, &str); 4] = [
    ("device.h", include_str!("../cpp/device.h")),
    ("threads.h", include_str!("../cpp/threads.h")),
    ("threads.cpp", include_str!("../cpp/threads.cpp")),
    ("driver.cpp", include_str!("../cpp/driver.cpp")),
];

/// The one statement of the kernels that a CPU cannot run, and what stands in for it.
const TO_HALF: (&str, &str) =
    (r#"asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));"#, "half = half_bits(value);");

/// The name that the library calls itself: the first that is looked for.
const SONAME: &str = "libcuda.so";

/// A planted fault: what the tests of the kernels must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The module, or the header, by name.
    pub module: &'static str,
    /// Text of its source.
    pub find: &'static str,
    /// Which of its occurrences is replaced, from 0.
    pub occurrence: usize,
    /// What stands there instead.
    pub replace: &'static str,
}

/// How an emulator is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// With AddressSanitizer: its runtime must be loaded first, see [`sanitizer_runtime`].
    pub sanitize: bool,
    /// With a fault in a kernel.
    pub mutation: Option<Mutation>,
}

/// The path of an emulator in a folder; built unless it is there for these very sources.
///
/// **Errors**: no C++ compiler, sources that it refuses (with its words), a mutation whose text is not
/// there.
pub fn build(folder: &Path, options: &Options) -> Result<PathBuf> {
    let files = files(options.mutation)?;
    let mut hash = Sha256::new();
    for (name, text) in &files {
        hash.update(name);
        hash.update(text);
    }
    hash.update([u8::from(options.sanitize)]);
    let compiler = compiler();
    hash.update(compiler.as_encoded_bytes());
    let key = hex(&hash.finalize());
    let done = folder.join(format!("emulator-{key}")).join(SONAME);
    if done.is_file() {
        return Ok(done);
    }
    // Aside first: another process may build the same.
    let aside = folder.join(format!("emulator-{key}.{}", std::process::id()));
    fs::create_dir_all(&aside).with_context(|| format!("cannot make `{}`", aside.display()))?;
    let built = compile(&compiler, &files, &aside, options.sanitize);
    let placed = built.and_then(|()| match fs::rename(&aside, done.parent().unwrap_or(folder)) {
        Err(_) if done.is_file() => Ok(()),
        moved => moved.context("cannot move the emulator to its place"),
    });
    let _ = fs::remove_dir_all(&aside);
    placed.map(|()| done)
}

/// The library that must be loaded before a sanitized emulator: a value for `LD_PRELOAD`.
///
/// **Errors**: a compiler without one.
pub fn sanitizer_runtime() -> Result<PathBuf> {
    let compiler = compiler();
    let output = Command::new(&compiler).arg("-print-file-name=libasan.so").output();
    let output = output.with_context(|| no_compiler(&compiler))?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    ensure!(path.is_absolute(), "the C++ compiler has no AddressSanitizer (libasan)");
    Ok(path)
}

fn compiler() -> OsString {
    std::env::var_os("CXX").filter(|c| !c.is_empty()).unwrap_or_else(|| OsString::from("c++"))
}

fn no_compiler(compiler: &OsString) -> String {
    format!(
        "cannot start the C++ compiler `{}`: install one (the package g++, for instance), or set CXX",
        compiler.to_string_lossy()
    )
}

/// Every file that is compiled or included, by name.
fn files(mutation: Option<Mutation>) -> Result<Vec<(String, String)>> {
    let mut files: Vec<(String, String)> =
        SOURCES.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let mut is_mutated = false;
    let mut mutated = |name: &str, text: String| match mutation {
        Some(m) if m.module == name => {
            is_mutated = true;
            replace_nth(&text, &m)
        }
        _ => Ok(text),
    };
    for (name, text) in HEADERS {
        files.push(((*name).to_owned(), mutated(name, (*text).to_owned())?));
    }
    for module in MODULES {
        let source = mutated(module.name, module.checked_source())?;
        files.push((format!("{}.cpp", module.name), unit(module, &source)?));
    }
    ensure!(mutation.is_none() || is_mutated, "there is no module or header of the mutation's name");
    Ok(files)
}

fn replace_nth(text: &str, mutation: &Mutation) -> Result<String> {
    let Mutation { module, find, occurrence, replace } = *mutation;
    let (at, _) = text
        .match_indices(find)
        .nth(occurrence)
        .with_context(|| format!("`{module}` has no occurrence {occurrence} of `{find}`"))?;
    Ok([&text[..at], replace, &text[at + find.len()..]].concat())
}

/// A module as C++: its source in a namespace of its own, and its entries in the table.
fn unit(module: &Module, source: &str) -> Result<String> {
    let source = source.replace(TO_HALF.0, TO_HALF.1);
    if source.contains("asm(") || source.contains("asm volatile") {
        bail!("module `{}` has inline PTX that the emulator does not know", module.name);
    }
    let mut text = format!("#include \"device.h\"\nnamespace {} {{\n{source}\n", module.name);
    for entry in module.entries {
        let name = entry.name;
        // The kernel's parameter by value, whatever its type.
        let _ = writeln!(
            text,
            "template <class P> Registration note_{name}(void (*kernel)(P)) {{\n    \
             static auto run = kernel;\n    \
             return Registration(\"{name}\", sizeof(P), [](const void* params) {{ run(*(const P*)params); }});\n}}\n\
             static Registration noted_{name} = note_{name}({name});"
        );
    }
    text += "}\n";
    Ok(text)
}

/// Compiles every unit that was not compiled before, and links all of them.
fn compile(compiler: &OsString, files: &[(String, String)], folder: &Path, sanitize: bool) -> Result<()> {
    for (name, text) in files {
        fs::write(folder.join(name), text).with_context(|| format!("cannot write `{name}`"))?;
    }
    // As the compiler of the PTX: every multiplication and every addition rounds.
    let mut flags =
        vec!["-std=c++20", "-O1", "-g1", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-w"];
    if sanitize {
        flags.extend(["-fsanitize=address", "-fno-omit-frame-pointer"]);
    }
    let objects = folder.parent().unwrap_or(folder).join("objects");
    fs::create_dir_all(&objects).with_context(|| format!("cannot make `{}`", objects.display()))?;
    let is_header = |name: &str| !name.ends_with(".cpp");
    let headers: Vec<_> = files.iter().filter(|(name, _)| is_header(name)).collect();
    let mut link = vec![PathBuf::from("-shared")];
    for (name, text) in files.iter().filter(|(name, _)| !is_header(name)) {
        let mut hash = Sha256::new();
        hash.update(compiler.as_encoded_bytes());
        flags.iter().for_each(|flag| hash.update(flag));
        headers.iter().for_each(|(_, header)| hash.update(header));
        hash.update(text);
        let object = objects.join(format!("{}.o", hex(&hash.finalize())));
        if !object.is_file() {
            let aside = object.with_extension(std::process::id().to_string());
            let mut command = Command::new(compiler);
            command.current_dir(folder).args(&flags).args(["-I.", "-c", name, "-o"]).arg(&aside);
            run(compiler, &mut command)?;
            fs::rename(&aside, &object).context("cannot move an object to its place")?;
        }
        link.push(object);
    }
    let mut command = Command::new(compiler);
    command.current_dir(folder).args(&flags).args(link).args(["-o", SONAME]);
    run(compiler, command.arg(format!("-Wl,-soname,{SONAME}")))
}

fn run(compiler: &OsString, command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| no_compiler(compiler))?;
    if !output.status.success() {
        bail!("the C++ compiler refuses the emulator:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The first bytes of a digest.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_built_once_for_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let first = build(folder.path(), &Options::default()).unwrap();
        let written = fs::metadata(&first).unwrap().modified().unwrap();
        assert_eq!(build(folder.path(), &Options::default()).unwrap(), first);
        assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), written);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 2, "nothing is left aside but the objects: {left:?}");
    }

    #[test]
    fn a_mutation_changes_one_place_or_is_refused() {
        let mutation =
            Mutation { module: "pillars", find: "__syncthreads();", occurrence: 1, replace: "/* gone */" };
        let source = |m| files(m).unwrap().into_iter().find(|(name, _)| name == "pillars.cpp").unwrap().1;
        let (whole, broken) = (source(None), source(Some(mutation)));
        assert_eq!(whole.matches("__syncthreads();").count(), broken.matches("__syncthreads();").count() + 1);
        assert!(files(Some(Mutation { find: "no such text", ..mutation })).is_err());
        assert!(files(Some(Mutation { occurrence: 99, ..mutation })).is_err());
        assert!(files(Some(Mutation { module: "nothing", ..mutation })).is_err());
    }

    #[test]
    fn inline_ptx_that_nobody_knows_is_refused() {
        let module = &MODULES[0];
        assert!(unit(module, "asm(\"bar.sync 0;\");").is_err());
        assert!(unit(module, TO_HALF.0).is_ok());
    }
}
