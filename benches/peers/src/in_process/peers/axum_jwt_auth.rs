//! axum-jwt-auth, an extractor for axum 0.8.

use std::sync::Arc;

use ::axum_jwt_auth::{Claims as Authenticated, Decoder, RemoteJwksDecoder};
use axum::Router;
use axum::extract::FromRef;
use axum::routing::get;
use jsonwebtoken10::{Algorithm, Validation};

use super::{About, Claims, Setup};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_08};

pub static ABOUT: About = About {
    name: "axum-jwt-auth",
    cryptography: "aws-lc-rs, by jsonwebtoken 10, where the application installs it; RustCrypto as it is shipped, \
                   which was not measured",
    configuration: "`RemoteJwksDecoder` with a `Validation` that demands `exp`, `iss` and `aud` and checks `nbf`; \
                    the handler asks for `Claims`.",
    differs_in: &[
        "`alg: none`, no signature",
        "`typ: JWT`",
        "`typ: id+jwt`",
        "unknown `crit`",
        "two `Authorization` headers",
    ],
};

#[derive(Clone, FromRef)]
struct State {
    decoder: Decoder<Claims>,
}

pub async fn route(setup: &Setup) -> Option<Box<dyn Route>> {
    // The first call decides for the process.
    let _ = jsonwebtoken10::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    let mut validation = Validation::new(match setup.algorithm() {
        portcullis::Algorithm::RS256 => Algorithm::RS256,
        portcullis::Algorithm::ES256 => Algorithm::ES256,
        portcullis::Algorithm::Ed25519 => Algorithm::EdDSA,
        _ => return None,
    });
    validation.set_issuer(&[setup.server.issuer_id()]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.validate_nbf = true;
    let decoder = RemoteJwksDecoder::builder()
        .jwks_url(setup.server.jwks_uri())
        .validation(validation)
        .build()
        .expect("a complete configuration");
    decoder.initialize().await.expect("keys of a server that runs");
    let state = State { decoder: Arc::new(decoder) };
    Some(axum_08(Router::new().route("/todo", get(ok)).with_state(state)))
}

async fn ok(_: Authenticated<Claims>) -> &'static str {
    "ok"
}
