//! Facts about the request that are sent with the token: such a verdict is for that request alone.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use portcullis::{Reason, RequestContext, require_authenticated};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use super::{ACCEPTED, Answer, Builder, ENDPOINT, Scene, Script, active, handler, refused, settle};
use crate::support::{bearer, outcome, send};

fn facts(context: &RequestContext<'_>) -> Vec<(String, String)> {
    let path = context.original_uri().path().to_owned();
    vec![("method".into(), context.method().to_string()), ("path".into(), path)]
}

fn contextual(builder: Builder) -> Builder {
    builder.with_context(facts)
}

fn request(token: &str, method: Method, uri: &str) -> Request<Full<Bytes>> {
    let mut request = bearer(token);
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    request
}

#[tokio::test]
async fn facts_about_the_request_are_sent_with_the_token() {
    let scene = Scene::with(contextual).await;
    let token = scene.token();
    for (method, uri, encoded) in [
        (Method::GET, "/todo/1?token=x", "method=GET&path=%2Ftodo%2F1"),
        (Method::DELETE, "/a+b&c=d%20e", "method=DELETE&path=%2Fa%2Bb%26c%3Dd%2520e"),
    ] {
        let response = send(&scene.layer, request(&token, method, uri)).await;
        assert_eq!(outcome(&response), ACCEPTED);
        assert_eq!(scene.server.asked().pop().unwrap().body, format!("token={token}&{encoded}"));
    }
    // What proves who asks stands behind it.
    let client = portcullis::ClientAuth::post("resource-server", "s3:cr%et +/=");
    let scene = Scene::of_client(&scene.server, client, |builder| contextual(builder).type_hint());
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    let asked = scene.server.asked().pop().unwrap();
    let names: Vec<&str> = asked.form.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["token", "token_type_hint", "method", "path", "client_id", "client_secret"]);
}

/// An authority that allows reading alone.
fn judges_methods(script: &Script) {
    script.http.script.answer_by(ENDPOINT, |request| {
        let reads = String::from_utf8_lossy(request.body()).contains("method=GET");
        let answer = if reads { active() } else { json!({"active": false}) };
        let response = http::Response::builder().header("content-type", "application/json");
        Ok(response.body(answer.to_string().into()).unwrap())
    });
}

async fn by(script: &Script, method: Method) -> Answer {
    outcome(&send(&script.layer, request("token", method, "/")).await)
}

#[tokio::test]
async fn what_was_accepted_for_one_request_is_asked_for_again() {
    let script = Script::new(contextual);
    judges_methods(&script);
    for calls in 1..4 {
        assert_eq!((by(&script, Method::GET).await, script.calls()), (ACCEPTED, calls));
    }
    assert_eq!(by(&script, Method::POST).await, refused(Reason::TokenInactive));
    assert_eq!(script.calls(), 4);
    let plain = Script::new(|builder| builder);
    for _ in 1..4 {
        assert_eq!((by(&plain, Method::GET).await, plain.calls()), (ACCEPTED, 1));
    }
}

/// Which of several tokens a request bears makes no difference to who sends it.
#[tokio::test]
async fn requests_with_facts_or_without_reuse_share_no_call() {
    let configures: [fn(Builder) -> Builder; 2] = [contextual, |builder| builder.reuse_for(Duration::ZERO)];
    for configure in configures {
        let script = Script::new(configure);
        script.http.hold();
        let mut requests = Vec::new();
        for _ in 0..10 {
            requests.push(script.start("token").await);
        }
        assert_eq!(script.calls(), 10);
        script.http.release();
        for request in requests {
            assert_eq!(request.await.unwrap(), ACCEPTED);
        }
    }
    let script = Script::new(|builder| builder);
    script.http.hold();
    let requests = [script.start("token").await, script.start("token").await, script.start("token").await];
    assert_eq!(script.calls(), 1);
    script.http.release();
    for request in requests {
        assert_eq!(request.await.unwrap(), ACCEPTED);
    }
}

#[tokio::test]
async fn with_no_time_of_reuse_every_request_asks() {
    let script = Script::new(|builder| builder.reuse_for(Duration::ZERO));
    for calls in 1..4 {
        assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, calls));
    }
    script.says(&json!({"active": false}));
    assert_eq!((script.ask("token").await, script.calls()), (refused(Reason::TokenInactive), 4));
}

/// What the layer asked for this very request is fresh enough for its guards.
#[tokio::test]
async fn a_guard_that_wants_a_fresh_verdict_is_content_with_the_layers() {
    let configures: [fn(Builder) -> Builder; 3] =
        [contextual, |builder| builder.reuse_for(Duration::ZERO), |builder| builder];
    for configure in configures {
        let script = Script::new(configure);
        let guard = require_authenticated().verified_within(Duration::ZERO);
        let service = script.layer.layer(guard.layer(handler()));
        let answer = outcome(&service.oneshot(bearer("token")).await.unwrap());
        assert_eq!((answer, script.calls()), (ACCEPTED, 1));
    }
}

#[tokio::test]
async fn a_layer_that_keeps_no_verdicts_asks_each_time() {
    let mut script = Script::new(|builder| builder);
    script.layer = script.layer.verdict_cache(0);
    script.http.hold();
    let requests = [script.start("token").await, script.start("token").await];
    assert_eq!(script.calls(), 2);
    script.http.release();
    for request in requests {
        assert_eq!(request.await.unwrap(), ACCEPTED);
    }
    settle().await;
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 3));
}

#[tokio::test]
async fn what_was_refused_for_one_request_is_asked_for_again() {
    let script = Script::new(contextual);
    judges_methods(&script);
    for calls in [1, 3] {
        assert_eq!(
            (by(&script, Method::POST).await, script.calls()),
            (refused(Reason::TokenInactive), calls)
        );
        assert_eq!((by(&script, Method::GET).await, script.calls()), (ACCEPTED, calls + 1));
    }
}

#[tokio::test]
async fn with_no_time_of_reuse_what_was_refused_is_asked_for_again() {
    let script = Script::new(|builder| builder.reuse_for(Duration::ZERO));
    script.says(&json!({"active": false}));
    for calls in 1..4 {
        assert_eq!((script.ask("token").await, script.calls()), (refused(Reason::TokenInactive), calls));
    }
    script.says(&active());
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 4));
}
