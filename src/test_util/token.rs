//! Tokens, right or wrong in one respect.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::key::SigningKey;
use crate::clock::{Clock, SystemClock};
use crate::jose::base64url::encode;

/// Builds a signed access token (RFC 9068). As it starts, it is valid for a minute; each setter changes one thing.
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    key: Arc<SigningKey>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    raw_header: Option<Vec<u8>>,
    raw_claims: Option<Vec<u8>>,
    now: i64,
}

impl TokenBuilder {
    /// A valid token of this issuer for this audience: for subject `ann` and client `app`, with scope `todo:read`.
    pub fn new(key: Arc<SigningKey>, issuer: &str, audience: &str) -> Self {
        let header = json!({"typ": "at+jwt", "alg": key.alg(), "kid": key.kid()});
        let claims = json!({
            "iss": issuer, "aud": audience, "sub": "ann", "client_id": "app", "scope": "todo:read",
            "jti": encode(unique().to_be_bytes()),
        });
        let builder = Self {
            key,
            header: members(header),
            claims: members(claims),
            raw_header: None,
            raw_claims: None,
            now: 0,
        };
        builder.issued_at(SystemClock.now())
    }

    /// Moves `iat` and `exp` to a token that is issued then and lives for a minute.
    pub fn issued_at(mut self, time: SystemTime) -> Self {
        self.now =
            time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(0));
        let now = self.now;
        self.claim("iat", now).claim("exp", now + 60)
    }

    /// Sets `exp` to so many seconds after the time of issue; `iat` moves along where that is negative.
    pub fn expires_in(self, seconds: i64) -> Self {
        let now = self.now;
        let builder = if seconds < 0 { self.claim("iat", now + seconds - 60) } else { self };
        builder.claim("exp", now + seconds)
    }

    /// Sets `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets `client_id`.
    pub fn client(self, client: &str) -> Self {
        self.claim("client_id", client)
    }

    /// Sets `scope`.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets a claim to any value.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a header parameter to any value.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Leaves a header parameter out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signs these bytes as the header, whatever they are.
    pub fn raw_header(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(bytes.into());
        self
    }

    /// Signs these bytes as the claims, whatever they are.
    pub fn raw_claims(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_claims = Some(bytes.into());
        self
    }

    /// Signs with another key, whose `kid` and `alg` the header then carries.
    pub fn signed_by(self, key: &Arc<SigningKey>) -> Self {
        let signed = self.header("alg", key.alg()).header("kid", key.kid());
        Self { key: Arc::clone(key), ..signed }
    }

    /// Signs with another key, and leaves the header as it is.
    pub fn forged_by(self, key: &Arc<SigningKey>) -> Self {
        Self { key: Arc::clone(key), ..self }
    }

    /// The claims as they stand.
    #[must_use]
    pub fn claims(&self) -> Value {
        Value::Object(self.claims.clone())
    }

    pub(super) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }

    /// The compact token.
    #[must_use]
    pub fn build(&self) -> String {
        let message = self.message();
        let signature = self.key.sign(message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    /// The token with these bytes as its signature.
    #[must_use]
    pub fn build_with_signature(&self, signature: &[u8]) -> String {
        format!("{}.{}", self.message(), encode(signature))
    }

    /// What is signed: header and claims, encoded.
    #[must_use]
    pub fn message(&self) -> String {
        let part = |raw: &Option<Vec<u8>>, members: &Map<String, Value>| match raw {
            Some(bytes) => encode(bytes),
            None => encode(Value::Object(members.clone()).to_string()),
        };
        format!("{}.{}", part(&self.raw_header, &self.header), part(&self.raw_claims, &self.claims))
    }
}

impl fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("header", &self.header)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}
