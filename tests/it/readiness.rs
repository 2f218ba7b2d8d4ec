//! The service that said it was ready is the one that is called, and only if the credential was accepted.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use portcullis::{
    AuthError, AuthFuture, AuthLayer, Authenticator, Credential, Match, Principal, RequestContext, Verdict,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer as _, Service};
use tower_test::mock;

use crate::stub::{Stub, request};

type Answer = Result<Verdict, AuthError>;

/// Each call waits for its own gate; the gates are taken in the order of the calls.
#[derive(Clone, Default)]
struct Gated(Arc<Mutex<Vec<oneshot::Receiver<Answer>>>>);

impl Gated {
    fn gate(&self) -> oneshot::Sender<Answer> {
        let (open, gate) = oneshot::channel();
        self.0.lock().unwrap().insert(0, gate);
        open
    }
}

impl Authenticator for Gated {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, _: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        let gate = self.0.lock().unwrap().pop().unwrap();
        AuthFuture::boxed(async { gate.await.unwrap() })
    }
}

fn accepted() -> Answer {
    Ok(Verdict::once(Principal::builder("gated").build()))
}

fn refused() -> Answer {
    Err(AuthError::invalid_token("bad"))
}

fn with(secret: &str) -> Request<String> {
    request(&[("authorization", &format!("Bearer {secret}"))], secret.to_owned())
}

type Mock<A> = (
    mock::Spawn<portcullis::authn::Auth<mock::Mock<Request<String>, Response<String>>, A>>,
    mock::Handle<Request<String>, Response<String>>,
);

/// The mock panics if it is called without having been ready.
fn mocked<A: Authenticator>(authenticator: A) -> Mock<A> {
    mock::spawn_layer(AuthLayer::new(authenticator))
}

#[tokio::test]
async fn readiness_is_that_of_the_inner_service() {
    let (mut service, mut inner) = mocked(Stub::new("stub"));
    inner.allow(0);
    assert_pending!(service.poll_ready());
    inner.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
    inner.send_error("down");
    assert_eq!(assert_ready!(service.poll_ready()).unwrap_err().to_string(), "down");
}

#[tokio::test]
async fn a_ready_verdict_calls_the_inner_service_within_the_call() {
    let (mut service, mut inner) = mocked(Stub::new("stub"));
    inner.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(with("ann")));
    // Nobody has polled the response yet.
    let (called, answer) = assert_ready!(inner.poll_request()).unwrap();
    assert_eq!(called.body(), "ann");
    assert_pending!(response.poll());
    answer.send_response(Response::new("fine".into()));
    assert_eq!(assert_ready_ok!(response.poll()).body(), "fine");
}

#[tokio::test]
async fn the_inner_service_never_sees_what_was_refused() {
    let (mut service, mut inner) = mocked(Stub::new("stub"));
    inner.allow(1);
    for secret in ["bad", "busy", "two words"] {
        assert_ready_ok!(service.poll_ready());
        let response = assert_ready_ok!(task::spawn(service.call(with(secret))).poll());
        assert_ne!(response.status(), StatusCode::OK);
        assert_pending!(inner.poll_request());
    }
    // The slot was not spent.
    let _accepted = service.call(with("ann"));
    assert_ready!(inner.poll_request()).unwrap();
}

#[tokio::test]
async fn while_requests_wait_others_overtake_and_each_calls_its_own_service() {
    let gated = Gated::default();
    let gates = [gated.gate(), gated.gate()];
    let (mut service, mut inner) = mocked(gated);
    inner.allow(2);
    assert_ready_ok!(service.poll_ready());
    let mut first = task::spawn(service.call(with("first")));
    // The clone that took the place of the first has a readiness of its own.
    assert_ready_ok!(service.poll_ready());
    let mut second = task::spawn(service.call(with("second")));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(inner.poll_request());
    for (open, response, name) in
        gates.into_iter().zip([&mut first, &mut second]).zip(["first", "second"]).rev().map(flat)
    {
        open.send(accepted()).unwrap();
        assert!(response.is_woken(), "{name}");
        assert_pending!(response.poll());
        let (called, answer) = assert_ready!(inner.poll_request()).unwrap();
        assert_eq!((called.body().as_str(), called.extensions().get::<Principal>().is_some()), (name, true));
        answer.send_response(Response::new("fine".into()));
        assert_eq!(assert_ready_ok!(response.poll()).status(), StatusCode::OK);
    }
}

fn flat<A, B, C>(((a, b), c): ((A, B), C)) -> (A, B, C) {
    (a, b, c)
}

#[tokio::test]
async fn a_wait_that_ends_in_a_refusal_calls_nobody() {
    let gated = Gated::default();
    let open = gated.gate();
    let (mut service, mut inner) = mocked(gated);
    inner.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(with("x")));
    assert_pending!(response.poll());
    open.send(refused()).unwrap();
    assert_eq!(assert_ready_ok!(response.poll()).status(), StatusCode::UNAUTHORIZED);
    assert_pending!(inner.poll_request());
}

/// Ready while it holds a permit, as tower's `ConcurrencyLimit` is; a clone starts without.
struct Limited {
    permits: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    calls: Arc<AtomicUsize>,
}

impl Clone for Limited {
    fn clone(&self) -> Self {
        Self { permits: Arc::clone(&self.permits), permit: None, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<String>> for Limited {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.permit.is_none() {
            self.permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        }
        if self.permit.is_some() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        drop(self.permit.take().expect("called without having been ready"));
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new("fine".into())))
    }
}

#[tokio::test]
async fn a_wait_that_is_given_up_gives_back_what_readiness_took() {
    // What ends the wait, and how often the inner service is then called.
    for (verdict, calls) in [(None, 0), (Some(refused()), 0), (Some(accepted()), 1)] {
        let gated = Gated::default();
        let open = gated.gate();
        let inner = Limited { permits: Arc::new(Semaphore::new(1)), permit: None, calls: Arc::default() };
        let (permits, called) = (Arc::clone(&inner.permits), Arc::clone(&inner.calls));
        let mut service = mock::Spawn::new(AuthLayer::new(gated).layer(inner));
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(with("x")));
        assert_pending!(response.poll());
        assert_eq!(permits.available_permits(), 0);
        assert_pending!(service.poll_ready());
        match verdict {
            None => {
                drop(response);
                assert!(open.is_closed(), "the authenticator's future is dropped with the request");
            }
            Some(verdict) => {
                open.send(verdict).unwrap();
                let _ = assert_ready_ok!(response.poll());
            }
        }
        assert_eq!((permits.available_permits(), called.load(Ordering::SeqCst)), (1, calls));
        assert_ready_ok!(service.poll_ready());
    }
}
