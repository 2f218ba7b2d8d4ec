//! Rows 39 to 44: floods, and an authority that takes its time.

use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::RETRY_AFTER;
use portcullis::test_util::{FakeAuthorizationServer, Fault, ManualClock};
use portcullis::{Algorithm, AuthLayer, BreakerState, ClientAuth, IntrospectionAuthenticator, Reason};
use tokio::io::AsyncWriteExt as _;

use super::{CLOSED, active, ask, asking_about, over_a_socket};
use crate::attacks::{PASSED, at_once, unauthorized, unavailable};
use crate::support::{AUDIENCE, bearer, issuer_of, key, outcome, send};

/// A sixth of what refusals have by default, which is enough for some four thousand.
const ROOM: u64 = 4 * 1024 * 1024 / 6;
const GARBAGE: usize = 5_000;

#[tokio::test]
async fn rows_39_and_40_a_flood_of_garbage_is_forgotten_and_drives_no_good_verdict_out() {
    // Time stands still, however long this takes: no verdict ends by itself.
    let (opaque, http) = asking_about(active(), |builder| builder.clock(ManualClock::now()));
    let layer = AuthLayer::new(opaque).refusal_cache(ROOM);
    assert_eq!(ask(&layer, "good").await, PASSED);
    for number in 0..GARBAGE {
        let answer = ask(&layer, &format!("garbage-{number}")).await;
        assert_eq!(answer, unauthorized(Reason::TokenInactive));
    }
    assert_eq!(http.total(), 1 + GARBAGE);
    // Most of the refusals are remembered, whichever they are, and some are not.
    for number in (0..GARBAGE).step_by(5) {
        ask(&layer, &format!("garbage-{number}")).await;
    }
    let forgotten = http.total() - 1 - GARBAGE;
    assert!((80..=500).contains(&forgotten), "{forgotten} of a thousand were forgotten");
    assert_eq!(at_once(ask(&layer, "good")), Some(PASSED), "without a question");
}

#[tokio::test]
async fn row_41_a_known_token_never_waits_for_a_slow_authority() {
    let server = FakeAuthorizationServer::start().await;
    let layer = AuthLayer::new(over_a_socket(&server).build().unwrap());
    let (known, new) = (server.opaque_token(server.token()), server.opaque_token(server.token()));
    assert_eq!(ask(&layer, &known).await, PASSED);
    let gate = server.hold_introspection();
    let waiting = tokio::spawn({
        let layer = layer.clone();
        async move { ask(&layer, &new).await }
    });
    gate.waiting(1).await;
    assert_eq!(at_once(ask(&layer, &known)), Some(PASSED), "while another request waits");
    gate.open();
    assert_eq!(waiting.await.unwrap(), PASSED);
}

#[tokio::test]
async fn row_41_who_must_wait_for_an_authority_is_let_go_in_time() {
    let server = FakeAuthorizationServer::start().await;
    let opaque = over_a_socket(&server).timeout(Duration::from_secs(1)).build().unwrap();
    let layer = AuthLayer::new(opaque);
    // The metadata is read first; that takes its time too.
    assert_eq!(ask(&layer, "unheard-of").await, unauthorized(Reason::TokenInactive));
    let gate = server.hold_introspection();
    let (first, second) = (server.opaque_token(server.token()), server.opaque_token(server.token()));
    let began = Instant::now();
    let refused = send(&layer, bearer(&first)).await;
    assert_eq!(outcome(&refused), CLOSED);
    assert!(refused.headers().contains_key(RETRY_AFTER) && began.elapsed() < Duration::from_secs(20));
    gate.open();
    assert_eq!(ask(&layer, &second).await, PASSED);
    assert_eq!(ask(&layer, &first).await, PASSED, "and nothing is held against the other");
}

