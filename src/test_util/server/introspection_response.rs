//! What a token introspects as, plain or signed.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::client::CLIENT_ID;
use super::jwt::{now, verified};
use crate::test_util::{SigningKey, TokenBuilder};

/// The answer for one token.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    body: Bytes,
    /// In seconds since the Unix epoch; from then on the token is inactive.
    until: f64,
}

impl Answer {
    pub(super) fn inactive() -> Self {
        Self::fixed(Bytes::from_static(br#"{"active":false}"#))
    }

    /// One that time does not change.
    pub(super) fn fixed(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), until: f64::INFINITY }
    }

    /// Active until the `exp` of these claims. A claim that has the name of a member of the answer takes its place.
    pub(super) fn active(mut claims: Map<String, Value>) -> Self {
        let until = claims.get("exp").and_then(Value::as_f64).unwrap_or(f64::INFINITY);
        claims.entry("active").or_insert(Value::Bool(true));
        claims.entry("token_type").or_insert("Bearer".into());
        Self { body: Value::Object(claims).to_string().into(), until }
    }

    /// The answer for a token that nothing is known about but the keys of the server.
    pub(super) fn of_jwt(token: &str, keys: &[Arc<SigningKey>]) -> Self {
        let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
        verified(token, keys.iter().map(AsRef::as_ref)).map_or_else(Self::inactive, Self::active)
    }

    /// What is answered at this moment.
    pub(super) fn body(self) -> Bytes {
        if now() < self.until { self.body } else { Self::inactive().body }
    }
}

/// Writes signed answers (RFC 9701 §5).
#[derive(Clone)]
pub(super) struct Signer(pub(super) Arc<dyn Fn(TokenBuilder) -> String + Send + Sync>);

impl Signer {
    pub(super) fn sign(&self, issuer: &str, key: Arc<SigningKey>, body: &Bytes) -> String {
        let answer = TokenBuilder::new(key, issuer, CLIENT_ID)
            .header("typ", "token-introspection+jwt")
            .without("sub")
            .without("client_id")
            .without("scope")
            .without("jti")
            .without("exp");
        let text = String::from_utf8_lossy(body);
        match serde_json::from_str::<Value>(&text) {
            Ok(value) if value.to_string() == text => (self.0)(answer.claim("token_introspection", value)),
            // Another way of writing, a member that stands twice, no JSON at all: signed as it is.
            _ => {
                let claims = answer.claims().to_string();
                let others = claims.trim_end_matches('}');
                (self.0)(answer.raw_claims(format!(r#"{others},"token_introspection":{text}}}"#)))
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}
