//! What ptxas says of kernels.

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What a kernel takes of a multiprocessor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) registers: u32,
    pub(super) shared_bytes: u32,
    pub(super) stack_bytes: u32,
    pub(super) spill_bytes: u32,
}

/// Compiles a PTX file for sm_89, and yields what each of its kernels takes.
pub(super) fn usages(ptxas: &Path, ptx: &Path) -> Result<BTreeMap<String, Usage>> {
    // A wheel knows nothing of permissions.
    let mut permissions = fs::metadata(ptxas).context("ptxas is not in the cache")?.permissions();
    if permissions.mode() & 0o100 == 0 {
        permissions.set_mode(0o755);
        fs::set_permissions(ptxas, permissions).context("cannot make ptxas executable")?;
    }
    let mut command = Command::new(ptxas);
    command.args(["-v", "-arch=sm_89", "-o", "/dev/null"]).arg(ptx);
    let output = command.output().context("cannot start ptxas")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("ptxas refuses `{}`: {said}", ptx.display());
    }
    Ok(parse(&said))
}

/// Reads what `ptxas -v` writes.
fn parse(said: &str) -> BTreeMap<String, Usage> {
    let mut usages = BTreeMap::new();
    let mut current: Option<(String, Usage)> = None;
    for line in said.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            usages.extend(current.take());
            current = rest.split('\'').next().map(|name| (name.to_owned(), Usage::default()));
        }
        let Some((_, usage)) = &mut current else { continue };
        let number = |what: &str| {
            let (before, _) = line.split_once(what)?;
            before.trim_end().rsplit([' ', ',']).next()?.parse::<u32>().ok()
        };
        if let Some(n) = number("bytes stack frame") {
            usage.stack_bytes = n;
            usage.spill_bytes =
                number("bytes spill stores").unwrap_or(0) + number("bytes spill loads").unwrap_or(0);
        }
        if let Some(n) = number("registers") {
            usage.registers = n;
            usage.shared_bytes = number("bytes smem").unwrap_or(0);
        }
    }
    usages.extend(current);
    usages
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "ptxas info    : 356 bytes gmem
ptxas info    : Compiling entry function 'bev_encode_two' for 'sm_89'
ptxas info    : Function properties for bev_encode_two
    8 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 80 registers, 24576 bytes smem, 536 bytes cmem[0]
ptxas info    : Compiling entry function 'bev_clear' for 'sm_89'
ptxas info    : Function properties for bev_clear
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 24 registers, 536 bytes cmem[0]
";

    #[test]
    fn every_kernel_is_read_with_what_it_takes() {
        let usages = parse(SAID);
        assert_eq!(usages.len(), 2);
        let two = Usage { registers: 80, shared_bytes: 24576, stack_bytes: 8, spill_bytes: 20 };
        assert_eq!(usages["bev_encode_two"], two);
        assert_eq!(usages["bev_clear"], Usage { registers: 24, ..Usage::default() });
        assert!(parse("nothing of use").is_empty());
    }
}
