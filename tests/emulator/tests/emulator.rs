//! The emulator on kernels of its own, driven by a small program that opens it as a driver.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_emulator::{Options, Source, build_from, compiler, sanitizer_runtime};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const KERNELS: &str = include_str!("kernels.cu");

/// Words that the host gives a kernel.
fn words(n: u32) -> Vec<u32> {
    (1..=n).map(|i| i.wrapping_mul(2_654_435_761) >> 8).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emulator")
}

/// The kernels' names, read from their text: nothing is listed twice.
fn source() -> Source {
    let name_of =
        |line: &str| Some(line.strip_prefix("KERNEL(")?.split_once(") ")?.1.split_once('(')?.0.to_owned());
    let entries: Vec<String> = KERNELS.lines().filter_map(name_of).collect();
    assert!(entries.len() > 10, "{entries:?}");
    Source { name: "samples".into(), text: KERNELS.into(), entries }
}

fn emulator() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build_from(&folder(), &[source()], &Options::default()).unwrap())
}

fn host() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        std::fs::create_dir_all(folder()).unwrap();
        let host = folder().join(format!("host-{}", std::process::id()));
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/host.cpp");
        let mut command = Command::new(compiler().unwrap());
        assert!(
            command.args(["-std=c++20", "-o"]).arg(&host).args([text, "-ldl"]).status().unwrap().success()
        );
        // Its name is the same for every run, so that builds do not pile up.
        let kept = folder().join("host");
        std::fs::rename(&host, &kept).unwrap();
        kept
    })
}

fn ask(library: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(host());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PILOTIS_EMULATOR_") {
            command.env_remove(name);
        }
    }
    command.arg(library).args(arguments).envs(variables.iter().copied()).output().unwrap()
}

