//! aliri_tower, a layer for any service, with aliri's verification.

use ::aliri_tower::Oauth2Authorizer;
use aliri::jwa::Algorithm;
use aliri::jwt::{Audience, Audiences, CoreClaims, CoreValidator, Issuer, IssuerRef, Subject, SubjectRef};
use aliri_clock::UnixTime;
use aliri_oauth2::{Authority, HasScope, Scope};
use axum::Router;
use axum::routing::get;

use super::{About, Setup, ok};
use crate::fixture::AUDIENCE;
use crate::in_process::route::{Route, axum_08};

pub static ABOUT: About = About {
    name: "aliri_tower",
    cryptography: "ring for RS256, OpenSSL for ES256: nothing else can be chosen",
    configuration: "`Authority::new_from_url` with a `CoreValidator` that demands `iss` and `aud` and checks `exp` and \
                    `nbf`, of which it demands `nbf` too; `jwt_layer` with the terse error handler.",
    differs_in: &["`typ: JWT`", "`typ: id+jwt`", "unknown `crit`", "two `Authorization` headers"],
};

pub async fn route(setup: &Setup) -> Option<Box<dyn Route>> {
    let algorithm = match setup.algorithm() {
        portcullis::Algorithm::RS256 => Algorithm::RS256,
        portcullis::Algorithm::ES256 => Algorithm::ES256,
        _ => return None,
    };
    let validator = CoreValidator::default()
        .add_approved_algorithm(algorithm)
        .add_allowed_audience(Audience::from_static(AUDIENCE))
        .require_issuer(Issuer::new(setup.server.issuer_id()))
        .check_expiration()
        .check_not_before();
    let authority = Authority::new_from_url(setup.server.jwks_uri(), validator)
        .await
        .expect("keys of a server that runs");
    let authorizer = Oauth2Authorizer::new().with_claims::<Claims>().with_terse_error_handler();
    Some(axum_08(Router::new().route("/todo", get(ok)).layer(authorizer.jwt_layer(authority))))
}

/// What it needs to validate a token, and whose it is.
#[derive(Clone, Debug, serde::Deserialize)]
struct Claims {
    iss: Option<Issuer>,
    aud: Audiences,
    sub: Option<Subject>,
    exp: Option<UnixTime>,
    nbf: Option<UnixTime>,
    scope: Scope,
}

impl CoreClaims for Claims {
    fn nbf(&self) -> Option<UnixTime> {
        self.nbf
    }

    fn exp(&self) -> Option<UnixTime> {
        self.exp
    }

    fn aud(&self) -> &Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&IssuerRef> {
        self.iss.as_deref()
    }

    fn sub(&self) -> Option<&SubjectRef> {
        self.sub.as_deref()
    }
}

impl HasScope for Claims {
    fn scope(&self) -> &Scope {
        &self.scope
    }
}
