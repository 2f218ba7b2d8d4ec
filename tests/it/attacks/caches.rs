//! Rows 36 to 42: cached keys under rotation, floods and slow issuers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use portcullis::http_client::{HttpFuture, Limits};
use portcullis::test_util::{FakeAuthorizationServer, Fault, ManualClock, ScriptedHttpClient, SigningKey};
use portcullis::{Algorithm, AuthLayer, HttpClient, Issuer, JwtAuthenticator, Reason, RemoteKeySet};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{JWKS_URI, PASSED, answer, at_once, jwks, remote, unauthorized, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, key, outcome, send, token};

/// An HTTP client that answers only while its gate is open, and counts what it was asked.
#[derive(Clone, Debug)]
struct Gate {
    body: Arc<Mutex<Bytes>>,
    open: watch::Sender<bool>,
    calls: watch::Sender<usize>,
}

impl Gate {
    fn new(keys: impl IntoIterator<Item = Value>) -> Self {
        let body = Arc::new(Mutex::new(jwks(keys).into()));
        Self { body, open: watch::Sender::new(true), calls: watch::Sender::new(0) }
    }

    fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    async fn called(&self, times: usize) {
        self.calls.subscribe().wait_for(|calls| *calls >= times).await.unwrap();
    }
}

impl HttpClient for Gate {
    fn send(&self, _request: Request<Bytes>, _limits: Limits) -> HttpFuture {
        self.calls.send_modify(|calls| *calls += 1);
        let (mut open, body) = (self.open.subscribe(), Arc::clone(&self.body));
        Box::pin(async move {
            open.wait_for(|open| *open).await.unwrap();
            Ok(Response::new(body.lock().unwrap().clone()))
        })
    }
}

/// Everything that tests of floods need: warm keys, and a token with a kid that nobody has.
struct Flood {
    key: Arc<SigningKey>,
    gate: Gate,
    clock: ManualClock,
    layer: AuthLayer<JwtAuthenticator>,
}

impl Flood {
    async fn warm() -> Self {
        let flood = Self::cold();
        assert_eq!(answer(&flood.layer, &token(&flood.key).build()).await, PASSED);
        assert_eq!(flood.gate.calls(), 1);
        flood
    }

    fn cold() -> Self {
        let (key, clock) = (key(Algorithm::Ed25519), ManualClock::now());
        let gate = Gate::new([key.jwk()]);
        let keys = RemoteKeySet::builder(JWKS_URI).http_client(gate.clone()).clock(clock.clone());
        Self { layer: remote(ISSUER, keys), key, gate, clock }
    }

    fn unknown(&self, number: usize) -> String {
        token(&self.key).header("kid", format!("random-{number}")).build()
    }
}

#[tokio::test]
async fn row_36_a_key_that_the_issuer_removed_verifies_no_longer() {
    let (old, new, clock) = (key(Algorithm::ES256), key(Algorithm::ES256), ManualClock::now());
    let http = ScriptedHttpClient::new();
    http.answer(JWKS_URI, jwks([old.jwk(), new.jwk()]));
    let keys =
        RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).clock(clock.clone()).build().unwrap();
    let issuer = Issuer::new(ISSUER, keys.clone());
    let layer = AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap());
    assert_eq!(answer(&layer, &token(&old).build()).await, PASSED);
    assert_eq!(keys.status().generation, 0);
    for (left, old_answer) in [(vec![&old, &new], PASSED), (vec![&new], unauthorized(Reason::KeyUnknown))] {
        http.answer(JWKS_URI, jwks(left.iter().map(|key| key.jwk())));
        clock.advance(Duration::from_secs(600));
        assert_eq!(answer(&layer, &token(&old).build()).await, old_answer);
        assert_eq!(answer(&layer, &token(&new).build()).await, PASSED);
    }
    assert_eq!((keys.status().generation, http.total()), (1, 3));
    // Under the old name lies another key now.
    let altered = Arc::new(SigningKey::generate(Algorithm::ES256).with_kid(new.kid()));
    http.answer(JWKS_URI, jwks([altered.jwk()]));
    clock.advance(Duration::from_secs(600));
    assert_eq!(answer(&layer, &token(&new).build()).await, unauthorized(Reason::SignatureInvalid));
    assert_eq!(answer(&layer, &token(&altered).build()).await, PASSED);
    assert_eq!((keys.status().generation, http.total()), (2, 4));
}

