//! Reuse never changes a response: verdicts from the cache under many guards, tokens with a header
//! that was accepted before, and challenges that are prepared.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::test_util::{SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, AuthLayer, Authenticator, Issuer, JwtAuthenticator, KeySet, Reason, RequireLayer, Scope,
    ScopePolicy, require_authenticated, require_scopes,
};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::stub::request;
use crate::support::outcome;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";

struct Scene {
    key: Arc<SigningKey>,
    auth: AuthLayer<JwtAuthenticator>,
}

impl Scene {
    fn new() -> Self {
        Self::with_keys(&[Algorithm::ES256]).0
    }

    /// One key for each; the first is the scene's.
    fn with_keys(algorithms: &[Algorithm]) -> (Self, Vec<Arc<SigningKey>>) {
        let keys: Vec<_> =
            algorithms.iter().map(|algorithm| Arc::new(SigningKey::generate(*algorithm))).collect();
        let jwks: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        let set = KeySet::parse(serde_json::json!({"keys": jwks}).to_string()).unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, set), AUDIENCE).build().unwrap();
        (Self { key: Arc::clone(&keys[0]), auth: AuthLayer::new(jwt) }, keys)
    }

    fn token(&self) -> TokenBuilder {
        TokenBuilder::new(Arc::clone(&self.key), ISSUER, AUDIENCE)
    }

    fn scoped(&self, scope: &str) -> String {
        self.token().scope(scope).build()
    }

    async fn ask(&self, guard: &RequireLayer, token: &str) -> (StatusCode, Option<Reason>) {
        judge(&self.auth, guard, token).await
    }
}

async fn judge(
    auth: &AuthLayer<impl Authenticator>,
    guard: &RequireLayer,
    token: &str,
) -> (StatusCode, Option<Reason>) {
    let inner =
        service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let header = format!("Bearer {token}");
    let service = auth.layer(guard.layer(inner));
    outcome(&service.oneshot(request(&[("authorization", &header)], ())).await.unwrap())
}

const PASSES: (StatusCode, Option<Reason>) = (StatusCode::OK, None);
const LACKS: (StatusCode, Option<Reason>) = (StatusCode::FORBIDDEN, Some(Reason::ScopeInsufficient));

#[tokio::test]
async fn a_guard_that_was_met_is_met_by_that_token_alone() {
    let scene = Scene::new();
    let (read, write) = (require_scopes(["read"]), require_scopes(["write"]));
    let (reader, writer) = (scene.scoped("read"), scene.scoped("write"));
    for _ in 0..3 {
        assert_eq!(scene.ask(&read, &reader).await, PASSES);
        assert_eq!(scene.ask(&read, &writer).await, LACKS);
        assert_eq!(scene.ask(&write, &reader).await, LACKS);
        assert_eq!(scene.ask(&write, &writer).await, PASSES);
    }
}

/// The result of one guard must never count for another.
#[tokio::test]
async fn a_hundred_guards_are_told_apart() {
    let scene = Scene::new();
    let guard = |index: usize| {
        let scope = Scope::try_from(format!("s{index}").as_str()).unwrap();
        RequireLayer::new(ScopePolicy::all_of([scope]))
    };
    let guards: Vec<_> = (0..100).map(guard).collect();
    let even = (0..100).step_by(2).map(|index| format!("s{index}")).collect::<Vec<_>>().join(" ");
    let token = scene.scoped(&even);
    for _ in 0..2 {
        for (index, guard) in guards.iter().enumerate() {
            let expected = if index % 2 == 0 { PASSES } else { LACKS };
            assert_eq!(scene.ask(guard, &token).await, expected, "{index}");
        }
    }
}

#[tokio::test]
async fn a_guard_that_is_changed_is_another_guard() {
    let scene = Scene::new();
    let token = scene.scoped("read");
    let guard = require_scopes(["read"]);
    assert_eq!(scene.ask(&guard, &token).await, PASSES);
    let stricter = guard.clone().any_of(["write", "admin"]);
    assert_eq!(scene.ask(&stricter, &token).await, LACKS);
    assert_eq!(scene.ask(&guard, &token).await, PASSES);
    assert_eq!(scene.ask(&stricter, &scene.scoped("admin read")).await, PASSES);
    // Also the only copy there is.
    let only = require_scopes(["read"]);
    assert_eq!(scene.ask(&only, &token).await, PASSES);
    assert_eq!(scene.ask(&only.any_of(["write"]), &token).await, LACKS);
}

