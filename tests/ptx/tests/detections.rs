//! What the interpreter must notice, each in a program of a few lines.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests as well")]

use pilotis_ptx::{Fault, FaultKind, LaunchReport, Memory, Module, Options};

/// A kernel of 64 threads over one buffer of words, `%rd1`; `%r1` is the thread, `%rd2` its word.
fn program(body: &str) -> String {
    format!(
        ".version 8.0
.target sm_89
.address_size 64
.visible .entry test(
	.param .align 8 .b8 test_param_0[8]
)
.maxntid 64, 1, 1
{{
	.reg .pred 	%p<9>;
	.reg .b32 	%r<20>;
	.reg .b64 	%rd<20>;
	.shared .align 4 .b8 words[256];

	ld.param.u64 	%rd1, [test_param_0];
	mov.u32 	%r1, %tid.x;
	mul.wide.u32 	%rd3, %r1, 4;
	add.s64 	%rd2, %rd1, %rd3;
{body}
	ret;
}}
"
    )
}

fn run(body: &str, n_blocks: u32, seed: u64) -> (Result<LaunchReport, Fault>, Vec<u32>) {
    let module = Module::parse(&program(body)).unwrap();
    let mut memory = Memory::new();
    let at = memory.buffer("words", &[0; 256]);
    let options = Options { seed, ..Options::default() };
    let result = module.launch("test", n_blocks, &at.to_le_bytes(), &mut memory, &options);
    let words = memory.bytes(at).as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect();
    (result, words)
}

#[track_caller]
fn assert_fault(body: &str, n_blocks: u32, kind: FaultKind) {
    for seed in [0, 1, 2] {
        let fault = run(body, n_blocks, seed).0.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.kernel == "test" && fault.line > 0, "{fault}");
    }
}

/// Every thread gives its number to the one 32 places on, through shared memory.
const EXCHANGE: &str = "
	mov.u64 	%rd4, words;
	add.s64 	%rd5, %rd4, %rd3;
	st.shared.u32 	[%rd5], %r1;
	bar.sync 	0;
	xor.b32 	%r2, %r1, 32;
	mul.wide.u32 	%rd6, %r2, 4;
	add.s64 	%rd7, %rd4, %rd6;
	ld.shared.u32 	%r3, [%rd7];
	st.global.u32 	[%rd2], %r3;";

#[test]
fn what_a_barrier_orders_is_no_race_and_the_same_in_every_order() {
    for seed in [0, 5, 6] {
        let (report, words) = run(EXCHANGE, 1, seed);
        let report = report.unwrap();
        assert!(words.iter().enumerate().all(|(i, w)| *w == i as u32 ^ 32), "{words:?}");
        // 256 bytes are eight sectors, once.
        assert_eq!((report.sectors_written, report.distinct_sectors_written, report.sectors_read), (8, 8, 0));
    }
}

#[test]
fn without_the_barrier_it_is_a_race_or_a_read_of_nothing() {
    let body = EXCHANGE.replace("bar.sync 	0;", "");
    for seed in [0, 1, 2, 3] {
        let fault = run(&body, 1, seed).0.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Race | FaultKind::Unwritten), "{fault}");
    }
}

#[test]
fn writes_of_one_word_by_two_threads_or_blocks_race_even_if_they_agree() {
    assert_fault("	st.global.u32 	[%rd1], 7;", 1, FaultKind::Race);
    assert_fault("	st.global.u32 	[%rd2], 7;", 2, FaultKind::Race);
    // Atomics do not race with each other, but with plain reads.
    let add = "	atom.global.add.u32 	%r4, [%rd1], 1;";
    let (report, words) = run(add, 3, 9);
    assert_eq!((words[0], report.unwrap().atomics), (3 * 64, 3 * 64));
    assert_fault(&format!("{add}\n	ld.global.u32 	%r5, [%rd1];"), 2, FaultKind::Race);
}

#[test]
fn accesses_past_a_buffer_and_across_words_are_faults() {
    assert_fault("	ld.global.u32 	%r4, [%rd2+4];", 1, FaultKind::OutOfBounds);
    assert_fault("	ld.global.u32 	%r4, [%rd2+-4];", 1, FaultKind::OutOfBounds);
    assert_fault("	ld.global.u32 	%r4, [%rd2+2];", 1, FaultKind::Misaligned);
    assert_fault("	mov.u64 	%rd4, words;\n	ld.shared.u32 	%r4, [%rd4+256];", 1, FaultKind::OutOfBounds);
    assert_fault("	mov.u64 	%rd4, words;\n	ld.shared.u32 	%r4, [%rd4];", 1, FaultKind::Unwritten);
}

#[test]
fn lanes_and_threads_that_never_come_are_noticed() {
    // Half of a warp leaves before an exchange that names all of it.
    let parted = "
	and.b32 	%r2, %r1, 1;
	setp.eq.s32 	%p1, %r2, 0;
	@%p1 bra 	$END;
	shfl.sync.bfly.b32 	%r3|%p2, %r1, 1, 31, -1;
$END:";
    assert_fault(parted, 1, FaultKind::Divergence);
    let missed = "
	setp.gt.u32 	%p1, %r1, 40;
	@%p1 bra 	$END;
	bar.sync 	0;
$END:";
    assert_fault(missed, 1, FaultKind::Divergence);
}

#[test]
fn lanes_that_parted_meet_again() {
    let (report, words) = run(
        "
	and.b32 	%r2, %r1, 1;
	setp.eq.s32 	%p1, %r2, 0;
	mov.u32 	%r4, 10;
	@%p1 bra 	$MEET;
	mov.u32 	%r4, 20;
$MEET:
	shfl.sync.bfly.b32 	%r3|%p2, %r4, 1, 31, -1;
	setp.eq.s32 	%p3, %r3, 10;
	vote.sync.ballot.b32 	%r5, %p3, -1;
	add.s32 	%r6, %r3, %r5;
	st.global.u32 	[%rd2], %r6;",
        1,
        0,
    );
    report.unwrap();
    // Odd lanes got 10 from their even neighbours, and every other bit of the ballot is set.
    assert_eq!(words[..2], [20 + 0xaaaa_aaaa, 10 + 0xaaaa_aaaa]);
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    let error = Module::parse(&program("	sin.approx.f32 	%r2, %r1;")).unwrap_err();
    assert!(error.line > 15 && error.to_string().contains("sin.approx.f32"), "{error}");
    assert!(Module::parse(&program("	bra 	$NOWHERE;")).is_err());
}

#[test]
fn a_kernel_without_an_end_is_ended() {
    let module = Module::parse(&program("$AGAIN:\n	bra.uni 	$AGAIN;")).unwrap();
    let mut memory = Memory::new();
    let at = memory.buffer("words", &[0; 256]).to_le_bytes();
    let options = Options { max_instructions: 1000, ..Options::default() };
    let fault = module.launch("test", 1, &at, &mut memory, &options).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Endless);
}
