//! What goes wrong at an authority is never the caller's fault: 503 for him, an error for the operator.

use std::time::Instant;

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use portcullis::test_util::{FakeAuthorizationServer, Fault};
use portcullis::{AuthError, BreakerState, Reason};
use tracing_subscriber::filter::LevelFilter;

use super::{ACCEPTED, Answer, Scene, Script, active, retry_after, unavailable};
use crate::log::Log;
use crate::support::outcome;

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

/// What may go wrong over a connection, and what the operator is told of it, after the address.
fn faults() -> Vec<(Fault, &'static str)> {
    let status = |status: u16| Fault::Status(StatusCode::from_u16(status).unwrap());
    let answer = |content_type: &str, body: &str| Fault::Answer {
        content_type: content_type.into(),
        body: body.into(),
    };
    let good = active().to_string();
    let malformed = " did not answer with an introspection response (RFC 7662 §2.2)";
    let no_json = " did not answer with JSON";
    let wrong_type = " did not answer with the content type `application/json`";
    vec![
        (status(201), " answered with status 201 Created"),
        (status(204), " answered with status 204 No Content"),
        (Fault::Redirect("/elsewhere".into()), " answered with status 302 Found"),
        (status(400), " answered with status 400 Bad Request"),
        (status(401), " refused this server's own credentials with status 401 Unauthorized"),
        (status(403), " refused this server's own credentials with status 403 Forbidden"),
        (status(404), " answered with status 404 Not Found"),
        (status(405), " answered with status 405 Method Not Allowed"),
        (status(429), " answered with status 429 Too Many Requests"),
        (
            Fault::RetryAfter(StatusCode::TOO_MANY_REQUESTS, "9".into()),
            " answered with status 429 Too Many Requests",
        ),
        (status(500), " answered with status 500 Internal Server Error"),
        (status(503), " answered with status 503 Service Unavailable"),
        (answer("text/html", "<html>Sign in</html>"), wrong_type),
        (answer("text/html", &good), wrong_type),
        (answer("application/jwt", &good), wrong_type),
        (answer("application/json, text/html", &good), wrong_type),
        (Fault::Body(String::new()), no_json),
        (Fault::Body(good.replace('}', "")), no_json),
        (Fault::Body("<html>Sign in</html>".into()), no_json),
        (Fault::Body("null".into()), malformed),
        (Fault::Oversize(64 * 1024), no_json),
        (Fault::Oversize(64 * 1024 + 1), " the answer is too large"),
        (Fault::Oversize(8 * 1024 * 1024), " the answer is too large"),
    ]
}

/// 503 with a time to come again, and nothing that blames the caller.
fn assert_not_to_blame<B>(response: &http::Response<B>, case: &str) {
    assert_eq!(outcome(response), DOWN, "{case}");
    assert_eq!(retry_after(response), Some(1), "{case}");
    let headers = response.headers();
    assert!(!headers.contains_key(WWW_AUTHENTICATE), "{case}: {headers:?}");
    assert_eq!(headers["cache-control"], "no-store", "{case}");
    assert!(!format!("{headers:?}").contains("invalid_token"), "{case}: {headers:?}");
    assert_eq!(response.extensions().get::<AuthError>().unwrap().blame(), portcullis::Blame::Upstream);
}

#[tokio::test]
async fn whatever_an_authority_answers_a_good_token_is_never_refused() {
    let first = Scene::start().await;
    let token = first.token();
    for (fault, error) in faults() {
        let case = format!("{fault:.60?}");
        let scene = Scene::of(&first.server, |builder| builder);
        let before = scene.calls();
        scene.server.set_introspection_fault(fault);
        assert_not_to_blame(&scene.response(&token).await, &case);
        assert_eq!(scene.calls(), before + 1, "{case}: asked once, never again for the same request");
        let status = scene.opaque.status();
        let endpoint = scene.server.introspection_endpoint();
        assert_eq!(status.last_error, Some(format!("`{endpoint}`{error}")), "{case}");
        assert_eq!((status.calls, status.failures), (1, 1), "{case}");
        assert_eq!((status.in_flight, status.breaker), (0, BreakerState::Closed), "{case}");

        scene.server.set_introspection_fault(None);
        assert_eq!(scene.ask(&token).await, ACCEPTED, "{case}");
        let status = scene.opaque.status();
        assert_eq!((status.calls, status.failures, status.last_error), (2, 1, None), "{case}");
    }
}

