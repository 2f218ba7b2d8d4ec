//! Whose data a caller may use: the identity of tokens that name no subject.

use http::StatusCode;
use portcullis::test_util::TokenBuilder;
use portcullis::{Algorithm, JwtAuthenticator, JwtAuthenticatorBuilder, Principal, Reason};
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

use crate::introspection::{Builder, Scene};
use crate::log::Log;
use crate::support::{AUDIENCE, ISSUER, issuer_of, judge, key, token};

/// The identity that a response leads to.
async fn of_response(configure: fn(Builder) -> Builder, response: &Value) -> Principal {
    let scene = Scene::with(configure).await;
    let token = scene.token();
    let mut members = json!({"active": true, "aud": AUDIENCE, "token_type": "Bearer"});
    members.as_object_mut().unwrap().extend(response.as_object().unwrap().clone());
    scene.server.set_answer(&token, members);
    judge(&scene.opaque, &token).await.unwrap()
}

async fn of_jwt(
    configure: impl FnOnce(JwtAuthenticatorBuilder) -> JwtAuthenticatorBuilder,
    change: impl FnOnce(TokenBuilder) -> TokenBuilder,
) -> Result<Principal, Reason> {
    let key = key(Algorithm::ES256);
    let jwt = configure(JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE)).build().unwrap();
    judge(&jwt, &change(token(&key)).build()).await
}

fn name(principal: &Principal) -> Option<String> {
    principal.id().map(|id| id.name().to_owned())
}

fn unchanged<B>(builder: B) -> B {
    builder
}

#[tokio::test]
async fn response_without_subject_of_a_client_has_its_identity() {
    for response in [
        json!({"client_id": "app"}),
        json!({"client_id": "app", "sub": null}),
        json!({"client_id": "app", "sub": ""}),
        json!({"client_id": "app", "scope": "todo:read", "jti": "1"}),
        json!({"client_id": "app", "username": null, "email": null, "auth_time": null}),
        json!({"client_id": "app", "username": "", "preferred_username": ""}),
    ] {
        let principal = of_response(unchanged, &response).await;
        assert_eq!(name(&principal).as_deref(), Some("app"), "{response}");
    }
}

#[tokio::test]
async fn response_without_subject_of_a_user_has_no_identity() {
    for (member, value) in [
        ("username", json!("ann")),
        ("username", json!({"name": "ann"})),
        ("sid", json!("1")),
        ("auth_time", json!(1_800_000_000)),
        ("auth_time", json!(0)),
        ("acr", json!("1")),
        ("email", json!("ann@example.com")),
        ("preferred_username", json!("ann")),
    ] {
        let mut response = json!({"client_id": "app"});
        response[member] = value;
        let principal = of_response(unchanged, &response).await;
        assert_eq!(name(&principal), None, "{response}");
        assert_eq!(principal.client_id(), Some("app"), "{response}");
        // With a subject the identity is the user's.
        response["sub"] = json!("ann-1");
        let principal = of_response(unchanged, &response).await;
        assert_eq!(name(&principal).as_deref(), Some("ann-1"), "{response}");
    }
}

#[tokio::test]
async fn response_without_client_id_has_no_identity() {
    for (response, expected) in [
        (json!({}), None),
        (json!({"client_id": ""}), None),
        (json!({"client_id": null}), None),
        (json!({"azp": "app"}), None),
        (json!({"client_id": "app"}), Some("app")),
    ] {
        let principal = of_response(unchanged, &response).await;
        assert_eq!(name(&principal).as_deref(), expected, "{response}");
    }
}

#[tokio::test]
async fn jwt_without_subject_has_no_identity() {
    for (change, expected) in [
        ((|token| token.without("sub")) as fn(TokenBuilder) -> TokenBuilder, None),
        (|token| token.claim("sub", ""), None),
        (|token| token.claim("sub", "ann"), Some("ann")),
    ] {
        let principal = of_jwt(unchanged, change).await.unwrap();
        assert_eq!(name(&principal).as_deref(), expected);
        assert_eq!(principal.subject(), expected);
        assert_eq!((principal.client_id(), principal.issuer()), (Some("app"), Some(ISSUER)));
    }
}

