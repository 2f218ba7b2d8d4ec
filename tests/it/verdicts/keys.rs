//! Verdicts about JWTs, and the keys that brought them about: a verdict ends with its key, and with nothing else's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use portcullis::test_util::{ManualClock, ScriptedHttpClient, SigningKey};
use portcullis::{
    Algorithm, AuthFuture, AuthLayer, Authenticator, Clock, Credential, Issuer, JwtAuthenticator,
    JwtAuthenticatorBuilder, Match, Reason, RemoteKeySet, RemoteKeySetBuilder, RequestContext,
};
use serde_json::json;

use super::{ACCEPTED, Answer, refused, seconds, settle, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, key, outcome, send, token};

const JWKS: &str = "https://id.example/keys";

const DAY: Duration = seconds(24 * 3600);

/// Counts how often it is asked to judge: what it is not asked about was remembered.
#[derive(Clone)]
struct Counting {
    jwt: JwtAuthenticator,
    judged: Arc<AtomicUsize>,
}

impl Authenticator for Counting {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        self.jwt.recognizes(credential)
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        self.judged.fetch_add(1, Ordering::SeqCst);
        self.jwt.authenticate(credential, context)
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.jwt.clock()
    }
}

/// An issuer whose keys are fetched, and a layer that counts what it judges. One clock, moved by hand, for the keys.
struct Scene {
    http: ScriptedHttpClient,
    clock: ManualClock,
    keys: RemoteKeySet,
    judged: Arc<AtomicUsize>,
    layer: AuthLayer<Counting>,
}

impl Scene {
    /// Tokens are judged by the machine's clock.
    async fn new(keys: &[&Arc<SigningKey>]) -> Self {
        Self::with(keys, |keys| keys, |jwt, _| jwt).await
    }

    async fn with(
        published: &[&Arc<SigningKey>],
        keys: impl FnOnce(RemoteKeySetBuilder) -> RemoteKeySetBuilder,
        jwt: impl FnOnce(JwtAuthenticatorBuilder, &ManualClock) -> JwtAuthenticatorBuilder,
    ) -> Self {
        let (http, clock) = (ScriptedHttpClient::new(), ManualClock::now());
        let builder = RemoteKeySet::builder(JWKS).http_client(http.clone()).clock(clock.clone());
        let keys = keys(builder).build().unwrap();
        let issuer = Issuer::new(ISSUER, keys.clone());
        let jwt = jwt(JwtAuthenticator::builder(issuer, AUDIENCE), &clock).build().unwrap();
        let judged = Arc::new(AtomicUsize::new(0));
        let layer = AuthLayer::new(Counting { jwt, judged: Arc::clone(&judged) });
        let scene = Self { http, clock, keys, judged, layer };
        scene.publish(published);
        scene.keys.warm_up().await.unwrap();
        scene
    }

    fn publish(&self, keys: &[&Arc<SigningKey>]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        self.http.answer(JWKS, json!({ "keys": keys }).to_string());
    }

    /// The answer, and whether it came from memory.
    async fn ask(&self, token: &str) -> (Answer, bool) {
        let before = self.judged.load(Ordering::SeqCst);
        let answer = outcome(&send(&self.layer, bearer(token)).await);
        (answer, self.judged.load(Ordering::SeqCst) == before)
    }
}

const REMEMBERED: (Answer, bool) = (ACCEPTED, true);

const JUDGED: (Answer, bool) = (ACCEPTED, false);

fn es256() -> Arc<SigningKey> {
    key(Algorithm::ES256)
}

/// For an hour.
fn lasting(key: &Arc<SigningKey>) -> String {
    token(key).expires_in(3600).build()
}

#[tokio::test]
async fn a_refresh_of_unchanged_keys_drops_no_verdict_and_one_less_drops_its_own() {
    let [one, two, three] = [es256(), es256(), es256()];
    let scene = Scene::new(&[&one, &two]).await;
    let of = |key| [lasting(key), lasting(key)];
    let (ones, twos) = (of(&one), of(&two));
    for token in ones.iter().chain(&twos) {
        assert_eq!(scene.ask(token).await, JUDGED);
        assert_eq!(scene.ask(token).await, REMEMBERED);
    }
    for keys in [vec![&one, &two], vec![&two, &one], vec![&three, &two, &one]] {
        scene.publish(&keys);
        scene.keys.refresh().await.unwrap();
        for token in ones.iter().chain(&twos) {
            assert_eq!(scene.ask(token).await, REMEMBERED);
        }
    }
    assert_eq!(scene.keys.status().generation, 0);
    scene.publish(&[&three, &two]);
    scene.keys.refresh().await.unwrap();
    assert_eq!(scene.keys.status().generation, 1);
    for (token, other) in ones.iter().zip(&twos) {
        assert_eq!(scene.ask(token).await, (refused(Reason::KeyUnknown), false));
        assert_eq!(scene.ask(other).await, REMEMBERED);
    }
    // It comes back: what it brought about before is judged anew.
    scene.publish(&[&one, &two]);
    scene.keys.refresh().await.unwrap();
    for token in &ones {
        assert_eq!(scene.ask(token).await, JUDGED);
        assert_eq!(scene.ask(token).await, REMEMBERED);
    }
}

#[tokio::test]
async fn another_key_under_an_old_name_drops_the_verdicts_of_the_old_one() {
    let [one, two] = [es256(), es256()];
    let altered = Arc::new(SigningKey::generate(Algorithm::ES256).with_kid(one.kid()));
    let scene = Scene::new(&[&one, &two]).await;
    let (token, other) = (lasting(&one), lasting(&two));
    assert_eq!((scene.ask(&token).await, scene.ask(&other).await), (JUDGED, JUDGED));
    scene.publish(&[&altered, &two]);
    scene.keys.refresh().await.unwrap();
    assert_eq!(scene.ask(&token).await, (refused(Reason::SignatureInvalid), false));
    assert_eq!(scene.ask(&other).await, REMEMBERED);
    assert_eq!(scene.ask(&lasting(&altered)).await, JUDGED);
}