/// A rule and a predicate are the application's code, and may depend on more than the token.
#[tokio::test]
async fn what_the_application_decides_is_asked_each_time() {
    let scene = Scene::new();
    let open = Arc::new(AtomicBool::new(true));
    let token = scene.scoped("user");
    let by_rule = {
        let open = Arc::clone(&open);
        scene.auth.clone().scope_rule(move |_, _| open.load(Ordering::Relaxed))
    };
    let by_claim = {
        let open = Arc::clone(&open);
        require_authenticated().claim("scope", move |_| open.load(Ordering::Relaxed))
    };
    let needs = require_scopes(["user:email"]);
    for expected in [true, false, true] {
        open.store(expected, Ordering::Relaxed);
        assert_eq!(judge(&by_rule, &needs, &token).await.0.is_success(), expected);
        assert_eq!(scene.ask(&by_claim, &token).await.0.is_success(), expected);
        // The layer without the rule shares its verdicts with the one that has it.
        assert_eq!(scene.ask(&needs, &token).await, LACKS);
    }
}

/// A header that was accepted says nothing of the rest of a token.
#[tokio::test]
async fn a_known_header_makes_no_token_good() {
    let scene = Scene::new();
    let guard = require_authenticated();
    let other = Arc::new(SigningKey::generate(Algorithm::ES256));
    let ask = async |token: TokenBuilder| scene.ask(&guard, &token.build()).await;
    let refused = |reason| (StatusCode::UNAUTHORIZED, Some(reason));
    for _ in 0..2 {
        assert_eq!(ask(scene.token()).await, PASSES);
        assert_eq!(ask(scene.token().forged_by(&other)).await, refused(Reason::SignatureInvalid));
        assert_eq!(ask(scene.token().expires_in(-60)).await, refused(Reason::TokenExpired));
        assert_eq!(ask(scene.token().raw_claims("{")).await, refused(Reason::ClaimsMalformed));
        assert_eq!(ask(scene.token().raw_claims([b'{', 0xff, b'}'])).await, refused(Reason::ClaimsMalformed));
        let typ = scene.token().header("typ", "JWT");
        assert_eq!(ask(typ).await, refused(Reason::TypeJwtRefused));
        assert_eq!(
            ask(scene.token().header("crit", ["x"].as_slice())).await,
            refused(Reason::CriticalHeader)
        );
    }
}

/// More keys than headers are remembered, and many headers of each.
#[tokio::test]
async fn many_headers_are_accepted_and_none_is_taken_for_another() {
    let (scene, keys) = Scene::with_keys(&[Algorithm::ES256; 6]);
    let guard = require_authenticated();
    for round in 0..100 {
        for (key, next) in keys.iter().zip(keys.iter().cycle().skip(1)) {
            let token = scene.token().signed_by(key).header("x", round % 3);
            assert_eq!(scene.ask(&guard, &token.clone().build()).await, PASSES);
            let forged = token.claim("n", round).forged_by(next);
            let refused = (StatusCode::UNAUTHORIZED, Some(Reason::SignatureInvalid));
            assert_eq!(scene.ask(&guard, &forged.build()).await, refused);
        }
    }
}

/// White space in front of the header or inside of it changes nothing.
#[tokio::test]
async fn a_token_that_begins_as_no_other_does_is_accepted() {
    let scene = Scene::new();
    let open = require_authenticated();
    for header in [r#"{"alg":"ES256","typ":"at+jwt"}"#, " {\"alg\":\"ES256\",\n\"typ\":\"at+jwt\"}"] {
        for _ in 0..2 {
            let token = scene.token().raw_header(header).build();
            assert_eq!(scene.ask(&open, &token).await, PASSES, "{header}");
        }
    }
}
