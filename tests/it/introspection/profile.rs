//! Signed answers and other answers, signed answers and tokens: none passes for the other.

use portcullis::test_util::{FakeAuthorizationServer, Fault, SigningKey};
use portcullis::{
    Algorithm, AuthLayer, ClientAuth, IntrospectionAuthenticator, IntrospectionAuthenticatorBuilder,
    JwtAuthenticator, Reason,
};
use serde_json::json;

use super::{ACCEPTED, Answer, Scene, active, basic, refused, unavailable};
use crate::support::{AUDIENCE, bearer, judge, outcome, send};

const SIGNED: &str = "application/token-introspection+jwt";

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

async fn signing() -> Scene {
    let scene = Scene::with(IntrospectionAuthenticatorBuilder::signed_answers).await;
    scene.server.sign_answers(true);
    scene
}

/// A signed answer as it is sent, about a token that is active.
async fn signed_answer(server: &FakeAuthorizationServer) -> String {
    let token = server.opaque_token(server.token());
    let question =
        reqwest::Client::builder().no_proxy().build().unwrap().post(server.introspection_endpoint());
    let question = question.header("accept", SIGNED).bearer_auth(FakeAuthorizationServer::CLIENT_TOKEN);
    let question = question.header("content-type", "application/x-www-form-urlencoded");
    question.body(format!("token={token}")).send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_plain_answer_is_none_where_signed_ones_are_asked_for() {
    let scene = signing().await;
    let token = scene.token();
    scene.server.sign_answers(false);
    assert_eq!(scene.ask(&token).await, DOWN);
    assert!(scene.last_error().contains(SIGNED), "{}", scene.last_error());
    let (plain, jwt) = (active().to_string(), signed_answer(&scene.server).await);
    assert!(jwt.starts_with('{'));
    scene.server.sign_answers(true);
    let jwt = signed_answer(&scene.server).await;
    for (content_type, body) in [(SIGNED, &plain), ("application/json", &jwt), ("application/jwt", &jwt)] {
        let (content_type, body) = (content_type.to_owned(), body.clone());
        scene.server.set_introspection_fault(Fault::Answer { content_type, body });
        let scene = Scene::of(&scene.server, IntrospectionAuthenticatorBuilder::signed_answers);
        assert_eq!(scene.ask(&token).await, DOWN);
    }
    scene.server.set_introspection_fault(None);
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    // The very answer that was not accepted under another name.
    scene.server.set_introspection_fault(Fault::Answer { content_type: format!("{SIGNED}; x=y"), body: jwt });
    assert_eq!(scene.ask("any").await, ACCEPTED);
}

#[tokio::test]
async fn a_signed_answer_is_none_where_plain_ones_are_asked_for() {
    let scene = Scene::start().await;
    scene.server.sign_answers(true);
    let (token, jwt) = (scene.token(), signed_answer(&scene.server).await);
    for content_type in [SIGNED, "application/json"] {
        let (content_type, body) = (content_type.to_owned(), jwt.clone());
        scene.server.set_introspection_fault(Fault::Answer { content_type, body });
        assert_eq!(scene.ask(&token).await, DOWN);
    }
    scene.server.set_introspection_fault(None);
    assert_eq!(scene.ask(&token).await, ACCEPTED);
}

#[tokio::test]
async fn keys_that_the_issuer_has_changed_are_fetched() {
    let scene = signing().await;
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
    assert_eq!(scene.server.counts().jwks, 1);
    scene.server.rotate();
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
    assert_eq!(scene.server.counts().jwks, 2);
}

#[tokio::test]
async fn without_keys_there_is_no_answer() {
    let scene = signing().await;
    let token = scene.token();
    scene.server.set_fault(Fault::Status(http::StatusCode::INTERNAL_SERVER_ERROR));
    assert_eq!(scene.ask(&token).await, DOWN);
    assert_eq!(scene.last_error(), "the keys for signed answers could not be fetched");
    scene.server.set_fault(None);
    let fresh = Scene::of(&scene.server, IntrospectionAuthenticatorBuilder::signed_answers);
    assert_eq!(fresh.ask(&token).await, ACCEPTED);
}

/// RFC 9701 §8.1: the answers name this server, as access tokens do.
#[tokio::test]
async fn a_signed_answer_is_no_access_token() {
    let scene = signing().await;
    let jwt = |lenient: bool| {
        let builder = JwtAuthenticator::builder(scene.server.issuer(), FakeAuthorizationServer::CLIENT_ID);
        if lenient { builder.accept_typ_jwt() } else { builder }.build().unwrap()
    };
    let answer = signed_answer(&scene.server).await;
    scene.server.sign_answers_with(|answer| answer.header("typ", "at+jwt").expires_in(60).build());
    let disguised = signed_answer(&scene.server).await;
    for lenient in [false, true] {
        assert_eq!(judge(&jwt(lenient), &answer).await.unwrap_err(), Reason::TypeRefused);
        assert_eq!(judge(&jwt(lenient), &disguised).await.unwrap_err(), Reason::NotAnAccessToken);
        let token = scene.server.token().claim("aud", FakeAuthorizationServer::CLIENT_ID).build();
        assert!(judge(&jwt(lenient), &token).await.is_ok());
    }
}

/// And no token to be asked about: it would be inactive at best.
#[tokio::test]
async fn a_signed_answer_is_not_sent_back() {
    let scene = signing().await;
    let answer = signed_answer(&scene.server).await;
    let calls = scene.calls();
    assert_eq!(scene.ask(&answer).await, refused(Reason::JwtUnexpected));
    assert_eq!(scene.calls(), calls);
}

/// RFC 9701 §5: `aud` is this server's name. Who only bears a token has none but its audiences.
#[tokio::test]
async fn a_server_without_a_client_id_is_known_by_its_audience() {
    let scene = signing().await;
    let bare = |configure: fn(IntrospectionAuthenticatorBuilder) -> IntrospectionAuthenticatorBuilder| {
        let client = ClientAuth::bearer(FakeAuthorizationServer::CLIENT_TOKEN);
        configure(IntrospectionAuthenticator::builder(scene.server.issuer(), client).signed_answers()).build()
    };
    let error = bare(|builder| builder).unwrap_err().to_string();
    assert!(error.starts_with("`signed_answers`"), "{error}");
    let opaque = bare(|builder| builder.audience(AUDIENCE)).unwrap();
    assert_eq!(outcome(&send(&AuthLayer::new(opaque), bearer(&scene.token())).await), DOWN);
    scene.server.sign_answers_with(|answer| answer.claim("aud", AUDIENCE).build());
    let opaque = bare(|builder| builder.audience(AUDIENCE)).unwrap();
    assert_eq!(outcome(&send(&AuthLayer::new(opaque), bearer(&scene.token())).await), ACCEPTED);
}

#[tokio::test]
async fn answers_of_every_algorithm_are_verified() {
    let algorithms =
        [Algorithm::RS256, Algorithm::PS256, Algorithm::ES384, Algorithm::ES512, Algorithm::Ed25519];
    for algorithm in algorithms {
        let server = FakeAuthorizationServer::start_with([SigningKey::generate(algorithm)]).await;
        server.sign_answers(true);
        let scene = Scene::of_client(
            &std::sync::Arc::new(server),
            basic(),
            IntrospectionAuthenticatorBuilder::signed_answers,
        );
        assert_eq!(scene.ask(&scene.token()).await, ACCEPTED, "{algorithm}");
        scene.server.set_answer("other", json!({"active": false}));
        assert_eq!(scene.ask("other").await, refused(Reason::TokenInactive), "{algorithm}");
    }
}
