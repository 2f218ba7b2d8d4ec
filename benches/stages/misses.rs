//! A token that was never seen, against the bare verification of its signature with a prepared key.

use std::hint::black_box;
use std::time::Instant;

use http::HeaderValue;
use portcullis::{Algorithm, AuthLayer, JwtAuthenticator};
use tower::Layer;

use crate::common::credentials::{jwt, key, parts, prepare, tokens};
use crate::common::services::{Inner, ask, request};
use crate::common::statistics::{Rounds, Side};
use crate::common::table::{Cell, Report};

const ROUNDS: usize = 2000;
const REPEAT: usize = 10;
/// All different; where the cache is on it is a new one before any comes again.
const TOKENS: usize = 2000;

pub fn run() {
    let mut report = Report::new("misses");
    let rows: Vec<Vec<Cell>> =
        [(Algorithm::RS256, 1.08), (Algorithm::ES256, 1.03), (Algorithm::Ed25519, 1.04)]
            .into_iter()
            .flat_map(|(algorithm, goal)| measure(algorithm, goal))
            .collect();
    report.table(
        &format!("a token that was never seen: {ROUNDS} rounds of {REPEAT}"),
        &[
            "algorithm",
            "cache",
            "µs bare",
            "µs empty service",
            "µs layer",
            "(layer - empty) / bare",
            "goal, of the upper end",
        ],
        &rows,
    );
    report.finish();
}

fn measure(algorithm: Algorithm, goal: f64) -> [Vec<Cell>; 2] {
    let signing = key(algorithm);
    let tokens = tokens(&signing, TOKENS);
    let prepared = prepare(&signing);
    let signatures: Vec<(&[u8], Vec<u8>)> = tokens.iter().map(parts).collect();
    let verify = |index: usize| {
        let (message, signature) = &signatures[index];
        prepared.verify_sig(black_box(message), black_box(signature)).unwrap();
    };
    let rounds = Rounds::run(
        ROUNDS,
        vec![
            turn(verify),
            turn(|index| assert_eq!(ask(&mut Inner, request(Some(&tokens[index]))).status(), 200)),
            judged(jwt(&signing), &tokens, 0),
            judged(jwt(&signing), &tokens, 32 * 1024 * 1024),
        ],
    );
    [(2, "off"), (3, "insert included")].map(|(side, cache)| {
        let over = rounds.ratio(|round| (round[side] - round[1]) / round[0]);
        let micros = |side: usize| Cell::number(rounds.median(|round| round[side] * 1e6), 2);
        vec![
            Cell::text(algorithm.to_string()),
            Cell::text(cache),
            micros(0),
            micros(1),
            micros(side),
            over.cell(),
            Cell::at_most(goal, over.high),
        ]
    })
}

/// The next tokens, one after the other.
fn turn<'a>(mut one: impl FnMut(usize) + 'a) -> Side<'a> {
    let mut next = 0;
    Box::new(move || {
        let start = Instant::now();
        for index in next..next + REPEAT {
            one(index);
        }
        next = (next + REPEAT) % TOKENS;
        start.elapsed().as_secs_f64() / REPEAT as f64
    })
}

fn judged<'a>(authenticator: JwtAuthenticator, tokens: &'a [HeaderValue], cache: u64) -> Side<'a> {
    let auth = AuthLayer::new(authenticator);
    let fresh = move || auth.clone().verdict_cache(cache).layer(Inner);
    let mut service = fresh();
    let mut next = 0;
    Box::new(move || {
        if next == 0 {
            service = fresh();
            // The first one finds tables that have never been touched.
            for token in &tokens[..REPEAT] {
                assert_eq!(ask(&mut service, request(Some(token))).status(), 200);
            }
            next = REPEAT;
        }
        let start = Instant::now();
        for token in &tokens[next..next + REPEAT] {
            assert_eq!(ask(&mut service, request(Some(token))).status(), 200);
        }
        let seconds = start.elapsed().as_secs_f64() / REPEAT as f64;
        next = (next + REPEAT) % TOKENS;
        seconds
    })
}
