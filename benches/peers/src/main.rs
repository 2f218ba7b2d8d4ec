//! Compares portcullis with others that protect the same route, in one process and over the wire.
//!
//! `scripts/performance` runs it all and writes `docs/performance.md`; `scripts/wire` runs what goes over the wire.

mod fixture;
mod in_process;
mod kept;
mod report;
mod statistics;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Times everybody in one process, and tries bad tokens with each.
    InProcess(in_process::Options),
    /// Counts allocations: before `in-process`, which prints them beside the times.
    #[cfg(feature = "count-allocations")]
    Allocations,
    /// Writes docs/performance.md and the charts from what runs have left.
    Report,
}

fn main() {
    match Options::parse().command {
        Command::InProcess(options) => in_process::run(&options),
        #[cfg(feature = "count-allocations")]
        Command::Allocations => in_process::allocations::run(),
        Command::Report => report::run(),
    }
}
