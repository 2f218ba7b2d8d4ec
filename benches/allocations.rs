//! What each stage of protection allocates, counted: in a process apart from the times, since who counts takes time.
//!
//! `cargo bench --bench allocations`. The first column is for a request that has no map of extensions yet, the second for one that
//! has, as within a router of axum.
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

use std::time::UNIX_EPOCH;

use common::credentials::{api_keys, bearer, forge, jwt, key, mistype, token, tokens};
use common::services::{Floor, Inner, Open, ask, request, routed, warm_up};
use common::table::{Cell, Report};
use http::{HeaderValue, Request};
use portcullis::{Algorithm, AuthLayer, Quota, RateLimitHeaders, RateLimitLayer, require_scopes};
use tower::Layer;

/// Of a hit: the principal, and the map that it is put into.
const GOAL_HIT: [f64; 2] = [3.0, 1.0];
const GOAL_MISS: f64 = 6.0;

fn main() {
    let mut report = Report::new("allocations");
    let signing = key(Algorithm::RS256);
    let known = tokens(&signing, 3);
    let auth = AuthLayer::new(jwt(&signing));
    let limit = RateLimitLayer::per_subject(Quota::per_second(1_000_000).unwrap());
    let quiet = limit.clone().headers(RateLimitHeaders::none());
    let guarded = require_scopes(["todo:read"]).layer(Inner);
    let hit = auth.layer(Inner);
    warm_up(&hit, &known);
    let (keys, texts) = api_keys(1);
    let keys = AuthLayer::new(keys).layer(Inner);
    warm_up(&keys, &texts);
    let known = Some(&known[0]);
    let mut rows = vec![
        row("floor", &Floor::default(), known, 200, None),
        row("hit, JWT", &hit, known, 200, Some(GOAL_HIT)),
        row("hit, API key", &keys, Some(&texts[0]), 200, Some(GOAL_HIT)),
        row("hit, JWT + guard", &auth.layer(guarded.clone()), known, 200, Some(GOAL_HIT)),
        row(
            "hit, JWT + guard + limit, no fields",
            &auth.layer(quiet.layer(guarded.clone())),
            known,
            200,
            Some(GOAL_HIT),
        ),
        row("hit, JWT + guard + limit", &auth.layer(limit.layer(guarded)), known, 200, None),
        row("refused: no credential", &hit, None, 401, None),
        row("refused: malformed token", &hit, Some(&bearer("garbage")), 401, None),
        row(
            "refused: expired token",
            &hit,
            Some(&bearer(&token(&signing, 0).issued_at(UNIX_EPOCH).build())),
            401,
            None,
        ),
        row("refused: wrong signature", &hit, known.map(forge).as_ref(), 401, None),
        row("refused: API key, wrong checksum", &keys, Some(&mistype(&texts[0])), 401, None),
    ];
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        rows.push(miss(algorithm, 0));
        rows.push(miss(algorithm, 32 * 1024 * 1024));
    }
    report.table(
        "allocations of one request",
        &["stage", "without extensions", "goal", "with extensions", "goal with extensions"],
        &rows,
    );
    let left = garbage(&hit, 10_000);
    report.table(
        "what 10000 different malformed tokens leave in memory",
        &["bytes", "goal"],
        &[vec![Cell::number(left, 0), Cell::at_most(0.0, left)]],
    );
    report.finish();
}

fn row<S: Open>(
    name: &str,
    service: &S,
    credential: Option<&HeaderValue>,
    status: u16,
    goal: Option<[f64; 2]>,
) -> Vec<Cell> {
    let count = |has_extensions: bool| {
        // The second is as all that come after it.
        let counts = [(); 2].map(|()| allocations(service, prepare(credential, has_extensions), status));
        counts[1]
    };
    told(name, [count(false), count(true)], goal)
}

/// The median of a hundred new tokens, since tables grow now and then.
fn miss(algorithm: Algorithm, cache: u64) -> Vec<Cell> {
    let signing = key(algorithm);
    let count = |has_extensions: bool| {
        let service = AuthLayer::new(jwt(&signing)).verdict_cache(cache).layer(Inner);
        let new = tokens(&signing, 100);
        let counts = new.iter().map(|token| allocations(&service, prepare(Some(token), has_extensions), 200));
        common::statistics::median(counts.map(|count| count as f64).collect()) as u64
    };
    let name = format!("miss, {algorithm}, {}", if cache == 0 { "cache off" } else { "insert included" });
    told(&name, [count(false), count(true)], Some([GOAL_MISS; 2]))
}

fn told(name: &str, counts: [u64; 2], goal: Option<[f64; 2]>) -> Vec<Cell> {
    let mut cells = vec![Cell::text(name)];
    for (at, count) in counts.into_iter().enumerate() {
        cells.push(Cell::new(count.to_string(), count));
        cells.push(goal.map_or_else(Cell::none, |goal| Cell::at_most(goal[at], count as f64)));
    }
    cells
}

fn prepare(credential: Option<&HeaderValue>, has_extensions: bool) -> Request<()> {
    if has_extensions { routed(credential) } else { request(credential) }
}

fn allocations<S: Open>(service: &S, request: Request<()>, status: u16) -> u64 {
    let mut service = service.clone();
    let counted = allocation_counter::measure(|| assert_eq!(ask(&mut service, request).status(), status));
    counted.count_total
}

/// Bytes that are in use afterwards and were not before.
fn garbage<S: Open>(service: &S, number: usize) -> f64 {
    let mut service = service.clone();
    let counted = allocation_counter::measure(|| {
        for index in 0..number {
            let answer = ask(&mut service, request(Some(&bearer(&format!("garbage-{index}")))));
            assert_eq!(answer.status(), 401);
        }
    });
    counted.bytes_current as f64
}
