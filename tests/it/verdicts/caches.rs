//! Attacks that caches of verdicts have fallen to. Each test names the row of the catalogue that it stands for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::handler::Handler as _;
use axum::routing::get;
use http::{HeaderName, Request, StatusCode};
use http_body_util::Full;
use portcullis::{
    Algorithm, AuthError, AuthFuture, AuthLayer, Authenticator, Clock as _, Credential, JwtAuthenticator,
    Match, Presentation, Principal, Reason, RequestContext, ScopeSet, Verdict, require_scopes,
};

use super::{ACCEPTED, Authority, Scene, active, guarded, introspection, refused, seconds};
use crate::stub::{ask, request};
use crate::support::{AUDIENCE, bearer, issuer_of, key, outcome, send, token};

/// Accepts in one place whatever it is given, as somebody of its own, for an hour; elsewhere refuses it for as long.
struct Place {
    presentation: Presentation,
    name: Option<&'static str>,
    judged: Arc<AtomicUsize>,
}

impl Place {
    fn new(presentation: Presentation, name: impl Into<Option<&'static str>>) -> Self {
        Self { presentation, name: name.into(), judged: Arc::default() }
    }
}

impl Authenticator for Place {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, _: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        self.judged.fetch_add(1, Ordering::SeqCst);
        let hour = portcullis::SystemClock.now() + seconds(3600);
        AuthFuture::ready(match self.name {
            Some(name) => {
                let scopes = ScopeSet::parse(name).unwrap();
                Ok(Verdict::until(Principal::builder("place").subject(name).scopes(scopes).build(), hour))
            }
            None => Err(AuthError::invalid_token("elsewhere").until(hour)),
        })
    }

    fn presentations(&self) -> Vec<Presentation> {
        vec![self.presentation.clone()]
    }
}

fn api_key() -> Presentation {
    Presentation::header(HeaderName::from_static("x-api-key"), "ApiKey")
}