#[tokio::test]
async fn row_37_a_flood_of_unknown_kids_against_a_slow_issuer() {
    let flood = Arc::new(Flood::warm().await);
    flood.gate.open.send_replace(false);
    let requests: Vec<_> = (0..300)
        .map(|number| {
            let flood = Arc::clone(&flood);
            tokio::spawn(async move { answer(&flood.layer, &flood.unknown(number)).await })
        })
        .collect();
    flood.gate.called(2).await;
    assert_eq!(answer(&flood.layer, &token(&flood.key).build()).await, PASSED, "the known key works on");
    flood.gate.open.send_replace(true);
    // One fetch for the first of them, one that was sent after all the others had come.
    for request in requests {
        assert_eq!(request.await.unwrap(), unauthorized(Reason::KeyUnknown));
    }
    assert_eq!(flood.gate.calls(), 3);
    for number in 300..400 {
        let response = send(&flood.layer, bearer(&flood.unknown(number))).await;
        assert_eq!(outcome(&response), unavailable(Reason::KeysThrottled));
        assert_eq!(response.headers()[RETRY_AFTER], "5");
    }
    assert_eq!(flood.gate.calls(), 3);
    assert_eq!(answer(&flood.layer, &token(&flood.key).build()).await, PASSED);
    // A flood that lasts costs one fetch in five seconds.
    for second in 1..=60 {
        flood.clock.advance(Duration::from_secs(1));
        for number in 0..10 {
            answer(&flood.layer, &flood.unknown(1000 * second + number)).await;
        }
    }
    assert_eq!(flood.gate.calls(), 3 + 12);
}

#[tokio::test]
async fn row_37_after_a_flood_a_rotation_is_noticed() {
    let flood = Flood::warm().await;
    for number in 0..100 {
        answer(&flood.layer, &flood.unknown(number)).await;
    }
    let new = key(Algorithm::Ed25519);
    *flood.gate.body.lock().unwrap() = jwks([new.jwk()]).into();
    assert_eq!(answer(&flood.layer, &token(&new).build()).await, unavailable(Reason::KeysThrottled));
    flood.clock.advance(Duration::from_secs(5));
    assert_eq!(answer(&flood.layer, &token(&new).build()).await, PASSED);
    assert_eq!(flood.gate.calls(), 4);
}

#[tokio::test]
async fn row_38_failures_spend_the_bucket_too() {
    let server = FakeAuthorizationServer::start().await;
    let clock = ManualClock::now();
    let keys = RemoteKeySet::builder(server.jwks_uri()).allow_http().clock(clock.clone());
    let issuer = Issuer::new(server.issuer_id(), keys.build().unwrap());
    let layer = AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap());
    assert_eq!(answer(&layer, &server.token().build()).await, PASSED);
    server.set_fault(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let unknown = |number: usize| server.token().header("kid", format!("random-{number}")).build();
    for number in 0..100 {
        let reason = if number < 2 { Reason::KeysUnavailable } else { Reason::KeysThrottled };
        assert_eq!(answer(&layer, &unknown(number)).await, unavailable(reason), "{number}");
    }
    assert_eq!(server.counts().jwks, 3);
    for second in 1..=60 {
        clock.advance(Duration::from_secs(1));
        for number in 0..5 {
            answer(&layer, &unknown(1000 * second + number)).await;
        }
    }
    assert_eq!(server.counts().jwks, 3 + 12);
    assert_eq!(answer(&layer, &server.token().build()).await, PASSED);
    // As soon as the issuer is back and the bucket allows, an unknown kid is judged again.
    server.set_fault(None);
    clock.advance(Duration::from_secs(5));
    assert_eq!(answer(&layer, &unknown(0)).await, unauthorized(Reason::KeyUnknown));
}

#[tokio::test]
async fn row_38_without_any_keys_retries_slow_down() {
    let (signer, clock, http) = (key(Algorithm::ES256), ManualClock::now(), ScriptedHttpClient::new());
    http.answer_status(JWKS_URI, StatusCode::BAD_GATEWAY);
    let layer =
        remote(ISSUER, RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).clock(clock.clone()));
    let mut asked_after = Vec::new();
    for second in 0..=30 {
        let before = http.total();
        for _ in 0..10 {
            let answer = answer(&layer, &token(&signer).build()).await;
            assert_eq!(answer, unavailable(Reason::KeysUnavailable));
        }
        assert!(http.total() <= before + 1);
        if http.total() > before {
            asked_after.push(second);
        }
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(asked_after, [0, 1, 3, 7, 11, 15, 19, 23, 27]);
    http.answer(JWKS_URI, jwks([signer.jwk()]));
    assert_eq!(answer(&layer, &token(&signer).build()).await, PASSED);
}

