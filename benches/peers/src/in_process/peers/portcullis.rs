//! Ourselves, in four forms.

use ::portcullis::{AuthLayer, Authenticator, JwtAuthenticator, Quota, RateLimitLayer, require_scopes};
use axum::Router;
use axum::handler::Handler;
use axum::routing::get;

use super::{About, Candidate, Role, Setup, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_08};

static ABOUT: About = About {
    name: "portcullis",
    cryptography: "aws-lc-rs, with keys prepared beforehand",
    configuration: "`JwtAuthenticator` for an issuer found by discovery and an audience, all else as it comes; \
                    `verdict_cache(0)` where the cache is off; the guard is `require_scopes([\"todo:read\"])`, \
                    the limit `RateLimitLayer::per_client`, for as many clients as tokens.",
    differs_in: &[],
};

/// So many that nobody is refused.
const QUOTA: u32 = 1_000_000;

pub async fn candidates(setup: &Setup) -> Vec<Candidate> {
    let candidate = |label: &str, role, route| Candidate { label: label.into(), about: &ABOUT, role, route };
    let issuer = setup.server.issuer();
    issuer.warm_up().await.expect("keys of a server that runs");
    let auth = || {
        let jwt = JwtAuthenticator::builder(issuer.clone(), AUDIENCE).build();
        AuthLayer::new(jwt.expect("a complete configuration"))
    };
    vec![
        candidate("portcullis: known, guard, limit", Role::Knows, full(auth())),
        candidate("portcullis: known", Role::Knows, alone(auth())),
        candidate("portcullis: known, one token", Role::KnowsOne, alone(auth())),
        candidate("portcullis: cache off", Role::Verifies, alone(auth().verdict_cache(0))),
    ]
}

fn alone<A: Authenticator>(auth: AuthLayer<A>) -> Box<dyn Route> {
    axum_08(Router::new().route("/todo", get(ok)).layer(auth))
}

fn full<A: Authenticator>(auth: AuthLayer<A>) -> Box<dyn Route> {
    let limit = RateLimitLayer::per_client(Quota::per_second(QUOTA));
    axum_08(
        Router::new().route("/todo", get(ok.layer(require_scopes(["todo:read"])))).layer(limit).layer(auth),
    )
}
