//! This program once more, beneath callgrind.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::scenarios::{CALLS, NAMES};

/// What all calls of each scenario cost together, in the order of their names.
pub fn count(inputs: &Path) -> Vec<i64> {
    let folder = inputs.parent().expect("a folder");
    let out = folder.join("callgrind.out");
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--compress-strings=no", "--collect-atstart=no"])
        // Each leaves one profile of its own.
        .args(["--toggle-collect=*::scenarios::measured", "--dump-after=*::scenarios::measured"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .arg("measure")
        .arg(inputs)
        .stdout(Stdio::null())
        .status()
        .expect("valgrind runs: apt-get install valgrind");
    assert!(status.success(), "the scenarios failed beneath callgrind: {status}");
    (1..).zip(NAMES).map(|(number, name)| total(&out.with_extension(format!("out.{number}")), name)).collect()
}

/// The functions that cost a scenario the most when it was last counted, with their instructions for one call.
/// (callgrind_annotate finds nothing in profiles that begin within a function.)
pub fn show(inputs: &Path, name: &str) {
    let text = fs::read_to_string(inputs.with_file_name(name)).expect("the name of a scenario");
    let mut costs: HashMap<&str, i64> = HashMap::new();
    let (mut function, mut lines) = ("", text.lines());
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            // What was called is counted where it stands.
            lines.next();
        } else if line.starts_with(|first: char| "+-*".contains(first) || first.is_ascii_digit()) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            *costs.entry(function).or_default() += cost.unwrap_or(0);
        }
    }
    let mut costs: Vec<_> = costs.into_iter().collect();
    costs.sort_by_key(|(_, cost)| -cost);
    for (function, cost) in costs.into_iter().take(40) {
        println!("{:>8}  {function}", cost / CALLS);
    }
}

/// Instructions of one profile, which then gets the name of its scenario.
fn total(profile: &Path, name: &str) -> i64 {
    let text = fs::read_to_string(profile).expect("callgrind leaves a profile for each scenario");
    fs::rename(profile, profile.with_file_name(name)).expect("a profile is renamed");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    total.trim().parse().expect("a number")
}
