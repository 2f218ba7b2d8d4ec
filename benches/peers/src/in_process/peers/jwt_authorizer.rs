//! jwt-authorizer, a layer for axum 0.7.

use axum07::Router;
use axum07::routing::get;
use jwt_authorizer::{AuthorizerBuilder, IntoLayer, Validation};

use super::{About, Claims, Setup, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_07};

pub static ABOUT: About = About {
    name: "jwt-authorizer",
    cryptography: "ring, by jsonwebtoken 9: nothing else can be chosen",
    configuration: "axum 0.7. `from_jwks_url`, with a `Validation` for `iss`, `aud` and `nbf`, which it does not check by itself.",
    differs_in: &[
        "no `aud`",
        "no `iss`",
        "`typ: JWT`",
        "`typ: id+jwt`",
        "unknown `crit`",
        "two `Authorization` headers",
    ],
};

pub async fn route(setup: &Setup) -> Option<Box<dyn Route>> {
    let validation = Validation::new().iss(&[setup.server.issuer_id()]).aud(&[AUDIENCE]).nbf(true);
    let authorizer = AuthorizerBuilder::<Claims>::from_jwks_url(&setup.server.jwks_uri())
        .validation(validation)
        .build()
        .await
        .expect("a complete configuration");
    Some(axum_07(Router::new().route("/todo", get(ok)).layer(authorizer.into_layer())))
}
