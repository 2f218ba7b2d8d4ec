//! The router with a layer that does nothing: what everybody else costs is beyond this, in the same round.

use std::task::{Context, Poll};

use axum::routing::get;
use tower::{Layer, Service};

use super::{About, Candidate, Role, ok};
use crate::in_process::route::{Route, axum_07, axum_08};

static ABOUT: About = About {
    name: "axum",
    cryptography: "none",
    configuration: "A layer that passes everything on: what the others cost is beyond this.",
    differs_in: &[],
};

pub fn candidates() -> Vec<Candidate> {
    let candidate = |label: &str, route: Box<dyn Route>| Candidate {
        label: label.into(),
        about: &ABOUT,
        role: Role::Nothing,
        route,
    };
    vec![
        candidate("no-op layer", axum_08(axum::Router::new().route("/todo", get(ok)).layer(NoOp))),
        candidate(
            "no-op layer (axum 0.7)",
            axum_07(axum07::Router::new().route("/todo", axum07::routing::get(ok)).layer(NoOp)),
        ),
    ]
}

#[derive(Clone)]
struct NoOp;

impl<S> Layer<S> for NoOp {
    type Service = Passed<S>;

    fn layer(&self, inner: S) -> Passed<S> {
        Passed(inner)
    }
}

#[derive(Clone)]
struct Passed<S>(S);

impl<S: Service<R>, R> Service<R> for Passed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
