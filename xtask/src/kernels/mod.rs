//! Kernels: the PTX that is committed is what the pinned compiler makes of the sources, and its
//! kernels are as lean as they were.

mod occupancy;
mod ptxas;
mod report;

use crate::parts::{Table, platform};
use crate::run::repository;
use crate::setup;
use crate::test::Counts;
use anyhow::{Context, Result, bail};
use pilotis_kernels::{Entry, HEADERS, MODULES};
use ptxas::Usage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the sources are compiled: for compute capability 8.9, and every operation rounds.
const OPTIONS: [&str; 3] = ["--gpu-architecture=compute_89", "--fmad=false", "--std=c++17"];
const COMPILE: &str = include_str!("../../kernels/compile.py");

/// Registers of a thread that a kernel may take: what it takes now, and a little. More would lower how
/// many blocks a multiprocessor holds.
const REGISTER_BUDGETS: &[(&str, u32)] = &[
    ("points_count", 32),
    ("points_offsets", 32),
    ("points_keep", 32),
    ("pillars_count", 24),
    ("pillars_offsets", 32),
    ("pillars_number", 32),
    ("pillars_fill", 24),
    ("pillars_sort", 40),
    ("pillars_forget", 24),
    ("bev_clear", 32),
    ("bev_encode_one", 64),
    ("bev_encode_two", 96),
    ("boxes_sweep", 48),
    ("boxes_select", 64),
    ("boxes_decode", 56),
    ("boxes_overlap", 80),
    ("boxes_reduce", 40),
    ("boxes_merge", 40),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail where the committed PTX is not what the compiler makes, spills, or has other
    /// entries or parameters than the table of kernels.
    #[arg(long)]
    check: bool,
    /// Print registers, shared memory and occupancy of every kernel, and the bound that the bytes moved
    /// set (computed, not measured).
    #[arg(long)]
    report: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = setup::ensure()?;
    let tools = Tools::of(&cache)?;
    if arguments.report {
        println!("{}", report::text(&tools.usages()?)?);
    }
    if arguments.check {
        let counts = check(&tools)?;
        println!("{counts}");
        if counts.failed > 0 {
            bail!("{} of the kernels' checks failed", counts.failed);
        }
    } else if !arguments.report {
        for (name, ptx) in tools.compile()? {
            let path = ptx_path(&name);
            fs::write(&path, ptx).with_context(|| format!("cannot write `{}`", path.display()))?;
            println!("wrote {}", path.strip_prefix(repository()).unwrap_or(&path).display());
        }
    }
    Ok(())
}

/// The checks as a step of the tests; skipped where the compiler is not pinned for the platform.
pub(crate) fn check_all(cache: &Path) -> Result<Counts> {
    let table = Table::pinned()?;
    for name in ["nvrtc", "ptxas"] {
        if table.part(name)?.is_passed_over(&platform()) {
            println!("skipped: {name} is not pinned for {}, so the PTX is not checked", platform());
            return Ok(Counts { skipped: 1, ..Counts::default() });
        }
    }
    check(&Tools::of(cache)?)
}

/// The pinned compilers.
struct Tools {
    nvrtc: PathBuf,
    ptxas: PathBuf,
}

#[derive(Serialize)]
struct Job<'a> {
    library: &'a Path,
    options: &'a [&'a str],
    headers: BTreeMap<&'a str, &'a str>,
    modules: BTreeMap<&'a str, String>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    ptx: BTreeMap<String, String>,
    error: Option<String>,
}

impl Tools {
    fn of(cache: &Path) -> Result<Self> {
        let table = Table::pinned()?;
        let file = |part: &str, file: &str| -> Result<PathBuf> {
            Ok(cache.join(table.part(part)?.folder(&platform())).join(file))
        };
        Ok(Self { nvrtc: file("nvrtc", "libnvrtc.so.12")?, ptxas: file("ptxas", "ptxas")? })
    }

    /// PTX of every module, by name.
    fn compile(&self) -> Result<BTreeMap<String, String>> {
        let job = Job {
            library: &self.nvrtc,
            options: &OPTIONS,
            headers: HEADERS.iter().copied().collect(),
            modules: MODULES.iter().map(|m| (m.name, m.checked_source())).collect(),
        };
        let mut python = Command::new("python3");
        python.args(["-I", "-c", COMPILE]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = python.spawn().context("cannot start python3, which calls the compiler")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&serde_json::to_vec(&job)?).context("python3 does not listen")?;
        }
        let output = child.wait_with_output().context("cannot wait for python3")?;
        let answer: Answer = serde_json::from_slice(&output.stdout).context("python3 gave no answer")?;
        match answer.error {
            Some(error) => bail!("{error}"),
            None => Ok(answer.ptx),
        }
    }

    /// What the committed kernels take of a multiprocessor.
    fn usages(&self) -> Result<BTreeMap<String, Usage>> {
        let mut usages = BTreeMap::new();
        for module in MODULES {
            usages.extend(ptxas::usages(&self.ptxas, &ptx_path(module.name))?);
        }
        Ok(usages)
    }
}

fn ptx_path(module: &str) -> PathBuf {
    repository().join("kernels").join("ptx").join(format!("{module}.ptx"))
}

