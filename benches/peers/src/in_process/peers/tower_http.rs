//! tower-http's check for a bearer token, which compares with one string.

use ::tower_http::validate_request::ValidateRequestHeaderLayer;
use axum::Router;
use axum::routing::get;

use super::{About, Candidate, Role, Setup, ok};
use crate::in_process::route::axum_08;

static ABOUT: About = About {
    name: "tower-http",
    cryptography: "none",
    configuration: "`ValidateRequestHeaderLayer::bearer`, which is deprecated: it lets one string pass, the token of this run.",
    differs_in: &[],
};

pub fn candidate(setup: &Setup) -> Candidate {
    let token = setup.first.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).expect("a token");
    #[expect(deprecated, reason = "there is no other check for a bearer token in it")]
    let layer = ValidateRequestHeaderLayer::bearer(token);
    let router = Router::new().route("/todo", get(ok)).layer(layer);
    Candidate {
        label: "tower-http: bearer".into(),
        about: &ABOUT,
        role: Role::Compares,
        route: axum_08(router),
    }
}
