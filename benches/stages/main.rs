//! What each stage of protection costs, in time, against its floor in the same run.
//!
//! `cargo bench --bench stages` runs all parts, `-- hits misses` only those. Each is a process of its own, so that none finds the
//! memory as another one left it. All sides of a comparison take turns within a round; a ratio is the median over the rounds, with
//! its 95 % bootstrap interval. Every answer that is timed is looked at. Goals stand beside what was measured.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic
)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
mod growth;
mod hits;
mod limits;
mod misses;
mod refusals;
mod router;
mod threads;

use std::process::{Command, ExitCode};

const PARTS: [(&str, fn()); 7] = [
    ("hits", hits::run),
    ("router", router::run),
    ("misses", misses::run),
    ("refusals", refusals::run),
    ("threads", threads::run),
    ("growth", growth::run),
    ("limits", limits::run),
];

fn main() -> ExitCode {
    // Cargo adds options for harnesses of another make.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| PARTS.iter().all(|(part, _)| part != name)) {
        eprintln!("no part {unknown}; there are {}", PARTS.map(|(name, _)| name).join(", "));
        return ExitCode::FAILURE;
    }
    if let [name] = wanted.as_slice() {
        let (_, run) = PARTS.iter().find(|(part, _)| part == name).unwrap();
        run();
        return ExitCode::SUCCESS;
    }
    let program = std::env::current_exe().unwrap();
    for (name, _) in
        PARTS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| part == name))
    {
        let status = Command::new(&program).arg(name).status().unwrap();
        assert!(status.success(), "{name}: {status}");
    }
    ExitCode::SUCCESS
}
