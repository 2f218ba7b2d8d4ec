//! JWTs that are judged here, and by their authority where a route asks for that.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::test_util::{FakeAuthorizationServer, Fault, SigningKey};
use portcullis::{
    Algorithm, AuthLayer, ConfigError, IntrospectionAuthenticator, Issuer, JwtAuthenticator, Principal,
    Reason, RequireLayer, require_authenticated, require_scopes,
};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

use super::{ACCEPTED, Answer, Builder, Scene, basic, principal, refused, seconds, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, jwt_of, key, outcome};

/// A resource server that judges JWTs itself and has an authority for routes that ask for it.
struct Confirmed {
    scene: Scene,
    layer: AuthLayer<JwtAuthenticator>,
}

impl Confirmed {
    async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    async fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let scene = Scene::with(configure).await;
        let jwt = JwtAuthenticator::builder(scene.server.issuer(), AUDIENCE);
        let jwt = jwt.with_introspection(scene.opaque.clone()).build().unwrap();
        Self { scene, layer: AuthLayer::new(jwt) }
    }

    fn token(&self) -> String {
        self.scene.server.token().build()
    }

    async fn ask(&self, guard: &RequireLayer, token: &str) -> (Answer, usize) {
        let before = self.scene.calls();
        let answer = outcome(&guarded(&self.layer, guard, token).await);
        (answer, self.scene.calls() - before)
    }
}

async fn guarded(
    layer: &AuthLayer<JwtAuthenticator>,
    guard: &RequireLayer,
    token: &str,
) -> Response<Full<Bytes>> {
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(request.extensions().get::<Principal>().unwrap().clone());
        Ok::<_, std::convert::Infallible>(response)
    });
    layer.layer(guard.layer(inner)).oneshot(bearer(token)).await.unwrap()
}

fn plain() -> RequireLayer {
    require_authenticated()
}

fn strict() -> RequireLayer {
    plain().verified_within(Duration::ZERO)
}

const ASKED: usize = 1;
const NOT_ASKED: usize = 0;

