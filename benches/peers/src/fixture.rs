//! The tokens and keys that all are given: the same for everybody.

use std::sync::Arc;

use portcullis::Algorithm;
use portcullis::test_util::{SigningKey, TokenBuilder};

pub const AUDIENCE: &str = "https://api.example.com";
pub const SCOPE: &str = "todo:read todo:write";

/// An access token of RFC 9068 as a large issuer makes it: 870 bytes with RS256, for a user who differs by `index`.
pub fn token(key: &Arc<SigningKey>, issuer: &str, index: usize) -> TokenBuilder {
    let token = TokenBuilder::new(Arc::clone(key), issuer, AUDIENCE)
        .expires_in(3600)
        .subject(&format!("auth0|{index:024x}"))
        .client("web-frontend-production")
        .scope(SCOPE)
        .claim("jti", format!("{index:036}"));
    let iat = token.claims()["iat"].clone();
    token.claim("nbf", iat)
}

/// The algorithms that every one of them is measured with.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519];