#[tokio::test]
async fn an_authority_that_hangs_is_given_up() {
    let time = std::time::Duration::from_secs(1);
    let scene = Scene::with(|builder| builder.timeout(time)).await;
    let token = scene.token();
    scene.server.set_introspection_fault(Fault::Hang);
    let begin = Instant::now();
    assert_not_to_blame(&scene.response(&token).await, "hang");
    assert!((time..20 * time).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    assert!(scene.last_error().ends_with("did not answer in time"), "{}", scene.last_error());
    scene.server.set_introspection_fault(None);
    assert_eq!(scene.ask(&token).await, ACCEPTED);

    // A slow body is no better: the limit is for all of it, metadata included.
    let scene = Scene::of(&scene.server, |builder| builder.timeout(time));
    scene.server.set_introspection_delay(2 * time);
    assert_not_to_blame(&scene.response(&token).await, "delay");
    scene.server.set_introspection_delay(time / 4);
    assert_eq!(scene.ask(&token).await, ACCEPTED);
}

#[tokio::test]
async fn an_authority_that_is_gone_is_no_more_than_a_pause() {
    let scene = Scene::start().await;
    let (token, known) = (scene.token(), scene.token());
    assert_eq!(scene.ask(&known).await, ACCEPTED);
    scene.server.stop().await;
    assert_not_to_blame(&scene.response(&token).await, "gone");
    assert!(scene.last_error().contains("cannot be reached"), "{}", scene.last_error());
    assert_eq!(scene.ask(&known).await, ACCEPTED, "who is known does not notice");
    scene.server.restart().await;
    assert_eq!(scene.ask(&token).await, ACCEPTED);

    // The same where not even the metadata were read.
    let scene = Scene::of(&scene.server, |builder| builder);
    scene.server.stop().await;
    assert_not_to_blame(&scene.response(&token).await, "gone from the start");
    scene.server.restart().await;
    assert_eq!(scene.ask(&token).await, ACCEPTED);
}

#[tokio::test]
async fn a_client_that_does_not_know_its_limits_is_watched() {
    let script = Script::new(|builder| builder);
    let padded = |len: usize| {
        let answer = active().to_string();
        format!("{answer}{}", " ".repeat(len - answer.len()))
    };
    let generous = script.http.script.clone();
    script.says_raw(padded(64 * 1024));
    assert_eq!(script.ask("a").await, ACCEPTED);
    script.says_raw(padded(64 * 1024 + 1));
    assert_eq!(script.ask("b").await, DOWN);
    assert_eq!(generous.total(), 2);
}

#[tokio::test]
async fn failures_are_errors_in_the_log_once_a_second() {
    let (log, _guard) = Log::capture(LevelFilter::INFO);
    let script = Script::new(|builder| builder);
    // Odd tokens do not open the breaker, so that all are sent.
    script.fails(400);
    let begin = Instant::now();
    for index in 0..500 {
        assert_eq!(script.ask(&format!("token-{index}")).await, DOWN);
    }
    let seconds = usize::try_from(begin.elapsed().as_secs()).unwrap();
    assert_eq!(script.calls(), 500);
    let lines = log.take();
    let count = lines.lines().count();
    assert!((1..=seconds + 2).contains(&count), "{count} lines in {seconds} s");
    for line in lines.lines() {
        assert!(line.contains("ERROR portcullis: a token could not be introspected"), "{line}");
        assert!(line.contains("error=`https://id.example/introspect` answered with status 400"), "{line}");
        assert!(line.contains("breaker=Closed"), "{line}");
    }
    script.says(&active());
    assert_eq!(script.ask("good").await, ACCEPTED);
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn an_authority_that_refuses_our_credentials_refuses_nobody_else() {
    let server = std::sync::Arc::new(FakeAuthorizationServer::start().await);
    let wrong = portcullis::ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, "outdated");
    let scene = Scene::of_client(&server, wrong, |builder| builder);
    // The endpoint's own challenge is for us, and stays with us.
    assert_not_to_blame(&scene.response(&scene.token()).await, "our secret");
    assert_eq!(Scene::of(&server, |builder| builder).ask(&scene.token()).await, ACCEPTED);
}
