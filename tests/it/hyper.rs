//! hyper without a framework: the same layers under `TowerToHyperService`, over a real socket.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use portcullis::{AuthLayer, PeerAddr, Principal, Quota, RateLimitLayer, problem_json, require_scopes};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceBuilder;

use crate::stub::{Stub, header, offers};

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let subject = request.extensions().get::<Principal>().and_then(Principal::subject).unwrap_or("nobody");
    Ok(Response::new(Full::from(format!("hello {subject}"))))
}

/// A server as its author would write it; the stub answers from a future, so that the slow way is taken too.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let layers = ServiceBuilder::new()
        .layer(AuthLayer::new(Stub::new("stub").boxed()).optional().on_reject(problem_json))
        .layer(RateLimitLayer::per_subject(Quota::per_hour(3).unwrap()))
        .layer(require_scopes(["hello"]));
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let service = ServiceBuilder::new()
                .map_request(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                })
                .layer(layers.clone())
                .service_fn(hello);
            tokio::spawn(async move {
                let service = TowerToHyperService::new(service);
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

async fn get(address: SocketAddr, line: Option<&str>) -> Response<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().uri("/").header("host", "api.example");
    if let Some(line) = line {
        request = request.header("authorization", line);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_server_without_a_framework_is_guarded_over_the_wire() {
    let address = serve().await;
    let rows = [
        (Some("Bearer ann~hello"), 200, vec![]),
        (None, 401, vec!["Bearer"]),
        (Some("Basic YTpi"), 401, vec!["Bearer"]),
        (Some("Bearer bad"), 401, vec!["Bearer invalid_token"]),
        (Some("Bearer a b"), 400, vec!["Bearer invalid_request"]),
        (Some("Bearer ann"), 403, vec!["Bearer insufficient_scope"]),
        (Some("Bearer ann~hello"), 200, vec![]),
        (Some("Bearer ann~hello"), 429, vec![]),
    ];
    for (line, status, expected) in rows {
        let response = get(address, line).await;
        assert_eq!(response.status().as_u16(), status, "{line:?}");
        assert_eq!(offers(&response), expected, "{line:?}");
        if status == 200 {
            assert_eq!(response.body(), "hello ann");
        } else {
            assert_eq!(header(&response, "cache-control"), Some("no-store"));
            assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
            let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(problem["status"], status);
        }
    }
}
