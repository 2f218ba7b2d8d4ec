//! The client without a network.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use portcullis::http_client::{HttpClient as _, HttpError, Limits};
use portcullis::test_util::ScriptedHttpClient;

const URL: &str = "https://id.example/introspect";

async fn send(http: &ScriptedHttpClient, body: &'static str, max_body: usize) -> Result<Bytes, HttpError> {
    let request = Request::post(URL).body(Bytes::from(body)).unwrap();
    http.send(request, Limits::new(Duration::from_secs(1), max_body)).await.map(Response::into_body)
}

#[tokio::test]
async fn an_answer_may_depend_on_the_request_and_on_the_count() {
    let http = ScriptedHttpClient::new();
    let counted = http.clone();
    http.answer_by(URL, move |request| match &request.body()[..] {
        b"down" => Err(HttpError::Timeout),
        body => Ok(Response::new(format!("{} {}", body.len(), counted.count(URL)).into())),
    });
    assert_eq!(send(&http, "four", 3).await.unwrap(), "4 1");
    assert_eq!(send(&http, "down", 3).await.unwrap_err(), HttpError::Timeout);
    assert_eq!(send(&http, "three", 3).await.unwrap(), "5 3");
    assert_eq!(send(&http, "three", 2).await.unwrap_err(), HttpError::TooLarge);
    assert_eq!((http.count(URL), http.count("https://id.example/"), http.total()), (4, 0, 4));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_found_when_it_is_asked_for() {
    let http = ScriptedHttpClient::new();
    http.answer(URL, "then");
    http.delay(Duration::from_secs(5));
    let late = send(&http, "", 9);
    let change = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        http.answer(URL, "now");
    };
    assert_eq!(tokio::join!(late, change).0.unwrap(), "then");
    assert_eq!(send(&http, "", 9).await.unwrap(), "now");
}
