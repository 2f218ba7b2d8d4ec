//! A protected route as a tower service, whichever axum it is made with, and how requests are driven through it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use http::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use tokio::runtime::Runtime;
use tower::Service;

/// The whole router that a server would hand its requests to.
pub trait Route {
    fn axum(&self) -> Axum;

    /// Seconds that one request takes, on average of one from each of these. All are made before the clock starts, and each answer
    /// is dropped before the next request.
    ///
    /// # Panics
    /// If one is answered otherwise.
    fn time(&mut self, runtime: &Runtime, callers: &[Caller<'_>], expected: Expected) -> f64;

    /// How a request with these `Authorization` headers is answered.
    fn status(&mut self, runtime: &Runtime, authorization: &[HeaderValue]) -> StatusCode;

    /// How often such requests allocate, all together, and the making of them not counted.
    #[cfg(feature = "count-allocations")]
    fn allocations(&mut self, runtime: &Runtime, callers: &[Caller<'_>], expected: Expected) -> u64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axum {
    V07,
    V08,
}

/// Who sends a request.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub credential: &'a HeaderValue,
    /// Each number comes from an address of its own, up to ten thousand.
    pub number: usize,
}

/// What every one of the timed requests is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Accepted,
    /// By any status but 2xx: what that is the matrix tells.
    Refused,
}

/// A route of axum 0.8.
pub fn axum_08(router: axum::Router) -> Box<dyn Route> {
    Box::new(Driven {
        axum: Axum::V08,
        // As a server does, or the layers are put around the handlers at each request.
        service: router.with_state(()).into_service(),
        request: |authorization, number| {
            let mut request = request(authorization, axum::body::Body::empty());
            request.extensions_mut().insert(axum::extract::ConnectInfo(address(number)));
            request
        },
    })
}

/// A route of axum 0.7.
pub fn axum_07(router: axum07::Router) -> Box<dyn Route> {
    Box::new(Driven {
        axum: Axum::V07,
        // As a server does, or the layers are put around the handlers at each request.
        service: router.with_state(()).into_service(),
        request: |authorization, number| {
            let mut request = request(authorization, axum07::body::Body::empty());
            request.extensions_mut().insert(axum07::extract::ConnectInfo(address(number)));
            request
        },
    })
}

struct Driven<S, B> {
    axum: Axum,
    service: S,
    request: fn(&[&HeaderValue], usize) -> Request<B>,
}

impl<S, B, R> Driven<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    fn prepare(&self, callers: &[Caller<'_>]) -> Vec<Request<B>> {
        callers.iter().map(|caller| (self.request)(&[caller.credential], caller.number)).collect()
    }

    async fn send(&mut self, requests: Vec<Request<B>>, expected: Expected) {
        for request in requests {
            let Ok(response) = self.service.call(request).await;
            assert_eq!(
                response.status().is_success(),
                expected == Expected::Accepted,
                "answered {}",
                response.status(),
            );
        }
    }
}

impl<S, B, R> Route for Driven<S, B>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
{
    fn axum(&self) -> Axum {
        self.axum
    }

    fn time(&mut self, runtime: &Runtime, callers: &[Caller<'_>], expected: Expected) -> f64 {
        let requests = self.prepare(callers);
        runtime.block_on(async {
            let start = Instant::now();
            self.send(requests, expected).await;
            start.elapsed().as_secs_f64() / callers.len() as f64
        })
    }

    fn status(&mut self, runtime: &Runtime, authorization: &[HeaderValue]) -> StatusCode {
        let request = (self.request)(&authorization.iter().collect::<Vec<_>>(), 0);
        let Ok(response) = runtime.block_on(self.service.call(request));
        response.status()
    }

    #[cfg(feature = "count-allocations")]
    fn allocations(&mut self, runtime: &Runtime, callers: &[Caller<'_>], expected: Expected) -> u64 {
        let requests = self.prepare(callers);
        let mut count = 0;
        runtime.block_on(async {
            let counted = allocation_counter::measure(|| {
                let sending = std::pin::pin!(self.send(requests, expected));
                let polled = sending.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                assert!(polled.is_ready(), "nobody waits for anything once the keys are there");
            });
            count = counted.count_total;
        });
        count
    }
}

/// As a client sends it, with headers that nobody reads.
fn request<B>(authorization: &[&HeaderValue], body: B) -> Request<B> {
    let mut request = Request::new(body);
    *request.uri_mut() = http::Uri::from_static("/todo");
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("api.example.com"));
    headers.insert(USER_AGENT, HeaderValue::from_static("peers/1.0"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    for value in authorization {
        headers.append(AUTHORIZATION, HeaderValue::clone(value));
    }
    request
}

/// For limits that go by address.
fn address(number: usize) -> SocketAddr {
    let [.., high, low] = u32::try_from(number % 10_000).expect("a small number").to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(10, 0, high, low), 40_000))
}