#[tokio::test]
async fn row_31_every_route_judges_what_was_remembered_by_its_own_policy() {
    let bearer = Place::new(Presentation::BEARER, "read");
    let judged = Arc::clone(&bearer.judged);
    let router = Router::new()
        .route("/read", get((async || "").layer(require_scopes(["read"]))))
        .route("/write", get((async || "").layer(require_scopes(["write"]))))
        .layer(AuthLayer::new(bearer));
    for _ in 0..3 {
        assert_eq!(ask(&router, "GET /read", "a").await.status(), StatusCode::OK);
        assert_eq!(ask(&router, "GET /write", "a").await.status(), StatusCode::FORBIDDEN);
    }
    assert_eq!(judged.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn row_32_the_same_text_in_another_place_is_another_credential() {
    let rows = [(Some("ann"), Some("bob")), (Some("ann"), None), (None, Some("bob"))];
    for (by_bearer, by_key) in rows {
        for key_first in [false, true] {
            let (one, other) = (Place::new(Presentation::BEARER, by_bearer), Place::new(api_key(), by_key));
            let judged = [Arc::clone(&one.judged), Arc::clone(&other.judged)];
            let layer = AuthLayer::new(one.or(other));
            let mut places = [("authorization", "Bearer same", by_bearer), ("x-api-key", "same", by_key)];
            if key_first {
                places.reverse();
            }
            for _ in 0..2 {
                for (name, value, expected) in places {
                    let response = send(&layer, request(&[(name, value)], Full::default())).await;
                    let caller = response.extensions().get::<Principal>().and_then(Principal::subject);
                    assert_eq!(caller, expected, "{name}");
                    assert_eq!(response.status() == StatusCode::OK, expected.is_some(), "{name}");
                }
            }
            assert_eq!(judged.map(|judged| judged.load(Ordering::SeqCst)), [1, 1], "each is remembered");
        }
    }
}

#[tokio::test]
async fn row_32_a_verdict_is_that_of_one_layer() {
    let key = key(Algorithm::Ed25519);
    let layer = |audience: &str| {
        AuthLayer::new(JwtAuthenticator::builder(issuer_of(&[&key]), audience).build().unwrap())
    };
    let (ours, theirs) = (layer(AUDIENCE), layer("https://other.example"));
    let good = token(&key).build();
    for _ in 0..2 {
        assert_eq!(outcome(&send(&ours, bearer(&good)).await), ACCEPTED);
        assert_eq!(outcome(&send(&theirs, bearer(&good)).await), refused(Reason::AudienceRefused));
    }
    // The same authenticator under two layers is asked by both.
    let authority = Authority::default();
    let opaque = introspection(authority.clone()).build().unwrap();
    for calls in 1..=2 {
        let layer = AuthLayer::new(opaque.clone());
        for _ in 0..2 {
            assert_eq!(outcome(&send(&layer, bearer("a")).await), ACCEPTED);
            assert_eq!(authority.calls(), calls);
        }
    }
}

#[tokio::test]
async fn row_33_tokens_that_begin_or_end_alike_are_told_apart() {
    let scene = Scene::new();
    let alike =
        |len: usize| ["a".repeat(len), format!("{}b", "a".repeat(len)), format!("b{}", "a".repeat(len))];
    let tokens: Vec<String> = (1..400).flat_map(alike).collect();
    for _ in 0..2 {
        for token in &tokens {
            let response = send(&scene.layer, bearer(token)).await;
            let caller = response.extensions().get::<Principal>().and_then(Principal::subject);
            assert_eq!(caller, Some(token.as_str()));
        }
        assert_eq!(scene.calls(), tokens.len());
    }
}

#[tokio::test]
async fn row_34_no_verdict_outlives_its_token() {
    for (lives, later, calls) in [(20, 19_999, 1), (20, 20_000, 2), (40, 29_999, 1), (40, 30_000, 2)] {
        let scene = Scene::new();
        let now = scene.clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        scene.clock.set_wall(UNIX_EPOCH + seconds(now));
        let mut answer = active("a");
        answer["exp"] = (now + lives).into();
        scene.authority.answer("a", answer);
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.clock.advance(Duration::from_millis(later));
        scene.authority.revoke("a");
        let expected = if calls == 1 { ACCEPTED } else { refused(Reason::TokenInactive) };
        assert_eq!((scene.plain("a").await, scene.calls()), (expected, calls), "{lives} {later}");
    }
}

/// Accepts what begins with `good`, refuses the rest, each for an hour.
#[derive(Clone, Default)]
struct Doorman(Arc<AtomicUsize>);

impl Authenticator for Doorman {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, credential: &Credential<'_>, _: &RequestContext<'_>) -> AuthFuture {
        self.0.fetch_add(1, Ordering::SeqCst);
        let hour = portcullis::SystemClock.now() + seconds(3600);
        AuthFuture::ready(if credential.expose().starts_with("good") {
            Ok(Verdict::until(Principal::builder("doorman").build(), hour))
        } else {
            Err(AuthError::invalid_token("bad").until(hour))
        })
    }
}

/// How many of these it has to judge.
async fn judged(
    layer: &AuthLayer<Doorman>,
    doorman: &Doorman,
    tokens: impl Iterator<Item = String>,
) -> usize {
    let before = doorman.0.load(Ordering::SeqCst);
    for token in tokens {
        let expected = if token.starts_with("good") { ACCEPTED } else { refused(Reason::Custom("bad")) };
        assert_eq!(outcome(&send(layer, bearer(&token)).await), expected, "{token}");
    }
    doorman.0.load(Ordering::SeqCst) - before
}

/// In a small form: see the load `garbage` for the numbers.
#[tokio::test]
async fn row_40_garbage_drives_out_nothing_that_was_accepted() {
    const GARBAGE: usize = 200_000;
    let doorman = Doorman::default();
    let layer = AuthLayer::new(doorman.clone());
    let of = |kind: &'static str, many: usize, step: usize| {
        (0..many).step_by(step).map(move |number| format!("{kind}{number}"))
    };
    assert_eq!(judged(&layer, &doorman, of("good", 1000, 1)).await, 1000);
    assert_eq!(judged(&layer, &doorman, of("bad", GARBAGE, 1)).await, GARBAGE);
    assert_eq!(judged(&layer, &doorman, of("good", 1000, 1)).await, 0);
    // Refusals are kept, and a bounded number of them.
    let forgotten = judged(&layer, &doorman, of("bad", GARBAGE, 100)).await;
    assert!((GARBAGE / 100 / 2..GARBAGE / 100).contains(&forgotten), "{forgotten}");
    assert_eq!(judged(&layer, &doorman, of("good", 1000, 1)).await, 0);
}

