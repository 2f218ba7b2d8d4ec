//! The same through a router of axum, against that router with a layer that does nothing.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderValue, Request, Response};
use portcullis::{Algorithm, AuthLayer, Quota, RateLimitHeaders, RateLimitLayer, require_scopes};
use tower::{Service, ServiceExt};

use crate::common::credentials::{jwt, key, tokens};
use crate::common::services::request;
use crate::common::statistics::{Random, Rounds, Side};
use crate::common::table::{Cell, Report};

const ROUNDS: usize = 400;
const REPEAT: usize = 50;
const KNOWN: usize = 10_000;
const GOAL: f64 = 1.6;

pub fn run() {
    let mut report = Report::new("router");
    let signing = key(Algorithm::RS256);
    let credentials = tokens(&signing, KNOWN);
    let auth = AuthLayer::new(jwt(&signing));
    let limit = RateLimitLayer::per_subject(Quota::per_second(1_000_000).unwrap());
    let quiet = limit.clone().headers(RateLimitHeaders::none());
    let guard = require_scopes(["todo:read"]);
    let route = || Router::new().route("/", get(async || "ok"));
    let open = route().layer(tower::layer::layer_fn(|inner| NoOp { inner }));
    let authenticated = route().layer(auth.clone());
    // One layer for axum, which boxes what each of its layers gives; the first is the outermost.
    let stacked = route().layer((auth.clone(), quiet.clone(), guard.clone()));
    let told = route().layer((auth.clone(), limit, guard.clone()));
    let apart = route().layer(guard).layer(quiet).layer(auth);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for credential in &credentials {
        let request = request(Some(credential)).map(|()| Body::empty());
        assert_eq!(runtime.block_on(authenticated.clone().oneshot(request)).unwrap().status(), 200);
    }
    let names = [
        "layer that does nothing",
        "authentication",
        "+ guard + limit, no fields",
        "+ guard + limit",
        "+ guard + limit, no fields, in layers of their own",
    ];
    let sides = [open, authenticated, stacked, told, apart].map(|router| turn(router, &credentials));
    let rounds = Rounds::run(ROUNDS, sides.into());
    let row = |(side, name): (usize, &&str)| {
        let over = rounds.ratio(|round| round[side] / round[0]);
        vec![
            Cell::text(*name),
            Cell::number(rounds.median(|round| round[side] * 1e9), 0),
            if side == 0 { Cell::none() } else { over.cell() },
            if side < 2 { Cell::none() } else { Cell::at_most(GOAL, over.median) },
        ]
    };
    report.table(
        &format!("JWT, {KNOWN} known, within a router of axum: {} rounds of {REPEAT}", rounds.len()),
        &["router", "ns", "over the layer that does nothing", "goal"],
        &names.iter().enumerate().map(row).collect::<Vec<_>>(),
    );
    report.finish();
}

/// Whole answers, without the making of the requests.
fn turn<'a>(router: Router, credentials: &'a [HeaderValue]) -> Side<'a> {
    let mut random = Random::default();
    // As `axum::serve` does: else the layers are put around the handlers at each request.
    let mut service = router.with_state(()).into_service::<Body>();
    Box::new(move || {
        let made = (0..REPEAT)
            .map(|_| request(Some(&credentials[random.below(credentials.len())])).map(|()| Body::empty()));
        let requests: Vec<Request<Body>> = made.collect();
        let start = Instant::now();
        for request in requests {
            let mut future = pin!(service.call(request));
            let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(black_box(answer), Poll::Ready(Ok(answer)) if answer.status() == 200));
        }
        start.elapsed().as_secs_f64() / REPEAT as f64
    })
}

/// Hands everything on.
#[derive(Clone)]
struct NoOp<S> {
    inner: S,
}

impl<S: Service<Request<Body>, Response = Response<Body>>> Service<Request<Body>> for NoOp<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.inner.call(request)
    }
}
