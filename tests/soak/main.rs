//! Loads that take their time: `scripts/soak`, or `scripts/soak --short`. Each prints what it saw and fails if that is wrong.
#![allow(missing_docs, unreachable_pub, dead_code)]
#![allow(
    clippy::must_use_candidate,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod api_keys;
mod authority_outage;
mod callers;
mod flood;
mod garbage;
#[path = "../it/harness.rs"]
mod harness;
mod key_database;
mod limit_outage;
mod outage;
#[path = "../it/redis.rs"]
mod redis;
mod rotation;
#[path = "../it/api_keys/sealed.rs"]
mod sealed;
mod shared_limits;
mod timing;

use std::collections::BTreeMap;
use std::time::Duration;

/// How long each load takes.
pub struct Plan {
    pub rotation: Duration,
    pub rotations: u32,
    pub flood: Duration,
    pub outage: Duration,
    /// How long the authority is away, each time.
    pub authority: Duration,
    /// How many tokens that nobody issued.
    pub garbage: usize,
    /// How many well-formed API keys that nobody issued.
    pub unknown_keys: usize,
    /// How many API keys are in a database file.
    pub stored_keys: usize,
    /// How long API keys are rotated and used.
    pub api_keys: Duration,
    /// How many callers come to a limit in memory.
    pub callers: usize,
    /// How long processes share a limit.
    pub limits: Duration,
    /// How long the Redis of limits is there, or away.
    pub limit_outage: Duration,
    /// How many refusals of each kind are timed.
    pub timings: usize,
    /// How many known tokens share the memory that is counted.
    pub known: usize,
    /// How much slower the 99th percentile of good requests may get in a flood.
    pub tail: f64,
    /// And by how much beyond that, for pauses of the machine.
    pub pause: Duration,
    /// How long a request may take in an outage.
    pub slowest: Duration,
    /// The 99th percentile of requests that have to wait for nobody.
    pub usual: Duration,
    /// The 99th percentile of refusals while the authority is not asked.
    pub at_once: Duration,
    /// How long an answer of the Redis of limits is waited for.
    pub limit_deadline: Duration,
    /// Hundredths of a quota that nobody comes for while the machine stands still for longer than the burst lasts, a second.
    pub lost: u32,
}

const FULL: Plan = Plan {
    rotation: Duration::from_secs(42),
    rotations: 7,
    flood: Duration::from_secs(10),
    outage: Duration::from_secs(60),
    authority: Duration::from_secs(30),
    garbage: 5_000_000,
    unknown_keys: 1_000_000,
    stored_keys: 100_000,
    api_keys: Duration::from_secs(30),
    callers: 10_000_000,
    limits: Duration::from_secs(30),
    limit_outage: Duration::from_secs(10),
    timings: 200_000,
    known: 100_000,
    tail: 3.0,
    pause: Duration::ZERO,
    slowest: Duration::from_millis(50),
    usual: Duration::from_millis(50),
    at_once: Duration::from_millis(5),
    limit_deadline: Duration::from_millis(50),
    lost: 0,
};

const SHORT: Plan = Plan {
    rotation: Duration::from_secs(6),
    rotations: 3,
    flood: Duration::from_secs(4),
    outage: Duration::from_secs(8),
    authority: Duration::from_secs(6),
    garbage: 30_000,
    unknown_keys: 20_000,
    stored_keys: 2_000,
    api_keys: Duration::from_secs(3),
    callers: 500_000,
    limits: Duration::from_secs(12),
    limit_outage: Duration::from_secs(3),
    timings: 2_000,
    known: 10_000,
    // The gate runs on shared machines, with few samples: a pause of the machine is no fault of ours.
    tail: 10.0,
    pause: Duration::from_millis(200),
    slowest: Duration::from_secs(10),
    usual: Duration::from_millis(500),
    at_once: Duration::from_millis(300),
    limit_deadline: Duration::from_millis(500),
    lost: 10,
};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("crowd", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return flood::crowd(rest).await;
    }
    if let Some(("garbage-of", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return garbage::alone(rest).await;
    }
    if let Some(("api-keys-of", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return api_keys::alone(rest).await;
    }
    if let Some(("limits-of", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return shared_limits::process(rest).await;
    }
    let plan = if arguments.iter().any(|argument| argument == "--short") { SHORT } else { FULL };
    let wanted = |name: &str| {
        let named = |argument: &&String| !argument.starts_with("--");
        arguments.iter().filter(named).count() == 0 || arguments.iter().any(|argument| argument == name)
    };
    let mut ran = 0;
    if wanted("rotation") && rotation::run(&plan).await {
        ran += 1;
    }
    if wanted("flood") && flood::run(&plan).await {
        ran += 1;
    }
    if wanted("outage") && outage::run(&plan).await {
        ran += 1;
    }
    if wanted("authority_outage") && authority_outage::run(&plan).await {
        ran += 1;
    }
    if wanted("garbage") && garbage::run(&plan).await {
        ran += 1;
    }
    if wanted("api_keys") && api_keys::run(&plan).await {
        ran += 1;
    }
    if wanted("key_database") && key_database::run(&plan).await {
        ran += 1;
    }
    if wanted("timing") && timing::run(&plan).await {
        ran += 1;
    }
    if wanted("callers") && callers::run(&plan).await {
        ran += 1;
    }
    if wanted("shared_limits") && shared_limits::run(&plan).await {
        ran += 1;
    }
    if wanted("limit_outage") && limit_outage::run(&plan).await {
        ran += 1;
    }
    println!("{ran} passed, 0 failed");
    assert!(ran > 0 || std::env::var_os("CI").is_none(), "nothing ran");
}

/// Every answer of a load: how many of each status, and how long they took.
#[derive(Default)]
pub struct Answers {
    pub statuses: BTreeMap<u16, usize>,
    times: Vec<Duration>,
}

impl Answers {
    pub fn add(&mut self, status: u16, time: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.times.push(time);
    }

    pub fn merge(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.times.extend(other.times);
    }

    pub fn only(&self, status: u16) -> bool {
        !self.statuses.is_empty() && self.statuses.keys().all(|seen| *seen == status)
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times[(times.len() * percent / 100).min(times.len() - 1)]
    }

    /// How many took longer than this.
    pub fn slower_than(&self, time: Duration) -> usize {
        self.times.iter().filter(|each| **each > time).count()
    }

    pub fn in_time(&self, plan: &Plan) -> bool {
        self.percentile(99) < plan.usual && self.slowest() < plan.slowest
    }

    pub fn slowest(&self) -> Duration {
        self.times.iter().copied().max().unwrap()
    }
}

impl std::fmt::Display for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99, max) = (self.percentile(50), self.percentile(99), self.slowest());
        write!(f, "statuses {:?}, p50 {p50:?}, p99 {p99:?}, slowest {max:?}", self.statuses)
    }
}
