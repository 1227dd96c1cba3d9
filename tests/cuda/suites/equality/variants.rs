//! The tests of equality in processes of their own, on emulators of another kind.
//!
//! Only where an emulator is asked for at all: a card has no variants.

use pilotis_emulator::{Mutation, Options, build, sanitizer_runtime};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The test that meets every kernel with every kind of cloud.
const DRAWN_MODELS: &str = "drawn_models_answer_hostile_clouds_with_the_bits_of_the_cpu";

/// The emulator that this process was told to use.
const EMULATOR: &str = "PILOTIS_CUDA_EMULATOR";

/// Where emulators are kept: beside the one that was given.
fn folder() -> Option<PathBuf> {
    let given = PathBuf::from(std::env::var_os(EMULATOR)?);
    given.parent().and_then(Path::parent).map(Path::to_owned)
}

macro_rules! need_emulator {
    () => {
        match folder() {
            Some(folder) => folder,
            None => {
                println!("skipped: {EMULATOR} names no emulator, so there is none to vary");
                return;
            }
        }
    };
}

/// Runs a test of this very file in a process of its own.
fn run(test: &str, emulator: &Path, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(EMULATOR, emulator).env("RUST_BACKTRACE", "0");
    command.envs(variables.iter().copied()).output().unwrap()
}

#[track_caller]
fn assert_passes(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let has_run = said.contains("1 passed") && !said.contains("skipped:");
    assert!(output.status.success() && has_run, "{what}: {}\n{said}", output.status);
}

#[test]
fn no_order_of_threads_or_blocks_changes_a_bit() {
    let emulator = build(&need_emulator!(), &Options::default()).unwrap();
    for seed in ["1", "20", "333"] {
        assert_passes(&run(DRAWN_MODELS, &emulator, &[("PILOTIS_EMULATOR_SEED", seed)]), seed);
    }
}

#[test]
fn nothing_is_read_or_reused_before_it_was_waited_for() {
    let emulator = build(&need_emulator!(), &Options::default()).unwrap();
    assert_passes(&run(DRAWN_MODELS, &emulator, &[("PILOTIS_EMULATOR_LAZY", "1")]), "lazy streams");
}

#[test]
fn address_sanitizer_finds_nothing_in_the_kernels() {
    let folder = need_emulator!();
    let runtime = match sanitizer_runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let emulator = build(&folder, &Options { sanitize: true, mutation: None }).unwrap();
    let preload = runtime.to_string_lossy();
    // Rust's own allocations are watched as well; what the process leaves to its end is no leak.
    let variables =
        [("LD_PRELOAD", &*preload), ("ASAN_OPTIONS", "detect_leaks=0:detect_stack_use_after_return=0")];
    assert_passes(&run(DRAWN_MODELS, &emulator, &variables), "AddressSanitizer");
    // It is shown to look: one row of the encoder too far.
    let far = Mutation {
        module: "bev",
        find: "float* row = rows + lane * ROW;",
        occurrence: 0,
        replace: "float* row = rows + (lane + 4 * WARP) * ROW;",
    };
    let emulator = build(&folder, &Options { sanitize: true, mutation: Some(far) }).unwrap();
    let output = run(DRAWN_MODELS, &emulator, &variables);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("AddressSanitizer: global-buffer-overflow"), "{said}");
}

/// Faults that real changes would make: a barrier forgotten, an atomic lost, a bound off by one.
const FAULTS: &[(&str, &str, usize, &str)] = &[
    // Barriers.
    ("common.cuh", "    __syncthreads();\n    if (warp == 0)", 0, "    if (warp == 0)"),
    ("common.cuh", "    __syncthreads();\n    before += shared[warp];", 0, "    before += shared[warp];"),
    ("pillars", "            __syncthreads();\n        }\n    }\n    for", 0, "        }\n    }\n    for"),
    ("bev", "    __syncwarp();\n    return n;", 0, "    return n;"),
    (
        "boxes",
        "        __syncthreads();\n        if (threadIdx.x == 0) {\n            u64 all",
        0,
        "        if (threadIdx.x == 0) {\n            u64 all",
    ),
    // Atomics.
    ("points", "atomicMin(&p.first[cell], at);", 0, "p.first[cell] = at;"),
    ("points", "atomicAdd(&p.count[cell], 1u);", 0, "p.count[cell] = 1u;"),
    ("pillars", "atomicAdd(&p.filled[pillar], 1u)", 0, "p.filled[pillar]"),
    (
        "boxes",
        "atomicAdd(&p.n_found[plane.scope_idx], (u32)__popc(passing))",
        0,
        "p.n_found[plane.scope_idx]",
    ),
    // Bounds.
    ("points", "at < p.max_points", 0, "at <= p.max_points"),
    ("points", "x < p.max[0]", 0, "x <= p.max[0]"),
    ("points", "ix < p.nx &&", 0, "ix <= p.nx &&"),
    ("pillars", "pillar < p.max_pillars", 0, "pillar <= p.max_pillars"),
    ("pillars", "if (n > MAX_SORTED)", 0, "if (n > MAX_SORTED + 4096)"),
    ("pillars", "    p.count[cell] = 0;\n", 0, ""),
    ("bev", "pillar.n_points < p.point_cap", 0, "pillar.n_points <= p.point_cap"),
    ("bev", "if (p.pillar_at[cell] != NONE) return;", 0, "if (p.pillar_at[cell] == NONE) return;"),
    ("bev", "from < pillar.n_points; from += WARP", 1, "from + 1 < pillar.n_points; from += WARP"),
    // Arithmetic.
    ("points", "__fdiv_rn(point.x - p.min[0], p.cell[0])", 0, "((point.x - p.min[0]) * (1.0f / p.cell[0]))"),
    ("bev", "sum = fmaf(row[k], w.of[k], sum);", 0, "sum = row[k] * w.of[k] + sum;"),
    ("boxes", "logit == own && other < scope", 0, "logit == own && other > scope"),
    ("boxes", "n_kept < p.max_boxes", 0, "n_kept + 1 < p.max_boxes"),
];

#[test]
fn every_planted_fault_in_a_kernel_is_caught() {
    let folder = need_emulator!();
    let mut missed = Vec::new();
    for &(module, find, occurrence, replace) in FAULTS {
        let mutation = Some(Mutation { module, find, occurrence, replace });
        let emulator = build(&folder, &Options { sanitize: false, mutation }).unwrap();
        // Orders of threads other than the natural one bring out what a barrier was for.
        let is_caught = ["0", "7", "8"]
            .iter()
            .any(|seed| !run(DRAWN_MODELS, &emulator, &[("PILOTIS_EMULATOR_SEED", seed)]).status.success());
        if !is_caught {
            missed.push(format!("{module}: {find:?} -> {replace:?}"));
        }
    }
    assert!(!FAULTS.is_empty() && missed.is_empty(), "not caught: {missed:#?}");
}