#[tokio::test]
async fn a_refresh_that_fails_drops_no_verdict() {
    let key = es256();
    let scene = Scene::new(&[&key]).await;
    let token = lasting(&key);
    assert_eq!(scene.ask(&token).await, JUDGED);
    for broken in [false, true] {
        if broken {
            scene.http.answer(JWKS, "{\"keys\":[]}");
        } else {
            scene.http.answer_status(JWKS, StatusCode::BAD_GATEWAY);
        }
        assert!(scene.keys.refresh().await.is_err());
        assert_eq!(scene.ask(&token).await, REMEMBERED);
    }
}

#[tokio::test]
async fn a_verdict_ends_with_its_token_and_in_the_leeway_it_is_judged_each_time() {
    let key = es256();
    let scene = Scene::with(&[&key], |keys| keys, |jwt, clock| jwt.clock(clock.clone())).await;
    // `iat` and `exp` are whole seconds.
    let issued = std::time::UNIX_EPOCH
        + seconds(scene.clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs());
    scene.clock.set_wall(issued);
    let token = token(&key).issued_at(issued).build();
    let millis = Duration::from_millis;
    for (later, expected) in [
        (Duration::ZERO, JUDGED),
        (Duration::ZERO, REMEMBERED),
        (millis(59_999), REMEMBERED),
        (millis(1), JUDGED),
        (Duration::ZERO, JUDGED),
        (millis(29_999), JUDGED),
        (millis(1), (refused(Reason::TokenExpired), false)),
        (Duration::ZERO, (refused(Reason::TokenExpired), false)),
    ] {
        scene.clock.advance(later);
        assert_eq!(scene.ask(&token).await, expected, "{later:?}");
    }
}

#[tokio::test]
async fn keys_are_refreshed_ahead_although_all_is_remembered() {
    for one_clock in [false, true] {
        let (key, gone) = (es256(), es256());
        let change = |jwt: JwtAuthenticatorBuilder, clock: &ManualClock| {
            if one_clock { jwt.clock(clock.clone()) } else { jwt }
        };
        let scene = Scene::with(&[&key, &gone], |keys| keys, change).await;
        let (token, other) = (lasting(&key), lasting(&gone));
        assert_eq!((scene.ask(&token).await, scene.ask(&other).await), (JUDGED, JUDGED));
        scene.publish(&[&key]);
        scene.clock.advance(seconds(479));
        assert_eq!((scene.ask(&token).await, scene.ask(&other).await), (REMEMBERED, REMEMBERED));
        settle().await;
        assert_eq!(scene.keys.status().fetches, 1);
        scene.clock.advance(seconds(1));
        // One is judged, which sets the refresh off; it delays nobody, and the others go on.
        assert_eq!(scene.ask(&token).await, JUDGED);
        settle().await;
        assert_eq!(scene.keys.status().fetches, 2);
        assert_eq!(scene.ask(&token).await, REMEMBERED);
        assert_eq!(scene.ask(&other).await, (refused(Reason::KeyUnknown), false));
    }
}

#[tokio::test]
async fn while_a_refresh_is_under_way_verdicts_are_remembered() {
    let key = es256();
    let scene = Scene::new(&[&key]).await;
    let tokens = [lasting(&key), lasting(&key)];
    for token in &tokens {
        assert_eq!(scene.ask(token).await, JUDGED);
    }
    tokio::time::pause();
    scene.http.delay(seconds(4));
    scene.clock.advance(seconds(481));
    assert_eq!(scene.ask(&tokens[0]).await, JUDGED);
    settle().await;
    for token in &tokens {
        assert_eq!(scene.ask(token).await, REMEMBERED);
    }
    assert_eq!((scene.keys.status().fetches, scene.keys.status().age), (2, Some(seconds(481))));
}

#[tokio::test]
async fn no_verdict_outlives_keys_that_are_too_old() {
    for (setting, stale_for) in
        [(None, DAY), (Some(seconds(90)), seconds(90)), (Some(Duration::ZERO), Duration::ZERO)]
    {
        let key = es256();
        let keys = |keys: RemoteKeySetBuilder| match setting {
            Some(time) => keys.stale_for(time),
            None => keys,
        };
        let scene = Scene::with(&[&key], keys, |jwt, _| jwt.max_lifetime(3 * DAY)).await;
        let token = token(&key).expires_in(2 * 24 * 3600).build();
        assert_eq!(scene.ask(&token).await, JUDGED);
        scene.http.answer_status(JWKS, StatusCode::BAD_GATEWAY);
        scene.clock.advance(seconds(600) + stale_for - Duration::from_millis(1));
        for _ in 0..3 {
            assert_eq!(scene.ask(&token).await.0, ACCEPTED);
            settle().await;
        }
        assert_eq!(scene.ask(&token).await, REMEMBERED, "in the pause after a failed refresh");
        scene.clock.advance(Duration::from_millis(1));
        assert_eq!(scene.ask(&token).await, (unavailable(Reason::KeysUnavailable), false), "{setting:?}");
        scene.publish(&[&key]);
        scene.clock.advance(seconds(4));
        assert_eq!(scene.ask(&token).await, JUDGED);
        assert_eq!(scene.ask(&token).await, REMEMBERED);
    }
}
