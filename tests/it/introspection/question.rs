//! What an authority is asked, to the byte, and how it is found out who asks.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use portcullis::test_util::{Asked, FakeAuthorizationServer, SigningKey};
use portcullis::{Algorithm, ClientAuth, Reason};
use serde_json::json;

use super::{ACCEPTED, Answer, Scene, basic, refused, unavailable};
use crate::support::AUDIENCE;

const ID: &str = FakeAuthorizationServer::CLIENT_ID;
const SECRET: &str = FakeAuthorizationServer::CLIENT_SECRET;

/// Id and secret, encoded by hand.
const ENCODED: &str = "resource-server:s3%3Acr%25et+%2B%2F%3D";

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

/// What the authority was asked last.
fn last(scene: &Scene) -> Asked {
    scene.server.asked().pop().unwrap()
}

/// The value of a header field that stands once.
fn header(asked: &Asked, name: http::HeaderName) -> Option<String> {
    let mut values = asked.headers.get_all(name).iter();
    let only = values.next().map(|value| value.to_str().unwrap().to_owned());
    assert!(values.next().is_none());
    only
}

#[tokio::test]
async fn a_question_is_a_form_with_the_token_and_nothing_else() {
    let scene = Scene::start().await;
    let token = scene.token();
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    let asked = last(&scene);
    assert_eq!(asked.body, format!("token={token}"));
    assert_eq!(header(&asked, CONTENT_TYPE).as_deref(), Some("application/x-www-form-urlencoded"));
    assert_eq!(header(&asked, ACCEPT).as_deref(), Some("application/json"));
    assert_eq!(header(&asked, AUTHORIZATION), Some(format!("Basic {}", STANDARD.encode(ENCODED))));

    let hinting = Scene::of(&scene.server, portcullis::IntrospectionAuthenticatorBuilder::type_hint);
    assert_eq!(hinting.ask(&token).await, ACCEPTED);
    assert_eq!(last(&hinting).body, format!("token={token}&token_type_hint=access_token"));
}

/// RFC 6750 §2.1: letters, digits, `-._~+/`, and `=` at the end.
#[tokio::test]
async fn every_character_of_a_token_survives_the_form() {
    let scene = Scene::start().await;
    for (token, encoded) in [
        ("aZ09-._~+/==", "aZ09-._%7E%2B%2F%3D%3D"),
        ("+", "%2B"),
        ("a+b", "a%2Bb"),
        ("~", "%7E"),
        ("/=", "%2F%3D"),
        ("x====", "x%3D%3D%3D%3D"),
        ("...", "..."),
        ("token", "token"),
    ] {
        assert_eq!(scene.ask(token).await, refused(Reason::TokenInactive), "{token}");
        // Another one whose form would be the same if it were not encoded is not found instead.
        let fresh = Scene::of(&scene.server, |builder| builder);
        scene.server.set_answer(token, json!({"active": true, "aud": AUDIENCE}));
        assert_eq!(fresh.ask(token).await, ACCEPTED, "{token}");
        assert_eq!(last(&scene).body, format!("token={encoded}"));
        scene.server.revoke(token);
    }
}

fn private_key(key: &SigningKey) -> ClientAuth {
    ClientAuth::private_key_jwt(ID, key.algorithm(), key.pkcs8_pem()).unwrap()
}

#[tokio::test]
async fn who_asks_is_proved_in_four_ways() {
    let (key, stranger) = (SigningKey::generate(Algorithm::ES256), SigningKey::generate(Algorithm::ES256));
    let server = Arc::new(FakeAuthorizationServer::start().await);
    server.trust_client_key(&key);
    for (client, wrong) in [
        (basic(), ClientAuth::basic(ID, "other")),
        (ClientAuth::post(ID, SECRET), ClientAuth::post(ID, "other")),
        (ClientAuth::bearer(FakeAuthorizationServer::CLIENT_TOKEN), ClientAuth::bearer("other")),
        (private_key(&key), private_key(&stranger)),
    ] {
        let scene = Scene::of_client(&server, client.clone(), |builder| builder);
        for _ in 0..3 {
            assert_eq!(scene.ask(&scene.token()).await, ACCEPTED, "{client:?}");
        }
        let scene = Scene::of_client(&server, wrong, |builder| builder);
        assert_eq!(scene.ask(&scene.token()).await, DOWN, "{client:?}");
        let error = scene.last_error();
        assert!(error.contains("refused this server's own credentials with status 401"), "{error}");
    }
}

#[tokio::test]
async fn each_way_of_asking_stands_where_it_should() {
    let key = SigningKey::generate(Algorithm::Ed25519);
    let server = Arc::new(FakeAuthorizationServer::start().await);
    server.trust_client_key(&key);
    let ask = async |client: ClientAuth| {
        let scene = Scene::of_client(&server, client, |builder| builder);
        assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
        last(&scene)
    };
    let posted = ask(ClientAuth::post(ID, SECRET)).await;
    let suffix = "&client_id=resource-server&client_secret=s3%3Acr%25et+%2B%2F%3D";
    assert!(posted.body.ends_with(suffix) && posted.form.len() == 3, "{posted:?}");
    assert_eq!(header(&posted, AUTHORIZATION), None);

    let borne = ask(ClientAuth::bearer(FakeAuthorizationServer::CLIENT_TOKEN)).await;
    assert_eq!(header(&borne, AUTHORIZATION).as_deref(), Some("Bearer token-of-the-resource-server"));
    assert_eq!(borne.form.len(), 1);

    let mut assertions = Vec::new();
    for _ in 0..2 {
        let signed = ask(private_key(&key).kid("k1")).await;
        let names: Vec<&str> = signed.form.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["token", "client_assertion_type", "client_assertion"]);
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(signed.field("client_assertion_type"), Some(kind));
        assert_eq!(header(&signed, AUTHORIZATION), None);
        let assertion = signed.field("client_assertion").unwrap().to_owned();
        assert_eq!(jsonwebtoken::decode_header(&assertion).unwrap().kid.as_deref(), Some("k1"));
        assertions.push(assertion);
    }
    assert_ne!(assertions[0], assertions[1]);
}

#[tokio::test]
async fn tokens_that_cannot_be_its_own_are_not_shown_to_it() {
    let scene = Scene::with(|builder| builder.max_token_len(64)).await;
    assert_eq!(scene.ask(&"x".repeat(65)).await, refused(Reason::TokenTooLong));
    assert_eq!(scene.ask("a b").await.1, Some(Reason::AuthorizationMalformed));
    assert_eq!(scene.calls(), 0);
    assert_eq!(scene.ask(&"x".repeat(64)).await, refused(Reason::TokenInactive));
    assert_eq!(scene.calls(), 1);
}