/// Every check of every module; a failed one is told on stderr.
fn check(tools: &Tools) -> Result<Counts> {
    let compiled = tools.compile()?;
    let usages = tools.usages()?;
    let mut counts = Counts::default();
    for module in MODULES {
        let committed = fs::read_to_string(ptx_path(module.name)).unwrap_or_default();
        let fresh = compiled.get(module.name).map_or("", String::as_str);
        let mut checks = vec![
            ("is what the compiler makes", same(&committed, fresh)),
            ("has the entries of the table", entries(&committed, module.entries)),
            ("names no path", no_path(&committed)),
        ];
        checks.extend(module.entries.iter().map(|e| ("is lean", lean(e, usages.get(e.name)))));
        for (what, result) in checks {
            match result {
                Ok(()) => counts.passed += 1,
                Err(why) => {
                    counts.failed += 1;
                    eprintln!("kernels/ptx/{}.ptx: check `{what}`: {why}", module.name);
                }
            }
        }
    }
    Ok(counts)
}

fn same(committed: &str, fresh: &str) -> Result<(), String> {
    if committed == fresh {
        return Ok(());
    }
    let pairs = committed.lines().zip(fresh.lines());
    let line = pairs.take_while(|(a, b)| a == b).count();
    let of = |text: &str| text.lines().nth(line).unwrap_or("(its end)").trim().to_owned();
    Err(format!(
        "line {} is `{}`, the compiler makes `{}`: run `cargo xtask kernels` and commit what it writes",
        line + 1,
        of(committed),
        of(fresh)
    ))
}

fn no_path(ptx: &str) -> Result<(), String> {
    match ptx.lines().find(|l| l.contains("/home/") || l.contains("/tmp/") || l.contains("/root/")) {
        Some(line) => Err(format!("`{line}` names a path of a machine")),
        None => Ok(()),
    }
}

/// The entries of a PTX text: name, bytes of the parameter, threads of a block.
fn entries_of(ptx: &str) -> Vec<(String, usize, u32)> {
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let mut found = Vec::new();
    for part in ptx.split(".entry ").skip(1) {
        let Some((name, rest)) = part.split_once('(') else { continue };
        let head = rest.split('{').next().unwrap_or("");
        let bytes = head.split_once('[').and_then(|(_, r)| number(r.split(']').next()?));
        let threads = head.split_once(".maxntid ").and_then(|(_, r)| number(r.split(',').next()?));
        found.push((name.trim().to_owned(), bytes.unwrap_or(0), threads.unwrap_or(0) as u32));
    }
    found
}

fn entries(ptx: &str, table: &[Entry]) -> Result<(), String> {
    let mut found = entries_of(ptx);
    let mut expected: Vec<_> = table.iter().map(|e| (e.name.to_owned(), e.params_bytes, e.block)).collect();
    found.sort();
    expected.sort();
    if found == expected {
        return Ok(());
    }
    Err(format!("entries (name, bytes of parameters, threads) are {found:?}, the table has {expected:?}"))
}

fn lean(entry: &Entry, usage: Option<&Usage>) -> Result<(), String> {
    let name = entry.name;
    let usage = usage.ok_or_else(|| format!("ptxas said nothing of `{name}`"))?;
    if usage.spill_bytes > 0 || usage.stack_bytes > 0 {
        return Err(format!(
            "`{name}` spills {} bytes, its stack has {}",
            usage.spill_bytes, usage.stack_bytes
        ));
    }
    let budget = REGISTER_BUDGETS.iter().find(|(n, _)| *n == name);
    let (_, budget) = budget.ok_or_else(|| format!("`{name}` has no budget of registers"))?;
    if usage.registers > *budget {
        return Err(format!("`{name}` takes {} registers, its budget is {budget}", usage.registers));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTX: &str =
        ".visible .entry one(\n\t.param .align 8 .b8 one_param_0[48]\n)\n.maxntid 256, 1, 1\n{\n ret;\n}\n";

    #[test]
    fn entries_are_read_with_their_parameters_and_threads() {
        assert_eq!(entries_of(PTX), [("one".to_owned(), 48, 256)]);
        let entry = |name, params_bytes, block| Entry { name, params_bytes, block };
        assert!(entries(PTX, &[entry("one", 48, 256)]).is_ok());
        for wrong in [entry("two", 48, 256), entry("one", 56, 256), entry("one", 48, 128)] {
            assert!(entries(PTX, &[wrong]).is_err());
        }
        assert!(entries(PTX, &[]).is_err());
        assert!(entries("", &[entry("one", 48, 256)]).is_err());
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert!(same("a\nb\n", "a\nb\n").is_ok());
        let why = same("a\nb\nc\n", "a\nx\nc\n").unwrap_err();
        assert!(why.contains("line 2") && why.contains("`b`") && why.contains("`x`"), "{why}");
        assert!(same("a\n", "a\nb\n").unwrap_err().contains("(its end)"));
        assert!(no_path(".file 1 \"/home/me/points.cu\"").is_err());
    }

    #[test]
    fn spills_stacks_and_registers_beyond_the_budget_are_refused() {
        let entry = Entry { name: "bev_clear", params_bytes: 0, block: 256 };
        let good = Usage { registers: 32, ..Usage::default() };
        assert!(lean(&entry, Some(&good)).is_ok());
        assert!(lean(&entry, Some(&Usage { registers: 33, ..good })).is_err());
        assert!(lean(&entry, Some(&Usage { spill_bytes: 4, ..good })).is_err());
        assert!(lean(&entry, Some(&Usage { stack_bytes: 8, ..good })).is_err());
        assert!(lean(&entry, None).is_err());
        assert!(lean(&Entry { name: "unheard_of", ..entry }, Some(&good)).is_err());
    }

    #[test]
    fn every_kernel_has_a_budget_and_every_budget_a_kernel() {
        let mut kernels: Vec<&str> = MODULES.iter().flat_map(|m| m.entries).map(|e| e.name).collect();
        let mut budgets: Vec<&str> = REGISTER_BUDGETS.iter().map(|(name, _)| *name).collect();
        kernels.sort_unstable();
        budgets.sort_unstable();
        assert_eq!(kernels, budgets);
    }
}
