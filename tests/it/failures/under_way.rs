//! Attempts that have to wait: counted when they end, also if nobody waits for them any more.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portcullis::test_util::{FakeAuthorizationServer, Gate};
use portcullis::{AuthLayer, IntrospectionAuthenticator, Quota, Reason};
use tokio::task::JoinHandle;

use super::{Answer, HERE, LIMITED, PASSED, THERE, answer, app, send};
use crate::attacks::at_once;
use crate::introspection::basic;
use crate::stub::{Stub, header};
use crate::support::{AUDIENCE, outcome};

const INACTIVE: Answer = (http::StatusCode::UNAUTHORIZED, Some(Reason::TokenInactive));

/// A server that asks an authority.
struct Asking {
    server: Arc<FakeAuthorizationServer>,
    app: Router,
}

impl Asking {
    async fn with(quota: Quota) -> Self {
        let server = Arc::new(FakeAuthorizationServer::start().await);
        let opaque = IntrospectionAuthenticator::builder(server.issuer(), basic()).audience(AUDIENCE);
        let layer = AuthLayer::new(opaque.build().unwrap()).limit_failures(quota);
        Self { server, app: app().layer(layer) }
    }

    /// A new token that is active.
    fn token(&self) -> String {
        self.server.opaque_token(self.server.token())
    }

    /// Sends this and waits until the authority is asked.
    async fn send_off(&self, gate: &Gate, secret: impl Into<String>) -> JoinHandle<Answer> {
        let (app, secret, before) = (self.app.clone(), secret.into(), gate.count());
        let asking = tokio::spawn(async move { answer(&app, HERE, &secret).await });
        gate.waiting(before + 1).await;
        asking
    }

    /// Waits until a good token is answered like this.
    async fn comes_to(&self, expected: Answer) {
        let token = self.token();
        let settled = async {
            while answer(&self.app, HERE, &token).await != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), settled).await.expect("it never came to that");
    }
}

#[tokio::test]
async fn what_is_under_way_is_judged_and_waited_for() {
    let asking = Asking::with(Quota::per_hour(2).unwrap()).await;
    // Learns where to ask, which is done before the gate.
    assert_eq!(answer(&asking.app, THERE, &asking.token()).await, PASSED);
    let gate = asking.server.hold_introspection();
    let mut under_way = Vec::new();
    for index in 0..3 {
        under_way.push(asking.send_off(&gate, format!("bad-{index}")).await);
    }
    let good = asking.send_off(&gate, asking.token()).await;
    gate.open();
    for attempt in under_way {
        assert_eq!(attempt.await.unwrap(), INACTIVE);
    }
    assert_eq!(good.await.unwrap(), PASSED, "it was looked at before the quota was spent");
    let response = send(&asking.app, HERE, &[("authorization", "Bearer bad")]).await;
    assert_eq!(outcome(&response), LIMITED);
    let wait: u64 = header(&response, "retry-after").unwrap().parse().unwrap();
    // Half an hour for the next attempt, and half an hour for the one that was too many.
    assert!((3500..=3600).contains(&wait), "{wait}");
}

/// All who present the same token wait for one call. Each of them has made an attempt.
#[tokio::test]
async fn who_joins_a_call_counts_by_himself() {
    let asking = Asking::with(Quota::per_hour(3).unwrap()).await;
    assert_eq!(answer(&asking.app, THERE, &asking.token()).await, PASSED);
    let gate = asking.server.hold_introspection();
    let first = asking.send_off(&gate, "bad").await;
    let (one, other) = (answer(&asking.app, HERE, "bad"), answer(&asking.app, THERE, "bad"));
    let joined = async { tokio::join!(one, other) };
    let opened = async {
        tokio::task::yield_now().await;
        gate.open();
    };
    let (joined, ()) = tokio::join!(joined, opened);
    assert_eq!((first.await.unwrap(), joined), (INACTIVE, (INACTIVE, INACTIVE)));
    assert_eq!(asking.server.counts().introspection, 2, "one call for all");
    assert_eq!(answer(&asking.app, HERE, "bad").await, INACTIVE);
    assert_eq!(answer(&asking.app, HERE, "bad").await, LIMITED);
    assert_eq!(answer(&asking.app, THERE, "bad").await, INACTIVE);
}

#[tokio::test]
async fn who_goes_away_before_the_answer_has_made_an_attempt() {
    for (attempt, expected) in [("bad", LIMITED), ("good", PASSED), ("unavailable", PASSED)] {
        let asking = Asking::with(Quota::per_hour(1).unwrap()).await;
        assert_eq!(answer(&asking.app, THERE, &asking.token()).await, PASSED);
        let secret = if attempt == "bad" { "bad".to_owned() } else { asking.token() };
        if attempt == "unavailable" {
            asking.server.set_raw_answer(&secret, "garbage");
        }
        let gate = asking.server.hold_introspection();
        let gone = asking.send_off(&gate, secret.clone()).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        assert_eq!(asking.server.counts().introspection, 2);
        // Another one waits for the same call: when he is answered it has landed.
        let (app, token) = (asking.app.clone(), secret.clone());
        let other = tokio::spawn(async move { answer(&app, THERE, &token).await });
        gate.open();
        other.await.unwrap();
        asking.comes_to(expected).await;
    }
}

/// Also where nobody else waits for the verdict, so that it would end with its request.
#[tokio::test]
async fn who_goes_away_from_a_verdict_of_his_own_has_made_an_attempt() {
    for (attempt, expected) in [("bad", LIMITED), ("ann", PASSED)] {
        let stub = Stub::new("stub").boxed();
        let app = app().layer(AuthLayer::new(stub).limit_failures(Quota::per_hour(1).unwrap()));
        assert!(at_once(answer(&app, HERE, attempt)).is_none(), "it was not judged at once");
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(answer(&app, HERE, "ann").await, expected);
        assert_eq!(answer(&app, THERE, "ann").await, PASSED);
    }
}
