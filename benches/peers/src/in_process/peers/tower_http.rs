//! tower-http's check for a bearer token, which compares with one string.

use ::tower_http::validate_request::ValidateRequestHeaderLayer;
use axum::Router;
use axum::routing::get;

use super::{About, Candidate, Role, Setup, Twin, bearer, ok};
use crate::in_process::route::{Route, axum_08};

static ABOUT: About = About {
    name: "tower-http",
    cryptography: "none",
    configuration: "`ValidateRequestHeaderLayer::bearer`, which is deprecated: it lets one string pass, the token of this run.",
    differs_in: &[],
};

pub fn candidate(setup: &Setup) -> Candidate {
    Candidate { label: "tower-http: bearer".into(), about: &ABOUT, role: Role::Compares, route: only(setup) }
}

pub fn twin(setup: &Setup) -> Twin {
    let other = bearer("another-string");
    Twin { label: "tower-http with another string", route: only(setup), requests: vec![(other, 401)] }
}

/// For the token that is the first of all.
fn only(setup: &Setup) -> Box<dyn Route> {
    let token = setup.first.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).expect("a token");
    #[expect(deprecated, reason = "there is no other check for a bearer token in it")]
    let layer = ValidateRequestHeaderLayer::bearer(token);
    axum_08(Router::new().route("/todo", get(ok)).layer(layer))
}
