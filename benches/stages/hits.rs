//! A known credential: alone, with a guard, with a limit, and with both, against a service that reads the header and inserts a
//! fixed `Arc`.

use http::HeaderValue;
use portcullis::{
    Algorithm, AuthLayer, Authenticator, Quota, RateLimitHeaders, RateLimitLayer, require_scopes,
};
use tower::Layer;

use crate::common::credentials::{api_keys, introspection, jwt, key, opaque_tokens, tokens};
use crate::common::services::{Floor, Inner, Make, Open, request, routed, side_of, warm_up};
use crate::common::statistics::{Rounds, Side};
use crate::common::table::{Cell, Report};

const ROUNDS: usize = 400;
const REPEAT: usize = 100;

/// Above the empty service, in floors; and nanoseconds of scope check and limit.
const GOAL: f64 = 9.0;
const GOAL_BEYOND: f64 = 80.0;

const NAMES: [&str; 8] = [
    "empty service",
    "floor",
    "authentication",
    "+ guard",
    "+ limit, no fields",
    "+ limit",
    "+ guard + limit, no fields",
    "+ guard + limit",
];

pub fn run() {
    let mut report = Report::new("hits");
    let signing = key(Algorithm::RS256);
    for number in [1, 10_000] {
        let tokens = tokens(&signing, number);
        let name = format!("JWT, {} bytes, {number} known", tokens[0].len() - "Bearer ".len());
        measure(&mut report, &name, request, jwt(&signing), &tokens);
        if number > 1 {
            let name = format!("{name}, beneath a router");
            measure(&mut report, &name, routed, jwt(&signing), &tokens);
        }
    }
    let opaque = opaque_tokens(10_000);
    measure(&mut report, "opaque token, 43 bytes, 10000 known", request, introspection(), &opaque);
    let (keys, texts) = api_keys(10_000);
    let name = format!("API key, {} bytes, 10000 known", texts[0].len() - "ApiKey ".len());
    measure(&mut report, &name, request, keys, &texts);
    report.finish();
}

fn measure<A: Authenticator>(
    report: &mut Report,
    name: &str,
    make: Make,
    authenticator: A,
    credentials: &[HeaderValue],
) {
    // All services of one layer share what is known.
    let auth = AuthLayer::new(authenticator);
    let limit = RateLimitLayer::per_subject(Quota::per_second(1_000_000).unwrap());
    let quiet = limit.clone().headers(RateLimitHeaders::none());
    let guarded = require_scopes(["todo:read"]).layer(Inner);
    warm_up(&auth.layer(Inner), credentials);
    let rounds = Rounds::run(
        ROUNDS,
        vec![
            turn(make, Inner, credentials),
            turn(make, Floor::default(), credentials),
            turn(make, auth.layer(Inner), credentials),
            turn(make, auth.layer(guarded.clone()), credentials),
            turn(make, auth.layer(quiet.layer(Inner)), credentials),
            turn(make, auth.layer(limit.layer(Inner)), credentials),
            turn(make, auth.layer(quiet.layer(guarded.clone())), credentials),
            turn(make, auth.layer(limit.layer(guarded)), credentials),
        ],
    );
    let row = |(side, stage): (usize, &&str)| {
        let beyond = rounds.median(|round| (round[side] - round[0]) * 1e9);
        let over = rounds.ratio(|round| (round[side] - round[0]) / (round[1] - round[0]));
        let more = rounds.median(|round| (round[side] - round[2]) * 1e9);
        let (all, quiet) = (side == NAMES.len() - 1, side == NAMES.len() - 2);
        vec![
            Cell::text(*stage),
            Cell::number(rounds.median(|round| round[side] * 1e9), 0),
            if side == 0 { Cell::none() } else { Cell::number(beyond, 0) },
            if side < 2 { Cell::none() } else { over.cell() },
            if all || quiet { Cell::at_most(GOAL, over.median) } else { Cell::none() },
            if side < 3 { Cell::none() } else { Cell::number(more, 0) },
            if quiet { Cell::at_most(GOAL_BEYOND, more) } else { Cell::none() },
        ]
    };
    report.table(
        &format!("{name}: {} rounds of {REPEAT}", rounds.len()),
        &[
            "stage",
            "ns",
            "ns beyond empty",
            "beyond empty / floor",
            "goal",
            "ns beyond authentication",
            "goal of guard and limit",
        ],
        &NAMES.iter().enumerate().map(row).collect::<Vec<_>>(),
    );
}

fn turn<'a, S: Open + 'a>(make: Make, service: S, credentials: &'a [HeaderValue]) -> Side<'a> {
    side_of(make, service, credentials, REPEAT, 200)
}
