//! The window around the present, to the millisecond.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::Full;
use portcullis::{AuthBody, AuthLayer, Clock as _, MemoryClientSecrets, Reason, SignedRequestAuthenticator};
use serde_json::json;
use tokio::time::{Sleep, sleep};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{ACCEPTED, NOW, SECRET, Scene, Token, client, refused};
use crate::support::outcome;

#[tokio::test]
async fn iat_is_within_thirty_seconds_of_the_present() {
    let scene = Scene::new();
    for (iat, expected) in [
        (json!(NOW), ACCEPTED),
        (json!(NOW - 30), ACCEPTED),
        (json!(NOW + 30), ACCEPTED),
        (json!(NOW as f64 + 29.999), ACCEPTED),
        (json!(NOW - 31), refused(Reason::TokenStale)),
        (json!(NOW as f64 - 30.001), refused(Reason::TokenStale)),
        (json!(NOW + 31), refused(Reason::IssuedInFuture)),
        (json!(NOW as f64 + 30.001), refused(Reason::IssuedInFuture)),
        (json!(NOW * 1000), refused(Reason::IssuedInFuture)),
        (json!(0), refused(Reason::TokenStale)),
    ] {
        assert_eq!(scene.ask(&Token::new().claim("iat", iat.clone())).await, expected, "{iat}");
    }
}

#[tokio::test]
async fn a_token_grows_old() {
    let scene = Scene::new();
    let token = scene.token();
    for _ in 0..2 {
        assert_eq!(scene.ask(&token).await, ACCEPTED);
        scene.clock.advance(Duration::from_secs(15));
    }
    assert_eq!(scene.ask(&token).await, ACCEPTED, "30 seconds to the dot");
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(scene.ask(&token).await, refused(Reason::TokenStale));
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
}

#[tokio::test]
async fn the_clock_on_the_wall_counts_and_not_how_long_the_server_ran() {
    let scene = Scene::new();
    let token = scene.token();
    let now = scene.clock.now();
    for (seconds, expected) in [(31, refused(Reason::TokenStale)), (30, ACCEPTED)] {
        scene.clock.set_wall(now + Duration::from_secs(seconds));
        assert_eq!(scene.ask(&token).await, expected);
        scene.clock.set_wall(now - Duration::from_secs(seconds));
        let ahead = if seconds == 31 { refused(Reason::IssuedInFuture) } else { ACCEPTED };
        assert_eq!(scene.ask(&token).await, ahead);
    }
}

#[tokio::test]
async fn the_window_is_as_wide_as_the_server_says() {
    for window in [1, 300] {
        let scene = Scene::with(|builder| builder.window(Duration::from_secs(window)));
        for (iat, expected) in [
            (NOW - window, ACCEPTED),
            (NOW + window, ACCEPTED),
            (NOW - window - 1, refused(Reason::TokenStale)),
            (NOW + window + 1, refused(Reason::IssuedInFuture)),
        ] {
            assert_eq!(scene.ask(&Token::new().claim("iat", iat)).await, expected, "{window} {iat}");
        }
    }
}

#[tokio::test]
async fn exp_and_nbf_are_judged_where_they_are() {
    let scene = Scene::new();
    for (name, time, expected) in [
        ("exp", NOW + 1, ACCEPTED),
        ("exp", NOW, refused(Reason::TokenExpired)),
        ("exp", NOW + 1_000_000, ACCEPTED),
        ("nbf", NOW + 30, ACCEPTED),
        ("nbf", NOW + 31, refused(Reason::TokenNotYetValid)),
    ] {
        assert_eq!(scene.ask(&scene.token().claim(name, time)).await, expected, "{name} {time}");
    }
    // A late end does not keep alive what is too old.
    let old = scene.token().claim("exp", NOW + 1_000_000);
    scene.clock.advance(Duration::from_secs(31));
    assert_eq!(scene.ask(&old).await, refused(Reason::TokenStale));
}

/// A body that is complete after a while.
struct SlowBody {
    sleep: Pin<Box<Sleep>>,
    data: Option<Bytes>,
}

impl SlowBody {
    fn new(data: &'static str, after: Duration) -> Self {
        Self { sleep: Box::pin(sleep(after)), data: Some(Bytes::from_static(data.as_bytes())) }
    }
}

impl Body for SlowBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }
}

/// By the system's clocks: a clock of a test's own is read anew in any case.
#[tokio::test]
async fn body_that_is_late_makes_its_token_too_old() {
    let clients = MemoryClientSecrets::from_iter([("app", client([SECRET]))]);
    let window = Duration::from_secs(3);
    let signed = SignedRequestAuthenticator::builder(clients).window(window).build().unwrap();
    let answers = |_: Request<AuthBody<SlowBody>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    };
    let service = AuthLayer::new(signed).read_body(16).layer(service_fn(answers));
    let ask = async |wait| {
        let iat = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let token = Token::new().claim("iat", iat).around("x").build();
        let request = Request::post("/a").header("authorization", format!("Bearer {token}"));
        outcome(&service.clone().oneshot(request.body(SlowBody::new("x", wait)).unwrap()).await.unwrap())
    };
    let answers = tokio::join!(ask(Duration::ZERO), ask(window + Duration::from_millis(500)));
    assert_eq!(answers, (ACCEPTED, refused(Reason::TokenStale)));
}