#[tokio::test]
async fn row_39_the_number_of_those_who_wait_is_bounded() {
    let flood = Flood::cold();
    flood.gate.open.send_replace(false);
    let good = token(&flood.key).build();
    let mut waiting: Vec<_> = (0..1000).map(|_| Box::pin(answer(&flood.layer, &good))).collect();
    for request in &mut waiting {
        assert_eq!(at_once(request.as_mut()), None);
    }
    assert_eq!(at_once(answer(&flood.layer, &good)), Some(unavailable(Reason::WaitersExceeded)));
    // Whoever goes away makes room.
    drop(waiting.pop());
    waiting.push(Box::pin(answer(&flood.layer, &good)));
    assert_eq!(at_once(waiting.last_mut().unwrap().as_mut()), None);
    flood.gate.open.send_replace(true);
    for request in waiting {
        assert_eq!(request.await, PASSED);
    }
    assert_eq!(flood.gate.calls(), 1);
}

#[tokio::test]
async fn row_41_a_known_kid_never_waits_for_a_slow_issuer() {
    let flood = Flood::warm().await;
    flood.gate.open.send_replace(false);
    let known = || at_once(answer(&flood.layer, &token(&flood.key).build()));
    let rotated = flood.unknown(0);
    let mut waiting = Box::pin(answer(&flood.layer, &rotated));
    assert_eq!(at_once(waiting.as_mut()), None);
    flood.gate.called(2).await;
    assert_eq!(known(), Some(PASSED), "while another request waits");
    flood.gate.open.send_replace(true);
    assert_eq!(waiting.await, unauthorized(Reason::KeyUnknown));

    flood.gate.open.send_replace(false);
    for (seconds, why) in [(597, "while they are refreshed ahead"), (4, "after they ran out")] {
        flood.clock.advance(Duration::from_secs(seconds));
        assert_eq!(known(), Some(PASSED), "{why}");
        flood.gate.called(3).await;
    }
    assert_eq!(flood.gate.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn row_41_who_must_wait_is_let_go_in_time() {
    let signer = key(Algorithm::ES256);
    for (limit, open, expected) in [
        (Duration::from_millis(50), false, unavailable(Reason::KeysUnavailable)),
        (Duration::from_millis(50), true, PASSED),
    ] {
        let gate = Gate::new([signer.jwk()]);
        gate.open.send_replace(open);
        let layer = remote(ISSUER, RemoteKeySet::builder(JWKS_URI).http_client(gate.clone()).timeout(limit));
        assert_eq!(answer(&layer, &token(&signer).build()).await, expected);
        assert_eq!(gate.calls(), 1);
    }
}

#[tokio::test]
async fn row_42_a_fetch_survives_the_caller_who_caused_it() {
    let flood = Flood::cold();
    flood.gate.open.send_replace(false);
    let good = token(&flood.key).build();
    let mut first = Box::pin(answer(&flood.layer, &good));
    let mut second = Box::pin(answer(&flood.layer, &good));
    assert_eq!((at_once(first.as_mut()), at_once(second.as_mut())), (None, None));
    flood.gate.called(1).await;
    drop(first);
    flood.gate.open.send_replace(true);
    assert_eq!(second.await, PASSED);
    assert_eq!(flood.gate.calls(), 1);
}

#[tokio::test]
async fn row_42_a_fetch_lands_even_if_nobody_is_left() {
    let flood = Flood::cold();
    flood.gate.open.send_replace(false);
    let good = token(&flood.key).build();
    let mut only = Box::pin(answer(&flood.layer, &good));
    assert_eq!(at_once(only.as_mut()), None);
    flood.gate.called(1).await;
    drop(only);
    flood.gate.open.send_replace(true);
    assert_eq!(answer(&flood.layer, &good).await, PASSED);
    assert_eq!(flood.gate.calls(), 1);
}

#[tokio::test]
async fn row_44_keys_are_fetched_and_parsed_once_for_many_requests() {
    let flood = Flood::warm().await;
    for _ in 0..1000 {
        let good = token(&flood.key).build();
        assert_eq!(at_once(answer(&flood.layer, &good)), Some(PASSED));
    }
    for other in [json!("x"), json!("y")] {
        let forged = token(&flood.key).claim("sub", other).forged_by(&key(Algorithm::Ed25519)).build();
        let refused = at_once(answer(&flood.layer, &forged));
        assert_eq!(refused, Some(unauthorized(Reason::SignatureInvalid)), "a bad signature asks nobody");
    }
    assert_eq!(flood.gate.calls(), 1);
}