#[tokio::test]
async fn row_41_while_one_finds_out_whether_it_is_back_nobody_else_waits() {
    // With one place left, and with none: all others are taken by calls that hang.
    for hanging in [62, 63] {
        let (server, clock) = (FakeAuthorizationServer::start().await, ManualClock::now());
        let opaque = over_a_socket(&server).timeout(Duration::from_secs(60)).clock(clock.clone());
        let opaque = opaque.build().unwrap();
        let layer = AuthLayer::new(opaque.clone());
        let spawn = |token: String| {
            let layer = layer.clone();
            tokio::spawn(async move { ask(&layer, &token).await })
        };
        let gate = server.hold_introspection();
        let held: Vec<_> = (0..hanging).map(|number| spawn(format!("held-{number}"))).collect();
        gate.waiting(hanging).await;
        server.hold_introspection().open();
        server.set_introspection_fault(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
        for number in 0..5 {
            assert_eq!(ask(&layer, &format!("failed-{number}")).await, CLOSED);
        }
        assert_eq!(opaque.status().breaker, BreakerState::Open);

        let probe_gate = server.hold_introspection();
        clock.advance(Duration::from_secs(1));
        let probe = spawn("probe".to_owned());
        probe_gate.waiting(1).await;
        let other = tokio::time::timeout(Duration::from_secs(30), ask(&layer, "other")).await;
        assert_eq!(other.ok(), Some(unavailable(Reason::AuthorityPaused)), "beside {hanging}");
        probe_gate.open();
        assert_eq!(probe.await.unwrap(), CLOSED);
        gate.open();
        for request in held {
            assert_eq!(request.await.unwrap(), unauthorized(Reason::TokenInactive));
        }
    }
}

#[tokio::test]
async fn row_37_a_question_that_is_refused_costs_no_second_one() {
    // Who may have moved is looked for again; who finds fault with the token has not.
    for (status, readings) in [(404, 4), (400, 1)] {
        let server = FakeAuthorizationServer::start().await;
        let layer = AuthLayer::new(over_a_socket(&server).build().unwrap());
        server.set_introspection_fault(Fault::Status(StatusCode::from_u16(status).unwrap()));
        for number in 0..4 {
            assert_eq!(ask(&layer, &format!("refused-{number}")).await, CLOSED);
        }
        assert_eq!(server.counts().introspection, 4);
        assert_eq!(server.counts().discovery, readings, "{status}");
    }
}

#[tokio::test]
async fn row_42_a_question_survives_the_caller_who_caused_it() {
    let server = FakeAuthorizationServer::start().await;
    let layer = AuthLayer::new(over_a_socket(&server).build().unwrap());
    let good = server.opaque_token(server.token());
    let gate = server.hold_introspection();
    let mut first = Box::pin(ask(&layer, &good));
    let mut second = Box::pin(ask(&layer, &good));
    assert_eq!((at_once(first.as_mut()), at_once(second.as_mut())), (None, None));
    gate.waiting(1).await;
    drop(first);
    gate.open();
    assert_eq!(second.await, PASSED);
    assert_eq!(server.counts().introspection, 1);
}

/// A server that answers each connection with these parts, one after the other, and this much time between them.
async fn dripping(parts: Vec<Vec<u8>>, pause: Duration) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let parts = parts.clone();
            tokio::spawn(async move {
                // Whoever gave up meanwhile has closed the connection.
                for part in parts {
                    if stream.write_all(&part).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn row_44_an_answer_that_drips_is_given_up_as_a_whole() {
    let body = active().to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let whole = format!("{head}{body}");
    let bytes = whole.bytes().map(|byte| vec![byte]).collect();
    for (parts, expected) in [(bytes, CLOSED), (vec![whole.into_bytes()], PASSED)] {
        let url = dripping(parts, Duration::from_millis(100)).await;
        let issuer = issuer_of(&[&key(Algorithm::ES256)]);
        let opaque = IntrospectionAuthenticator::builder(issuer, ClientAuth::basic("a", "b")).allow_http();
        let opaque = opaque.endpoint(url).audience(AUDIENCE).timeout(Duration::from_secs(1));
        let began = Instant::now();
        assert_eq!(ask(&AuthLayer::new(opaque.build().unwrap()), "good").await, expected);
        assert!(began.elapsed() < Duration::from_secs(20));
    }
}
