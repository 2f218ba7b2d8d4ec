//! Where and with what it was measured.

use std::fs;
use std::process::Command;

use super::versions;
use crate::in_process::results::Results;

/// What decides about speed besides the peers.
const BENEATH: [&str; 9] =
    ["aws-lc-rs", "ring", "openssl", "rsa", "jsonwebtoken", "axum", "hyper", "tokio", "http"];

/// What nobody is compared with.
const OURS: [&str; 2] = ["portcullis", "axum"];

/// A list of machine, tools, date and versions.
pub fn describe(results: &Results) -> String {
    let cpu = first_value("/proc/cpuinfo", "model name");
    let (family, model) =
        (first_value("/proc/cpuinfo", "cpu family"), first_value("/proc/cpuinfo", "model\t"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = first_value("/proc/meminfo", "MemTotal");
    let gib =
        memory.split(' ').next().and_then(|kib| kib.parse::<f64>().ok()).map_or(0.0, |kib| kib / 1_048_576.0);
    let names = results.peers.iter().map(|peer| peer.name.as_str());
    let peers: Vec<String> =
        names.filter(|name| !OURS.contains(name)).chain(["huskarl-axum"]).map(newest).collect();
    let beneath: Vec<String> = BENEATH.into_iter().map(version).collect();
    format!(
        "- Machine: {cpu} (family {family}, model {model}), {cores} cores, {gib:.0} GiB, {}.\n\
         - Compiler: {}, release, `lto = \"thin\"`, `codegen-units = 1`, no `target-cpu`; {}.\n\
         - Date: {}.\n\
         - Compared: {}.\n\
         - Beneath: {}.",
        before(&said_by("uname", &["-sr"]), "-"),
        said_by("rustc", &["--version"]),
        before(&said_by("openssl", &["version"]), " ("),
        said_by("date", &["-u", "+%F"]),
        peers.join(", "),
        beneath.join(", "),
    )
}

/// That which the program uses itself; others may come with what it uses.
fn newest(name: &str) -> String {
    format!("{name} {}", versions::of(name).last().copied().unwrap_or_default())
}

fn version(name: &str) -> String {
    format!("{name} {}", versions::of(name).join(" and "))
}

/// What stands behind the first line of this file that begins so.
fn first_value(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
    line.map_or_else(|| "unknown".into(), |(_, value)| value.trim().into())
}

fn before(text: &str, mark: &str) -> String {
    text.split_once(mark).map_or(text, |(before, _)| before).into()
}

/// The first line that a command prints.
fn said_by(command: &str, arguments: &[&str]) -> String {
    let output = Command::new(command).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or_else(|| format!("{command}: unknown"), |line| line.trim().into())
}
