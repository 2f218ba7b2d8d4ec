//! Compares portcullis with others that protect the same route, in one process and over the wire.
//!
//! `scripts/performance` runs it all and writes `docs/performance.md`; `scripts/wire` runs what goes over the wire.

mod fixture;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {}

fn main() {
    match Options::parse().command {}
}
