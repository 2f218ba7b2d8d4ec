//! Signed and opaque tokens on the same routes, in a bare hyper server: reading trusts the signature, deleting asks the issuer.
//!
//! `cargo run --example introspection` starts it with an authorization server of its own and prints curl lines.

use std::convert::Infallible;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{
    AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator, JwtAuthenticator, Principal,
    require_scopes,
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};

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
    let (issuer, audience) = (server.issuer(), FakeAuthorizationServer::AUDIENCE);
    let client =
        ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET);
    // The endpoint is found by the issuer's metadata.
    let opaque = IntrospectionAuthenticator::builder(issuer.clone(), client).audience(audience).build()?;
    let jwt = JwtAuthenticator::builder(issuer, audience).with_introspection(opaque.clone()).build()?;
    let auth = AuthLayer::new(jwt.or(opaque.clone()));

    // A verdict may be half a minute old here, and a JWT is never asked about.
    let read = require_scopes(["todo:read"]).layer(service_fn(answer));
    // Here the issuer is asked about every request, whatever the token.
    let delete = require_scopes(["todo:write"]).verified_within(Duration::ZERO).layer(service_fn(answer));
    let routes = service_fn(move |request: Request<Incoming>| {
        let (read, delete) = (read.clone(), delete.clone());
        async move {
            match *request.method() {
                Method::GET => read.oneshot(request).await,
                Method::DELETE => delete.oneshot(request).await,
                _ => Ok(status(StatusCode::METHOD_NOT_ALLOWED)),
            }
        }
    });
    let service = auth.layer(routes);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let token = server.token().scope("todo:read todo:write").expires_in(3600);
    let (signed, opaque_token) = (token.clone().build(), server.opaque_token(token));
    println!("listening on http://{address}");
    for token in [&signed, &opaque_token] {
        println!("\ncurl -i -H 'Authorization: Bearer {token}' http://{address}/");
        println!("curl -i -H 'Authorization: Bearer {token}' -X DELETE http://{address}/");
        println!("# calls it back: from now on DELETE is a 401, and so is GET once that is known");
        println!(
            "curl -i --oauth2-bearer {} -d token={token} {}",
            FakeAuthorizationServer::CLIENT_TOKEN,
            server.revocation_endpoint()
        );
    }
    loop {
        let (stream, _) = listener.accept().await?;
        let mut service = service.clone();
        let service = service_fn(move |request: Request<Incoming>| service.call(request));
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

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(caller) = request.extensions().get::<Principal>() else {
        return Ok(status(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let (method, age) = (caller.method(), caller.verified_at().elapsed().unwrap_or_default());
    let text = format!("{}: by {method}, verified {age:?} ago\n", caller.subject().unwrap_or("nobody"));
    Ok(Response::new(Full::from(text)))
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}