#[tokio::test]
async fn row_39_what_is_remembered_is_bounded_and_what_was_driven_out_is_asked_again() {
    for (bytes, all_remembered) in [(64 * 1024, false), (32 * 1024 * 1024, true)] {
        let scene = Scene::new();
        let scene = Scene { layer: scene.layer.clone().verdict_cache(bytes), ..scene };
        for _ in 0..2 {
            for number in 0..1000 {
                assert_eq!(scene.plain(&number.to_string()).await, ACCEPTED);
            }
        }
        // An entry is nowhere below a hundred bytes.
        assert_eq!(scene.calls() == 1000, all_remembered, "{}", scene.calls());
        assert!(all_remembered || scene.calls() > 2000 - 64 * 1024 / 100, "{}", scene.calls());
    }
}

#[tokio::test]
async fn without_a_cache_every_request_is_judged_by_itself() {
    let scene = Scene::new();
    let layer = scene.layer.clone().verdict_cache(0);
    for calls in 1..=3 {
        scene.later();
        assert_eq!(outcome(&send(&layer, bearer("a")).await), ACCEPTED);
        assert_eq!(scene.calls(), calls);
    }
    // Not even a guard asks twice for one request.
    assert_eq!(outcome(&guarded(&layer, Duration::ZERO, bearer("a")).await), ACCEPTED);
    assert_eq!(scene.calls(), 4);
    let (one, other) = tokio::join!(send(&layer, bearer("a")), send(&layer, bearer("a")));
    assert_eq!((outcome(&one), outcome(&other), scene.calls()), (ACCEPTED, ACCEPTED, 6));
    scene.authority.revoke("a");
    for calls in 7..=8 {
        assert_eq!(outcome(&send(&layer, bearer("a")).await), refused(Reason::TokenInactive));
        assert_eq!(scene.calls(), calls, "refusals are not kept either");
    }
}

#[tokio::test]
async fn what_depends_on_the_request_is_never_used_for_another() {
    let by_path = |request: &RequestContext<'_>| vec![("path".into(), request.original_uri().path().into())];
    let scene = Scene::with(|builder| builder.with_context(by_path));
    let at = |path: &str| {
        let mut request: Request<Full<bytes::Bytes>> = bearer("a");
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    for calls in 1..=2 {
        assert_eq!(outcome(&send(&scene.layer, at("/one")).await), ACCEPTED);
        assert_eq!(scene.calls(), calls);
    }
    let (one, other) = tokio::join!(send(&scene.layer, at("/one")), send(&scene.layer, at("/two")));
    assert_eq!((outcome(&one), outcome(&other), scene.calls()), (ACCEPTED, ACCEPTED, 4));
    assert_eq!(outcome(&guarded(&scene.layer, Duration::ZERO, at("/one")).await), ACCEPTED);
    assert_eq!(scene.calls(), 5);
}

#[tokio::test]
async fn without_room_for_refusals_each_is_asked_for_again() {
    for (bytes, calls) in [(0, 3), (1 << 20, 1)] {
        let scene = Scene::new();
        let layer = scene.layer.clone().refusal_cache(bytes);
        scene.authority.answer("a", serde_json::json!({"active": false}));
        for _ in 0..3 {
            assert_eq!(outcome(&send(&layer, bearer("a")).await), refused(Reason::TokenInactive), "{bytes}");
        }
        assert_eq!(scene.calls(), calls, "{bytes}");
    }
}
