//! Ourselves, in several forms.

use ::portcullis::{
    AuthLayer, Authenticator, JwtAuthenticator, Quota, RateLimitHeaders, RateLimitLayer, require_scopes,
};
use axum::Router;
use axum::handler::Handler;
use axum::routing::get;

use super::{About, Candidate, Role, Setup, Twin, bearer, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::measure;
use crate::in_process::route::{Route, axum_08};
use crate::in_process::tokens;

static ABOUT: About = About {
    name: "portcullis",
    cryptography: "aws-lc-rs, with keys prepared beforehand",
    configuration: "`JwtAuthenticator` for an issuer found by discovery and an audience, all else as it comes; \
                    `verdict_cache(0)` where the cache is off; the guard is `require_scopes([\"todo:read\"])`, \
                    the limit `RateLimitLayer::per_client`, for as many clients as tokens, without headers unless \
                    said; all in one `.layer((auth, limit, guard))` unless said.",
    differs_in: &[],
};

/// So many that nobody is refused.
const QUOTA: u32 = 1_000_000;
const NEEDED: &str = "todo:read";

pub async fn candidates(setup: &Setup) -> Vec<Candidate> {
    let auth = authentication(setup).await;
    // Clones share what they know, as in a server, which has one memory of verdicts and not one for each line of a table.
    let known = auth();
    let candidate = |label: &str, role, route| Candidate { label: label.into(), about: &ABOUT, role, route };
    vec![
        candidate(
            measure::KNOWN,
            Role::Knows,
            together(known.clone(), limit().headers(RateLimitHeaders::none())),
        ),
        candidate(
            "portcullis: known, guard, limit with headers",
            Role::Knows,
            together(known.clone(), limit()),
        ),
        candidate("portcullis: the same, each in `.layer`", Role::Knows, one_by_one(known.clone(), limit())),
        candidate(measure::PLAIN, Role::Knows, alone(known)),
        candidate("portcullis: known, one token", Role::KnowsOne, alone(auth())),
        candidate(measure::UNCACHED, Role::Verifies, alone(auth().verdict_cache(0))),
    ]
}

/// A limit that is spent, and a scope that is missing.
pub async fn twins(setup: &Setup) -> Vec<Twin> {
    let auth = authentication(setup).await;
    let limit = RateLimitLayer::per_client(Quota::per_day(1).unwrap()).headers(RateLimitHeaders::none());
    let unscoped = tokens::good(&setup.key, &setup.server.issuer_id(), 0).scope("todo:write").build();
    vec![
        Twin {
            label: "portcullis with a limit of one",
            route: together(auth(), limit),
            requests: vec![(setup.first.clone(), 200), (setup.first.clone(), 429)],
        },
        Twin {
            label: "portcullis without the scope",
            route: together(auth(), self::limit()),
            requests: vec![(bearer(&unscoped), 403)],
        },
    ]
}

/// Layers that share nothing but the keys.
async fn authentication(setup: &Setup) -> impl Fn() -> AuthLayer<JwtAuthenticator> {
    let issuer = setup.server.issuer();
    issuer.warm_up().await.expect("keys of a server that runs");
    move || {
        let jwt = JwtAuthenticator::builder(issuer.clone(), AUDIENCE).build();
        AuthLayer::new(jwt.expect("a complete configuration"))
    }
}

fn alone<A: Authenticator>(auth: AuthLayer<A>) -> Box<dyn Route> {
    axum_08(Router::new().route("/todo", get(ok)).layer(auth))
}

/// One layer of three: axum puts every layer that it is given into a box of its own, which each request has to clone.
fn together<A: Authenticator>(auth: AuthLayer<A>, limit: RateLimitLayer) -> Box<dyn Route> {
    axum_08(Router::new().route("/todo", get(ok)).layer((auth, limit, require_scopes([NEEDED]))))
}

fn one_by_one<A: Authenticator>(auth: AuthLayer<A>, limit: RateLimitLayer) -> Box<dyn Route> {
    axum_08(Router::new().route("/todo", get(ok.layer(require_scopes([NEEDED])))).layer(limit).layer(auth))
}

fn limit() -> RateLimitLayer {
    RateLimitLayer::per_client(Quota::per_second(QUOTA).unwrap())
}
