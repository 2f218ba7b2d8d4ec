//! oauth-resource-server, a layer for axum 0.8.

use std::sync::Arc;

use ::oauth_resource_server::axum::AuthLayer;
use ::oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
use axum::Router;
use axum::routing::get;

use super::{About, Setup, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_08};

pub static ABOUT: About = About {
    name: "oauth-resource-server",
    cryptography: "ring, by jsonwebtoken 9: nothing else can be chosen",
    configuration: "Issuer with discovery, audience and algorithm, `require_at_jwt`, no scope demanded.",
    differs_in: &["two `Authorization` headers"],
};

pub async fn route(setup: &Setup) -> Option<Box<dyn Route>> {
    let config = OAuthConfig {
        enabled: true,
        issuer: setup.server.issuer_id(),
        audience: AUDIENCE.into(),
        resource: AUDIENCE.into(),
        algorithms: vec![setup.key.alg()],
        require_at_jwt: true,
        allow_unscoped_tokens: true,
        ..OAuthConfig::default()
    };
    let config =
        config.resolve(KeyNaming::Dotted("oauth")).expect("a complete configuration").expect("it is enabled");
    let validator = OAuthValidator::new(&config).expect("a complete configuration");
    validator.refresh_now().await.expect("keys of a server that runs");
    let auth = AuthLayer::builder().oauth(Arc::new(validator)).build().expect("a complete configuration");
    Some(axum_08(Router::new().route("/todo", get(ok)).layer(auth)))
}
