//! What is counted.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Request};
use portcullis::{
    ApiKeyAuthenticator, ApiKeys, Auth, AuthLayer, Issuer, JwtAuthenticator, KeySet, MemoryApiKeyStore,
    NewApiKey, Quota, RateLimitHeaders, RateLimitLayer, ScopeSet, require_scopes,
};
use serde_json::{Value, json};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::inputs::{AUDIENCE, ISSUER};
use crate::limits::Row;
use crate::services::{Answer, Floor, Inner, ask, request};

/// Calls of each scenario: the secrets of hash tables differ from run to run, and so does where an entry comes to lie.
pub const CALLS: i64 = 200;

/// In the order in which they run.
pub const NAMES: [&str; 21] = [
    "empty",
    "empty_bare",
    "floor",
    "hit_jwt",
    "hit_key",
    "hit_guard",
    "hit_limit",
    "hit_limit_told",
    "missing",
    "garbage",
    "expired",
    "checksum",
    "bare_rs256",
    "miss_rs256",
    "bare_es256",
    "miss_es256",
    "bare_eddsa",
    "miss_eddsa",
    "bare_forged",
    "forged",
    "miss_uncached",
];

/// What is held against the limits: what is beyond the empty service, and beyond the signature where there is one.
pub fn rows(count: impl Fn(&str) -> i64) -> Vec<Row> {
    let beyond = |name: &str, bare: &str| count(name) - count("empty") - count(bare);
    let layer = |name: &str| count(name) - count("empty");
    vec![
        Row::new("floor", layer("floor")),
        Row::new("hit, JWT", layer("hit_jwt")),
        Row::new("hit, API key", layer("hit_key")),
        Row::new("hit, JWT, guard", layer("hit_guard")),
        Row::new("hit, JWT, guard, limit without header fields", layer("hit_limit")),
        Row::new("hit, JWT, guard, limit", layer("hit_limit_told")),
        Row::new("miss, RS256, remembered, less the signature", beyond("miss_rs256", "bare_rs256")),
        Row::new("miss, ES256, remembered, less the signature", beyond("miss_es256", "bare_es256")),
        Row::new("miss, EdDSA, remembered, less the signature", beyond("miss_eddsa", "bare_eddsa")),
        Row::new("miss, RS256, cache off, less the signature", beyond("miss_uncached", "bare_rs256")),
        Row::new("refused, RS256, wrong signature, less the signature", beyond("forged", "bare_forged")),
        Row::new("refused, no credential", count("missing") - count("empty_bare")),
        Row::new("refused, malformed token", layer("garbage")),
        Row::new("refused, expired token", layer("expired")),
        Row::new("refused, API key with a wrong checksum", layer("checksum")),
    ]
}

/// The one function within which instructions are counted.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    // A call in the last place becomes a jump, and callgrind sees nothing return.
    black_box(());
}

pub struct Scenarios<'a> {
    inputs: &'a Value,
    /// Of the next one.
    names: std::slice::Iter<'static, &'static str>,
}

impl<'a> Scenarios<'a> {
    pub fn new(inputs: &'a Value) -> Self {
        Self { inputs, names: NAMES.iter() }
    }

    pub fn run(mut self) {
        let (seen, new) = self.tokens("RS256");
        let jwt = || AuthLayer::new(self.authenticator("RS256"));
        let known = vec![seen[0].clone(); seen.len()];
        let (mut keys, key, wrong) = api_key();
        let quiet = limit().headers(RateLimitHeaders::none());
        let guarded = require_scopes(["todo:read"]).layer(Inner);
        let mut hit = jwt().layer(Inner);
        let mut hit_guard = jwt().layer(guarded.clone());
        let mut hit_limit = jwt().layer(quiet.layer(guarded.clone()));
        let mut hit_limit_told = jwt().layer(limit().layer(guarded));
        let mut refused = jwt().layer(Inner);
        let (mut uncached, mut missed) = (jwt().verdict_cache(0).layer(Inner), jwt().layer(Inner));
        let expired = repeat(&bearer(self.inputs["RS256"]["expired"].as_str().expect("a token")));
        let garbage = repeat(&bearer("q8Zr0wq1G5m7yXb2vN4tLk9pHs3dFj6aCe1iUo0RzT"));

        self.calls("empty", &mut Inner, [&known, &known], 200);
        self.calls_without("empty_bare", &mut Inner, 200);
        self.calls("floor", &mut Floor("fixed".into()), [&known, &known], 200);
        self.calls("hit_jwt", &mut hit, [&known, &known], 200);
        self.calls("hit_key", &mut keys, [&key, &key], 200);
        self.calls("hit_guard", &mut hit_guard, [&known, &known], 200);
        self.calls("hit_limit", &mut hit_limit, [&known, &known], 200);
        self.calls("hit_limit_told", &mut hit_limit_told, [&known, &known], 200);
        self.calls_without("missing", &mut refused, 401);
        self.calls("garbage", &mut refused, [&garbage, &garbage], 401);
        self.calls("expired", &mut refused, [&expired, &expired], 401);
        self.calls("checksum", &mut keys, [&wrong, &wrong], 401);
        self.bare("bare_rs256", "RS256", &new, true);
        self.calls("miss_rs256", &mut missed, [&seen, &new], 200);
        for (algorithm, bare, miss) in
            [("ES256", "bare_es256", "miss_es256"), ("Ed25519", "bare_eddsa", "miss_eddsa")]
        {
            let (seen, new) = self.tokens(algorithm);
            let mut missed = AuthLayer::new(self.authenticator(algorithm)).layer(Inner);
            self.bare(bare, algorithm, &new, true);
            self.calls(miss, &mut missed, [&seen, &new], 200);
        }
        let forged: Vec<HeaderValue> = new.iter().map(forge).collect();
        self.bare("bare_forged", "RS256", &forged, false);
        self.calls("forged", &mut refused, [&forged, &forged], 401);
        self.calls("miss_uncached", &mut uncached, [&seen, &new], 200);
        assert!(self.names.next().is_none());
    }