#[track_caller]
fn answer(what: &str, variables: &[(&str, &str)]) -> String {
    let output = ask(emulator(), &[what], variables);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A launch of a sample: its blocks and threads, and the words that it reads and writes.
#[derive(Clone, Copy)]
struct Launch {
    kernel: &'static str,
    n_blocks: u32,
    n_threads: u32,
    n_in: u32,
    n_out: u32,
    n: u32,
}

const fn of(kernel: &'static str, n_blocks: u32, n_threads: u32, n_out: u32) -> Launch {
    Launch { kernel, n_blocks, n_threads, n_in: n_blocks * n_threads, n_out, n: n_blocks * n_threads }
}

fn output_of(library: &Path, launch: Launch, variables: &[(&str, &str)]) -> Output {
    let Launch { kernel, n_blocks, n_threads, n_in, n_out, n } = launch;
    let numbers = [n_blocks, n_threads, n_in, n_out, n].map(|n| n.to_string());
    let arguments: Vec<&str> =
        ["run", kernel].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    ask(library, &arguments, variables)
}

#[track_caller]
fn run(launch: Launch, variables: &[(&str, &str)]) -> Vec<u32> {
    let output = output_of(emulator(), launch, variables);
    assert!(output.status.success(), "{}: {output:?}", launch.kernel);
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

/// Runs under the natural order of threads and blocks, and under others.
#[track_caller]
fn assert_yields(launch: Launch, expected: &[u32]) {
    assert!(!expected.is_empty());
    for seed in ["0", "1", "2", "3"] {
        assert_eq!(
            run(launch, &[("PILOTIS_EMULATOR_SEED", seed)]),
            expected,
            "{} seed {seed}",
            launch.kernel
        );
    }
}

#[track_caller]
fn assert_refused(kernel: &'static str, why: &str) {
    for seed in ["0", "1", "2"] {
        let output = output_of(emulator(), of(kernel, 1, 64, 64), &[("PILOTIS_EMULATOR_SEED", seed)]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(86), "{kernel} seed {seed}: {output:?}");
        assert!(said.contains(why) && said.contains(&format!("`{kernel}`")), "{kernel} seed {seed}: {said}");
    }
}

#[test]
fn barriers_order_what_threads_write() {
    let expected: Vec<u32> = words(3 * 256)
        .chunks(256)
        .flat_map(|block| {
            let total = block.iter().fold(0u32, |sum, word| sum.wrapping_add(*word));
            block.iter().scan(0u32, move |sum, word| {
                let before = *sum;
                *sum = sum.wrapping_add(*word);
                Some(before.wrapping_add(total))
            })
        })
        .collect();
    assert_yields(of("scan", 3, 256, 3 * 256), &expected);
}

#[test]
fn lanes_see_what_the_others_of_their_warp_give() {
    let mut expected = Vec::new();
    for warp in words(64).chunks(32) {
        let ballot =
            |n: usize, divisor: u32| (0..n).map(|l| u32::from(warp[l] % divisor == 0) << l).sum::<u32>();
        for lane in 0..32 {
            expected.extend([
                warp[(lane * 7 + 3) % 32],
                warp[lane ^ 5],
                warp[if lane >= 3 { lane - 3 } else { lane }],
                warp[if lane + 3 < 32 { lane + 3 } else { lane }],
                ballot(32, 3),
                if lane < 8 { ballot(8, 2) } else { 0 },
            ]);
        }
    }
    assert_yields(of("lanes", 1, 64, 6 * 64), &expected);
}

#[test]
fn atomics_lose_nothing() {
    let words = words(4 * 64);
    let mut expected = vec![
        words.iter().fold(0u32, |sum, word| sum.wrapping_add(*word)),
        0, // the least of them and of what was there
        *words.iter().max().unwrap(),
        words.iter().fold(0, |bits, word| bits | 1 << (word % 32)),
    ];
    expected.extend(std::iter::repeat_n(1, words.len()));
    expected.push(256);
    assert_yields(of("atomics", 4, 64, 4 + 256 + 1), &expected);
}

#[test]
fn shared_memory_holds_nothing_of_the_block_before() {
    assert_yields(of("unwritten", 3, 64, 192), &[0xcdcd_cdcd; 192]);
}

#[test]
fn races_show_under_another_order_of_threads_or_blocks() {
    for launch in [of("without_barrier", 1, 64, 64), of("last_block", 16, 64, 1)] {
        let natural = run(launch, &[]);
        assert_eq!(natural, run(launch, &[]), "the natural order is always the same");
        let seeds = ["1", "2", "3", "4"].map(|seed| run(launch, &[("PILOTIS_EMULATOR_SEED", seed)]));
        assert!(seeds.iter().any(|words| *words != natural), "{}", launch.kernel);
    }
}

#[test]
fn waits_that_no_device_permits_end_the_process_with_words() {
    assert_refused("two_barriers", "different barriers (at samples.cu:");
    assert_refused("late_barrier", "a barrier after some threads of the block are gone (at samples.cu:");
    assert_refused("barrier_in_warp", "lanes of a warp wait for different things");
    assert_refused("gone_lane", "a warp waits for a lane that is gone");
    assert_refused("two_ballots", "lanes of a warp wait at different places");
    assert_refused("two_masks", "lanes of a warp name different masks");
    assert_refused("outside_mask", "a lane is not in the mask that it names");
}

#[test]
fn a_thread_that_needs_too_much_stack_is_refused() {
    let deep = of("deep_stack", 1, 64, 64);
    assert_eq!(run(Launch { n: 4, ..deep }, &[])[0], 1 + 2 + 3 + 4);
    let output = output_of(emulator(), deep, &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("more stack"), "{output:?}");
}

#[test]
fn address_sanitizer_finds_what_lies_past_an_end() {
    let runtime = match sanitizer_runtime() {
        Ok(runtime) => runtime,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let library = build_from(&folder(), &[source()], &Options { sanitize: true, mutation: None }).unwrap();
    let runtime = runtime.to_string_lossy();
    let variables = [("LD_PRELOAD", &*runtime), ("ASAN_OPTIONS", "detect_leaks=0")];
    for (kernel, kind) in [("past_shared", "global-buffer-overflow"), ("past_global", "heap-buffer-overflow")]
    {
        let output = output_of(&library, of(kernel, 1, 64, 64), &variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(kind) && said.contains("samples.cu"),
            "{kernel}: {said}"
        );
    }
    // What is right stays right, and shared memory is spoilt here as well.
    for launch in [of("scan", 3, 256, 3 * 256), of("lanes", 1, 64, 6 * 64), of("unwritten", 3, 64, 192)] {
        let output = output_of(&library, launch, &variables);
        assert!(output.status.success(), "{}: {output:?}", launch.kernel);
        assert_eq!(output.stdout, output_of(emulator(), launch, &[]).stdout, "{}", launch.kernel);
    }
}

#[test]
fn lazy_streams_work_when_somebody_waits() {
    assert_eq!(answer("lazy", &[]), "1 0\n1 0");
    // Not before: the host finds nothing, and what it changed meanwhile is what was copied.
    assert_eq!(answer("lazy", &[("PILOTIS_EMULATOR_LAZY", "1")]), "0 600\n2 0");
    let scan = of("scan", 3, 256, 3 * 256);
    assert_eq!(run(scan, &[("PILOTIS_EMULATOR_LAZY", "1")]), run(scan, &[]));
}

#[test]
fn faults_are_answered_as_they_were_asked_for() {
    let fault = |fault| answer("faults", &[("PILOTIS_EMULATOR_FAULT", fault)]);
    assert_eq!(answer("faults", &[]), "0 0 0 0 0");
    assert_eq!(fault("cuMemAlloc:2"), "2 2 2 0 0");
    assert_eq!(fault("cuMemAlloc_v2:2:2"), "0 2 0 0 0");
    assert_eq!(fault("cuStreamSynchronize:719"), "0 0 0 719 719");
    assert_eq!(fault("cuMemAlloc:700:3"), "0 0 700 700 700", "a fault of 700 sticks");
    assert_eq!(fault("cuMemAlloc:900:2"), "0 900 0 0 0", "what cannot be captured does no harm");
    assert_eq!(fault("cuInit:100"), "cuInit 100");
    let output = ask(emulator(), &["faults"], &[("PILOTIS_EMULATOR_FAULT", "nonsense")]);
    assert_eq!(output.status.code(), Some(86), "{output:?}");
}

#[test]
fn a_capture_is_over_whatever_its_end_answers() {
    let fault = |fault| answer("capture", &[("PILOTIS_EMULATOR_FAULT", fault)]);
    assert_eq!(answer("capture", &[]), "0 0 1 0 0 0 1 0 0");
    // The first capture is lost, the stream can be waited for, and the second one is as ever.
    assert_eq!(fault("cuStreamEndCapture:901:1"), "0 901 0 0 0 1 0 0");
    assert_eq!(fault("cuStreamEndCapture:900"), "0 900 0 0 900 0 0");
    assert_eq!(fault("cuGraphInstantiate:801:1"), "0 0 1 801 0 0 1 0 0");
}

#[test]
fn a_machine_without_a_device_or_memory_can_be_had() {
    assert_eq!(answer("faults", &[("PILOTIS_EMULATOR_DEVICES", "0")]), "cuInit 100");
    assert_eq!(answer("faults", &[("PILOTIS_EMULATOR_FREE_BYTES", "8")]), "2 2 2 0 0");
}

#[test]
fn ptx_of_other_sources_is_refused() {
    // The right one; a parameter of another size; no such entry; no such kernel; no PTX at all.
    assert_eq!(answer("stale", &[]), "0 500 500 500 218");
}

#[test]
fn ranges_that_were_not_allocated_are_refused() {
    // Fresh memory is spoilt; six ranges past an end; then everything is given back once and not twice.
    assert_eq!(answer("ranges", &[]), "cd 1 1 1 1 1 1 0 1 0 1");
}

#[test]
fn what_was_called_is_counted() {
    let file = folder().join(format!("counts-{}", std::process::id()));
    run(of("scan", 3, 256, 768), &[("PILOTIS_EMULATOR_COUNTS", file.to_str().unwrap())]);
    let counts = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    for line in [
        "launches_of_scan 1",
        "bytes_to_device 3072",
        "bytes_to_host 3072",
        "bytes_set 3072",
        "bytes_allocated 6144",
        "cuMemAlloc 2",
        "cuStreamSynchronize 1",
    ] {
        assert!(counts.lines().any(|l| l == line), "{line}:\n{counts}");
    }
}
