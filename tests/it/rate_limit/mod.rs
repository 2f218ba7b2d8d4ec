//! Limits: who is counted together and by which quotas, where the counts live, and what callers are told.

mod addresses;
mod bounds;
mod clients;
mod headers;
mod model;
mod plans;
mod policies;
mod redis;
mod stores;
mod who;

use std::convert::Infallible;

use axum::Router;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use portcullis::{AuthLayer, Principal, RateLimitLayer};
use tower::{Layer as _, ServiceExt as _};

use crate::stub::{Stub, ask};

const TOO_OFTEN: StatusCode = StatusCode::TOO_MANY_REQUESTS;

/// Reads `ISSUER~CLIENT~SUBJECT`, each of which may be empty.
fn parties(method: &'static str) -> Stub {
    Stub::judging(move |secret| {
        let parts: Vec<&str> = secret.split('~').collect();
        let principal = Principal::builder(method).client_id(parts[1]).subject(parts[2]);
        Ok(if parts[0].is_empty() { principal } else { principal.issuer(parts[0]) }.build())
    })
}

/// Two routes beneath one limit and one layer.
fn app(limit: RateLimitLayer, stub: Stub) -> Router {
    let method = get(async || "a").post(async || "a");
    Router::new()
        .route("/a", method)
        .route("/b", get(async || "b"))
        .layer(limit)
        .layer(AuthLayer::new(stub).optional())
}

/// A request of nobody in particular, to a service that answers everybody.
async fn send(limit: &RateLimitLayer) -> Response<()> {
    limit.layer(tower::service_fn(fine)).oneshot(Request::new(())).await.unwrap()
}

async fn fine(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

async fn statuses(app: &Router, lines: &[&str], secret: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    for line in lines {
        statuses.push(ask(app, line, secret).await.status().as_u16());
    }
    statuses
}

/// How many of ten requests are admitted.
async fn admitted(app: &Router, secret: &str) -> usize {
    statuses(app, &["GET /a"; 10], secret).await.iter().filter(|status| **status == 200).count()
}
