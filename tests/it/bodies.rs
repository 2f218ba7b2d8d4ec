//! The form of the layer that reads bodies: up to a limit, only where a credential is bound to one, and without changing them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use portcullis::{
    AuthBody, AuthError, AuthFuture, AuthLayer, Authenticator, Credential, Match, Principal, RequestContext,
    Verdict,
};
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use crate::log::Log;

/// Accepts `Bearer free` for any body, and `Bearer TEXT` for the body `TEXT`.
#[derive(Clone, Default)]
struct Bound {
    boxed: bool,
    judged: Arc<AtomicUsize>,
}

impl Bound {
    fn judge(token: &str, body: Option<&[u8]>) -> Result<Verdict, AuthError> {
        let verdict = Verdict::once(Principal::builder("bound").subject("ann").build());
        match (token, body) {
            ("free", _) => Ok(verdict),
            ("wrong", _) => Err(AuthError::invalid_token("wrong")),
            (_, None) => Err(AuthError::body_needed()),
            (text, Some(body)) if text.as_bytes() == body => Ok(verdict),
            _ => Err(AuthError::invalid_token("other_body")),
        }
    }
}

impl Authenticator for Bound {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        self.judged.fetch_add(1, Ordering::SeqCst);
        let verdict = Self::judge(credential.expose(), context.body());
        if !self.boxed {
            return AuthFuture::ready(verdict);
        }
        AuthFuture::boxed(async {
            tokio::task::yield_now().await;
            verdict
        })
    }
}

/// A body in frames, which counts how many were taken.
struct Counted {
    frames: Vec<Result<Frame<Bytes>, &'static str>>,
    taken: Arc<AtomicUsize>,
}

impl Counted {
    fn new(chunks: &[&str]) -> (Self, Arc<AtomicUsize>) {
        let frames =
            chunks.iter().rev().map(|text| Ok(Frame::data(Bytes::from((*text).to_owned())))).collect();
        let taken = Arc::new(AtomicUsize::new(0));
        (Self { frames, taken: Arc::clone(&taken) }, taken)
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.taken.fetch_add(1, Ordering::SeqCst);
        Poll::Ready(self.frames.pop())
    }
}

const LIMIT: usize = 16;

/// The answer of an echo behind the layer, and its trailers.
async fn echo<B>(authenticator: Bound, token: &str, body: B) -> (StatusCode, Bytes, Option<HeaderMap>)
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let inner = tower::service_fn(async |request: Request<AuthBody<B>>| {
        assert!(request.extensions().get::<Principal>().is_some());
        let body = request.into_body().collect().await.map_err(|_| ()).unwrap();
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(body.trailers().cloned());
        *response.body_mut() = Full::new(body.to_bytes());
        Ok::<_, Infallible>(response)
    });
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(body).unwrap();
    let service = AuthLayer::new(authenticator).read_body(LIMIT).layer(inner);
    let response = service.oneshot(request).await.unwrap();
    let trailers = response.extensions().get::<Option<HeaderMap>>().cloned().flatten();
    (response.status(), response.into_body().collect().await.unwrap().to_bytes(), trailers)
}

fn both() -> [Bound; 2] {
    [Bound::default(), Bound { boxed: true, ..Bound::default() }]
}

#[tokio::test]
async fn a_body_that_a_credential_is_bound_to_is_judged_and_handed_on() {
    for authenticator in both() {
        for chunks in [&["hello-world"][..], &["hello", "-", "world"], &["", "hello-world", ""]] {
            let (body, _) = Counted::new(chunks);
            let (status, echoed, _) = echo(authenticator.clone(), "hello-world", body).await;
            assert_eq!((status, &*echoed), (StatusCode::OK, &b"hello-world"[..]));
        }
        let (status, ..) = echo(authenticator.clone(), "hello", Full::from("Hello")).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(authenticator.judged.load(Ordering::SeqCst), 2 * 3 + 2, "twice each");
    }
}

