//! tower_governor, which only limits.

use std::sync::Arc;
use std::time::Duration;

use ::tower_governor::GovernorLayer;
use ::tower_governor::governor::GovernorConfigBuilder;
use axum::Router;
use axum::routing::get;

use super::{About, Candidate, Role, Setup, Twin, ok};
use crate::in_process::route::{Route, axum_08};

static ABOUT: About = About {
    name: "tower_governor",
    cryptography: "none",
    configuration: "`PeerIpKeyExtractor`, as it comes, for ten thousand addresses: it limits, and authenticates nobody.",
    differs_in: &[],
};

/// So many that nobody is refused.
const BURST: u32 = 1_000_000;

pub fn candidate() -> Candidate {
    let route = limited(BURST, Duration::from_micros(1));
    Candidate { label: ABOUT.name.into(), about: &ABOUT, role: Role::Counts, route }
}

pub fn twin(setup: &Setup) -> Twin {
    Twin {
        label: "tower_governor with a limit of one",
        route: limited(1, Duration::from_secs(3600)),
        requests: vec![(setup.first.clone(), 200), (setup.first.clone(), 429)],
    }
}

fn limited(burst: u32, period: Duration) -> Box<dyn Route> {
    let config = GovernorConfigBuilder::default().const_period(period).const_burst_size(burst).finish();
    let layer = GovernorLayer::new(Arc::new(config.expect("neither is zero")));
    axum_08(Router::new().route("/todo", get(ok)).layer(layer))
}