/// An empty subject is no subject, so it does not meet a requirement either.
#[tokio::test]
async fn jwt_with_empty_subject_lacks_a_required_claim() {
    let strict = JwtAuthenticatorBuilder::require_rfc9068_claims;
    let answer = of_jwt(strict, |token| token.claim("sub", "")).await;
    assert_eq!(answer.unwrap_err(), Reason::ClaimMissing);
    assert!(of_jwt(strict, |token| token.claim("sub", "ann")).await.is_ok());
}

#[tokio::test]
async fn required_identity_that_is_missing_is_403() {
    let (log, _guard) = Log::capture(LevelFilter::DEBUG);
    let nameless = of_jwt(unchanged, |token| token.without("sub").client("app-7")).await.unwrap();
    let error = nameless.require_id().unwrap_err();
    assert_eq!((error.status(), error.reason()), (StatusCode::FORBIDDEN, Reason::SubjectMissing));
    log.take();
    let response = error.to_response::<String>();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let text = log.take();
    assert!(text.contains("subjectless_is_client") && !text.contains("app-7"), "{text}");
    let named = of_jwt(unchanged, |token| token.claim("sub", "ann")).await.unwrap();
    assert_eq!(named.require_id().unwrap().name(), "ann");
}

#[tokio::test]
async fn setting_decides_about_jwts_without_subject() {
    for (is_client, expected) in [(true, Some("app")), (false, None)] {
        for empty in [false, true] {
            let set = |builder: JwtAuthenticatorBuilder| builder.subjectless_is_client(is_client);
            let change = |token: TokenBuilder| {
                if empty { token.claim("sub", "") } else { token.without("sub") }
            };
            let principal = of_jwt(set, change).await.unwrap();
            assert_eq!(name(&principal).as_deref(), expected, "{is_client} {empty}");
            let principal = of_jwt(set, |token| token.claim("sub", "ann")).await.unwrap();
            assert_eq!(name(&principal).as_deref(), Some("ann"), "{is_client}");
        }
    }
}

#[tokio::test]
async fn setting_decides_about_responses_without_subject() {
    let always = |builder: Builder| builder.subjectless_is_client(true);
    let never = |builder: Builder| builder.subjectless_is_client(false);
    for (configure, response, expected) in [
        (always as fn(Builder) -> Builder, json!({"client_id": "app", "username": "ann"}), Some("app")),
        (always, json!({"azp": "app"}), Some("app")),
        (always, json!({"client_id": "app", "sub": "ann-1"}), Some("ann-1")),
        (always, json!({}), None),
        (never, json!({"client_id": "app"}), None),
        (never, json!({"client_id": "app", "sub": "ann-1"}), Some("ann-1")),
    ] {
        let principal = of_response(configure, &response).await;
        assert_eq!(name(&principal).as_deref(), expected, "{response}");
    }
}

/// The data of two users of one client: one key for both was the fault.
#[tokio::test]
async fn users_without_subject_share_no_identity() {
    let ann = of_response(unchanged, &json!({"client_id": "app", "username": "ann"})).await;
    let bob = of_response(unchanged, &json!({"client_id": "app", "username": "bob"})).await;
    assert!(ann.require_id().is_err() && bob.require_id().is_err());
    let ann = of_response(unchanged, &json!({"client_id": "app", "sub": "ann"})).await;
    let bob = of_response(unchanged, &json!({"client_id": "app", "sub": "bob"})).await;
    assert_ne!(ann.require_id().unwrap(), bob.require_id().unwrap());
}

#[test]
fn principal_of_an_own_authenticator_has_its_client_as_identity() {
    for (subject, client, expected) in [("ann", "app", Some("ann")), ("", "app", Some("app")), ("", "", None)]
    {
        let principal = Principal::builder("own").subject(subject).client_id(client).build();
        assert_eq!(name(&principal).as_deref(), expected);
    }
}
