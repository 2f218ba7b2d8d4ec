//! What the benchmarks share: an empty service, timing in turns, medians.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::Empty;
use tower::Service;

#[derive(Clone)]
pub struct Inner;

impl Service<Request<()>> for Inner {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        black_box(&request);
        ready(Ok(Response::new(Empty::new())))
    }
}

/// Times requests through a service: seconds for one, requests made before.
pub fn time<S>(service: &mut S, requests: Vec<Request<()>>) -> f64
where
    S: Service<Request<()>, Response = Response<Empty<Bytes>>, Error = Infallible>,
{
    time_answers(service, requests, 200)
}

/// The same, of requests that are all answered with this status.
pub fn time_answers<S>(service: &mut S, requests: Vec<Request<()>>, status: u16) -> f64
where
    S: Service<Request<()>, Response = Response<Empty<Bytes>>, Error = Infallible>,
{
    let count = requests.len() as f64;
    let start = Instant::now();
    for request in requests {
        let mut future = pin!(service.call(request));
        let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Ok(answer)) if answer.status() == status));
    }
    start.elapsed().as_secs_f64() / count
}

pub fn request(header: &HeaderValue) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert("authorization", header.clone());
    request
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// 95 % bootstrap interval of the median, with a small generator of its own so that it is the same each time.
pub fn interval(values: &[f64]) -> (f64, f64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut medians: Vec<f64> = (0..1000)
        .map(|_| median((0..values.len()).map(|_| values[(next() % values.len() as u64) as usize]).collect()))
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    (medians[25], medians[974])
}
