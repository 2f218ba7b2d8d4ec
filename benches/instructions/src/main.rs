//! Counts the instructions that a request costs, and fails where they are more than `limits.txt` allows.
//!
//! `scripts/instructions` builds and runs it. Unlike times, counts hardly differ from run to run, whatever else the machine does,
//! so they can be a gate. `--write` sets the limits to what was counted and 3 % more; `--repeat N` counts N times and tells how far
//! the counts lie apart.
//!
//! `--show SCENARIO` then tells which functions they are spent in; the scenarios are named in `src/scenarios.rs`.
//!
//! Callgrind is called directly: gungraun, which wraps it, needs a runner that takes minutes to compile.
//!
//! # What is not counted
//! Valgrind 3.19 knows AVX2 but not AVX-512, and its processor has no counter that keeps in step with time. So aws-lc verifies by
//! another path than on a large server, and clocks are read through the system. Both sides of a difference do the same, so what is
//! *beyond* a signature or an empty service is right, and the whole of a miss is not. Instructions are not time either: a miss in
//! the processor's caches costs hundreds. The benchmarks measure that.
#![allow(missing_docs)]

mod callgrind;
mod inputs;
mod limits;
mod scenarios;
mod services;

use std::env;
use std::process::ExitCode;

use limits::{Limits, Row};
use scenarios::{CALLS, Scenarios};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        // Beneath callgrind: each scenario is one call of `measured`.
        ["measure", inputs] => {
            Scenarios::new(&inputs::read(inputs)).run();
            ExitCode::SUCCESS
        }
        [] => check(&count(1)),
        ["--repeat", times] => check(&count(times.parse().expect("a number of runs"))),
        ["--write"] => {
            Limits::write(&count(1));
            ExitCode::SUCCESS
        }
        ["--show", name] => {
            callgrind::show(&inputs::path(), name);
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: scripts/instructions [--write | --repeat N | --show SCENARIO]");
            ExitCode::FAILURE
        }
    }
}

/// Instructions of each row: the highest count of so many runs.
fn count(runs: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..runs {
        let inputs = inputs::make();
        let counts = callgrind::count(&inputs);
        let once = scenarios::rows(|name| {
            let index = scenarios::NAMES.iter().position(|each| *each == name).expect("a scenario");
            counts[index] / CALLS
        });
        if rows.is_empty() {
            rows = once;
        } else {
            rows.iter_mut().zip(once).for_each(|(row, again)| row.join(&again));
        }
    }
    rows
}

fn check(rows: &[Row]) -> ExitCode {
    let limits = Limits::read();
    let mut passed = !rows.is_empty();
    println!("| instructions beyond the empty service | counted | limit | |\n|---|---:|---:|---|");
    for row in rows {
        let (limit, remark) = limits.judge(row);
        passed &= limit.is_some_and(|limit| row.most <= limit) && row.least > 0;
        let limit = limit.map_or("none".into(), |limit| limit.to_string());
        println!("| {} | {} | {limit} | {remark} |", row.name, row.told());
    }
    if passed {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "more instructions than {} allows: make the path cheaper, or say in the commit why it is worth it",
        Limits::FILE
    );
    ExitCode::FAILURE
}
