//! The same layers without axum: a bare hyper server.
//!
//! `cargo run --example hyper` starts it with an authorization server of its own and prints curl lines.

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{AuthLayer, JwtAuthenticator, PeerAddr, Principal, Quota, RateLimitLayer, require_scopes};
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = run().await else { return ExitCode::SUCCESS };
    // Each error is one part of the sentence: what failed, then why.
    let parts = std::iter::successors(Some(&*error), |&error| error.source());
    eprintln!("error: {}", parts.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    ExitCode::FAILURE
}

async fn run() -> Result<(), Box<dyn Error>> {
    let server = FakeAuthorizationServer::start().await;
    let jwt = JwtAuthenticator::builder(server.issuer(), FakeAuthorizationServer::AUDIENCE).build()?;

    // The first layer runs first. All state was made above and is shared by all connections.
    let layers = ServiceBuilder::new()
        .layer(AuthLayer::new(jwt))
        .layer(RateLimitLayer::per_client(Quota::per_minute(600)?))
        .layer(require_scopes(["todo:read"]));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}\n");
    println!("curl -i http://{address}/");
    println!(
        "curl -i -H 'Authorization: Bearer {}' http://{address}/",
        server.token().expires_in(3600).build()
    );
    loop {
        let (stream, peer) = listener.accept().await?;
        let guarded = layers.clone().service(service_fn(greet));
        // The limit counts callers without a name by their address, so it has to know that.
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            tower::Service::call(&mut guarded.clone(), request)
        });
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            let served =
                connection.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
            if let Err(error) = served {
                eprintln!("connection ended: {error}");
            }
        });
    }
}

async fn greet(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let caller = request.extensions().get::<Principal>().and_then(Principal::subject).unwrap_or("nobody");
    Ok(Response::new(Full::from(format!("hello, {caller}\n"))))
}
