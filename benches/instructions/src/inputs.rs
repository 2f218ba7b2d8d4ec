//! Keys and tokens, made before callgrind runs: to make an RSA key beneath it takes minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use portcullis::Algorithm;
use portcullis::test_util::{SigningKey, TokenBuilder};
use serde_json::{Value, json};

use crate::scenarios::CALLS;

pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "https://api.example";

/// For one algorithm: the key, so many tokens that were never seen, and one that ran out.
pub fn make() -> PathBuf {
    let path = path();
    let folder = path.parent().expect("a folder");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).expect("a folder");
    let made = [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519].map(|algorithm| {
        let key = Arc::new(SigningKey::generate(algorithm).with_kid("signing-key-2026-11"));
        let token = |index: i64| token(&key).claim("jti", format!("{index:036}")).build();
        let expired = self::token(&key).issued_at(UNIX_EPOCH + Duration::from_secs(1)).build();
        // As many again are seen before, so that the tables have grown.
        let tokens: Vec<String> = (0..CALLS * 2).map(token).collect();
        (algorithm.to_string(), json!({"jwk": key.jwk(), "tokens": tokens, "expired": expired}))
    });
    let inputs: Value = Value::Object(made.into_iter().collect());
    fs::write(&path, inputs.to_string()).expect("the inputs are written");
    path
}

/// Where they are, with the profiles of the last run beside them.
pub fn path() -> PathBuf {
    std::env::current_exe()
        .expect("this program")
        .with_file_name("portcullis-instructions-runs")
        .join("inputs.json")
}

pub fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the inputs")).expect("JSON")
}

/// Some 870 bytes under RS256: what an identity provider puts into one.
fn token(key: &Arc<SigningKey>) -> TokenBuilder {
    TokenBuilder::new(Arc::clone(key), ISSUER, AUDIENCE)
        .expires_in(24 * 3600)
        .subject("5f1c2f6e-8d0a-4b1f-9d6e-0c8f6a1b7e42")
        .client("todo-web-frontend")
        .scope("openid profile todo:read todo:write")
        .claim("sid", "b0b3c9c4-6a5e-4d7c-8b53-2f7e1a9d4c10")
        .claim("auth_time", 1_790_000_000)
        .claim("tenant", "example")
}
