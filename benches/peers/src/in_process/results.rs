//! What one run found, as it is kept for the report.

use serde::{Deserialize, Serialize};

use super::peers::Role;
use crate::statistics::Estimate;

#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub rounds: usize,
    /// How many tokens each of those has that know more than one.
    pub tokens: usize,
    pub algorithms: Vec<Measured>,
    pub peers: Vec<Described>,
    /// Of RS256.
    pub matrix: Matrix,
}

/// All of one algorithm.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measured {
    pub algorithm: String,
    pub token_bytes: usize,
    pub accepted: Vec<Accepted>,
    pub refused: Vec<Refused>,
    /// The crates that have nothing for this algorithm.
    pub without: Vec<String>,
}

/// What a good token costs with one of them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accepted {
    pub label: String,
    pub role: Role,
    /// The whole request through the router, in µs.
    pub whole: f64,
    /// The whole request over the one through the router with a layer that does nothing.
    pub over_open: Estimate,
    /// Beyond the router with a layer that does nothing, in µs; not for that one itself.
    pub beyond: Option<Estimate>,
    /// Of what is beyond: how many times that of portcullis with its cache off.
    pub to_uncached: Option<Estimate>,
    /// Of what is beyond: how many times that of portcullis with a known token, guard and limit.
    pub to_known: Option<Estimate>,
}

/// What a bad token costs with one of them: the whole request through the router, in µs, since no handler runs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    pub label: String,
    pub malformed: f64,
    pub forged: f64,
    /// How many times what portcullis takes as it comes.
    pub malformed_to_ours: Estimate,
    pub forged_to_ours: Estimate,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Described {
    pub name: String,
    pub cryptography: String,
    pub configuration: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Matrix {
    pub cases: Vec<String>,
    /// Whether such a request should be accepted.
    pub accepted: Vec<bool>,
    pub answers: Vec<Answers>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Answers {
    pub label: String,
    pub name: String,
    pub statuses: Vec<u16>,
}

impl Matrix {
    /// Whether an answer is as it should be: a refusal says what is wrong with the request, not with the server.
    pub fn right(&self, case: usize, status: u16) -> bool {
        if self.accepted[case] { (200..300).contains(&status) } else { (400..500).contains(&status) }
    }

    /// The cases that one of them answers otherwise than it should.
    pub fn differences<'a>(&'a self, answers: &'a Answers) -> impl Iterator<Item = &'a str> {
        let judged = answers.statuses.iter().enumerate();
        judged
            .filter(|(case, status)| !self.right(*case, **status))
            .map(|(case, _)| self.cases[case].as_str())
    }
}

/// How often a request allocates beyond the router with a layer that does nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Allocations {
    pub algorithms: Vec<AllocationsOf>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct AllocationsOf {
    pub algorithm: String,
    /// By label.
    pub counts: std::collections::BTreeMap<String, f64>,
}

impl Allocations {
    pub fn of(&self, algorithm: &str, label: &str) -> Option<f64> {
        let of = self.algorithms.iter().find(|of| of.algorithm == algorithm)?;
        of.counts.get(label).copied()
    }
}
