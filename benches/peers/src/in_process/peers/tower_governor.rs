//! tower_governor, which only limits.

use std::sync::Arc;

use ::tower_governor::GovernorLayer;
use ::tower_governor::governor::GovernorConfigBuilder;
use axum::Router;
use axum::routing::get;

use super::{About, Candidate, Role, ok};
use crate::in_process::route::axum_08;

static ABOUT: About = About {
    name: "tower_governor",
    cryptography: "none",
    configuration: "`PeerIpKeyExtractor`, as it comes, for ten thousand addresses: it limits, and authenticates nobody.",
    differs_in: &[],
};

/// So many that nobody is refused.
const BURST: u32 = 1_000_000;

pub fn candidate() -> Candidate {
    let config = GovernorConfigBuilder::default()
        .const_per_nanosecond(1_000)
        .const_burst_size(BURST)
        .finish()
        .expect("neither is zero");
    let router = Router::new().route("/todo", get(ok)).layer(GovernorLayer::new(Arc::new(config)));
    Candidate { label: ABOUT.name.into(), about: &ABOUT, role: Role::Counts, route: axum_08(router) }
}