    /// Asks with each of `before`, and then counts what each of `credentials` takes. Requests are made within: made beforehand they
    /// would leave the allocator in a state that no server sees.
    fn calls<S>(
        &mut self,
        name: &str,
        service: &mut S,
        [before, credentials]: [&[HeaderValue]; 2],
        status: u16,
    ) where
        S: Service<Request<()>, Response = Answer, Error = Infallible>,
    {
        assert_eq!(self.names.next(), Some(&name));
        for credential in before {
            assert_eq!(ask(service, request(Some(credential))), status, "{name}");
        }
        measured(&mut || {
            for credential in credentials {
                assert_eq!(ask(service, request(Some(credential))), status);
            }
        });
    }

    fn calls_without<S>(&mut self, name: &str, service: &mut S, status: u16)
    where
        S: Service<Request<()>, Response = Answer, Error = Infallible>,
    {
        assert_eq!(self.names.next(), Some(&name));
        let mut calls = || (0..CALLS).for_each(|_| assert_eq!(ask(service, request(None)), status));
        calls();
        measured(&mut calls);
    }

    /// The signatures alone, with a key that was prepared before.
    fn bare(&mut self, name: &str, algorithm: &str, tokens: &[HeaderValue], good: bool) {
        assert_eq!(self.names.next(), Some(&name));
        let key = prepare(&self.inputs[algorithm]["jwk"]);
        let parts: Vec<(&[u8], Vec<u8>)> = tokens.iter().map(parts).collect();
        let verify = |(message, signature): &(&[u8], Vec<u8>)| {
            assert_eq!(key.verify_sig(black_box(message), black_box(signature)).is_ok(), good);
        };
        parts.iter().for_each(verify);
        measured(&mut || parts.iter().for_each(verify));
    }

    /// Tokens that are seen before, and as many that are not.
    fn tokens(&self, algorithm: &str) -> (Vec<HeaderValue>, Vec<HeaderValue>) {
        let tokens = self.inputs[algorithm]["tokens"].as_array().expect("tokens");
        let mut seen: Vec<_> = tokens.iter().map(|token| bearer(token.as_str().expect("a token"))).collect();
        let new = seen.split_off(seen.len() / 2);
        (seen, new)
    }

    fn authenticator(&self, algorithm: &str) -> JwtAuthenticator {
        let keys = KeySet::parse(json!({"keys": [self.inputs[algorithm]["jwk"]]}).to_string()).expect("keys");
        JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().expect("an authenticator")
    }
}

fn limit() -> RateLimitLayer {
    RateLimitLayer::per_client(Quota::per_second(1_000_000).unwrap())
}

fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a header value")
}

fn repeat(value: &HeaderValue) -> Vec<HeaderValue> {
    (0..CALLS).map(|_| value.clone()).collect()
}

/// What is signed, and the signature.
fn parts(credential: &HeaderValue) -> (&[u8], Vec<u8>) {
    let token = credential.to_str().expect("text").strip_prefix("Bearer ").expect("a token");
    let (message, signature) = token.rsplit_once('.').expect("a signature");
    (message.as_bytes(), URL_SAFE_NO_PAD.decode(signature).expect("Base64"))
}

/// With one bit of the signature changed.
fn forge(credential: &HeaderValue) -> HeaderValue {
    let (message, mut signature) = parts(credential);
    signature[100] ^= 1;
    let message = std::str::from_utf8(message).expect("text");
    bearer(&format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn prepare(jwk: &Value) -> ParsedPublicKey {
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a member")).expect("Base64");
    match jwk["kty"].as_str() {
        Some("RSA") => RsaPublicKeyComponents { n: bytes("n"), e: bytes("e") }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .expect("a key"),
        Some("EC") => {
            let point = [vec![4], bytes("x"), bytes("y")].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).expect("a key")
        }
        _ => ParsedPublicKey::new(&ED25519, bytes("x")).expect("a key"),
    }
}

/// A service that knows a key, the key, and the same with a wrong checksum.
fn api_key() -> (Auth<Inner, ApiKeyAuthenticator>, Vec<HeaderValue>, Vec<HeaderValue>) {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().expect("keys");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let scopes = ScopeSet::parse("todo:read todo:write").expect("scopes");
    let new = NewApiKey::new("a label", "5f1c2f6e-8d0a-4b1f-9d6e-0c8f6a1b7e42")
        .client_id("todo-cli")
        .scopes(scopes);
    let text = runtime.block_on(keys.issue(new)).expect("a key").key.expose().to_owned();
    let last = if text.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{last}", &text[..text.len() - 1]);
    let header = |text: &str| HeaderValue::try_from(format!("ApiKey {text}")).expect("a header value");
    let authenticator = ApiKeyAuthenticator::builder(keys).reuse_for(Duration::from_secs(3600)).build();
    let mut service = AuthLayer::new(authenticator.expect("an authenticator")).layer(Inner);
    // The store is asked in a task.
    let answer = runtime.block_on(async { service.call(request(Some(&header(&text)))).await });
    assert_eq!(answer.expect("an answer").status(), 200);
    (service, repeat(&header(&text)), repeat(&header(&wrong)))
}
