//! Rounds in which everybody takes a turn, and what they come to.

use http::HeaderValue;
use tokio::runtime::Runtime;

use super::peers::{Candidate, Role};
use super::results::{Accepted, Refused};
use super::route::Expected;
use super::tokens::{Tokens, callers};
use crate::statistics::{Estimate, median};

/// Requests in a row within a round: long enough for the clock, short enough that all meet the same weather.
const QUICK: usize = 250;
const SLOW: usize = 25;

/// The label of what all are compared with that know nothing beforehand, and of what does it all.
pub const UNCACHED: &str = "portcullis: cache off";
pub const KNOWN: &str = "portcullis: known, guard, limit";
/// As it comes: what refusals are compared with.
pub const PLAIN: &str = "portcullis: known";

/// What good tokens cost.
pub fn accepted(
    runtime: &Runtime,
    candidates: &mut [Candidate],
    tokens: &Tokens,
    rounds: usize,
) -> Vec<Accepted> {
    let seconds = in_turns(runtime, candidates, &tokens.good, Expected::Accepted, rounds, repeat);
    let open: Vec<usize> = candidates.iter().map(|candidate| open_of(candidates, candidate)).collect();
    let beyond = |of: usize, round: usize| seconds[of][round] - seconds[open[of]][round];
    let ratio = |of: usize, to: usize| {
        Estimate::of(&(0..rounds).map(|round| beyond(of, round) / beyond(to, round)).collect::<Vec<_>>())
    };
    let (uncached, known) = (place(candidates, UNCACHED), place(candidates, KNOWN));
    let measured = |(of, candidate): (usize, &Candidate)| {
        let costs = candidate.role != Role::Nothing;
        let per_round =
            |what: &dyn Fn(usize) -> f64| Estimate::of(&(0..rounds).map(what).collect::<Vec<_>>());
        Accepted {
            label: candidate.label.clone(),
            role: candidate.role,
            whole: median(&seconds[of]) * 1e6,
            over_open: per_round(&|round| seconds[of][round] / seconds[open[of]][round]),
            beyond: costs.then(|| per_round(&|round| beyond(of, round) * 1e6)),
            to_uncached: costs.then(|| ratio(of, uncached)),
            to_known: costs.then(|| ratio(of, known)),
        }
    };
    candidates.iter().enumerate().map(measured).collect()
}

/// What bad tokens cost with those who judge them.
pub fn refused(
    runtime: &Runtime,
    candidates: &mut [Candidate],
    tokens: &Tokens,
    rounds: usize,
) -> Vec<Refused> {
    let mut judges: Vec<&mut Candidate> =
        candidates.iter_mut().filter(|candidate| candidate.role.judges()).collect();
    let malformed = in_turns(runtime, &mut judges, &tokens.malformed, Expected::Refused, rounds, |_| QUICK);
    let forged = in_turns(runtime, &mut judges, &tokens.forged, Expected::Refused, rounds, |_| SLOW);
    let ours = judges.iter().position(|candidate| candidate.label == PLAIN).expect("we take part");
    let to_ours = |seconds: &[Vec<f64>], of: usize| {
        Estimate::of(
            &seconds[of].iter().zip(&seconds[ours]).map(|(theirs, ours)| theirs / ours).collect::<Vec<_>>(),
        )
    };
    let refused = |(of, candidate): (usize, &&mut Candidate)| Refused {
        label: candidate.label.clone(),
        malformed: median(&malformed[of]) * 1e6,
        forged: median(&forged[of]) * 1e6,
        malformed_to_ours: to_ours(&malformed, of),
        forged_to_ours: to_ours(&forged, of),
    };
    judges.iter().enumerate().map(refused).collect()
}

/// Shows every token to whoever knows tokens, so that all are known, and the keys of all are there.
pub fn acquaint(runtime: &Runtime, candidates: &mut [Candidate], tokens: &Tokens) {
    for candidate in candidates {
        let count = if candidate.role == Role::Knows { tokens.good.len() } else { 1 };
        candidate.route.time(runtime, &callers(&tokens.good, 0, count), Expected::Accepted);
    }
}

/// The router with a layer that does nothing, of the same axum.
pub fn open_of(candidates: &[Candidate], candidate: &Candidate) -> usize {
    candidates
        .iter()
        .position(|open| open.role == Role::Nothing && open.route.axum() == candidate.route.axum())
        .expect("there is one of each axum")
}

/// Seconds for a request, by candidate and round.
fn in_turns<C: std::borrow::BorrowMut<Candidate>>(
    runtime: &Runtime,
    candidates: &mut [C],
    credentials: &[HeaderValue],
    expected: Expected,
    rounds: usize,
    repeat: impl Fn(Role) -> usize,
) -> Vec<Vec<f64>> {
    let mut seconds = vec![Vec::with_capacity(rounds); candidates.len()];
    for round in 0..rounds {
        for turn in 0..candidates.len() {
            // Who follows whom changes with the direction, and who begins with the round.
            let forward = (turn + round / 2) % candidates.len();
            let of = if round % 2 == 0 { forward } else { candidates.len() - 1 - forward };
            let candidate: &mut Candidate = candidates[of].borrow_mut();
            let count = repeat(candidate.role);
            let callers = match candidate.role {
                Role::KnowsOne | Role::Compares => vec![callers(credentials, 0, 1)[0]; count],
                _ => callers(credentials, round, count),
            };
            seconds[of].push(candidate.route.time(runtime, &callers, expected));
        }
    }
    seconds
}

const fn repeat(role: Role) -> usize {
    match role {
        Role::Verifies => SLOW,
        _ => QUICK,
    }
}

fn place(candidates: &[Candidate], label: &str) -> usize {
    candidates.iter().position(|candidate| candidate.label == label).expect("we take part")
}
