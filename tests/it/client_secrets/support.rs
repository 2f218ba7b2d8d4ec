//! What the tests of client secrets share.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use portcullis::{AuthLayer, ScopeSet, SealingKeys, SignedRequestAuthenticator, SqlClientSecrets, SqlStore};
use sqlx::{AssertSqlSafe, Executor as _, PgPool, SqlitePool};

use crate::support::{bearer, outcome, send};

pub const OK: (StatusCode, Option<&str>) = (StatusCode::OK, None);
pub const UNKNOWN: (StatusCode, Option<&str>) = (StatusCode::UNAUTHORIZED, Some("client_unknown"));
pub const DOWN: (StatusCode, Option<&str>) = (StatusCode::SERVICE_UNAVAILABLE, Some("authority_unavailable"));

/// One of which no client knows.
pub const OTHER_SECRET: &str = "00000000-0000-0000-0000-000000000000";

/// A database of a test's own.
pub struct Database {
    url: String,
}

impl Database {
    pub fn new(url: String) -> Self {
        Self { url }
    }

    /// Opened anew each time, as by another process.
    pub async fn store(&self) -> SqlStore {
        SqlStore::connect(&self.url).await.unwrap()
    }

    pub async fn clients(&self) -> SqlClientSecrets {
        self.clients_with(key("a")).await
    }

    pub async fn clients_with(&self, keys: SealingKeys) -> SqlClientSecrets {
        self.store().await.client_secrets(keys)
    }

    /// Does what the crate would not; gives the number of rows.
    pub async fn run(&self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.url.starts_with("sqlite:") {
            let pool = SqlitePool::connect(&self.url).await.unwrap();
            let rows = pool.execute(sql).await.unwrap().rows_affected();
            pool.close().await;
            rows
        } else {
            let pool = PgPool::connect(&self.url).await.unwrap();
            let rows = pool.execute(sql).await.unwrap().rows_affected();
            pool.close().await;
            rows
        }
    }
}

/// A sealing key that depends on its name.
pub fn key(name: &str) -> SealingKeys {
    SealingKeys::new(name, key_bytes(name)).unwrap()
}

/// The 32 bytes of that key.
pub fn key_bytes(name: &str) -> [u8; 32] {
    [name.as_bytes()[0]; 32]
}

pub fn scopes() -> ScopeSet {
    ScopeSet::parse("todo:read").unwrap()
}

/// A client with a new secret, and that.
pub async fn client(clients: &SqlClientSecrets, name: &str) -> String {
    clients.put(name, &scopes(), None).await.unwrap();
    clients.issue(name).await.unwrap().expose().to_owned()
}

/// The answer to a request that this client signs with this secret.
pub async fn response(clients: &SqlClientSecrets, client: &str, secret: &str) -> Response<Full<Bytes>> {
    let layer = AuthLayer::new(SignedRequestAuthenticator::new(clients.clone()));
    send(&layer, bearer(&token(client, secret))).await
}

/// Status and reason of the answer of one layer, whose circuit breaker knows the requests before
/// this one.
pub async fn answer_of(
    layer: &AuthLayer<SignedRequestAuthenticator>,
    client: &str,
    secret: &str,
) -> (StatusCode, Option<&'static str>) {
    let (status, reason) = outcome(&send(layer, bearer(&token(client, secret))).await);
    (status, reason.map(portcullis::Reason::code))
}

/// Status and reason of that.
pub async fn answer(
    clients: &SqlClientSecrets,
    client: &str,
    secret: &str,
) -> (StatusCode, Option<&'static str>) {
    let (status, reason) = outcome(&response(clients, client, secret).await);
    (status, reason.map(portcullis::Reason::code))
}

fn token(client: &str, secret: &str) -> String {
    let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = serde_json::json!({ "iss": client, "iat": iat }).to_string();
    let signed =
        [&br#"{"typ":"JWT","alg":"HS256"}"#[..], claims.as_bytes()].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = signed.join(".");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}
