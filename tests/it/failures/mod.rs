//! Failed attempts by address: what counts, who is turned away, and what that spares.

mod addresses;
mod bodies;
mod counted;
mod settings;
mod sockets;
mod under_way;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use portcullis::test_util::ManualClock;
use portcullis::{AuthError, AuthLayer, PeerAddr, Principal, Quota, Reason, require_scopes};
use tower::ServiceExt as _;

use crate::stub::{Asked, Stub, request};
use crate::support::outcome;

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

/// Status and reason.
type Answer = (StatusCode, Option<Reason>);

const PASSED: Answer = (StatusCode::OK, None);
const LIMITED: Answer = (StatusCode::TOO_MANY_REQUESTS, Some(Reason::FailuresExceeded));
const REFUSED: Answer = (StatusCode::UNAUTHORIZED, Some(Reason::Custom("bad")));

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server whose credentials are judged by a [`Stub`], which counts, and whose time moves by hand.
struct Scene {
    layer: AuthLayer<Stub>,
    asked: Asked,
    clock: ManualClock,
}

impl Scene {
    fn new(quota: Quota) -> Self {
        let clock = ManualClock::now();
        let stub = Stub::judging(|secret| match secret {
            "bad" => Err(AuthError::invalid_token("bad")),
            "busy" => Err(AuthError::unavailable(seconds(5))),
            "misfit" => Err(AuthError::authority_missing()),
            _ => Ok(Principal::builder("stub").subject(secret).build()),
        });
        let stub = stub.clock(&clock);
        let asked = stub.asked();
        Self { layer: AuthLayer::new(stub).limit_failures(quota), asked, clock }
    }

    fn app(&self) -> Router {
        app().layer(self.layer.clone())
    }
}

/// Two routes, one of which nobody may use.
fn app() -> Router {
    let forbidden = get(async || "").layer(require_scopes(["x"]));
    Router::new().route("/", get(async || "")).route("/forbidden", forbidden)
}

/// Sends `GET /` from an address.
async fn send(app: &Router, from: &str, lines: &[(&'static str, &str)]) -> Response<Body> {
    send_to(app, "/", from, lines).await
}

async fn send_to(app: &Router, path: &str, from: &str, lines: &[(&'static str, &str)]) -> Response<Body> {
    let mut request: Request<Body> = request(lines, Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    let address: IpAddr = from.parse().unwrap();
    request.extensions_mut().insert(PeerAddr(SocketAddr::new(address, 4711)));
    app.clone().oneshot(request).await.unwrap()
}

/// What a bearer credential is answered.
async fn answer(app: &Router, from: &str, secret: &str) -> Answer {
    outcome(&send(app, from, &[("authorization", &format!("Bearer {secret}"))]).await)
}
