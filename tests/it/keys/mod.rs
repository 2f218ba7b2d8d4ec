//! Keys: how they are judged, found and kept, who waits for them, and what an outage does.

mod client;
mod discovery;
mod freshness;
mod issuers;
mod material;
mod outage;
mod runtimes;
mod set;
mod tls;
mod unknown_kid;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::http_client::{HttpClient, HttpFuture, Limits};
use portcullis::test_util::{ManualClock, ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, AuthLayer, Issuer, JwtAuthenticator, KeysStatus, Reason, RemoteKeySet, RemoteKeySetBuilder,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{AUDIENCE, ISSUER, bearer, key, outcome, send};

const JWKS: &str = "https://id.example/keys";

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

fn es256() -> Arc<SigningKey> {
    key(Algorithm::ES256)
}

fn document(keys: &[&Arc<SigningKey>]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    serde_json::json!({ "keys": keys }).to_string()
}

/// A scripted client whose answers can be held back. What it answers is settled when it is asked.
#[derive(Clone, Debug)]
struct Upstream {
    script: ScriptedHttpClient,
    held: Arc<watch::Sender<bool>>,
}

impl Upstream {
    fn new() -> Self {
        Self { script: ScriptedHttpClient::new(), held: Arc::new(watch::channel(false).0) }
    }

    fn publish(&self, keys: &[&Arc<SigningKey>]) {
        self.script.answer(JWKS, document(keys));
    }

    fn break_down(&self) {
        self.script.answer_status(JWKS, StatusCode::INTERNAL_SERVER_ERROR);
    }

    fn hold(&self) {
        self.held.send_replace(true);
    }

    fn release(&self) {
        self.held.send_replace(false);
    }
}

impl HttpClient for Upstream {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let answer = self.script.send(request, limits);
        let mut held = self.held.subscribe();
        Box::pin(async move {
            held.wait_for(|held| !held).await.unwrap();
            answer.await
        })
    }
}

/// A layer with one issuer at a pinned address. Time moves by hand for its keys, and not at all for its tokens.
struct Scene {
    http: Upstream,
    clock: ManualClock,
    keys: RemoteKeySet,
    jwt: JwtAuthenticator,
    layer: AuthLayer<JwtAuthenticator>,
}

impl Scene {
    fn new(configure: impl FnOnce(RemoteKeySetBuilder) -> RemoteKeySetBuilder) -> Self {
        let (http, clock) = (Upstream::new(), ManualClock::now());
        let builder = RemoteKeySet::builder(JWKS).http_client(http.clone()).clock(clock.clone());
        let keys = configure(builder).build().unwrap();
        let issuer = Issuer::new(ISSUER, keys.clone());
        let jwt = JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap();
        Self { http, clock, keys, layer: AuthLayer::new(jwt.clone()), jwt }
    }

    /// With default settings; these keys are fetched already.
    async fn with(keys: &[&Arc<SigningKey>]) -> Self {
        let scene = Self::new(|builder| builder);
        scene.http.publish(keys);
        scene.keys.warm_up().await.unwrap();
        scene
    }

    async fn ask(&self, token: &TokenBuilder) -> Answer {
        outcome(&self.response(token).await)
    }

    async fn response(&self, token: &TokenBuilder) -> Response<Full<Bytes>> {
        send(&self.layer, bearer(&token.build())).await
    }

    /// A request in a task of its own, which runs until it waits or is answered.
    async fn start(&self, token: &TokenBuilder) -> JoinHandle<Answer> {
        let (layer, token) = (self.layer.clone(), token.build());
        let request = tokio::spawn(async move { outcome(&send(&layer, bearer(&token)).await) });
        settle().await;
        request
    }

    fn fetches(&self) -> usize {
        self.http.script.total()
    }

    fn status(&self) -> KeysStatus {
        self.keys.status()
    }
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

/// Waits for what tasks bring about in real time.
async fn until(condition: impl Fn() -> bool) {
    let come_true = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(seconds(30), come_true).await.expect("the condition never came true");
}
