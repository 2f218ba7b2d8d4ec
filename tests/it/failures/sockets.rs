//! Over real connections, whose addresses the server tells.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use portcullis::{Quota, TrustedProxies};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Scene, app};

/// A server on a socket, until it is dropped.
struct Served {
    url: String,
    task: JoinHandle<()>,
}

impl Served {
    async fn new(app: Router, tells_addresses: bool) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            if tells_addresses {
                let service = app.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, service).await.unwrap();
            } else {
                axum::serve(listener, app).await.unwrap();
            }
        });
        Self { url, task }
    }

    /// Status and `Retry-After`, asked from one of the addresses of this machine, by a new connection each time.
    async fn ask(&self, from: [u8; 4], lines: &[(&str, &str)]) -> (u16, Option<u64>) {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(IpAddr::from(from)));
        let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
        let mut request = Request::get(&self.url);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let response = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
        (response.status().as_u16(), retry_after(response.headers()))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap())
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];
const BAD: (&str, &str) = ("authorization", "Bearer bad");
const GOOD: (&str, &str) = ("authorization", "Bearer ann");

#[tokio::test]
async fn connections_of_one_address_count_together() {
    let scene = Scene::new(Quota::per_hour(2).unwrap());
    let server = Served::new(scene.app(), true).await;
    assert_eq!(server.ask(ONE, &[BAD]).await, (401, None));
    assert_eq!(server.ask(ONE, &[GOOD]).await, (200, None));
    assert_eq!(server.ask(ONE, &[("authorization", "Bearer a b")]).await, (400, None));
    let asked = scene.asked.times();
    assert_eq!(server.ask(ONE, &[BAD]).await, (429, Some(1800)));
    assert_eq!(server.ask(ONE, &[GOOD, ("x-forwarded-for", "203.0.113.1")]).await, (429, Some(1800)));
    assert_eq!(scene.asked.times(), asked);
    assert_eq!(server.ask(ONE, &[]).await, (401, None));
    assert_eq!(server.ask(OTHER, &[GOOD]).await, (200, None));
    scene.clock.advance(super::seconds(1800));
    assert_eq!(server.ask(ONE, &[GOOD]).await, (200, None));
}

#[tokio::test]
async fn behind_a_proxy_its_callers_count_apart() {
    let proxies = TrustedProxies::x_forwarded_for(["127.0.0.1"]).unwrap();
    let layer = Scene::new(Quota::per_hour(1).unwrap()).layer.behind(proxies);
    let server = Served::new(app().layer(layer), true).await;
    let forwarded = |address| ("x-forwarded-for", address);
    assert_eq!(server.ask(ONE, &[BAD, forwarded("203.0.113.1")]).await.0, 401);
    assert_eq!(server.ask(ONE, &[GOOD, forwarded("198.51.100.1, 203.0.113.1")]).await.0, 429);
    assert_eq!(server.ask(ONE, &[GOOD, forwarded("203.0.113.2")]).await.0, 200);
    // No proxy: what it says about addresses is its own invention.
    assert_eq!(server.ask(OTHER, &[BAD, forwarded("203.0.113.3")]).await.0, 401);
    assert_eq!(server.ask(OTHER, &[GOOD, forwarded("203.0.113.4")]).await.0, 429);
}

#[tokio::test]
async fn a_server_that_tells_no_addresses_is_our_fault() {
    for (tells_addresses, expected) in [(false, 500), (true, 200)] {
        let server = Served::new(Scene::new(Quota::per_hour(1).unwrap()).app(), tells_addresses).await;
        assert_eq!(server.ask(ONE, &[GOOD]).await.0, expected);
        assert_eq!(server.ask(ONE, &[]).await.0, 401);
    }
}
