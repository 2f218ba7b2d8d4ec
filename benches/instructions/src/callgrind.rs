//! This program once more, beneath callgrind.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::scenarios::NAMES;

/// What all calls of each scenario cost together, in the order of their names.
pub fn count(inputs: &Path) -> Vec<i64> {
    let folder = inputs.parent().expect("a folder");
    let out = folder.join("callgrind.out");
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--collect-atstart=no"])
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

/// Instructions of one profile, which then gets the name of its scenario, for callgrind_annotate.
fn total(profile: &Path, name: &str) -> i64 {
    let text = fs::read_to_string(profile).expect("callgrind leaves a profile for each scenario");
    fs::rename(profile, profile.with_file_name(name)).expect("a profile is renamed");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
    total.trim().parse().expect("a number")
}
