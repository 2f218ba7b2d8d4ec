//! One file for each that is compared: how it is configured, and what it accepts that it should not.

mod aliri_tower;
mod axum_jwt_auth;
mod baseline;
mod huskarl;
mod jwt_authorizer;
mod oauth_resource_server;
mod portcullis;
mod tower_governor;
mod tower_http;
mod tower_oauth2_resource_server;

use std::sync::Arc;

use ::portcullis::Algorithm;
use ::portcullis::test_util::{FakeAuthorizationServer, SigningKey};
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::route::Route;

/// What each is built for: one key at one issuer, both the same for all.
pub struct Setup {
    pub server: FakeAuthorizationServer,
    pub key: Arc<SigningKey>,
    /// The credential of those that know only one: the first of all.
    pub first: HeaderValue,
}

impl Setup {
    pub fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }
}

/// What is said about one of them in the report.
#[derive(Debug)]
pub struct About {
    /// The crate, which is also where its version is looked up.
    pub name: &'static str,
    /// Which implementation checks the signatures.
    pub cryptography: &'static str,
    pub configuration: &'static str,
    /// The cases of the matrix that it answers otherwise than it should: asserted in each run.
    pub differs_in: &'static [&'static str],
}

/// One that takes its turn in every round.
pub struct Candidate {
    pub label: String,
    pub about: &'static About,
    pub role: Role,
    pub route: Box<dyn Route>,
}

/// What a candidate does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Nothing: what the others cost is beyond this.
    Nothing,
    /// Knows the credential already.
    Knows,
    /// The same, for one token that comes again and again.
    KnowsOne,
    /// Verifies it each time.
    Verifies,
    /// Only counts.
    Counts,
    /// Compares a string.
    Compares,
}

impl Role {
    /// Whether it tells good tokens from bad ones.
    pub const fn judges(self) -> bool {
        matches!(self, Self::Knows | Self::Verifies)
    }
}

/// All that can be had for this algorithm, and the names of those that cannot.
pub async fn candidates(setup: &Setup) -> (Vec<Candidate>, Vec<&'static About>) {
    let mut candidates = baseline::candidates();
    candidates.extend(portcullis::candidates(setup).await);
    candidates.push(tower_governor::candidate());
    candidates.push(tower_http::candidate(setup));
    let mut without = Vec::new();
    for (about, route) in [
        (&jwt_authorizer::ABOUT, jwt_authorizer::route(setup).await),
        (&aliri_tower::ABOUT, aliri_tower::route(setup).await),
        (&tower_oauth2_resource_server::ABOUT, tower_oauth2_resource_server::route(setup).await),
        (&axum_jwt_auth::ABOUT, axum_jwt_auth::route(setup).await),
        (&oauth_resource_server::ABOUT, oauth_resource_server::route(setup).await),
        (&huskarl::ABOUT, huskarl::route(setup).await),
    ] {
        match route {
            Some(route) => {
                candidates.push(Candidate { label: about.name.into(), about, role: Role::Verifies, route });
            }
            None => without.push(about),
        }
    }
    (candidates, without)
}

/// A route that differs from a timed one in one respect, and has to refuse for it.
pub struct Twin {
    pub label: &'static str,
    pub route: Box<dyn Route>,
    /// What is sent, one after the other, and how it has to be answered.
    pub requests: Vec<(HeaderValue, u16)>,
}

impl Twin {
    /// # Panics
    /// If it is answered otherwise.
    pub fn check(mut self, runtime: &tokio::runtime::Runtime) {
        for (credential, expected) in self.requests {
            let status = self.route.status(runtime, &[credential]).as_u16();
            assert_eq!(status, expected, "{}", self.label);
        }
    }
}

/// Of those whose refusals the matrix does not show.
pub async fn twins(setup: &Setup) -> Vec<Twin> {
    let mut twins = portcullis::twins(setup).await;
    twins.push(tower_governor::twin(setup));
    twins.push(tower_http::twin(setup));
    twins
}

/// What a route needs beside a layer: what all of them do with an accepted request.
async fn ok() -> &'static str {
    "ok"
}

/// The claims that are asked for of those that let the application choose.
#[derive(Clone, Debug, serde::Deserialize)]
#[expect(dead_code, reason = "an application would read them")]
struct Claims {
    sub: String,
    client_id: String,
    scope: String,
}

/// The header that presents a token.
pub fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a token is a header value")
}
