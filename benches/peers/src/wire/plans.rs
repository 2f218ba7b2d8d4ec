//! Which servers are loaded together, how often and for how long.

use super::series::{CACHED, Plan, UNCACHED};
use super::serve::{Signature, What};
use super::servers::Kind;

/// What may be named to be measured alone.
pub const PARTS: [&str; 7] = ["cached", "limited", "uncached", "api-key", "many", "two-threads", "peers"];

const USERS: usize = 512;
const MANY_USERS: usize = 10_000;

/// Enough for a compiler that works while the program runs.
const WARM_UP: usize = 4000;

const ROUNDS: usize = 20;

/// The peers differ by much more than two rounds do.
const ROUNDS_OF_PEERS: usize = 5;

/// All of it, in less than twelve minutes; the quick form in a minute and a half.
pub fn all(quick: bool) -> Vec<Plan> {
    let ours = |what| Kind::Portcullis { what, threads: 1 };
    let [open, limited, api_key] = [What::Open, What::Limited, What::ApiKey].map(ours);
    let features =
        [What::LimitedSilently, What::Authenticated, What::Noop, What::Open, What::Cached, What::Limited];
    let plan = |part, kinds: &[Kind]| Plan {
        part,
        signature: Signature::Rs256,
        kinds: kinds.to_vec(),
        users: USERS,
        warm_up: WARM_UP,
        rounds: ROUNDS,
        seconds: 1,
        shares_cores: false,
    };
    let two = |part: &'static str, kinds: &[Kind]| Plan {
        kinds: kinds.iter().map(|kind| kind.with_threads(2)).collect(),
        shares_cores: true,
        ..plan(part, kinds)
    };
    let mut plans = vec![
        Plan { seconds: 2, ..plan("cached", &[open, CACHED]) },
        plan("features", &features.map(ours)),
        plan("uncached", &[open, UNCACHED]),
        plan("api-key", &[open, api_key]),
        Plan { users: MANY_USERS, ..plan("many", &[CACHED, open, limited]) },
        two("two-threads", &[UNCACHED, open, CACHED, limited]),
        two("two-threads", &[open, api_key]),
    ];
    for signature in Signature::ALL {
        let mut kinds = vec![
            Kind::HaProxy { verifies: true },
            Kind::HaProxy { verifies: false },
            Kind::Node("jose"),
            Kind::Node("fast-jwt"),
            Kind::Node("open"),
            Kind::Node("fast-jwt-cached"),
            UNCACHED,
            open,
            CACHED,
        ];
        if signature == Signature::Eddsa {
            // HAProxy 2.6 does not know it.
            kinds.drain(..2);
        }
        plans.push(Plan { signature, rounds: ROUNDS_OF_PEERS, ..plan("peers", &kinds) });
    }
    if quick {
        for plan in &mut plans {
            plan.rounds = if plan.part == "cached" { 2 } else { 1 };
            plan.seconds = 1;
            plan.warm_up = 0;
        }
    }
    plans
}

impl Plan {
    /// Leaves a peer out that is not there: `haproxy` or `node`.
    pub fn leave_out(&mut self, peer: &str) {
        self.kinds.retain(|kind| match kind {
            Kind::Portcullis { .. } => true,
            Kind::HaProxy { .. } => peer != "haproxy",
            Kind::Node(_) => peer != "node",
        });
    }
}
