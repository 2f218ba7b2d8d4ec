//! One thread against two that hammer clones of the same service.

use std::sync::Barrier;
use std::time::Instant;

use http::HeaderValue;
use portcullis::{Algorithm, AuthLayer, Quota, RateLimitHeaders, RateLimitLayer, require_scopes};
use tower::Layer;

use crate::common::credentials::{jwt, key, tokens};
use crate::common::services::{Floor, Inner, Open, ask, request, warm_up};
use crate::common::statistics::{Random, Rounds, Side};
use crate::common::table::{Cell, Report};

const ROUNDS: usize = 60;
/// Requests of each thread in a turn: so many that starting the threads does not show.
const REPEAT: usize = 20_000;
const KNOWN: usize = 512;
const GOAL: f64 = 1.5;

pub fn run() {
    let mut report = Report::new("threads");
    let signing = key(Algorithm::RS256);
    let tokens = tokens(&signing, KNOWN);
    let auth = AuthLayer::new(jwt(&signing));
    let limit = RateLimitLayer::per_subject(Quota::per_second(1_000_000_000).unwrap())
        .headers(RateLimitHeaders::none());
    warm_up(&auth.layer(Inner), &tokens);
    let all = auth.layer(limit.layer(require_scopes(["todo:read"]).layer(Inner)));
    let rows = [
        measure("empty service", &Inner, &tokens, false),
        measure("floor", &Floor::default(), &tokens, false),
        measure(&format!("authentication, {KNOWN} tokens"), &auth.layer(Inner), &tokens, true),
        measure("authentication, the same token", &auth.layer(Inner), &tokens[..1], false),
        measure(&format!("+ guard + limit, {KNOWN} tokens"), &all, &tokens, true),
        measure("+ guard + limit, the same token", &all, &tokens[..1], false),
    ];
    report.table(
        &format!("two threads: {ROUNDS} rounds of {REPEAT} requests by each"),
        &["service", "requests a second, one thread", "two threads", "two over one", "goal"],
        &rows,
    );
    report.finish();
}

fn measure<S: Open + Send>(
    name: &str,
    service: &S,
    credentials: &[HeaderValue],
    has_goal: bool,
) -> Vec<Cell> {
    let rounds = Rounds::run(ROUNDS, vec![hammer(service, credentials, 1), hammer(service, credentials, 2)]);
    let over = rounds.ratio(|round| round[0] / round[1]);
    let rate = |side: usize| Cell::number(rounds.median(|round| 1.0 / round[side]), 0);
    let goal = if has_goal { Cell::at_least(GOAL, over.median) } else { Cell::none() };
    vec![Cell::text(name), rate(0), rate(1), over.cell(), goal]
}

/// Seconds for one request, of all threads together: until the last of them is done.
fn hammer<'a, S: Open + Send>(service: &'a S, credentials: &'a [HeaderValue], threads: usize) -> Side<'a> {
    Box::new(move || {
        let start = Barrier::new(threads);
        let seconds = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    let mut service = service.clone();
                    let start = &start;
                    scope.spawn(move || {
                        // Each goes its own way.
                        let mut random = Random::of(thread);
                        start.wait();
                        let start = Instant::now();
                        for _ in 0..REPEAT {
                            let credential = &credentials[random.below(credentials.len())];
                            assert_eq!(ask(&mut service, request(Some(credential))).status(), 200);
                        }
                        start.elapsed().as_secs_f64()
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).fold(0.0, f64::max)
        });
        seconds / (REPEAT * threads) as f64
    })
}
