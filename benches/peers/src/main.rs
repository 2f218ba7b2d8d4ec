//! Compares portcullis with others that protect the same route, in one process and over the wire.
//!
//! `scripts/performance` runs it all and writes `docs/performance.md`; `scripts/wire` runs what goes over the wire.

mod fixture;
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
    Serve(wire::ServeOptions),
    Wire(wire::Options),
}

fn main() -> Result<(), Box<dyn Error>> {
    match Options::parse().command {
        Command::Serve(options) => wire::serve(&options),
        Command::Wire(options) => wire::run(&options),
    }
}
