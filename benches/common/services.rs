//! The services beneath, and how they are timed.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use tower::{Service, ServiceExt};

use super::statistics::{Random, Side};

pub type Answer = Response<Empty<Bytes>>;

/// What is benchmarked: answers at once, in most cases.
pub trait Open: Service<Request<()>, Response = Answer, Error = Infallible> + Clone {}

impl<S: Service<Request<()>, Response = Answer, Error = Infallible> + Clone> Open for S {}

/// The empty service.
#[derive(Clone)]
pub struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(Empty::new())))
    }
}

/// The least that any authentication can do: look at the header, and insert something.
#[derive(Default)]
pub struct Floor(Arc<Fixed>);

/// In a line of memory of its own.
#[derive(Default)]
#[repr(align(128))]
struct Fixed;

/// Each thread inserts one of its own: one count for all of them would be what is measured.
impl Clone for Floor {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Floor {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<()>) -> Self::Future {
        assert!(request.headers().get("authorization").is_some());
        request.extensions_mut().insert(Arc::clone(&self.0));
        Inner.call(request)
    }
}

/// A request as a server has it that has just read it: the bytes of the credential are at hand. Without a credential if there is
/// none.
pub fn request(credential: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    if let Some(credential) = credential {
        black_box(credential.as_bytes().iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)));
        request.headers_mut().insert("authorization", credential.clone());
    }
    request
}

/// The same beneath somebody who has used the map of extensions before, as a router does: to make that map is half of the floor.
pub fn routed(credential: Option<&HeaderValue>) -> Request<()> {
    let mut request = request(credential);
    request.extensions_mut().insert("what the router matched");
    request
}

/// The answer, which is ready at once.
pub fn ask<S: Open>(service: &mut S, request: Request<()>) -> Answer {
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Pending => panic!("the answer is not ready"),
    }
}

/// Presents each once and waits for its answer: from then on they are known.
pub fn warm_up<S: Open>(service: &S, credentials: &[HeaderValue]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for credential in credentials {
        let answer = runtime.block_on(service.clone().oneshot(request(Some(credential)))).unwrap();
        assert_eq!(answer.status(), 200);
    }
}

/// Times so many requests a turn, with credentials in random order, that are all answered with this status.
pub fn side<'a, S: Open + 'a>(
    service: S,
    credentials: &'a [HeaderValue],
    repeat: usize,
    status: u16,
) -> Side<'a> {
    side_of(request, service, credentials, repeat, status)
}

/// What makes a request of a credential.
pub type Make = fn(Option<&HeaderValue>) -> Request<()>;

/// The same of requests that are made in another way. They are made within: made beforehand, many would lie about, and the
/// allocator be in a state that no server sees.
pub fn side_of<'a, S: Open + 'a>(
    make: Make,
    mut service: S,
    credentials: &'a [HeaderValue],
    repeat: usize,
    status: u16,
) -> Side<'a> {
    let mut random = Random::default();
    Box::new(move || {
        let order: Vec<usize> = (0..repeat).map(|_| random.below(credentials.len())).collect();
        let start = Instant::now();
        for index in &order {
            let answer = ask(&mut service, make(Some(&credentials[*index])));
            assert_eq!(answer.status(), status);
        }
        start.elapsed().as_secs_f64() / repeat as f64
    })
}
