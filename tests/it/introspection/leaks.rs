//! What nobody gets to read: tokens, secrets of this server, and what an authority repeats of them.

use std::fmt::Debug;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use portcullis::http_client::HttpError;
use portcullis::test_util::SigningKey;
use portcullis::{
    Algorithm, AuthError, Authenticator, ClientAuth, Credential, Presentation, RequestContext, problem_json,
};
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use super::{Script, active, handler};
use crate::log::Log;
use crate::support::{AUDIENCE, bearer, send};

const TOKEN: &str = "sesame-token";

/// An address with a key in it.
const SECRETIVE: &str = "https://id.example/introspect?key=sesame";

/// What an authority may do to make us talk: each repeats the whole question where it can.
fn answers(question: &str) -> Vec<Result<Response<Bytes>, HttpError>> {
    let response = |status: u16, kind: &str, body: String| {
        let response = Response::builder().status(status).header("content-type", kind);
        Ok(response.header("location", "/sesame").body(Bytes::from(body)).unwrap())
    };
    let json = "application/json";
    vec![
        response(200, json, active().to_string()),
        response(200, json, active().to_string().replace("ann", "sesame")),
        response(200, json, r#"{"active":false,"sub":"sesame"}"#.into()),
        response(200, json, active().to_string().replace(AUDIENCE, "sesame")),
        response(200, json, r#"{"active":true,"iss":"sesame"}"#.into()),
        response(200, json, format!("{{{question:?}:")),
        response(200, "text/sesame", question.into()),
        response(302, json, String::new()),
        response(400, json, format!(r#"{{"error":{question:?}}}"#)),
        response(401, json, question.into()),
        response(500, json, question.into()),
        Err(HttpError::Timeout),
        Err(HttpError::TooLarge),
    ]
}

fn assert_silent(text: &str, pem: &str) {
    assert!(!text.contains("sesame"), "{text}");
    assert!(pem.lines().filter(|line| !line.starts_with('-')).all(|line| !text.contains(line)), "{text}");
}

#[tokio::test]
async fn no_token_and_no_secret_is_told_anywhere() {
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    let private = SigningKey::generate(Algorithm::ES256);
    let pem = private.pkcs8_pem();
    let mut lines = 0;
    for client in [
        ClientAuth::basic("app", "sesame"),
        ClientAuth::post("app", "sesame"),
        ClientAuth::bearer("sesame"),
        ClientAuth::private_key_jwt("app", Algorithm::ES256, &pem).unwrap(),
    ] {
        for index in 0..answers("").len() {
            let mut debug = String::new();
            let script = Script::of_client(client.clone(), |builder| {
                let builder = builder.audience(AUDIENCE).endpoint(SECRETIVE);
                debug = format!("{builder:?}");
                builder
            });
            script.http.script.answer_by(SECRETIVE, move |request| {
                let question = String::from_utf8_lossy(request.body()).into_owned();
                // Otherwise nothing could leak.
                assert!(question.contains("sesame"));
                answers(&question).swap_remove(index)
            });
            let opaque = &script.opaque;
            let layer = script.layer.clone().on_reject(problem_json);
            let response = layer.layer(handler()).oneshot(bearer(TOKEN)).await.unwrap();
            let response = shown(response).await;
            let status = opaque.status();
            assert_eq!(status.calls, 1);
            let texts: [&dyn Debug; 4] = [&client, opaque, &layer, &status];
            for text in texts {
                assert_silent(&format!("{text:?} {text:#?}"), &pem);
            }
            assert_silent(&format!("{debug} {response}"), &pem);
            let logged = log.take();
            lines += logged.lines().count();
            assert_silent(&logged, &pem);
        }
    }
    // One for each refusal, and one more for each failure.
    assert_eq!(lines, 4 * (3 + 2 * 8));
}

/// All of an answer, as whoever sent the request and whoever wrote the service may print it.
async fn shown(response: Response<Full<Bytes>>) -> String {
    let error = response.extensions().get::<AuthError>().map(|error| format!("{error} {error:?}"));
    let head = format!("{:?} {error:?}", response.headers());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    format!("{head} {}", String::from_utf8_lossy(&body))
}

#[tokio::test]
async fn a_future_and_a_principal_show_no_token() {
    let script = Script::new(|builder| builder);
    let request = http::Request::new(());
    let credential = Credential::new(&Presentation::BEARER, TOKEN);
    let future = script.opaque.authenticate(&credential, &RequestContext::new(&request));
    assert!(!format!("{future:?}").contains("sesame"));
    let verdict = future.verdict().await.unwrap();
    assert!(!format!("{verdict:?} {verdict:#?}").contains("sesame"));
    assert_eq!(send(&script.layer, bearer(TOKEN)).await.status(), StatusCode::OK);
}
