//! How often a request allocates. A build of its own counts, since counting costs each allocation some nanoseconds.

use std::collections::BTreeMap;

use crate::fixture::ALGORITHMS;
use crate::kept;

use super::measure;
use super::peers::Role;
use super::results::{Allocations, AllocationsOf};
use super::route::Expected;
use super::tokens::callers;
use super::{ALLOCATIONS, Runtimes, prepare};

/// So few that tokio sees no reason to interrupt whoever sends them.
const REQUESTS: usize = 50;

/// Counts for good tokens, and keeps the counts.
pub fn run() {
    let runtimes = Runtimes::new();
    let mut algorithms = Vec::new();
    for algorithm in ALGORITHMS {
        let prepared = prepare(&runtimes, algorithm);
        let (tokens, mut candidates) = (prepared.tokens, prepared.candidates);
        measure::acquaint(&runtimes.driver, &mut candidates, &tokens);
        let mut totals = Vec::new();
        for candidate in &mut candidates {
            let callers = match candidate.role {
                Role::KnowsOne | Role::Compares => vec![callers(&tokens.good, 0, 1)[0]; REQUESTS],
                _ => callers(&tokens.good, 0, REQUESTS),
            };
            // What is made on the first request alone is not a request's.
            candidate.route.time(&runtimes.driver, &callers, Expected::Accepted);
            totals.push(candidate.route.allocations(&runtimes.driver, &callers, Expected::Accepted));
        }
        let beyond = |(of, total): (usize, &u64)| {
            let open = totals[measure::open_of(&candidates, &candidates[of])];
            let label = candidates[of].label.clone();
            (label, (*total as f64 - open as f64) / REQUESTS as f64)
        };
        let counts: BTreeMap<String, f64> = totals.iter().enumerate().map(beyond).collect();
        println!("{algorithm}: {counts:#?}");
        algorithms.push(AllocationsOf { algorithm: algorithm.to_string(), counts });
    }
    kept::write(ALLOCATIONS, &Allocations { algorithms });
}
