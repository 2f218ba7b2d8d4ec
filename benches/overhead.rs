//! What protection costs beside the signature: the layer against the bare verification with a prepared key, in turns.
//!
//! `cargo bench --bench overhead` prints, for each algorithm, the median of the ratios of interleaved rounds and its 95 %
//! bootstrap interval. The cost of the layer is the time through it less the time through the same service without it, in the
//! same round. Requests are made outside the timed region; keys are fetched and cached as in production.
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

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Inner, interval, median, request, time};
use http::HeaderValue;
use portcullis::test_util::{ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{Algorithm, AuthLayer, Issuer, JwtAuthenticator, RemoteKeySet};
use tower::Layer;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";
const ROUNDS: usize = 400;
/// Verifications in a row within a round: long enough for the clock, short enough that both sides meet the same weather.
const REPEAT: usize = 20;

fn main() {
    println!(
        "algorithm  bare µs  open µs  layer µs  (layer - open) / bare: median of {ROUNDS} rounds (95 % interval)"
    );
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        measure(algorithm);
    }
}

fn measure(algorithm: Algorithm) {
    let key = Arc::new(SigningKey::generate(algorithm));
    let builder = TokenBuilder::new(Arc::clone(&key), ISSUER, AUDIENCE).expires_in(3600);
    let token = builder.clone().claim("nbf", builder.claims()["iat"].clone()).build();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let prepared = prepare(&key);
    // Every request is judged: nothing is remembered.
    let layer = AuthLayer::new(authenticator(&key)).verdict_cache(0).layer(Inner);
    let header = HeaderValue::try_from(format!("Bearer {token}")).unwrap();

    let bare = || {
        let start = Instant::now();
        for _ in 0..REPEAT {
            prepared.verify_sig(black_box(message.as_bytes()), black_box(&signature)).unwrap();
        }
        start.elapsed().as_secs_f64() / REPEAT as f64
    };
    let requests = || (0..REPEAT).map(|_| request(&header)).collect();
    let (mut open, mut layered) = (Inner, layer);
    let mut open = || time(&mut open, requests());
    let mut layered = || time(&mut layered, requests());
    for _ in 0..50 {
        bare();
        open();
        layered();
    }
    // Each side comes first every other time.
    let rounds: Vec<[f64; 3]> = (0..ROUNDS)
        .map(|round| {
            if round % 2 == 0 {
                [bare(), open(), layered()]
            } else {
                let (layered, open) = (layered(), open());
                [bare(), open, layered]
            }
        })
        .collect();
    let ratios: Vec<f64> = rounds.iter().map(|[bare, open, layered]| (layered - open) / bare).collect();
    let (low, high) = interval(&ratios);
    let micros = |side: usize| median(rounds.iter().map(|round| round[side] * 1e6).collect());
    println!(
        "{:9}  {:7.2}  {:7.2}  {:8.2}  {:.3} ({low:.3} to {high:.3})",
        algorithm.to_string(),
        micros(0),
        micros(1),
        micros(2),
        median(ratios),
    );
}

fn prepare(key: &SigningKey) -> ParsedPublicKey {
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

/// Keys that were fetched once, from a script.
fn authenticator(key: &SigningKey) -> JwtAuthenticator {
    let http = ScriptedHttpClient::new();
    http.answer("https://id.example/keys", serde_json::json!({"keys": [key.jwk()]}).to_string());
    let keys = RemoteKeySet::builder("https://id.example/keys").http_client(http).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(keys.warm_up()).unwrap();
    JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap()
}
