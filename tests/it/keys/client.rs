//! The HTTP client of the feature `reqwest`, by itself.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use portcullis::http_client::{HttpClient as _, HttpError, Limits, ReqwestClient};
use portcullis::test_util::{FakeAuthorizationServer, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::seconds;

async fn get(url: &str, timeout: Duration, max_body: usize) -> Result<Response<Bytes>, HttpError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    ReqwestClient::new().unwrap().send(request, Limits::new(timeout, max_body)).await
}

#[tokio::test]
async fn the_longest_body_is_read_and_no_byte_more() {
    let server = FakeAuthorizationServer::start().await;
    for len in [0, 1, 1000, 100_000] {
        server.set_fault(Fault::Oversize(len));
        let answer = get(&server.jwks_uri(), seconds(5), len).await.unwrap();
        assert_eq!((answer.status(), answer.body().len()), (StatusCode::OK, len));
        server.set_fault(Fault::Oversize(len + 1));
        assert_eq!(get(&server.jwks_uri(), seconds(5), len).await.unwrap_err(), HttpError::TooLarge);
    }
}

#[tokio::test]
async fn redirects_are_answers_like_others() {
    let (server, target) = (FakeAuthorizationServer::start().await, FakeAuthorizationServer::start().await);
    server.set_fault(Fault::Redirect(target.jwks_uri()));
    let answer = get(&server.jwks_uri(), seconds(5), 1000).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FOUND);
    assert_eq!(answer.headers()["location"], target.jwks_uri());
    assert_eq!(target.counts().jwks, 0);
}

#[tokio::test]
async fn an_answer_that_comes_late_or_not_at_all_is_an_error() {
    let server = FakeAuthorizationServer::start().await;
    server.set_delay(Duration::from_millis(100));
    let url = server.jwks_uri();
    assert!(get(&url, seconds(30), 1000).await.is_ok());
    server.set_delay(seconds(30));
    assert_eq!(get(&url, Duration::from_millis(20), 1000).await.unwrap_err(), HttpError::Timeout);
    server.stop().await;
    let error = get(&url, seconds(5), 1000).await.unwrap_err();
    assert!(matches!(&error, HttpError::Transport(cause) if !cause.is_empty()), "{error}");
}

#[tokio::test]
async fn the_time_counts_to_the_last_byte() {
    // A server that sends a byte now and then would hold a limit on each read off for ever.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 1024]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let start = Instant::now();
    assert_eq!(get(&url, Duration::from_millis(200), 200_000).await.unwrap_err(), HttpError::Timeout);
    assert!(start.elapsed() < seconds(20), "{:?}", start.elapsed());
}