#[tokio::test]
async fn the_authority_is_asked_where_the_route_wants_it_and_nowhere_else() {
    let server = Confirmed::start().await;
    let token = server.token();
    for _ in 0..3 {
        assert_eq!(server.ask(&plain(), &token).await, (ACCEPTED, NOT_ASKED));
    }
    let minute = plain().verified_within(seconds(60));
    assert_eq!(server.ask(&minute, &token).await, (ACCEPTED, ASKED));
    assert_eq!(server.ask(&minute, &token).await, (ACCEPTED, NOT_ASKED), "that is fresh enough");
    for _ in 0..3 {
        assert_eq!(server.ask(&strict(), &token).await, (ACCEPTED, ASKED));
    }
    assert_eq!(
        server.ask(&strict(), &server.token()).await,
        (ACCEPTED, ASKED),
        "also where nothing is cached"
    );
    assert_eq!(server.ask(&plain(), &token).await, (ACCEPTED, NOT_ASKED));
    let asked = server.scene.server.asked().pop().unwrap();
    assert_eq!(asked.form.len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_token_itself_is_found_without_asking() {
    let server = Confirmed::start().await;
    let good = server.scene.server.token();
    assert_eq!(server.ask(&strict(), &good.build()).await, (ACCEPTED, ASKED));
    for (bad, reason) in [
        (good.clone().expires_in(-60), Reason::TokenExpired),
        (good.clone().claim("aud", "other"), Reason::AudienceRefused),
        (good.clone().forged_by(&key(Algorithm::ES256)), Reason::SignatureInvalid),
        (good.clone().header("typ", "JWT"), Reason::TypeJwtRefused),
    ] {
        // Even if the authority would vouch for it.
        server.scene.server.set_answer(&bad.build(), json!({"active": true, "aud": AUDIENCE, "sub": "ann"}));
        assert_eq!(server.ask(&strict(), &bad.build()).await, (refused(reason), NOT_ASKED));
    }
}

#[tokio::test]
async fn the_subject_is_who_the_token_says_or_the_token_is_refused() {
    let server = Confirmed::start().await;
    for (named, of_token, expected) in [
        (json!("ann"), Some("ann"), ACCEPTED),
        (Value::Null, Some("ann"), ACCEPTED),
        (json!("bob"), Some("ann"), refused(Reason::SubjectMismatch)),
        (json!("Ann"), Some("ann"), refused(Reason::SubjectMismatch)),
        (json!("ann"), None, refused(Reason::SubjectMismatch)),
        (Value::Null, None, ACCEPTED),
    ] {
        let token = server.scene.server.token();
        let token = if of_token.is_some() { token } else { token.without("sub") }.build();
        server.scene.server.set_answer(&token, json!({"active": true, "aud": AUDIENCE, "sub": named}));
        let answer = guarded(&server.layer, &strict(), &token).await;
        assert_eq!(outcome(&answer), expected, "{named} {of_token:?}");
        if expected == ACCEPTED {
            assert_eq!(principal(&answer).subject(), of_token);
            assert_eq!(principal(&answer).method(), "jwt");
        }
    }
}

#[tokio::test]
async fn what_the_authority_refuses_is_refused_everywhere_at_once() {
    let wrong = [
        (json!({"active": false}), Reason::TokenInactive),
        (json!({"active": true, "aud": "other"}), Reason::AudienceRefused),
        (json!({"active": true, "aud": AUDIENCE, "iss": "https://other.example"}), Reason::IssuerRefused),
        (json!({"active": true, "aud": AUDIENCE, "exp": 1}), Reason::TokenExpired),
        (json!({"active": true, "aud": AUDIENCE, "cnf": {"jkt": "x"}}), Reason::SenderConstrained),
        (json!({"active": true, "aud": AUDIENCE, "token_type": "DPoP"}), Reason::NotAnAccessToken),
    ];
    let server = Confirmed::start().await;
    for (answer, reason) in wrong {
        let (token, other) = (server.token(), server.token());
        for token in [&token, &other] {
            assert_eq!(server.ask(&strict(), token).await, (ACCEPTED, ASKED));
        }
        server.scene.server.set_answer(&token, answer);
        assert_eq!(server.ask(&plain(), &token).await, (ACCEPTED, NOT_ASKED), "nobody knows yet");
        assert_eq!(server.ask(&strict(), &token).await, (refused(reason), ASKED));
        assert_eq!(server.ask(&plain(), &token).await, (refused(reason), NOT_ASKED), "now everybody does");
        assert_eq!(server.ask(&plain(), &other).await, (ACCEPTED, NOT_ASKED));
    }
}

#[tokio::test]
async fn response_without_audience_confirms_a_jwt() {
    let server = Confirmed::start().await;
    let issuer = server.scene.server.issuer_id();
    for (response, expected) in [
        (json!({"active": true}), ACCEPTED),
        (json!({"active": true, "aud": null}), ACCEPTED),
        (json!({"active": true, "iss": issuer, "sub": "ann"}), ACCEPTED),
        (json!({"active": true, "aud": AUDIENCE}), ACCEPTED),
        (json!({"active": true, "aud": "other"}), refused(Reason::AudienceRefused)),
        (json!({"active": true, "aud": []}), refused(Reason::AudienceRefused)),
        (json!({"active": false}), refused(Reason::TokenInactive)),
        (json!({"active": true, "iss": "https://other.example"}), refused(Reason::IssuerRefused)),
        (json!({"active": true, "sub": "bob"}), refused(Reason::SubjectMismatch)),
        (json!({"active": true, "exp": 1}), refused(Reason::TokenExpired)),
    ] {
        let token = server.token();
        server.scene.server.set_answer(&token, response.clone());
        assert_eq!(server.ask(&strict(), &token).await, (expected, ASKED), "{response}");
    }
}

/// The audience of an opaque token is known from nowhere else.
#[tokio::test]
async fn response_without_audience_accepts_no_opaque_token() {
    let scene = Scene::start().await;
    for (response, expected) in [
        (json!({"active": true, "sub": "ann"}), refused(Reason::AudienceMissing)),
        (json!({"active": true, "sub": "ann", "aud": AUDIENCE}), ACCEPTED),
    ] {
        let token = scene.token();
        scene.server.set_answer(&token, response.clone());
        assert_eq!(scene.ask(&token).await, expected, "{response}");
    }
}

#[tokio::test]
async fn the_scopes_that_the_authority_names_are_the_last_word() {
    let server = Confirmed::start().await;
    let (read, write) = (require_scopes(["todo:read"]), require_scopes(["todo:write"]));
    let strictly = |guard: &RequireLayer| guard.clone().verified_within(Duration::ZERO);
    let denied = (StatusCode::FORBIDDEN, Some(Reason::ScopeInsufficient));
    for (scope, reads, writes) in [
        (json!("todo:read todo:write"), ACCEPTED, ACCEPTED),
        (json!(["todo:write"]), denied, ACCEPTED),
        (json!(""), denied, denied),
        (Value::Null, ACCEPTED, denied),
    ] {
        let token = server.token();
        server.scene.server.set_answer(&token, json!({"active": true, "aud": AUDIENCE, "scope": scope}));
        assert_eq!(server.ask(&read, &token).await, (ACCEPTED, NOT_ASKED), "by the token itself");
        assert_eq!(server.ask(&write, &token).await, (denied, NOT_ASKED));
        assert_eq!(server.ask(&strictly(&read), &token).await, (reads, ASKED), "{scope}");
        assert_eq!(server.ask(&strictly(&write), &token).await, (writes, ASKED), "{scope}");
        // What is known now is known on other routes too.
        assert_eq!(server.ask(&read, &token).await, (reads, NOT_ASKED), "{scope}");
        assert_eq!(server.ask(&write, &token).await, (writes, NOT_ASKED), "{scope}");
    }
}

#[tokio::test]
async fn while_the_authority_is_away_only_routes_that_need_it_say_so() {
    let server = Confirmed::with(|builder| builder.serve_stale(seconds(60))).await;
    let token = server.token();
    assert_eq!(server.ask(&strict(), &token).await, (ACCEPTED, ASKED));
    server.scene.server.set_introspection_fault(Fault::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let answer = guarded(&server.layer, &strict(), &token).await;
    assert_eq!(outcome(&answer), unavailable(Reason::AuthorityUnavailable));
    assert!(
        answer.headers().contains_key("retry-after") && !answer.headers().contains_key("www-authenticate")
    );
    assert_eq!(server.ask(&plain(), &token).await, (ACCEPTED, NOT_ASKED));
    server.scene.server.set_introspection_fault(None);
    assert_eq!(server.ask(&strict(), &token).await, (ACCEPTED, ASKED));
}

#[tokio::test]
async fn without_an_authority_a_route_that_needs_one_is_a_mistake_of_ours() {
    let server = Arc::new(FakeAuthorizationServer::start().await);
    let layer = AuthLayer::new(jwt_of(&server));
    let token = server.token().build();
    let missing = (StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::AuthorityMissing));
    for age in [Duration::ZERO, seconds(3600), Duration::MAX] {
        let answer = guarded(&layer, &plain().verified_within(age), &token).await;
        assert_eq!(outcome(&answer), missing, "{age:?}");
    }
    assert_eq!(outcome(&guarded(&layer, &plain(), &token).await), ACCEPTED);
}

#[test]
fn the_authority_is_that_of_the_tokens_issuer() {
    let keys = [SigningKey::generate(Algorithm::ES256).jwk()];
    let other = Issuer::new(
        "https://other.example",
        portcullis::KeySet::parse(json!({ "keys": keys }).to_string()).unwrap(),
    );
    let ours = issuer_of(&[&key(Algorithm::ES256)]);
    let authority = |issuer: &Issuer| {
        let builder = IntrospectionAuthenticator::builder(issuer.clone(), basic());
        builder.endpoint(super::ENDPOINT).build().unwrap()
    };
    let of = |issuer: &Issuer, asked: &Issuer| {
        JwtAuthenticator::builder(issuer.clone(), AUDIENCE).with_introspection(authority(asked))
    };
    assert!(of(&ours, &ours).build().is_ok() && of(&other, &other).build().is_ok());
    for wrong in [of(&ours, &other), of(&other, &ours), of(&ours, &ours).issuer(other.clone())] {
        let error = wrong.build().unwrap_err();
        assert!(matches!(error, ConfigError::Setting { setting: "with_introspection", .. }), "{error}");
    }
    assert_eq!(ours.id(), ISSUER);
}

/// The authority may refuse deleting alone: that says nothing about who reads.
#[tokio::test]
async fn what_the_authority_refuses_for_one_request_is_refused_for_no_other() {
    let server = Confirmed::with(|builder| {
        builder.with_context(|request| vec![("method".into(), request.method().to_string())])
    })
    .await;
    let token = server.token();
    assert_eq!(server.ask(&strict(), &token).await, (ACCEPTED, ASKED));
    server.scene.server.set_answer(&token, json!({"active": false}));
    assert_eq!(server.ask(&strict(), &token).await, (refused(Reason::TokenInactive), ASKED));
    assert_eq!(server.ask(&plain(), &token).await, (ACCEPTED, NOT_ASKED));
    server.scene.server.set_answer(&token, json!({"active": true, "aud": AUDIENCE}));
    assert_eq!(server.ask(&strict(), &token).await, (ACCEPTED, ASKED));
}
