//! What protection costs a server that is asked over the wire, and what it costs with others.
#![allow(clippy::disallowed_methods, reason = "time is what is measured")]

mod client;
mod keys;
mod load;
mod machine;
mod plans;
mod probes;
mod process;
mod report;
mod series;
mod serve;
mod servers;
mod tables;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use load::Wrk;
use machine::Cores;
use report::{Machine, Report, Series};
use series::Fixture;
pub use serve::{Options as ServeOptions, serve};
use servers::Surroundings;

const ISSUER: &str = "https://id.example.com";

/// After which a run comes to its end with the rounds that it has.
const LONGEST: Duration = Duration::from_secs(11 * 60 + 30);

/// Loads servers, open and protected in turns, and writes what each request took to `wire.json` and `wire.md`.
#[derive(Args)]
pub struct Options {
    /// A few rounds, to see that all works.
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value = "wrk")]
    wrk: PathBuf,
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    /// Says that a peer is left out, and why, as NAME=REASON: `haproxy` or `node`.
    #[arg(long)]
    without: Vec<String>,
    /// Where the results are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/performance"))]
    output: PathBuf,
    /// All of them, unless some are named.
    #[arg(value_parser = plans::PARTS)]
    parts: Vec<String>,
}

pub fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + LONGEST;
    let folder = options.output.join("wire");
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    let surroundings = Surroundings {
        haproxy: options.haproxy.clone(),
        node: concat!(env!("CARGO_MANIFEST_DIR"), "/node/server.mjs").into(),
        folder: folder.clone(),
        cores: Cores::of_this_process()?,
    };
    let wrk = Wrk::new(&options.wrk, &folder)?;
    let without: Vec<(&str, &str)> = options
        .without
        .iter()
        .map(|text| text.split_once('=').unwrap_or((text, "it was not asked for")))
        .collect();
    let mut plans = plans::all(options.quick);
    plans.retain(|plan| options.parts.is_empty() || options.parts.iter().any(|part| part == plan.part));
    for (peer, _) in &without {
        plans.iter_mut().for_each(|plan| plan.leave_out(peer));
    }
    let mut report = Report {
        quick: options.quick,
        machine: Machine::here(&wrk)?,
        skipped: without.iter().map(|(peer, reason)| format!("{peer}, since {reason}")).collect(),
        connections: load::CONNECTIONS,
        series: Vec::new(),
    };
    let mut fixtures: HashMap<(&str, usize), Fixture> = HashMap::new();
    for plan in &plans {
        let fixture = match fixtures.entry((plan.signature.name(), plan.users)) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(keys::fixture(plan.signature, plan.users, &folder)?),
        };
        let start = Instant::now();
        let measured = plan.run(&surroundings, &wrk, fixture, deadline)?;
        let took = start.elapsed().as_secs();
        eprintln!(
            "wire: {} {}: {} rounds in {took} s",
            plan.part,
            plan.signature.name(),
            measured.rounds.len()
        );
        report.machine.add(&measured.versions);
        report.series.push(Series::of(plan, measured));
    }
    report.machine.end();
    std::fs::write(options.output.join("wire.json"), serde_json::to_string_pretty(&report)?)?;
    std::fs::write(options.output.join("wire.md"), report.to_string())?;
    print!("{report}");
    Ok(())
}
