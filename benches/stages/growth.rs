//! What a known credential costs, in time and memory, when one is known and when a million are.

use std::time::Instant;

use http::HeaderValue;
use portcullis::{Algorithm, AuthLayer, JwtAuthenticator};
use tower::Layer;

use crate::common::credentials::{jwt_with_fixed_keys, key, tokens};
use crate::common::services::{Inner, ask, request, side};
use crate::common::statistics::Rounds;
use crate::common::table::{Cell, Report};

const NUMBERS: [usize; 5] = [1, 100, 10_000, 100_000, 1_000_000];
const ROUNDS: usize = 400;
const REPEAT: usize = 200;
const GOAL_TIME: f64 = 3.0;
const GOAL_BYTES: f64 = 600.0;

pub fn run() {
    let mut report = Report::new("growth");
    let start = Instant::now();
    // A million signatures with RSA would take a quarter of an hour. What is remembered has nothing of the signature.
    let signing = key(Algorithm::ES256);
    let tokens = tokens(&signing, NUMBERS[NUMBERS.len() - 1]);
    let authenticator = jwt_with_fixed_keys(&signing);
    let layers = NUMBERS.map(|number| remember(&authenticator, &tokens[..number]));
    let prepared = start.elapsed().as_secs_f64();
    let mut sides = vec![side(Inner, &tokens, REPEAT, 200)];
    for (number, (auth, _)) in NUMBERS.iter().zip(&layers) {
        sides.push(side(Inner, &tokens[..*number], REPEAT, 200));
        sides.push(side(auth.layer(Inner), &tokens[..*number], REPEAT, 200));
    }
    let rounds = Rounds::run(ROUNDS, sides);
    // Each with the empty service that reads the same tokens.
    let hit = |round: &[f64], at: usize| round[at * 2 + 2] - round[at * 2 + 1];
    let some = NUMBERS.iter().position(|number| *number == 10_000).unwrap();
    let row = |(at, number): (usize, usize)| {
        let over = rounds.ratio(|round| hit(round, at) / hit(round, some));
        let bytes = layers[at].1;
        let is_last = at == NUMBERS.len() - 1;
        vec![
            Cell::count(number),
            Cell::number(rounds.median(|round| hit(round, at) * 1e9), 0),
            over.cell(),
            if is_last { Cell::at_most(GOAL_TIME, over.median) } else { Cell::none() },
            if number < 10_000 { Cell::none() } else { Cell::number(bytes / number as f64, 0) },
            if is_last { Cell::at_most(GOAL_BYTES, bytes / number as f64) } else { Cell::none() },
        ]
    };
    report.table(
        &format!(
            "JWT, ES256, {} bytes: {ROUNDS} rounds of {REPEAT}; {prepared:.0} s to sign and verify them",
            tokens[0].len() - "Bearer ".len()
        ),
        &["known", "ns beyond empty", "over 10000 known", "goal", "resident bytes for each", "goal of bytes"],
        &NUMBERS.into_iter().enumerate().map(row).collect::<Vec<_>>(),
    );
    report.finish();
}

/// A layer that knows all of these, and the bytes that became resident when it learnt them.
fn remember(authenticator: &JwtAuthenticator, tokens: &[HeaderValue]) -> (AuthLayer<JwtAuthenticator>, f64) {
    let before = resident();
    let auth = AuthLayer::new(authenticator.clone()).verdict_cache(4 << 30);
    let learn = |tokens: &[HeaderValue]| {
        let mut service = auth.layer(Inner);
        for token in tokens {
            assert_eq!(ask(&mut service, request(Some(token))).status(), 200);
        }
    };
    let (first, second) = tokens.split_at(tokens.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| learn(first));
        learn(second);
    });
    (auth, resident() - before)
}

fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}
