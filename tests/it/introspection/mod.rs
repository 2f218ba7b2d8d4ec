//! Introspection as a layer asks it: what is sent, what is believed, and what becomes of an authority that fails.
//!
//! Over sockets where the bytes on the wire count, without a network where calls and moments do.

mod answers;
mod breaker;
mod context;
mod endpoint;
mod faults;
mod jwt_with_introspection;
mod kinds;
mod leaks;
mod limits;
mod opening;
mod principal;
mod profile;
mod question;
mod sharing;
mod signed;
mod stale;
mod times;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::http_client::{HttpClient, HttpFuture, Limits};
use portcullis::test_util::{FakeAuthorizationServer, ManualClock, ScriptedHttpClient};
use portcullis::{
    Algorithm, AuthLayer, ClientAuth, IntrospectionAuthenticator, IntrospectionAuthenticatorBuilder,
    Principal, Reason,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::Service;

use crate::support::{AUDIENCE, bearer, issuer_of, key, outcome, send};

const ENDPOINT: &str = "https://id.example/introspect";

/// The moment at which every scripted test begins, in seconds since the Unix epoch.
const NOW: u64 = 1_800_000_000;

/// Status and reason of an answer.
type Answer = (StatusCode, Option<Reason>);

const ACCEPTED: Answer = (StatusCode::OK, None);

const fn refused(reason: Reason) -> Answer {
    (StatusCode::UNAUTHORIZED, Some(reason))
}

const fn unavailable(reason: Reason) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, Some(reason))
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A resource server that asks a real authority.
pub(crate) struct Scene {
    pub(crate) server: Arc<FakeAuthorizationServer>,
    pub(crate) opaque: IntrospectionAuthenticator,
    layer: AuthLayer<IntrospectionAuthenticator>,
}

pub(crate) type Builder = IntrospectionAuthenticatorBuilder;

impl Scene {
    async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        Self::of(&Arc::new(FakeAuthorizationServer::start().await), configure)
    }

    /// Another resource server of the same authority, which knows nothing yet.
    fn of(server: &Arc<FakeAuthorizationServer>, configure: impl FnOnce(Builder) -> Builder) -> Self {
        Self::of_client(server, basic(), configure)
    }

    fn of_client(
        server: &Arc<FakeAuthorizationServer>,
        client: ClientAuth,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let builder = IntrospectionAuthenticator::builder(server.issuer(), client).audience(AUDIENCE);
        let opaque = configure(builder).build().unwrap();
        Self { server: Arc::clone(server), layer: AuthLayer::new(opaque.clone()), opaque }
    }

    /// A new opaque token that is active.
    pub(crate) fn token(&self) -> String {
        self.server.opaque_token(self.server.token())
    }

    async fn ask(&self, token: &str) -> Answer {
        outcome(&self.response(token).await)
    }

    async fn response(&self, token: &str) -> Response<Full<Bytes>> {
        send(&self.layer, bearer(token)).await
    }

    fn calls(&self) -> usize {
        self.server.counts().introspection
    }

    fn last_error(&self) -> String {
        self.opaque.status().last_error.unwrap_or_default()
    }
}

pub(crate) fn basic() -> ClientAuth {
    ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET)
}

/// A scripted client whose answers can be held back, and that cuts off none, however long. What it answers is settled when it is
/// asked.
#[derive(Clone, Debug)]
struct Upstream {
    script: ScriptedHttpClient,
    /// One for each answer that may pass.
    passes: Arc<Semaphore>,
}

impl Upstream {
    const OPEN: usize = 1 << 20;

    fn new() -> Self {
        Self { script: ScriptedHttpClient::new(), passes: Arc::new(Semaphore::new(Self::OPEN)) }
    }

    fn hold(&self) {
        self.passes.forget_permits(self.passes.available_permits());
    }

    fn let_pass(&self, answers: usize) {
        self.passes.add_permits(answers);
    }

    fn release(&self) {
        self.let_pass(Self::OPEN);
    }
}

impl HttpClient for Upstream {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let unlimited = Limits::new(limits.timeout, usize::MAX);
        let (answer, passes) = (self.script.send(request, unlimited), Arc::clone(&self.passes));
        Box::pin(async move {
            passes.acquire().await.unwrap().forget();
            answer.await
        })
    }
}

/// A resource server whose authority is a script that says the same of every token, and whose time moves by hand.
struct Script {
    http: Upstream,
    clock: ManualClock,
    opaque: IntrospectionAuthenticator,
    layer: AuthLayer<IntrospectionAuthenticator>,
}

impl Script {
    /// One that finds every token active, for this server.
    fn new(configure: impl FnOnce(Builder) -> Builder) -> Self {
        Self::bare(|builder| configure(builder.audience(AUDIENCE)))
    }

    /// The same without an audience.
    fn bare(configure: impl FnOnce(Builder) -> Builder) -> Self {
        Self::of_client(basic(), configure)
    }

    fn of_client(client: ClientAuth, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let (http, clock) = (Upstream::new(), ManualClock::at(NOW));
        let builder = IntrospectionAuthenticator::builder(issuer_of(&[&key(Algorithm::ES256)]), client)
            .endpoint(ENDPOINT)
            .http_client(http.clone())
            .clock(clock.clone());
        let opaque = configure(builder).build().unwrap();
        let script = Self { http, clock, layer: AuthLayer::new(opaque.clone()), opaque };
        script.says(&active());
        script
    }

    fn says(&self, answer: &Value) {
        self.says_raw(answer.to_string());
    }

    fn says_raw(&self, body: impl Into<Bytes>) {
        let response = Response::builder().header("content-type", "application/json").body(body.into());
        self.http.script.answer_with(ENDPOINT, response.unwrap());
    }

    fn fails(&self, status: u16) {
        self.http.script.answer_status(ENDPOINT, StatusCode::from_u16(status).unwrap());
    }

    async fn ask(&self, token: &str) -> Answer {
        outcome(&self.response(token).await)
    }

    async fn response(&self, token: &str) -> Response<Full<Bytes>> {
        send(&self.layer, bearer(token)).await
    }

    /// A request in a task of its own, which runs until it waits or is answered.
    async fn start(&self, token: &str) -> JoinHandle<Answer> {
        let (layer, token) = (self.layer.clone(), token.to_owned());
        let request = tokio::spawn(async move { outcome(&send(&layer, bearer(&token)).await) });
        settle().await;
        request
    }

    fn calls(&self) -> usize {
        self.http.script.total()
    }
}

/// An answer with which a token is accepted.
fn active() -> Value {
    json!({"active": true, "sub": "ann", "client_id": "app", "aud": AUDIENCE, "scope": "todo:read"})
}

/// The service beneath the layers: answers 200, and nothing else.
fn handler()
-> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send {
    tower::service_fn(async |_| Ok(Response::new(Full::default())))
}

fn principal<B>(response: &Response<B>) -> &Principal {
    response.extensions().get().expect("an accepted request")
}

fn retry_after<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap())
}

/// Lets every task of a current-thread runtime run until it waits for something from outside.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
