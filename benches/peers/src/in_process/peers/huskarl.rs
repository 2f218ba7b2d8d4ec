//! huskarl-resource-server, through the layer of huskarl-axum.

use axum::Router;
use axum::routing::get;
use huskarl_axum::layers::ValidatorLayer;
use huskarl_reqwest::ReqwestClient;
use huskarl_reqwest::mtls::NoMtls;
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;

use super::{About, Setup, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_08};

pub static ABOUT: About = About {
    name: "huskarl-resource-server",
    cryptography: "RustCrypto, the only one that is published for it; others can be written",
    configuration: "`Rfc9068Validator` with its default checks and the algorithm, through `ValidatorLayer` of huskarl-axum.",
    differs_in: &[],
};

pub async fn route(setup: &Setup) -> Option<Box<dyn Route>> {
    let client = ReqwestClient::builder().mtls(NoMtls).build().await.expect("a client");
    let validator = Rfc9068Validator::builder()
        .issuer(setup.server.issuer_id())
        .audience(AUDIENCE)
        .allowed_signing_algorithms(vec![setup.key.alg()])
        .jwks_uri(setup.server.jwks_uri().parse().expect("a URL"))
        .jwks_source(client)
        .build()
        .await
        .expect("keys of a server that runs");
    let auth = ValidatorLayer::builder().validator(validator).build();
    Some(axum_08(Router::new().route("/todo", get(ok)).layer(auth.authenticated())))
}
