//! The emulator: a `libcuda.so` without a device, made of the very sources of the kernels.
//!
//! [`build`] compiles `pilotis_kernels::MODULES` and the C++ of `cpp/` with the C++ compiler of the
//! machine. The runtime opens the result where `PILOTIS_CUDA_EMULATOR` names it, and never
//! otherwise. `cpp/driver.cpp` lists the switches of the environment.
//!
//! It runs the sources, not the PTX, one thread at a time. Real races, real asynchrony and TensorRT
//! are beyond it.

#![forbid(unsafe_code)]

mod compile;

use anyhow::{Context, Result, bail, ensure};
use compile::{Compiler, File};
use pilotis_kernels::{HEADERS, MODULES};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Our C++, by file name.
const SOURCES: [(&str, &str); 5] = [
    ("device.h", include_str!("../cpp/device.h")),
    ("switches.h", include_str!("../cpp/switches.h")),
    ("threads.h", include_str!("../cpp/threads.h")),
    ("threads.cpp", include_str!("../cpp/threads.cpp")),
    ("driver.cpp", include_str!("../cpp/driver.cpp")),
];

/// The one statement of the kernels that a CPU cannot run, and what stands in for it.
const TO_HALF: (&str, &str) =
    (r#"asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));"#, "half = half_bits(value);");

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

/// CUDA C++ of one file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name: a C++ name, that of its namespace.
    pub name: String,
    /// The text.
    pub text: String,
    /// The names of its kernels.
    pub entries: Vec<String>,
}

/// How an emulator is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// With AddressSanitizer: its runtime must be loaded first, see [`sanitizer_runtime`].
    pub sanitize: bool,
    /// With a fault in a kernel.
    pub mutation: Option<Mutation>,
}

/// The path of the emulator of the kernels of Pilotis in a folder; built unless it is there for these
/// very sources.
///
/// **Errors**: no C++ compiler, sources that it refuses (with its words), a mutation whose text is not
/// there.
pub fn build(folder: &Path, options: &Options) -> Result<PathBuf> {
    build_from(folder, &kernels(), options)
}

/// The same of any sources; they may include the headers of `pilotis_kernels`.
pub fn build_from(folder: &Path, sources: &[Source], options: &Options) -> Result<PathBuf> {
    let (headers, units) = files(sources, options.mutation)?;
    Compiler::find()?.library_of(folder, &headers, &units, options.sanitize)
}

/// The library that must be loaded before a sanitized emulator: a value for `LD_PRELOAD`.
///
/// **Errors**: no compiler, or one without AddressSanitizer.
pub fn sanitizer_runtime() -> Result<PathBuf> {
    let runtime = Compiler::find()?.library("libasan.so")?;
    runtime.context("the C++ compiler has no AddressSanitizer (libasan)")
}

/// The C++ compiler that emulators are built with.
///
/// **Errors**: none is there.
pub fn compiler() -> Result<OsString> {
    Ok(Compiler::find()?.program().to_owned())
}

fn kernels() -> Vec<Source> {
    let of_module = |module: &pilotis_kernels::Module| Source {
        name: module.name.to_owned(),
        text: module.checked_source(),
        entries: module.entries.iter().map(|entry| entry.name.to_owned()).collect(),
    };
    MODULES.iter().map(of_module).collect()
}

/// What is included, and what is compiled.
fn files(sources: &[Source], mutation: Option<Mutation>) -> Result<(Vec<File>, Vec<File>)> {
    let (mut units, mut headers): (Vec<File>, Vec<File>) = SOURCES
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .partition(|(name, _)| is_unit(name));
    let mut is_mutated = false;
    let mut mutated = |name: &str, text: &str| match mutation {
        Some(m) if m.module == name => {
            is_mutated = true;
            replace_nth(text, &m)
        }
        _ => Ok(text.to_owned()),
    };
    for (name, text) in HEADERS {
        headers.push(((*name).to_owned(), without_ptx(name, &mutated(name, text)?)?));
    }
    for source in sources {
        let text = without_ptx(&source.name, &mutated(&source.name, &source.text)?)?;
        // A name that none of our own files has.
        units.push((format!("kernels_{}.cpp", source.name), unit(source, &text)));
    }
    ensure!(mutation.is_none() || is_mutated, "there is no module or header of the mutation's name");
    Ok((headers, units))
}

fn is_unit(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "cpp")
}

