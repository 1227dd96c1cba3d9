//! Every committed kernel is understood in full.

use pilotis_kernels::MODULES;
use pilotis_ptx::Module;

#[test]
fn every_committed_kernel_is_understood() {
    for module in MODULES {
        let parsed = Module::parse(module.ptx).unwrap_or_else(|e| panic!("{}: {e}", module.name));
        let mut found: Vec<&str> = parsed.kernels().collect();
        let mut expected: Vec<&str> = module.entries.iter().map(|e| e.name).collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
