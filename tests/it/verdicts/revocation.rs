//! What is called back is refused on the very next request, whatever is cached.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Request;
use http_body_util::Full;
use portcullis::test_util::ManualClock;
use portcullis::{
    Algorithm, AuthLayer, Authenticator, Clock as _, JwtAuthenticator, Mark, MemoryRevocations, Reason,
    Revocations,
};
use serde_json::{Value, json};

use super::{ACCEPTED, Answer, Authority, guarded, introspection, refused, seconds};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, key, outcome, send, token};

const REVOKED: Answer = refused(Reason::TokenRevoked);

/// A layer with a list, for tokens of one kind.
struct Scene {
    kind: &'static str,
    clock: ManualClock,
    list: MemoryRevocations,
    bare: AuthLayer<Box<dyn Authenticator>>,
    layer: AuthLayer<Box<dyn Authenticator>>,
    issue: Box<dyn Fn(&Value) -> String>,
    authority: Authority,
}

impl Scene {
    /// For JWTs, and for opaque tokens.
    fn both() -> [Self; 2] {
        let (clock, key) = (ManualClock::now(), key(Algorithm::Ed25519));
        let jwt = JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE).clock(clock.clone()).build();
        let issue = move |claims: &Value| {
            let members = claims.as_object().unwrap().iter();
            members.fold(token(&key).without("iat"), |token, (name, value)| token.claim(name, value.clone()))
        };
        let jwts =
            Self::new("jwt", clock.clone(), Box::new(jwt.unwrap()), move |claims, _| issue(claims).build());
        let authority = Authority::default();
        let opaque = introspection(authority.clone()).clock(clock.clone()).build().unwrap();
        let answers = authority.clone();
        let mut opaques = Self::new("opaque", clock, Box::new(opaque), move |claims, number| {
            let (mut answer, token) = (super::active("ann"), format!("opaque-{number}"));
            answer.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
            answers.answer(&token, answer);
            token
        });
        opaques.authority = authority;
        [jwts, opaques]
    }

    fn new(
        kind: &'static str,
        clock: ManualClock,
        authenticator: Box<dyn Authenticator>,
        issue: impl Fn(&Value, usize) -> String + 'static,
    ) -> Self {
        let list = MemoryRevocations::new(seconds(3600)).clock(clock.clone());
        let bare = AuthLayer::new(authenticator);
        let issued = std::cell::Cell::new(0);
        let issue = move |claims: &Value| {
            issued.set(issued.get() + 1);
            issue(claims, issued.get())
        };
        let (layer, issue) = (bare.clone().revocations(list.clone()), Box::new(issue));
        Self { kind, clock, list, bare, layer, issue, authority: Authority::default() }
    }

    /// A token of ann and the app, with these claims besides.
    fn token(&self, claims: Value) -> String {
        (self.issue)(&claims)
    }

    async fn ask(&self, token: &str) -> Answer {
        outcome(&send(&self.layer, bearer(token)).await)
    }
}

/// Seconds since the epoch.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn whatever_names_a_token_calls_it_back_and_no_other() {
    type Marks = fn(&str) -> Mark;
    let rows: [(&str, Marks, Value, Value); 5] = [
        ("token", Mark::token, json!({}), json!({})),
        ("jti", |_| Mark::jti(ISSUER, "j1"), json!({"jti": "j1"}), json!({"jti": "j2"})),
        ("sid", |_| Mark::session(ISSUER, "s1"), json!({"sid": "s1"}), json!({"sid": "s2"})),
        ("sub", |_| Mark::subject(ISSUER, "bob"), json!({"sub": "bob"}), json!({"sub": "ann"})),
        ("client", |_| Mark::client(ISSUER, "x"), json!({"client_id": "x"}), json!({"client_id": "y"})),
    ];
    for scene in Scene::both() {
        for (name, mark, claims, others) in &rows {
            let case = format!("{} {name}", scene.kind);
            let [known, unknown] = [(); 2].map(|()| scene.token(claims.clone()));
            let other = scene.token(others.clone());
            assert_eq!(scene.ask(&known).await, ACCEPTED, "{case}");
            assert_eq!(scene.ask(&other).await, ACCEPTED, "{case}");
            for token in [&known, &unknown] {
                scene.list.revoke(mark(token)).unwrap();
                assert_eq!(scene.ask(token).await, REVOKED, "{case}");
                assert_eq!(scene.ask(token).await, REVOKED, "{case}: and from then on");
            }
            assert_eq!(scene.ask(&other).await, ACCEPTED, "{case}");
            assert_eq!(scene.ask(&scene.token(others.clone())).await, ACCEPTED, "{case}");
        }
    }
}

#[tokio::test]
async fn what_was_issued_before_a_time_is_called_back() {
    for scene in Scene::both() {
        let time = UNIX_EPOCH + seconds(unix(scene.clock.now()));
        let at = |after: i64| json!({"iat": unix(time).checked_add_signed(after).unwrap()});
        let rows = [
            (at(-1000), REVOKED),
            (at(-1), REVOKED),
            (json!({"iat": (unix(time) as f64) - 0.5}), REVOKED),
            (json!({}), REVOKED),
            (at(0), ACCEPTED),
            (at(1), ACCEPTED),
        ];
        for mark in [Mark::subject(ISSUER, "ann"), Mark::client(ISSUER, "app")] {
            let list = MemoryRevocations::new(seconds(3600)).clock(scene.clock.clone());
            let layer = scene.bare.clone().revocations(list.clone());
            let ask = async |token: &str| outcome(&send(&layer, bearer(token)).await);
            let tokens =
                rows.clone().map(|(claims, expected)| (scene.token(claims.clone()), claims, expected));
            for (token, claims, _) in &tokens {
                assert_eq!(ask(token).await, ACCEPTED, "{} {claims}", scene.kind);
            }
            list.revoke_before(mark, time).unwrap();
            for (token, claims, expected) in &tokens {
                assert_eq!(ask(token).await, *expected, "{} {claims}, known", scene.kind);
                let unknown = scene.token(claims.clone());
                assert_eq!(ask(&unknown).await, *expected, "{} {claims}, unknown", scene.kind);
            }
        }
    }
}

