//! `pilotis`: the runtime's command line.

mod cli;

use std::process::ExitCode;

/// Counts what the frame loop of `pilotis bench` allocates.
#[global_allocator]
static ALLOCATOR: cli::allocations::Counting = cli::allocations::Counting;

fn main() -> ExitCode {
    cli::main()
}
