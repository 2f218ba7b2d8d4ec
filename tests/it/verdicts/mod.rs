//! Verdicts that are used again: one call for all who wait, how fresh a route wants them, and how they are called back.

mod caches;
mod clocks;
mod custom;
mod flights;
mod freshness;
mod gaps;
mod holes;
mod keys;
mod landings;
mod lists;
mod readiness;
mod revocation;
mod surroundings;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::http_client::{HttpClient, HttpFuture, Limits};
use portcullis::test_util::{FakeAuthorizationServer, ManualClock};
use portcullis::{
    AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator, IntrospectionAuthenticatorBuilder,
    Issuer, KeySet, Principal, Reason, require_authenticated,
};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{AUDIENCE, ISSUER, bearer, key, outcome, send};

const ENDPOINT: &str = "https://id.example/introspect";

/// Status and reason of an answer.
type Answer = (StatusCode, Option<Reason>);

const ACCEPTED: Answer = (StatusCode::OK, None);

const fn refused(reason: Reason) -> Answer {
    (StatusCode::UNAUTHORIZED, Some(reason))
}

const fn unavailable(reason: Reason) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, Some(reason))
}

const fn misconfigured(reason: Reason) -> Answer {
    (StatusCode::INTERNAL_SERVER_ERROR, Some(reason))
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An authority without a network: every token is active until it is revoked. What it says is settled when it is asked, and can
/// be held back, each call by a gate of its own.
#[derive(Clone, Default)]
struct Authority(Arc<State>);

#[derive(Default)]
struct State {
    /// Of tokens by their text, where it is another than usual.
    answers: Mutex<BTreeMap<String, Value>>,
    revoked: Mutex<HashSet<String>>,
    asked: Mutex<Vec<String>>,
    gates: Mutex<VecDeque<oneshot::Receiver<()>>>,
}

impl Authority {
    /// The next call that has no gate yet waits for this one to be opened, or dropped.
    fn gate(&self) -> oneshot::Sender<()> {
        let (open, gate) = oneshot::channel();
        self.0.gates.lock().unwrap().push_back(gate);
        open
    }

    fn revoke(&self, token: &str) {
        self.0.revoked.lock().unwrap().insert(token.to_owned());
    }

    /// Answers this about a token, as long as that is not revoked.
    fn answer(&self, token: &str, answer: Value) {
        self.0.answers.lock().unwrap().insert(token.to_owned(), answer);
    }

    fn calls(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    fn verdict(&self, token: &str) -> Value {
        if self.0.revoked.lock().unwrap().contains(token) {
            return json!({ "active": false });
        }
        self.0.answers.lock().unwrap().get(token).cloned().unwrap_or_else(|| active(token))
    }
}

fn active(subject: &str) -> Value {
    json!({"active": true, "aud": AUDIENCE, "sub": subject, "client_id": "app", "scope": "todo:read"})
}

impl HttpClient for Authority {
    fn send(&self, request: Request<Bytes>, _: Limits) -> HttpFuture {
        let form = std::str::from_utf8(request.body()).unwrap();
        let token = form.split('&').find_map(|field| field.strip_prefix("token=")).unwrap();
        self.0.asked.lock().unwrap().push(token.to_owned());
        let body = Bytes::from(self.verdict(token).to_string());
        let gate = self.0.gates.lock().unwrap().pop_front();
        Box::pin(async move {
            if let Some(gate) = gate {
                let _ = gate.await;
            }
            Ok(Response::builder().header("content-type", "application/json").body(body).unwrap())
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A layer that asks an [`Authority`], by a clock that is moved by hand.
struct Scene {
    authority: Authority,
    clock: ManualClock,
    layer: AuthLayer<IntrospectionAuthenticator>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(
        configure: impl FnOnce(IntrospectionAuthenticatorBuilder) -> IntrospectionAuthenticatorBuilder,
    ) -> Self {
        let (authority, clock) = (Authority::default(), ManualClock::now());
        let builder = configure(introspection(authority.clone()).clock(clock.clone()));
        Self { authority, clock, layer: AuthLayer::new(builder.build().unwrap()) }
    }

    /// On a route without a guard.
    async fn plain(&self, token: &str) -> Answer {
        outcome(&send(&self.layer, bearer(token)).await)
    }

    /// On a route that asks for a verdict of that age.
    async fn within(&self, age: Duration, token: &str) -> Answer {
        outcome(&guarded(&self.layer, age, bearer(token)).await)
    }

    /// A request in a task of its own, which runs until it waits or is answered.
    async fn start(&self, age: Option<Duration>, token: &str) -> JoinHandle<Answer> {
        let (layer, request) = (self.layer.clone(), bearer(token));
        let request = tokio::spawn(async move {
            match age {
                Some(age) => outcome(&guarded(&layer, age, request).await),
                None => outcome(&send(&layer, request).await),
            }
        });
        settle().await;
        request
    }

    /// Time goes by, no matter how much.
    fn later(&self) {
        self.clock.advance(Duration::from_millis(1));
    }

    fn calls(&self) -> usize {
        self.authority.calls()
    }
}

fn introspection(http: impl HttpClient) -> IntrospectionAuthenticatorBuilder {
    // Keys that nobody needs.
    let jwks = json!({ "keys": [key(portcullis::Algorithm::Ed25519).jwk()] }).to_string();
    let issuer = Issuer::new(ISSUER, KeySet::parse(jwks).unwrap());
    let client =
        ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET);
    IntrospectionAuthenticator::builder(issuer, client)
        .endpoint(ENDPOINT)
        .audience(AUDIENCE)
        .http_client(http)
}

/// Asks a real server on loopback.
fn introspection_by(server: &FakeAuthorizationServer) -> IntrospectionAuthenticatorBuilder {
    let client =
        ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET);
    IntrospectionAuthenticator::builder(server.issuer(), client).audience(AUDIENCE)
}

/// Sends a request to a route that asks for a verdict of that age.
async fn guarded<A: Authenticator>(
    layer: &AuthLayer<A>,
    age: Duration,
    request: Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let handler = tower::service_fn(async |request: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(request.extensions().get::<Principal>().unwrap().clone());
        Ok::<_, Infallible>(response)
    });
    let guard = require_authenticated().verified_within(age);
    layer.layer(guard.layer(handler)).oneshot(request).await.unwrap()
}

/// Counts how many of those that share the counter wait for something.
pub(crate) async fn counted<F: Future>(future: F, waiting: &AtomicUsize) -> F::Output {
    let mut future = std::pin::pin!(future);
    let first = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    if let Poll::Ready(output) = first {
        return output;
    }
    waiting.fetch_add(1, Ordering::SeqCst);
    future.await
}

/// Lets every task of a current-thread runtime run until it waits for something from outside.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// Waits for what tasks bring about in real time.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let come_true = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(seconds(30), come_true).await.expect("the condition never came true");
}
