//! Signed answers.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, Validation};
use portcullis::Algorithm;
use serde_json::{Value, json};

use super::{Scene, send};
use crate::support::key;

const SIGNED: &str = "application/token-introspection+jwt";

/// Content type and body of the answer to who accepts these.
async fn ask(scene: &Scene, token: &str, accept: &str) -> (String, String) {
    let (status, content_type, body) = send(scene.question(token).header("accept", accept)).await;
    assert_eq!(status, StatusCode::OK);
    (content_type, body)
}

/// The signed answer, once its signature is verified.
async fn signed(scene: &Scene, token: &str) -> (jsonwebtoken::Header, Value) {
    let (content_type, body) = ask(scene, token, SIGNED).await;
    assert_eq!(content_type, SIGNED);
    let jwk: Jwk = serde_json::from_value(scene.server.keys()[0].jwk()).unwrap();
    let mut rules = Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    let answer = jsonwebtoken::decode::<Value>(&body, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).unwrap();
    (answer.header, answer.claims)
}

#[tokio::test]
async fn answers_are_signed_for_who_asks_for_it() {
    let scene = Scene::start().await;
    let token = scene.server.opaque_token(scene.server.token());
    scene.server.sign_answers(true);
    let plain = scene.introspect(&token).await;
    for token in [token.as_str(), "unknown"] {
        let (header, claims) = signed(&scene, token).await;
        assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
        assert_eq!(header.kid.as_deref(), Some(scene.server.keys()[0].kid()));
        let iat = claims["iat"].as_u64().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(iat) < 30, "{iat}");
        let inner = if token == "unknown" { json!({"active": false}) } else { plain.clone() };
        let issuer = scene.server.issuer_id();
        let expected =
            json!({"iss": issuer, "aud": "resource-server", "iat": iat, "token_introspection": inner});
        assert_eq!(claims, expected);
    }
}

#[tokio::test]
async fn answers_are_plain_for_who_does_not_ask_and_where_it_is_switched_off() {
    let scene = Scene::start().await;
    let plain = ("application/json".to_owned(), r#"{"active":false}"#.to_owned());
    assert_eq!(ask(&scene, "unknown", SIGNED).await, plain);
    scene.server.sign_answers(true);
    for accept in ["application/json", "*/*", "application/token-introspection", "application/jwt"] {
        assert_eq!(ask(&scene, "unknown", accept).await, plain, "{accept}");
    }
    for accept in
        [SIGNED, "Application/Token-Introspection+JWT", &format!("application/json, {SIGNED};q=0.9")]
    {
        assert_eq!(ask(&scene, "unknown", accept).await.0, SIGNED, "{accept}");
    }
    scene.server.sign_answers(false);
    assert_eq!(ask(&scene, "unknown", SIGNED).await, plain);
}

#[tokio::test]
async fn one_thing_may_be_wrong_with_a_signed_answer() {
    let scene = Scene::start().await;
    scene.server.sign_answers_with(|answer| answer.claim("iss", "other").without("iat").build());
    let (_, mut claims) = signed(&scene, "unknown").await;
    assert_eq!(claims["iss"], "other");
    assert!(claims.get("iat").is_none());

    let server_key = scene.server.keys().remove(0);
    scene.server.sign_answers_with(move |answer| answer.signed_by(&server_key).build());
    claims = signed(&scene, "unknown").await.1;
    assert_eq!(claims["iss"], scene.server.issuer_id());

    let other: Arc<_> = key(Algorithm::ES384);
    scene.server.sign_answers_with(move |answer| answer.signed_by(&other).header("typ", "JWT").build());
    let (_, body) = ask(&scene, "unknown", SIGNED).await;
    let header = jsonwebtoken::decode_header(&body).unwrap();
    assert_eq!((header.alg, header.typ.as_deref()), (jsonwebtoken::Algorithm::ES384, Some("JWT")));

    scene.server.sign_answers_with(|_| "anything".into());
    assert_eq!(ask(&scene, "unknown", SIGNED).await, (SIGNED.to_owned(), "anything".to_owned()));
}

#[tokio::test]
async fn raw_answers_are_signed_to_the_letter() {
    let scene = Scene::start().await;
    scene.server.sign_answers(true);
    for raw in [r#"{"active":true,"active":false}"#, "{ \"active\" : true }", "no JSON", ""] {
        scene.server.set_raw_answer("raw", raw);
        let (_, body) = ask(&scene, "raw", SIGNED).await;
        let claims = URL_SAFE_NO_PAD.decode(body.split('.').nth(1).unwrap()).unwrap();
        let claims = String::from_utf8(claims).unwrap();
        assert!(claims.ends_with(&format!(r#","token_introspection":{raw}}}"#)), "{claims}");
        assert!(claims.contains(r#""aud":"resource-server""#), "{claims}");
    }
}
