//! tower-oauth2-resource-server, a layer for any service.

use std::time::Duration;

use ::tower_oauth2_resource_server::server::OAuth2ResourceServer;
use ::tower_oauth2_resource_server::tenant::TenantConfiguration;
use ::tower_oauth2_resource_server::validation::ClaimsValidationSpec;
use axum::Router;
use axum::routing::get;

use super::{About, Claims, Setup, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_08};

pub static ABOUT: About = About {
    name: "tower-oauth2-resource-server",
    cryptography: "aws-lc-rs, by jsonwebtoken 11; RustCrypto unless asked for otherwise",
    configuration: "One tenant with discovery, and `ClaimsValidationSpec::recommended`, which has `nbf` checked too.",
    differs_in: &[
        "`bearer` in lower case",
        "`typ: JWT`",
        "`typ: id+jwt`",
        "unknown `crit`",
        "two `Authorization` headers",
    ],
};

/// Longer than any run: keys that are fetched meanwhile would be measured too.
const REFRESH: Duration = Duration::from_secs(24 * 3600);

pub async fn route(setup: &Setup) -> Option<Box<dyn Route>> {
    let issuer = setup.server.issuer_id();
    let tenant = TenantConfiguration::builder(issuer.as_str())
        .jwks_refresh_interval(REFRESH)
        .claims_validation(ClaimsValidationSpec::recommended(&issuer, &vec![AUDIENCE.to_owned()]))
        .build()
        .await
        .expect("a server that runs");
    let server = OAuth2ResourceServer::<Claims>::builder()
        .add_tenant(tenant)
        .build()
        .await
        .expect("a complete configuration");
    Some(axum_08(Router::new().route("/todo", get(ok)).layer(server.into_layer())))
}
