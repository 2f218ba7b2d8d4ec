//! Keys, tokens, and the authenticators that accept them.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, Response};
use portcullis::test_util::{ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeys, ClientAuth, IntrospectionAuthenticator, Issuer,
    JwtAuthenticator, KeySet, MemoryApiKeyStore, NewApiKey, RemoteKeySet, ScopeSet,
};

pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "https://api.example";

const REUSE_FOR: Duration = Duration::from_secs(3600);

pub fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(algorithm).with_kid("signing-key-2026-11"))
}

/// Some 870 bytes under RS256: what an identity provider puts into one. Each has a subject of its own.
pub fn token(key: &Arc<SigningKey>, index: usize) -> TokenBuilder {
    TokenBuilder::new(Arc::clone(key), ISSUER, AUDIENCE)
        .expires_in(3600)
        .subject(&format!("5f1c2f6e-8d0a-4b1f-9d6e-{index:012}"))
        .client("todo-web-frontend")
        .scope("openid profile todo:read todo:write")
        .claim("jti", format!("b0b3c9c4-6a5e-4d7c-8b53-{index:012}"))
        .claim("auth_time", 1_790_000_000)
        .claim("tenant", "example")
        .claim("sid", "0c8f6a1b7e42")
}

/// So many of them, signed on both cores.
pub fn tokens(key: &Arc<SigningKey>, number: usize) -> Vec<HeaderValue> {
    let make = |range: std::ops::Range<usize>| -> Vec<HeaderValue> {
        range.map(|index| bearer(&token(key, index).build())).collect()
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| make(0..number / 2));
        let second = make(number / 2..number);
        let mut all = first.join().unwrap();
        all.extend(second);
        all
    })
}

pub fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).unwrap()
}

/// Accepts tokens under a key that was fetched once, from a script.
pub fn jwt(key: &SigningKey) -> JwtAuthenticator {
    let http = ScriptedHttpClient::new();
    http.answer("https://id.example/keys", serde_json::json!({"keys": [key.jwk()]}).to_string());
    let keys = RemoteKeySet::builder("https://id.example/keys").http_client(http).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(keys.warm_up()).unwrap();
    JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap()
}

/// The same with a set of keys that is whole, so that none is fetched for a key that it lacks.
pub fn jwt_with_fixed_keys(key: &SigningKey) -> JwtAuthenticator {
    let keys = KeySet::parse(serde_json::json!({"keys": [key.jwk()]}).to_string()).unwrap();
    JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap()
}

/// The key as the layer has it prepared.
pub fn prepare(key: &SigningKey) -> ParsedPublicKey {
    let jwk = key.jwk();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    match key.algorithm() {
        Algorithm::RS256 => RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .unwrap(),
        Algorithm::ES256 => {
            let point = [vec![4], bytes("x"), bytes("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap()
        }
        _ => ParsedPublicKey::new(&ED25519, bytes("x")).unwrap(),
    }
}

/// What is signed, and the signature.
pub fn parts(credential: &HeaderValue) -> (&[u8], Vec<u8>) {
    let token = credential.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    (message.as_bytes(), URL_SAFE_NO_PAD.decode(signature).unwrap())
}

/// The token with one bit of its signature changed.
pub fn forge(credential: &HeaderValue) -> HeaderValue {
    let (message, mut signature) = parts(credential);
    let middle = signature.len() / 2;
    signature[middle] ^= 1;
    bearer(&format!("{}.{}", std::str::from_utf8(message).unwrap(), URL_SAFE_NO_PAD.encode(signature)))
}

/// So many keys in memory, and the fields that carry them.
pub fn api_keys(number: usize) -> (ApiKeyAuthenticator, Vec<HeaderValue>) {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let issue = |index| {
        let scopes = ScopeSet::parse("todo:read todo:write").unwrap();
        let new = NewApiKey::new("some label", format!("5f1c2f6e-8d0a-4b1f-9d6e-{index:012}"));
        let issued = runtime.block_on(keys.issue(new.client_id("todo-cli").scopes(scopes))).unwrap();
        HeaderValue::try_from(format!("ApiKey {}", issued.key.expose())).unwrap()
    };
    let headers = (0..number).map(issue).collect();
    (ApiKeyAuthenticator::builder(keys).reuse_for(REUSE_FOR).build().unwrap(), headers)
}

/// The key with the last character of its checksum changed.
pub fn mistype(credential: &HeaderValue) -> HeaderValue {
    let text = credential.to_str().unwrap();
    let last = if text.ends_with('0') { '1' } else { '0' };
    HeaderValue::try_from(format!("{}{last}", &text[..text.len() - 1])).unwrap()
}

/// Tokens of a usual length that say nothing by themselves.
pub fn opaque_tokens(number: usize) -> Vec<HeaderValue> {
    (0..number).map(|index| bearer(&format!("{index:043}"))).collect()
}

/// An authority that accepts every token, for a subject of its own.
pub fn introspection() -> IntrospectionAuthenticator {
    let http = ScriptedHttpClient::new();
    http.answer_by("https://id.example/introspect", |request| {
        let digits: String =
            request.body().iter().map(|byte| char::from(*byte)).filter(char::is_ascii_digit).collect();
        let subject = format!("5f1c2f6e-8d0a-4b1f-9d6e-{}", &digits[digits.len().saturating_sub(12)..]);
        let answer = serde_json::json!({
            "active": true, "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "client_id": "todo-web-frontend",
            "scope": "openid profile todo:read todo:write", "token_type": "Bearer",
        });
        let mut response = Response::new(Bytes::from(answer.to_string()));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        Ok(response)
    });
    let key = SigningKey::generate(Algorithm::ES256);
    let keys = KeySet::parse(serde_json::json!({"keys": [key.jwk()]}).to_string()).unwrap();
    IntrospectionAuthenticator::builder(Issuer::new(ISSUER, keys), ClientAuth::basic("id", "secret"))
        .endpoint("https://id.example/introspect")
        .http_client(http)
        .audience(AUDIENCE)
        .reuse_for(REUSE_FOR)
        .build()
        .unwrap()
}
