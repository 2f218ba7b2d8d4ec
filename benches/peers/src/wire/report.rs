//! What was measured, as numbers for others and as tables for people.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::load::{CONNECTIONS, Load};
use super::series::{CACHED, Measured, Plan, UNCACHED};
use super::servers::Kind;
use super::statistics::{Estimate, median};

/// Time of processors for a request, protected over open: no more than this.
const GOAL: f64 = 1.08;

#[derive(Serialize)]
pub struct Report {
    /// Whether rounds were left out, so that the numbers are not for the record.
    pub quick: bool,
    pub machine: Machine,
    /// What was left out, and why.
    pub skipped: Vec<String>,
    pub connections: usize,
    pub series: Vec<Series>,
}

#[derive(Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub load_average_before: String,
    pub load_average_after: String,
    pub versions: Vec<String>,
}

#[derive(Serialize)]
pub struct Series {
    pub part: &'static str,
    pub algorithm: &'static str,
    pub users: usize,
    /// Whether wrk ran on the cores of the server.
    pub shares_cores: bool,
    pub seconds: u32,
    pub rounds: usize,
    pub servers: Vec<ServerNumbers>,
    pub over_open: Vec<OverOpen>,
    pub beside_ours: Vec<BesideOurs>,
    /// For the cached path.
    pub goal: Option<Goal>,
}

/// One server; times are microseconds, medians over rounds.
#[derive(Serialize)]
pub struct ServerNumbers {
    pub name: String,
    /// Of processors, for each request.
    pub cpu: Estimate,
    pub requests_per_second: Estimate,
    pub busy: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
    pub loads: Vec<Load>,
}

/// A protected server over the same one without protection, in the same round.
#[derive(Serialize)]
pub struct OverOpen {
    pub name: String,
    pub open: String,
    pub cpu_ratio: Estimate,
    /// Microseconds of processors for each request.
    pub cpu_added: Estimate,
    pub throughput_ratio: Estimate,
    pub p99_ratio: Estimate,
}

/// What a peer adds to its open server, over what portcullis adds to its own, in the same round.
#[derive(Serialize)]
pub struct BesideOurs {
    pub name: String,
    pub over_cached: Estimate,
    pub over_uncached: Estimate,
}

#[derive(Serialize)]
pub struct Goal {
    pub at_most: f64,
    pub measured: Estimate,
    pub is_met: bool,
}

impl Series {
    pub fn of(plan: &Plan, measured: &Measured) -> Self {
        let Measured { kinds, rounds, .. } = measured;
        let place = |kind: Kind| kinds.iter().position(|other| *other == kind);
        let over_open: Vec<OverOpen> = kinds
            .iter()
            .enumerate()
            .filter(|(_, kind)| **kind != kind.open())
            .filter_map(|(own, kind)| Some(OverOpen::of(rounds, kinds, own, place(kind.open())?)))
            .collect();
        let ours = place(CACHED).zip(place(UNCACHED)).zip(place(CACHED.open()));
        let beside_ours = kinds
            .iter()
            .enumerate()
            .filter(|(_, kind)| !matches!(kind, Kind::Portcullis { .. }) && !kind.is_open())
            .filter_map(|(own, kind)| {
                let ((cached, uncached), open) = ours?;
                let peer = added(rounds, own, place(kind.open())?);
                let over = |our: usize| Estimate::of(&quotients(&peer, &added(rounds, our, open)));
                let [over_cached, over_uncached] = [over(cached), over(uncached)];
                Some(BesideOurs { name: kind.name(), over_cached, over_uncached })
            })
            .collect();
        let cached = over_open.iter().find(|one| one.name == CACHED.name());
        let goal = cached.filter(|_| plan.part != "peers").map(|one| Goal {
            at_most: GOAL,
            measured: one.cpu_ratio,
            is_met: one.cpu_ratio.median <= GOAL,
        });
        Self {
            part: plan.part,
            algorithm: plan.signature.name(),
            users: plan.users,
            shares_cores: plan.shares_cores,
            seconds: plan.seconds,
            rounds: rounds.len(),
            servers: (0..kinds.len()).map(|own| ServerNumbers::of(rounds, kinds, own)).collect(),
            over_open,
            beside_ours,
            goal,
        }
    }
}

impl ServerNumbers {
    fn of(rounds: &[Vec<Load>], kinds: &[Kind], own: usize) -> Self {
        let values =
            |value: fn(&Load) -> f64| rounds.iter().map(|round| value(&round[own])).collect::<Vec<f64>>();
        Self {
            name: kinds[own].name(),
            cpu: Estimate::of(&values(|load| load.cpu)),
            requests_per_second: Estimate::of(&values(|load| load.requests_per_second)),
            busy: median(&values(|load| load.busy)),
            p50: median(&values(|load| load.p50)),
            p90: median(&values(|load| load.p90)),
            p99: median(&values(|load| load.p99)),
            max: median(&values(|load| load.max)),
            loads: rounds.iter().map(|round| round[own].clone()).collect(),
        }
    }
}

