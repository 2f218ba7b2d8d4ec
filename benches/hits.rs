//! What a known credential costs: the layer against a service that reads the header and inserts a fixed `Arc`, in turns.
//!
//! `cargo bench --bench hits` prints, for several kinds of credentials and numbers of them, the time beyond the empty service, the
//! same for the floor, and the median of the ratios of interleaved rounds with its 95 % bootstrap interval. Requests are made
//! outside the timed region, and no credential comes twice in a round.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic
)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::disallowed_methods)]

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use common::{Inner, interval, median, request, time, time_answers};
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use portcullis::test_util::{ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeys, AuthLayer, Authenticator, ClientAuth,
    IntrospectionAuthenticator, Issuer, JwtAuthenticator, KeySet, MemoryApiKeyStore, NewApiKey, ScopeSet,
};
use tower::{Layer, Service, ServiceExt};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";
const ROUNDS: usize = 300;
const REPEAT: usize = 100;

/// The least that any authentication can do: look at the header, and insert something.
#[derive(Clone)]
struct Floor(Arc<str>, Inner);

impl Service<Request<()>> for Floor {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = <Inner as Service<Request<()>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        assert!(request.headers().get("authorization").is_some());
        request.extensions_mut().insert(Arc::clone(&self.0));
        self.1.call(request)
    }
}

fn main() {
    println!(
        "credentials           number  floor ns  hit ns  hit / floor: median of {ROUNDS} rounds (95 % interval)"
    );
    measure_refusals();
    for number in [1, 10_000] {
        let key = Arc::new(SigningKey::generate(Algorithm::RS256));
        let keys = KeySet::parse(serde_json::json!({"keys": [key.jwk()]}).to_string()).unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
        let token = |index: usize| {
            TokenBuilder::new(Arc::clone(&key), ISSUER, AUDIENCE)
                .expires_in(3600)
                .scope("todo:read todo:write")
                .claim("jti", format!("{index:036}"))
                .build()
        };
        let tokens: Vec<String> = (0..number).map(token).collect();
        let jwt = measure(&format!("JWT, {} bytes", tokens[0].len()), jwt, "Bearer", &tokens);
        for len in [43, tokens[0].len()] {
            let tokens: Vec<String> = (0..number).map(|index| format!("{index:0len$}")).collect();
            let opaque = measure(&format!("opaque, {len} bytes"), introspection(), "Bearer", &tokens);
            println!("    over the JWT: {:.3}", opaque / jwt);
        }
        let (keys, texts) = api_keys(number);
        let key = measure(&format!("API key, {} bytes", texts[0].len()), keys, "ApiKey", &texts);
        println!("    over the JWT: {:.3}", key / jwt);
    }
}

/// Gives the time of a hit beyond the empty service.
fn measure<A: Authenticator>(name: &str, authenticator: A, scheme: &str, tokens: &[String]) -> f64 {
    let headers = headers(scheme, tokens);
    let mut layered = AuthLayer::new(authenticator).layer(Inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for header in &headers {
        let answer = runtime.block_on(layered.clone().oneshot(request(header))).unwrap();
        assert_eq!(answer.status(), 200);
    }
    let (mut open, mut floor) = (Inner, Floor("fixed".into(), Inner));
    // Far from each other in memory, and none twice in a row of rounds.
    let mut place = 0;
    let mut some = || {
        (0..REPEAT)
            .map(|_| {
                place = (place + 7919) % headers.len();
                request(&headers[place])
            })
            .collect::<Vec<_>>()
    };
    let rounds: Vec<[f64; 3]> = (0..ROUNDS + 30)
        .map(|round| {
            if round % 2 == 0 {
                [time(&mut open, some()), time(&mut floor, some()), time(&mut layered, some())]
            } else {
                let (layered, floor) = (time(&mut layered, some()), time(&mut floor, some()));
                [time(&mut open, some()), floor, layered]
            }
        })
        .skip(30)
        .collect();
    let ratios: Vec<f64> = rounds.iter().map(|[open, floor, hit]| (hit - open) / (floor - open)).collect();
    let nanos = |side: usize| median(rounds.iter().map(|round| (round[side] - round[0]) * 1e9).collect());
    let (low, high) = interval(&ratios);
    println!(
        "{name:20}  {:6}  {:8.0}  {:6.0}  {:.2} ({low:.2} to {high:.2})",
        tokens.len(),
        nanos(1),
        nanos(2),
        median(ratios)
    );
    nanos(2)
}

fn headers(scheme: &str, tokens: &[String]) -> Vec<HeaderValue> {
    tokens.iter().map(|token| HeaderValue::try_from(format!("{scheme} {token}")).unwrap()).collect()
}

/// What it takes to refuse a key with a wrong checksum, beyond the empty service.
fn measure_refusals() {
    let (keys, texts) = api_keys(1000);
    let wrong =
        |text: &String| format!("{}{}", &text[..text.len() - 1], if text.ends_with('0') { '1' } else { '0' });
    let headers = headers("ApiKey", &texts.iter().map(wrong).collect::<Vec<_>>());
    let (mut layered, mut open) = (AuthLayer::new(keys).layer(Inner), Inner);
    let some = || headers.iter().map(request).collect::<Vec<_>>();
    let nanos = (0..ROUNDS)
        .map(|_| (time_answers(&mut layered, some(), 401) - time(&mut open, some())) * 1e9)
        .collect();
    println!("an API key with a wrong checksum is refused in {:.0} ns", median(nanos));
}

/// So many keys in memory, and their texts.
fn api_keys(number: usize) -> (ApiKeyAuthenticator, Vec<String>) {
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let issue = |_| {
        let scopes = ScopeSet::parse("todo:read todo:write").unwrap();
        let new =
            NewApiKey::new("some label", "a-user-of-some-length").client_id("some-client").scopes(scopes);
        runtime.block_on(keys.issue(new)).unwrap().key.expose().to_owned()
    };
    let texts = (0..number).map(issue).collect();
    let long = std::time::Duration::from_secs(3600);
    (ApiKeyAuthenticator::builder(keys).reuse_for(long).build().unwrap(), texts)
}

/// An authority that accepts every token.
fn introspection() -> IntrospectionAuthenticator {
    let http = ScriptedHttpClient::new();
    let answer = serde_json::json!({
        "active": true, "iss": ISSUER, "aud": AUDIENCE, "sub": "a-user-of-some-length", "client_id": "some-client",
        "scope": "todo:read todo:write", "token_type": "Bearer",
    })
    .to_string();
    http.answer_by("https://id.example/introspect", move |_| {
        let mut response = Response::new(Bytes::from(answer.clone()));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        Ok(response)
    });
    let key = SigningKey::generate(Algorithm::ES256);
    let keys = KeySet::parse(serde_json::json!({"keys": [key.jwk()]}).to_string()).unwrap();
    IntrospectionAuthenticator::builder(Issuer::new(ISSUER, keys), ClientAuth::basic("id", "secret"))
        .endpoint("https://id.example/introspect")
        .http_client(http)
        .audience(AUDIENCE)
        .reuse_for(std::time::Duration::from_secs(3600))
        .build()
        .unwrap()
}
