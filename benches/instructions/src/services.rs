//! The services beneath, and one request.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use tower_service::Service;

pub type Answer = Response<Empty<Bytes>>;

/// Answers at once.
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
#[derive(Clone)]
pub struct Floor(pub Arc<str>);

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

/// With no credential where there is none.
pub fn request(credential: Option<&HeaderValue>) -> Request<()> {
    let mut request = Request::new(());
    if let Some(credential) = credential {
        request.headers_mut().insert("authorization", credential.clone());
    }
    // As in a router, which has put something there before.
    request.extensions_mut().insert("matched");
    request
}

/// The status of the answer, which is ready at once.
pub fn ask<S>(service: &mut S, request: Request<()>) -> u16
where
    S: Service<Request<()>, Response = Answer, Error = Infallible>,
{
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer.status().as_u16(),
        Poll::Pending => panic!("the answer is not ready"),
    }
}
