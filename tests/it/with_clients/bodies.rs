//! A body to which a token is bound, over real sockets: through axum, and through bare hyper with HTTP/1.1 and HTTP/2.

use std::convert::Infallible;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use axum::Router;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use portcullis::{
    AuthBody, AuthLayer, ClientSecret, MemoryClientSecrets, ScopeSet, SignedRequestAuthenticator,
    SigningClient,
};
use tokio::net::TcpListener;
use tower::Layer as _;

use super::serve;

const SECRET: &str = "3d844edf-8d35-48ac-975b-e847b4f122b0";
const LIMIT: usize = 100_000;

fn auth() -> AuthLayer<SignedRequestAuthenticator> {
    let client = SigningClient::new([ClientSecret::new(SECRET).unwrap()], ScopeSet::default());
    let secrets = MemoryClientSecrets::from_iter([("app", client)]);
    let signed =
        SignedRequestAuthenticator::builder(secrets).require_request_binding().require_body_binding();
    AuthLayer::new(signed.build().unwrap())
}

fn tag(text: &[u8]) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text))
}

/// The token of `app` for this request, as a client would make it.
fn token(request: &str, body: &[u8]) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims =
        serde_json::json!({"iss": "app", "iat": now, "req": tag(request.as_bytes()), "pay": tag(body)});
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed =
        format!("{}.{}", encode(br#"{"typ":"JWT","alg":"HS256"}"#), encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes()).as_ref()))
}

async fn through_axum() -> String {
    let echo = Router::new().route("/echo", post(async |body: Bytes| body));
    serve(Router::new().nest("/v1", echo).layer(auth().read_body(LIMIT))).await
}

async fn through_hyper() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let echo = tower::service_fn(async |request: Request<AuthBody<hyper::body::Incoming>>| {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    });
    let service = auth().read_body(LIMIT).layer(echo);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move {
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_arrives_as_it_was_sent_and_no_other_one_does() {
    // Each request has a connection of its own: a server that answers before it has read a body closes the connection.
    let client = || reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
    let clients = [client().build().unwrap(), client().http2_prior_knowledge().build().unwrap()];
    let bodies = [Vec::new(), b"{\"text\": \"buy milk\"}".to_vec(), (0..=255).cycle().take(LIMIT).collect()];
    for base in [through_axum().await, through_hyper().await] {
        for client in &clients {
            let send = async |path: &str, token: &str, body: &[u8]| {
                let request = client.post(format!("{base}{path}")).bearer_auth(token).body(body.to_vec());
                let answer = request.send().await?;
                Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.bytes().await?))
            };
            // With HTTP/1.1 a client may see that its connection was closed before it sees the answer.
            let refused = async |path: &str, token: &str, body: &[u8]| {
                for _ in 0..10 {
                    if let Ok((status, _)) = send(path, token, body).await {
                        return status;
                    }
                }
                panic!("no answer to ten requests");
            };
            for body in &bodies {
                let good = || token("POST /v1/echo", body);
                let (status, echoed) = send("/v1/echo", &good(), body).await.unwrap();
                assert_eq!((status, &*echoed), (200, &**body));
                let other = [&body[..], b"x"].concat();
                let expected = if other.len() > LIMIT { 413 } else { 401 };
                assert_eq!(refused("/v1/echo", &good(), &other).await, expected);
                assert_eq!(refused("/v1/echo?x=1", &good(), body).await, 401, "the query counts");
                assert_eq!(refused("/echo", &good(), body).await, 401, "the path as it was sent counts");
            }
            let (status, _) = send("/v1/echo?x=1", &token("POST /v1/echo?x=1", b"hi"), b"hi").await.unwrap();
            assert_eq!(status, 200);
        }
    }
}
