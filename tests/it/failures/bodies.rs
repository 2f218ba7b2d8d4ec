//! Credentials that are bound to a body: judged twice, counted once.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use portcullis::{
    AuthError, AuthFuture, AuthLayer, Authenticator, Credential, Match, PeerAddr, Principal, Quota, Reason,
    RequestContext, Verdict,
};
use tower::ServiceExt as _;

use super::{Answer, LIMITED, PASSED, REFUSED};
use crate::support::outcome;

/// Accepts `Bearer TEXT` for the body `TEXT`, slowly if it says so.
struct Bound {
    boxed: bool,
}

impl Authenticator for Bound {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        let verdict = match context.body() {
            None => Err(AuthError::body_needed()),
            Some(body) if body == credential.expose().as_bytes() => {
                Ok(Verdict::once(Principal::builder("bound").subject("ann").build()))
            }
            Some(_) => Err(AuthError::invalid_token("bad")),
        };
        if !self.boxed {
            return AuthFuture::ready(verdict);
        }
        AuthFuture::boxed(async {
            tokio::task::yield_now().await;
            verdict
        })
    }
}

async fn send(app: &Router, body: Body) -> Answer {
    let mut request = Request::post("/").header("authorization", "Bearer text").body(body).unwrap();
    request.extensions_mut().insert(PeerAddr(([192, 0, 2, 1], 1).into()));
    outcome(&app.clone().oneshot(request).await.unwrap())
}

#[tokio::test]
async fn a_body_that_is_not_the_right_one_counts_once() {
    for boxed in [false, true] {
        let layer = AuthLayer::new(Bound { boxed }).limit_failures(Quota::per_hour(2).unwrap()).read_body(8);
        let app = Router::new().route("/", post(async || "")).layer(layer);
        for _ in 0..3 {
            assert_eq!(send(&app, "text".into()).await, PASSED);
            // Nothing is said about the credential.
            let large = send(&app, "much too large".into()).await;
            assert_eq!(large, (StatusCode::PAYLOAD_TOO_LARGE, Some(Reason::BodyTooLarge)));
            let unreadable = (StatusCode::BAD_REQUEST, Some(Reason::BodyUnreadable));
            assert_eq!(send(&app, Body::new(Broken)).await, unreadable);
        }
        for _ in 0..2 {
            assert_eq!(send(&app, "other".into()).await, REFUSED, "boxed: {boxed}");
        }
        assert_eq!(send(&app, "text".into()).await, LIMITED);
    }
}

/// A body that breaks off.
struct Broken;

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(Some(Err("broken off")))
    }
}