fn replace_nth(text: &str, mutation: &Mutation) -> Result<String> {
    let Mutation { module, find, occurrence, replace } = *mutation;
    let (at, _) = text
        .match_indices(find)
        .nth(occurrence)
        .with_context(|| format!("`{module}` has no occurrence {occurrence} of `{find}`"))?;
    Ok([&text[..at], replace, &text[at + find.len()..]].concat())
}

/// The text with a function of the host in the place of the inline PTX that is known.
fn without_ptx(name: &str, text: &str) -> Result<String> {
    let text = text.replace(TO_HALF.0, TO_HALF.1);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if let Some(word) = text.split(|c| !is_word(c)).find(|word| matches!(*word, "asm" | "__asm__" | "__asm"))
    {
        bail!("`{name}` has inline PTX (`{word}`) that the emulator does not know");
    }
    Ok(text)
}

/// A source as C++: its text in a namespace of its own, and its entries in the table.
fn unit(Source { name, entries, .. }: &Source, text: &str) -> String {
    let mut unit = format!(
        "#include \"device.h\"\nnamespace {name} {{\n#line 1 \"{name}.cu\"\n{text}\n#line 1 \"entries of {name}\"\n"
    );
    for entry in entries {
        // The kernel's parameter by value, whatever its type.
        let _ = writeln!(
            unit,
            "template <class P> Registration note_{entry}(void (*kernel)(P)) {{\n    \
             static auto run = kernel;\n    \
             return Registration(\"{entry}\", sizeof(P), [](const void* params) {{ run(*(const P*)params); }});\n}}\n\
             static Registration noted_{entry} = note_{entry}({entry});"
        );
    }
    unit += "}\n";
    unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_emulator_is_built_once_for_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let source = Source { name: "nothing".into(), text: String::new(), entries: Vec::new() };
        let build = || build_from(folder.path(), std::slice::from_ref(&source), &Options::default()).unwrap();
        let first = build();
        let written = || fs::metadata(&first).unwrap().modified().unwrap();
        let before = written();
        assert_eq!(build(), first);
        assert_eq!(written(), before);
        let other = Source { text: "static int n;".into(), ..source.clone() };
        let n_files = |at: &Path| fs::read_dir(at).unwrap().count();
        let objects = folder.path().join("objects");
        let n_objects = n_files(&objects);
        assert_eq!(n_files(folder.path()), 2, "nothing is left aside");
        assert_ne!(build_from(folder.path(), &[other], &Options::default()).unwrap(), first);
        assert_eq!(n_files(folder.path()), 3, "one more library");
        assert_eq!(n_files(&objects), n_objects + 1, "what did not change was not compiled again");
    }

    #[test]
    fn a_mutation_changes_one_place_or_is_refused() {
        let mutation =
            Mutation { module: "pillars", find: "__syncthreads();", occurrence: 1, replace: "/* gone */" };
        let source = |m| {
            let (_, units) = files(&kernels(), m).unwrap();
            units.into_iter().find(|(name, _)| name == "kernels_pillars.cpp").unwrap().1
        };
        let (whole, broken) = (source(None), source(Some(mutation)));
        assert_eq!(whole.matches("__syncthreads();").count(), broken.matches("__syncthreads();").count() + 1);
        assert!(files(&kernels(), Some(Mutation { find: "no such text", ..mutation })).is_err());
        assert!(files(&kernels(), Some(Mutation { occurrence: 99, ..mutation })).is_err());
        assert!(files(&kernels(), Some(Mutation { module: "nothing", ..mutation })).is_err());
    }

    #[test]
    fn inline_ptx_that_nobody_knows_is_refused() {
        assert_eq!(without_ptx("bev", TO_HALF.0).unwrap(), TO_HALF.1);
        for ptx in ["asm(\"bar.sync 0;\");", "asm volatile (\"\");", "__asm__(\"\");"] {
            assert!(without_ptx("bev", ptx).is_err(), "{ptx}");
        }
    }

    #[test]
    fn without_a_compiler_the_error_says_what_to_install() {
        let Err(error) = Compiler::named("no-such-compiler".into()) else {
            panic!("there is such a compiler")
        };
        let text = format!("{error:#}");
        assert!(text.contains("no-such-compiler") && text.contains("g++") && text.contains("CXX"), "{text}");
    }

    #[test]
    fn what_the_compiler_says_of_a_source_is_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let source =
            Source { name: "wrong".into(), text: "int f() { return no_such_name; }".into(), entries: vec![] };
        let error = build_from(folder.path(), &[source], &Options::default()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("no_such_name") && text.contains("wrong.cu:1"), "{text}");
    }
}
