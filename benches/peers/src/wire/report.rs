//! What was measured, as numbers; `tables` shows them.

use serde::Serialize;

use super::load::Load;
use super::probes::Refusals;
use super::series::{CACHED, Measured, Plan, UNCACHED};
use super::servers::Kind;
use crate::statistics::{Estimate, median};

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
    /// `RS256 tokens`, or of another kind.
    pub credentials: String,
    pub users: usize,
    /// Whether wrk ran on the cores of the server.
    pub shares_cores: bool,
    pub seconds: u32,
    pub rounds: usize,
    pub servers: Vec<ServerNumbers>,
    pub over_open: Vec<OverOpen>,
    pub beside_ours: Vec<BesideOurs>,
    /// How tokens are answered that are wrong in one respect.
    pub refusals: Vec<Refusals>,
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
    pub fn of(plan: &Plan, measured: Measured) -> Self {
        let Measured { kinds, rounds, refusals, .. } = measured;
        let (kinds, rounds) = (kinds.as_slice(), rounds.as_slice());
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
            credentials: if kinds.iter().any(|kind| kind.has_api_keys()) {
                "API keys".into()
            } else {
                format!("{} tokens", plan.signature.name())
            },
            users: plan.users,
            shares_cores: plan.shares_cores,
            seconds: plan.seconds,
            rounds: rounds.len(),
            servers: (0..kinds.len()).map(|own| ServerNumbers::of(rounds, kinds, own)).collect(),
            over_open,
            beside_ours,
            refusals,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::serve::{Signature, What};

    fn load(cpu: f64) -> Load {
        let requests_per_second = 1e6 / cpu;
        Load {
            requests: 1,
            seconds: 1.0,
            cpu,
            requests_per_second,
            busy: 1.0,
            p50: 1.0,
            p90: 1.0,
            p99: 1.0,
            max: 1.0,
        }
    }

    fn series(rounds: &[[f64; 5]]) -> Series {
        let peer = Kind::HaProxy { verifies: true };
        let kinds = vec![peer, peer.open(), UNCACHED, CACHED.open(), CACHED];
        let plan = Plan {
            part: "cached",
            signature: Signature::Rs256,
            kinds: kinds.clone(),
            users: 1,
            warm_up: 0,
            rounds: rounds.len(),
            seconds: 1,
            shares_cores: false,
        };
        let rounds = rounds.iter().map(|round| round.map(load).to_vec()).collect();
        Series::of(&plan, Measured { kinds, versions: Vec::new(), refusals: Vec::new(), rounds })
    }

    #[test]
    fn each_is_compared_with_its_own_open_server_in_the_same_round() {
        let series = series(&[
            [50.0, 10.0, 30.0, 10.0, 10.5],
            [60.0, 20.0, 40.0, 20.0, 21.0],
            [41.0, 1.0, 21.0, 1.0, 1.5],
        ]);
        let names: Vec<&str> = series.over_open.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["HAProxy jwt_verify", "portcullis, cache off", "portcullis, cached"]);
        assert_eq!(series.over_open[0].cpu_added.median, 40.0);
        assert_eq!(series.over_open[1].cpu_added.median, 20.0);
        assert_eq!(series.over_open[2].cpu_ratio.median, 1.05);
        assert_eq!(series.beside_ours[0].over_uncached.median, 2.0);
        assert_eq!(series.beside_ours[0].over_cached.median, 80.0);
    }

    #[test]
    fn a_goal_is_met_up_to_its_limit_and_not_beyond() {
        let met = |cached: f64| series(&[[50.0, 10.0, 30.0, 100.0, cached]]).goal.map(|goal| goal.is_met);
        assert_eq!(met(108.0), Some(true));
        assert_eq!(met(108.1), Some(false));
    }

    #[test]
    fn what_is_lost_in_the_noise_is_no_divisor() {
        let series = series(&[[50.0, 10.0, 30.0, 10.0, 9.9]]);
        assert!(series.beside_ours[0].over_cached.median.is_infinite());
        assert!(series.to_string().contains("| HAProxy jwt_verify | beyond measure | 2.00"));
        assert_eq!(
            serde_json::to_value(&series).unwrap()["beside_ours"][0]["over_cached"]["median"],
            serde_json::Value::Null
        );
    }

    #[test]
    fn only_what_differs_from_its_open_server_is_compared() {
        let open = Kind::Portcullis { what: What::Open, threads: 1 };
        assert_eq!(CACHED.open(), open);
        assert!(series(&[[2.0, 1.0, 2.0, 1.0, 2.0]]).over_open.iter().all(|one| one.name != open.name()));
    }
}
