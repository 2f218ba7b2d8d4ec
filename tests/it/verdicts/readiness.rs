//! A request that waits in a guard, and the service that was ready for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{RequireLayer, require_authenticated};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer as _, Service};
use tower_test::mock;

use super::{ACCEPTED, Scene, settle};
use crate::support::bearer;

fn fresh() -> RequireLayer {
    require_authenticated().verified_within(Duration::ZERO)
}

#[tokio::test]
async fn the_service_that_was_ready_for_a_request_is_called_after_the_wait() {
    let scene = Scene::new();
    assert_eq!(scene.plain("a").await, ACCEPTED);
    let layers = tower::layer::layer_fn(|inner| scene.layer.layer(fresh().layer(inner)));
    let (mut service, mut inner) =
        mock::spawn_layer::<Request<Full<Bytes>>, Response<Full<Bytes>>, _>(layers);
    inner.allow(2);
    let (mut gates, mut responses) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        scene.later();
        gates.push(scene.authority.gate());
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(bearer("a")));
        assert_pending!(response.poll());
        responses.push(response);
    }
    assert_pending!(inner.poll_request());
    for (gate, mut response) in gates.into_iter().zip(responses).rev() {
        drop(gate);
        settle().await;
        assert!(response.is_woken());
        assert_pending!(response.poll());
        // The mock panics if it is called without having been ready.
        let (_, answer) = assert_ready!(inner.poll_request()).unwrap();
        answer.send_response(Response::new(Full::default()));
        assert_eq!(assert_ready_ok!(response.poll()).status(), StatusCode::OK);
    }
    assert_eq!(scene.calls(), 3);
}

/// Ready while it holds a permit; a clone starts without.
struct Limited(Arc<Semaphore>, Option<OwnedSemaphorePermit>, Arc<AtomicUsize>);

impl Clone for Limited {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), None, Arc::clone(&self.2))
    }
}

impl Service<Request<Full<Bytes>>> for Limited {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.1.is_none() {
            self.1 = Arc::clone(&self.0).try_acquire_owned().ok();
        }
        if self.1.is_some() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        drop(self.1.take().expect("called without having been ready"));
        self.2.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn a_wait_in_a_guard_that_is_given_up_gives_back_what_readiness_took() {
    for (revoked, given_up, called) in [(false, true, 0), (true, false, 0), (false, false, 1)] {
        let scene = Scene::new();
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.later();
        if revoked {
            scene.authority.revoke("a");
        }
        let gate = scene.authority.gate();
        let inner = Limited(Arc::new(Semaphore::new(1)), None, Arc::default());
        let (permits, calls) = (Arc::clone(&inner.0), Arc::clone(&inner.2));
        let mut service = mock::Spawn::new(scene.layer.layer(fresh().layer(inner)));
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(bearer("a")));
        assert_pending!(response.poll());
        assert_eq!(permits.available_permits(), 0);
        assert_pending!(service.poll_ready());
        if given_up {
            drop(response);
        } else {
            drop(gate);
            settle().await;
            let _ = assert_ready_ok!(response.poll());
        }
        assert_eq!((permits.available_permits(), calls.load(Ordering::SeqCst)), (1, called));
        assert_ready_ok!(service.poll_ready());
    }
}