impl OverOpen {
    fn of(rounds: &[Vec<Load>], kinds: &[Kind], own: usize, open: usize) -> Self {
        let ratio = |value: fn(&Load) -> f64| {
            let ratios: Vec<f64> =
                rounds.iter().map(|round| value(&round[own]) / value(&round[open])).collect();
            Estimate::of(&ratios)
        };
        Self {
            name: kinds[own].name(),
            open: kinds[open].name(),
            cpu_ratio: ratio(|load| load.cpu),
            cpu_added: Estimate::of(&added(rounds, own, open)),
            throughput_ratio: ratio(|load| load.requests_per_second),
            p99_ratio: ratio(|load| load.p99),
        }
    }
}

fn added(rounds: &[Vec<Load>], own: usize, open: usize) -> Vec<f64> {
    rounds.iter().map(|round| round[own].cpu - round[open].cpu).collect()
}

/// A round in which the divisor was lost in the noise counts as infinite, which is the truth as far as it was seen.
fn quotients(ones: &[f64], others: &[f64]) -> Vec<f64> {
    let quotient = |(one, other): (&f64, &f64)| if *other > 0.0 { one / other } else { f64::INFINITY };
    ones.iter().zip(others).map(quotient).collect()
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Machine { processor, cores, kernel, load_average_before, load_average_after, versions } =
            &self.machine;
        writeln!(f, "# Over the wire\n")?;
        if self.quick {
            writeln!(f, "A quick run, with too few rounds: these numbers are not for the record.\n")?;
        }
        for skipped in &self.skipped {
            writeln!(f, "**Skipped**: {skipped}\n")?;
        }
        writeln!(f, "{processor}, {cores} cores, Linux {kernel}; {}.", versions.join(", "))?;
        writeln!(f, "Load average {load_average_before} before, {load_average_after} after.\n")?;
        writeln!(
            f,
            "HTTP/1.1 over loopback, {CONNECTIONS} connections that are kept, one thread of wrk; each request comes with the\n\
             next user's credential. CPU time is that of the server's process, user and system, for each request that was\n\
             answered. All numbers are medians over rounds, in which the servers take turns; in brackets 95 % bootstrap\n\
             intervals. Every answer was a success; a changed credential and none were answered 401 before each series."
        )?;
        self.series.iter().try_for_each(|series| series.fmt(f))
    }
}

impl Display for Series {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { part, algorithm, users, seconds, rounds, .. } = self;
        let of = if *part == "api-key" { "API keys".into() } else { format!("{algorithm} tokens") };
        writeln!(f, "\n## {part}: {of} of {users} users\n")?;
        let cores = if self.shares_cores {
            "Two threads serve and share both cores with wrk, so throughput and latency say little, and CPU time does."
        } else {
            "The server has one core, wrk the other."
        };
        writeln!(f, "{rounds} rounds, {seconds} s for each load. {cores}\n")?;
        writeln!(
            f,
            "| server | CPU µs per request | requests/s | cores busy | p50 µs | p90 µs | p99 µs | max µs |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
        for ServerNumbers { name, cpu, requests_per_second, busy, p50, p90, p99, max, .. } in &self.servers {
            let per_second = requests_per_second.median;
            writeln!(
                f,
                "| {name} | {} | {per_second:.0} | {busy:.2} | {p50:.0} | {p90:.0} | {p99:.0} | {max:.0} |",
                Shown(*cpu, 2)
            )?;
        }
        writeln!(
            f,
            "\n| protected over open | CPU time, ratio | CPU µs added | requests/s, ratio | p99, ratio |"
        )?;
        writeln!(f, "|---|--:|--:|--:|--:|")?;
        for OverOpen { name, cpu_ratio, cpu_added, throughput_ratio, p99_ratio, .. } in &self.over_open {
            let [cpu, throughput] = [Shown(*cpu_ratio, 3), Shown(*throughput_ratio, 3)];
            writeln!(
                f,
                "| {name} | {cpu} | {} | {throughput} | {} |",
                Shown(*cpu_added, 2),
                Shown(*p99_ratio, 2)
            )?;
        }
        if !self.beside_ours.is_empty() {
            writeln!(f, "\n| CPU time added, over that of portcullis | cached | cache off |\n|---|--:|--:|")?;
        }
        for BesideOurs { name, over_cached, over_uncached } in &self.beside_ours {
            writeln!(f, "| {name} | {} | {} |", Shown(*over_cached, 0), Shown(*over_uncached, 2))?;
        }
        if let Some(Goal { at_most, measured, is_met }) = &self.goal {
            let verdict = if *is_met { "met" } else { "**not met**" };
            writeln!(
                f,
                "\nGoal for the cached path, at most {at_most} times the CPU time: {verdict} at {}.",
                Shown(*measured, 3)
            )?;
        }
        Ok(())
    }
}

/// With so many digits.
struct Shown(Estimate, usize);

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(Estimate { median, low, high }, digits) = self;
        let text = |value: &f64| {
            if value.is_finite() { format!("{value:.digits$}") } else { "beyond measure".into() }
        };
        if median.is_finite() {
            write!(f, "{} ({} to {})", text(median), text(low), text(high))
        } else {
            f.write_str(&text(median))
        }
    }
}
