//! What falls between two steps: a landing between two looks, a revocation beside a call, a clock that jumps in line.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use http::Request;
use portcullis::test_util::{ManualClock, ScriptedHttpClient};
use portcullis::{
    Algorithm, AuthFuture, AuthLayer, Authenticator, Clock as _, Credential, Issuer, JwtAuthenticator, Mark,
    Match, MemoryRevocations, Principal, Reason, RemoteKeySet, RequestContext, Revocations, Verdict,
};
use serde_json::{Value, json};

use super::{ACCEPTED, Answer, Authority, Scene, active, guarded, introspection, refused, seconds};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, key, outcome, send, token};

const ZERO: Duration = Duration::ZERO;

const REVOKED: Answer = refused(Reason::TokenRevoked);

/// Holds its first caller up before it has been judged. Counts the calls that were made of its work.
#[derive(Clone)]
struct HeldUp {
    entered: mpsc::Sender<()>,
    go_on: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
    calls: Arc<AtomicUsize>,
}

impl Authenticator for HeldUp {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, _: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        let first = self.go_on.lock().unwrap().take();
        if let Some(go_on) = first {
            self.entered.send(()).unwrap();
            go_on.recv().unwrap();
        }
        let calls = Arc::clone(&self.calls);
        AuthFuture::shared(seconds(5), async move {
            calls.fetch_add(1, Ordering::SeqCst);
            let hour = portcullis::SystemClock.now() + seconds(3600);
            Ok(Verdict::until(Principal::builder("held up").build(), hour))
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_lands_while_another_is_about_to_be_made_spares_it() {
    let (entered, has_entered) = mpsc::channel();
    let (send_on, go_on) = mpsc::channel();
    let calls = Arc::new(AtomicUsize::new(0));
    let authenticator =
        HeldUp { entered, go_on: Arc::new(Mutex::new(Some(go_on))), calls: Arc::clone(&calls) };
    let layer = AuthLayer::new(authenticator);
    let (layer_of_slow, request) = (layer.clone(), bearer("a"));
    let slow = tokio::spawn(async move { outcome(&send(&layer_of_slow, request).await) });
    tokio::task::block_in_place(|| has_entered.recv().unwrap());
    assert_eq!(outcome(&send(&layer, bearer("a")).await), ACCEPTED);
    send_on.send(()).unwrap();
    assert_eq!(slow.await.unwrap(), ACCEPTED);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_has_a_list_does_not_take_the_word_of_a_call_that_was_made_without() {
    for revoked in [true, false] {
        let scene = Scene::new();
        let list = MemoryRevocations::new(seconds(3600));
        if revoked {
            list.revoke(Mark::subject(ISSUER, "a")).unwrap();
        }
        let with_list = Scene { layer: scene.layer.clone().revocations(list), ..Scene::new() };
        let gate = scene.authority.gate();
        let without = scene.start(None, "a").await;
        let with = with_list.start(None, "a").await;
        assert!(!with.is_finished());
        drop(gate);
        assert_eq!(without.await.unwrap(), ACCEPTED);
        assert_eq!(with.await.unwrap(), if revoked { REVOKED } else { ACCEPTED });
    }
}

/// Holds its first look-up of a client up when it has looked already.
struct Hesitant {
    revoked: Arc<AtomicBool>,
    entered: mpsc::Sender<()>,
    go_on: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Revocations for Hesitant {
    fn is_revoked(&self, mark: &Mark, _: Option<SystemTime>) -> bool {
        let revoked = self.revoked.load(Ordering::SeqCst);
        let is_last = *mark == Mark::client(ISSUER, "app");
        // The lock is not held while it waits.
        let held_up = if is_last { self.go_on.lock().unwrap().take() } else { None };
        if let Some(go_on) = held_up {
            self.entered.send(()).unwrap();
            go_on.recv().unwrap();
        }
        revoked
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_comes_after_a_revocation_does_not_profit_from_a_call_that_looked_before() {
    for revoke in [true, false] {
        let (entered, has_entered) = mpsc::channel();
        let (send_on, go_on) = mpsc::channel();
        let revoked = Arc::new(AtomicBool::new(false));
        let list = Hesitant { revoked: Arc::clone(&revoked), entered, go_on: Mutex::new(Some(go_on)) };
        let layer = AuthLayer::new(introspection(Authority::default()).build().unwrap()).revocations(list);
        let start = || {
            let (layer, request) = (layer.clone(), bearer("a"));
            tokio::spawn(async move { outcome(&send(&layer, request).await) })
        };
        let before = start();
        tokio::task::block_in_place(|| has_entered.recv().unwrap());
        revoked.store(revoke, Ordering::SeqCst);
        let after = start();
        assert_eq!(after.await.unwrap(), if revoke { REVOKED } else { ACCEPTED });
        send_on.send(()).unwrap();
        let _ = before.await.unwrap();
    }
}

/// What a claim may be, if nobody looks.
fn odd() -> [Value; 6] {
    [json!("usual"), json!(null), json!(7), json!(["x"]), json!({"x": 1}), json!(true)]
}

#[tokio::test]
async fn one_claim_of_an_odd_kind_hides_no_other_claim_of_an_opaque_token_from_revocation() {
    let scene = Scene::new();
    let list = MemoryRevocations::new(seconds(3600));
    list.revoke(Mark::jti(ISSUER, "revoked")).unwrap();
    list.revoke(Mark::session(ISSUER, "revoked")).unwrap();
    let layer = scene.layer.clone().revocations(list);
    for (named, other) in [("jti", "sid"), ("sid", "jti")] {
        for odd in odd() {
            for (name, expected) in [("revoked", REVOKED), ("another", ACCEPTED)] {
                let mut answer = active("a");
                (answer[named], answer[other]) = (name.into(), odd.clone());
                let token = format!("token-{}", scene.calls());
                scene.authority.answer(&token, answer);
                let case = format!("{named}: {name}, {other}: {odd}");
                assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn one_claim_of_an_odd_kind_hides_no_other_claim_of_a_jwt_from_revocation() {
    let key = key(Algorithm::Ed25519);
    let jwt = JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE).build().unwrap();
    let list = MemoryRevocations::new(seconds(3600));
    list.revoke(Mark::jti(ISSUER, "revoked")).unwrap();
    let layer = AuthLayer::new(jwt).revocations(list);
    for odd in odd() {
        for (name, expected) in [("revoked", REVOKED), ("another", ACCEPTED)] {
            let token = token(&key).claim("jti", name).claim("sid", odd.clone()).build();
            assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected, "{name}, sid: {odd}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_depends_on_the_request_is_not_used_for_another() {
    let by_path = |request: &RequestContext<'_>| vec![("path".into(), request.original_uri().path().into())];
    let http = ScriptedHttpClient::new();
    http.answer_by(super::ENDPOINT, |request| {
        let form = std::str::from_utf8(request.body()).unwrap();
        let answer = if form.contains("secret") { json!({"active": false}) } else { active("a") };
        let response = http::Response::builder().header("content-type", "application/json");
        Ok(response.body(answer.to_string().into()).unwrap())
    });
    let layer = AuthLayer::new(introspection(http).with_context(by_path).build().unwrap());
    let ask = async |path: &str| {
        let mut request: Request<_> = bearer("a");
        *request.uri_mut() = path.parse().unwrap();
        outcome(&send(&layer, request).await)
    };
    assert_eq!(ask("/open").await, ACCEPTED);
    assert_eq!(ask("/secret").await, refused(Reason::TokenInactive));
    assert_eq!(ask("/open").await, ACCEPTED);
}

/// Other routes go on without asking, also while a guard waits for the authority.
#[tokio::test]
async fn a_jwt_on_a_plain_route_does_not_wait_for_a_guard_s_call() {
    // After 480 seconds the keys are due for a refresh, so that what is remembered is judged anew.
    for later in [477, 479] {
        let (key, clock, authority) = (key(Algorithm::ES256), ManualClock::now(), Authority::default());
        let http = ScriptedHttpClient::new();
        http.answer("https://id.example/keys", json!({ "keys": [key.jwk()] }).to_string());
        let keys = RemoteKeySet::builder("https://id.example/keys").http_client(http).clock(clock.clone());
        let keys = keys.build().unwrap();
        keys.warm_up().await.unwrap();
        let opaque = introspection(authority.clone()).clock(clock.clone()).build().unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).clock(clock.clone());
        let layer = AuthLayer::new(jwt.with_introspection(opaque).build().unwrap());
        let token = token(&key).expires_in(3600).build();
        authority.answer(&token, active("ann"));
        clock.advance(seconds(later));
        assert_eq!(outcome(&send(&layer, bearer(&token)).await), ACCEPTED);
        let gate = authority.gate();
        let (layer_of_guard, request) = (layer.clone(), bearer(&token));
        let waits = tokio::spawn(async move { outcome(&guarded(&layer_of_guard, ZERO, request).await) });
        super::settle().await;
        assert!(authority.calls() == 1 && !waits.is_finished());
        clock.advance(seconds(2));
        let mut plain = tokio_test::task::spawn(send(&layer, bearer(&token)));
        assert!(plain.poll().is_ready(), "it waits after {later} seconds and two");
        drop(gate);
        assert_eq!(waits.await.unwrap(), ACCEPTED);
    }
}