#[tokio::test]
async fn equal_names_of_others_are_somebody_else() {
    for scene in Scene::both() {
        let token = scene.token(json!({"jti": "1", "sid": "1"}));
        for elsewhere in ["https://other.example", "", "jwt", "introspection", "https://id.example/"] {
            for mark in [
                Mark::subject(elsewhere, "ann"),
                Mark::client(elsewhere, "app"),
                Mark::jti(elsewhere, "1"),
                Mark::session(elsewhere, "1"),
            ] {
                scene.list.revoke(mark).unwrap();
            }
        }
        for mark in [
            Mark::subject(ISSUER, "app"),
            Mark::client(ISSUER, "ann"),
            Mark::session(ISSUER, "ann"),
            Mark::token("ann"),
        ] {
            scene.list.revoke(mark).unwrap();
        }
        assert_eq!(scene.ask(&token).await, ACCEPTED, "{}", scene.kind);
        scene.list.revoke(Mark::subject(ISSUER, "ann")).unwrap();
        assert_eq!(scene.ask(&token).await, REVOKED, "{}", scene.kind);
    }
}

#[tokio::test]
async fn an_optional_layer_and_a_guard_know_it_too() {
    for scene in Scene::both() {
        let optional = scene.layer.clone().optional();
        let (token, other) = (scene.token(json!({"jti": "1"})), scene.token(json!({"jti": "2"})));
        assert_eq!(outcome(&send(&optional, bearer(&token)).await), ACCEPTED);
        scene.list.revoke(Mark::jti(ISSUER, "1")).unwrap();
        assert_eq!(outcome(&send(&optional, bearer(&token)).await), REVOKED, "{}", scene.kind);
        assert_eq!(outcome(&guarded(&optional, Duration::ZERO, bearer(&token)).await), REVOKED);
        assert_eq!(outcome(&send(&optional, bearer(&other)).await), ACCEPTED);
        assert_eq!(outcome(&send(&optional, Request::new(Full::default())).await), ACCEPTED);
    }
}

#[tokio::test]
async fn what_is_called_back_while_its_call_is_under_way_is_refused() {
    let [_, scene] = Scene::both();
    for (number, revoked) in [("1", true), ("2", false)] {
        let token = scene.token(json!({"jti": number}));
        let gate = scene.authority.gate();
        let calls = scene.authority.calls();
        let meanwhile = async {
            super::settle().await;
            assert_eq!(scene.authority.calls(), calls + 1);
            scene.list.revoke(Mark::jti(ISSUER, "1")).unwrap();
            drop(gate);
        };
        let (answer, ()) = tokio::join!(scene.ask(&token), meanwhile);
        assert_eq!(answer, if revoked { REVOKED } else { ACCEPTED });
    }
}

#[tokio::test]
async fn clones_with_a_list_and_without_share_verdicts_and_not_the_list() {
    for scene in Scene::both() {
        for first_without in [true, false] {
            let token = scene.token(json!({"jti": "1"}));
            let list = MemoryRevocations::new(seconds(3600)).clock(scene.clock.clone());
            let (with, without) = (scene.bare.clone().revocations(list.clone()), &scene.bare);
            let order = if first_without { [without, &with] } else { [&with, without] };
            for layer in order {
                assert_eq!(outcome(&send(layer, bearer(&token)).await), ACCEPTED);
            }
            list.revoke(Mark::jti(ISSUER, "1")).unwrap();
            for _ in 0..2 {
                assert_eq!(outcome(&send(&with, bearer(&token)).await), REVOKED, "{}", scene.kind);
                assert_eq!(outcome(&send(without, bearer(&token)).await), ACCEPTED, "{}", scene.kind);
            }
        }
    }
}

#[tokio::test]
async fn a_list_of_the_application_s_own_is_asked_about_every_mark() {
    struct Breach(SystemTime);
    impl Revocations for Breach {
        fn is_revoked(&self, mark: &Mark, issued_at: Option<SystemTime>) -> bool {
            *mark == Mark::session(ISSUER, "s1") || issued_at.is_none_or(|time| time < self.0)
        }
    }
    for scene in Scene::both() {
        let now = unix(scene.clock.now());
        let layer = scene.bare.clone().revocations(Breach(UNIX_EPOCH + seconds(now)));
        for (claims, expected) in [
            (json!({"iat": now}), ACCEPTED),
            (json!({"iat": now - 1}), REVOKED),
            (json!({}), REVOKED),
            (json!({"iat": now, "sid": "s1"}), REVOKED),
            (json!({"iat": now, "sid": "s2"}), ACCEPTED),
        ] {
            let token = scene.token(claims.clone());
            assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected, "{} {claims}", scene.kind);
        }
    }
}
