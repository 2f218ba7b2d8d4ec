//! Compares portcullis with others that protect the same route, in one process and over the wire.
//!
//! `scripts/performance` runs it all and writes `docs/performance.md`; `scripts/wire` runs what goes over the wire.

mod fixture;
mod in_process;
mod kept;
mod report;
mod statistics;
mod wire;

use std::error::Error;

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
    Serve(wire::ServeOptions),
    Wire(wire::Options),
    /// Writes docs/performance.md and the charts from what runs have left.
    Report,
}

fn main() -> Result<(), Box<dyn Error>> {
    match Options::parse().command {
        Command::InProcess(options) => in_process::run(&options),
        #[cfg(feature = "count-allocations")]
        Command::Allocations => in_process::allocations::run(),
        Command::Serve(options) => wire::serve(&options)?,
        Command::Wire(options) => wire::run(&options)?,
        Command::Report => report::run(),
    }
    Ok(())
}