#[tokio::test]
async fn trailers_are_handed_on_too() {
    let trailers = HeaderMap::from_iter([("x-checksum".parse().unwrap(), HeaderValue::from_static("1"))]);
    let (mut body, _) = Counted::new(&["hi"]);
    body.frames.insert(0, Ok(Frame::trailers(trailers.clone())));
    let (status, echoed, got) = echo(Bound::default(), "hi", body).await;
    assert_eq!((status, &*echoed, got), (StatusCode::OK, &b"hi"[..], Some(trailers)));
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_and_a_longer_one_is_not() {
    let (exact, over) = ("x".repeat(LIMIT), "x".repeat(LIMIT + 1));
    for authenticator in both() {
        assert_eq!(echo(authenticator.clone(), &exact, Full::from(exact.clone())).await.0, StatusCode::OK);
        let answer = echo(authenticator.clone(), &over, Full::from(over.clone())).await;
        assert_eq!(answer.0, StatusCode::PAYLOAD_TOO_LARGE, "said beforehand");
        let (body, _) = Counted::new(&[&exact]);
        assert_eq!(echo(authenticator.clone(), &exact, body).await.0, StatusCode::OK);
        let (body, taken) = Counted::new(&[&exact, "x", "never"]);
        assert_eq!(echo(authenticator, &over, body).await.0, StatusCode::PAYLOAD_TOO_LARGE, "found out");
        assert_eq!(taken.load(Ordering::SeqCst), 2, "and what is behind it is not read");
    }
}

#[tokio::test]
async fn a_body_is_not_read_unless_a_good_credential_is_bound_to_it() {
    for (token, status) in [("wrong", StatusCode::UNAUTHORIZED), ("@", StatusCode::BAD_REQUEST)] {
        let (body, taken) = Counted::new(&["hello"]);
        assert_eq!(echo(Bound::default(), token, body).await.0, status);
        assert_eq!(taken.load(Ordering::SeqCst), 0, "{token}");
    }
    // Longer than the limit, and nobody minds.
    let (body, taken) = Counted::new(&["0123456789", "0123456789"]);
    let (status, echoed, _) = echo(Bound::default(), "free", body).await;
    assert_eq!((status, echoed.len()), (StatusCode::OK, 20));
    assert_eq!(taken.load(Ordering::SeqCst), 3, "read by the service alone");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_request() {
    for (end, status) in
        [(Err("reset"), StatusCode::BAD_REQUEST), (Ok(Frame::data(Bytes::new())), StatusCode::OK)]
    {
        let (mut body, _) = Counted::new(&["hello"]);
        body.frames.insert(0, end);
        assert_eq!(echo(Bound::default(), "hello", body).await.0, status);
    }
}

#[tokio::test]
async fn a_layer_that_cannot_read_bodies_answers_500_and_the_log_says_what_to_do() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let inner = || {
        tower::service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        })
    };
    let request = |token: &str| {
        let line = format!("Bearer {token}");
        Request::builder().header("authorization", line).body(Full::from("hello")).unwrap()
    };
    for authenticator in both() {
        let service = AuthLayer::new(authenticator).layer(inner());
        let status = service.clone().oneshot(request("hello")).await.unwrap().status();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(service.oneshot(request("free")).await.unwrap().status(), StatusCode::OK);
    }
    let text = log.take();
    assert!(text.contains("body_needed") && text.contains("read_body"), "{text}");
}

#[tokio::test]
async fn it_works_around_an_axum_router() {
    let layer = AuthLayer::new(Bound::default()).read_body(LIMIT);
    let app: Router =
        Router::new().nest("/v1", Router::new().route("/echo", post(async |body: String| body))).layer(layer);
    for (body, status) in [("hello", StatusCode::OK), ("Hello", StatusCode::UNAUTHORIZED)] {
        let request = Request::post("/v1/echo").header("authorization", "Bearer hello");
        let response =
            app.clone().oneshot(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap();
        assert_eq!(response.status(), status);
    }
}
