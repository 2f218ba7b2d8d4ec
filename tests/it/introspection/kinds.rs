//! Which tokens an authority is asked about: not those that somebody else can judge, or nobody.

use portcullis::{
    Algorithm, AuthLayer, Authenticator, IntrospectionAuthenticatorBuilder, JwtAuthenticator, Reason,
};
use serde_json::json;

use super::{ACCEPTED, Answer, Scene, principal, refused};
use crate::support::{AUDIENCE, bearer, key, outcome, send};

/// By which method a token was accepted, or why not; and how often the authority was asked.
async fn judged<A: Authenticator>(
    scene: &Scene,
    layer: &AuthLayer<A>,
    token: &str,
) -> (Result<&'static str, Answer>, usize) {
    let before = scene.calls();
    let response = send(layer, bearer(token)).await;
    let answer = match outcome(&response) {
        ACCEPTED => Ok(principal(&response).method()),
        refusal => Err(refusal),
    };
    (answer, scene.calls() - before)
}

#[tokio::test]
async fn jwts_are_not_sent_unless_that_is_wanted() {
    let scene = Scene::start().await;
    let wanted = Scene::of(&scene.server, IntrospectionAuthenticatorBuilder::introspect_jwts);
    let good = scene.server.token();
    let foreign = good.clone().claim("iss", "https://other.example").forged_by(&key(Algorithm::ES256));
    for token in [
        good.clone(),
        foreign,
        good.clone().header("alg", "HS256"),
        good.clone().header("alg", "none"),
        good.clone().header("alg", "anything"),
        good.clone().header("typ", "JWT"),
    ] {
        let token = token.build();
        let jwt = (Err(refused(Reason::JwtUnexpected)), 0);
        assert_eq!(judged(&scene, &scene.layer, &token).await, jwt, "{token}");
        assert_eq!(judged(&scene, &wanted.layer, &token).await.1, 1, "{token}");
    }
    assert_eq!(judged(&scene, &wanted.layer, &good.build()).await, (Ok("introspection"), 1));
    assert_eq!(judged(&scene, &scene.layer, &scene.token()).await, (Ok("introspection"), 1));
}

/// Three parts do not make a JWT; an object of JSON in the first does, whatever is in it, and be it encrypted.
#[tokio::test]
async fn tokens_that_only_look_like_jwts_are_opaque() {
    let scene = Scene::start().await;
    for token in ["a.b.c", "..", "eyJ.x", "a.b.c.d.e", "bm9uZQ.e30.e30", "v4.local.eyJhbGciOiJ4In0"] {
        scene.server.set_answer(token, json!({"active": true, "aud": AUDIENCE}));
        assert_eq!(judged(&scene, &scene.layer, token).await, (Ok("introspection"), 1), "{token}");
    }
    for token in
        ["eyJhbGciOiJ4In0.e30.e30", "e30.e30.", "ewogfQ.x.y", "eyJ4IjoxfQ.x.y", "eyJhbGciOiJ4In0.a.b.c.d"]
    {
        assert_eq!(judged(&scene, &scene.layer, token).await.1, 0, "{token}");
    }
}

#[tokio::test]
async fn beside_an_authenticator_of_jwts_each_judges_its_own_whatever_the_order() {
    for introspects in [false, true] {
        let scene =
            Scene::with(|builder| if introspects { builder.introspect_jwts() } else { builder }).await;
        let jwt = JwtAuthenticator::builder(scene.server.issuer(), AUDIENCE).build().unwrap();
        let opaque = scene.opaque.clone();
        let layers: [AuthLayer<Box<dyn Authenticator>>; 2] = [
            AuthLayer::new(Box::new(jwt.clone().or(opaque.clone()))),
            AuthLayer::new(Box::new(opaque.or(jwt))),
        ];
        for layer in layers {
            let good = scene.server.token();
            assert_eq!(judged(&scene, &layer, &good.build()).await, (Ok("jwt"), 0));
            assert_eq!(judged(&scene, &layer, &scene.token()).await, (Ok("introspection"), 1));
            let unknown = (Err(refused(Reason::TokenInactive)), 1);
            assert_eq!(judged(&scene, &layer, &format!("unknown-{}", scene.calls())).await, unknown);
            // There is no second guess: what was recognised as a JWT and is bad goes nowhere else.
            let expired = good.clone().expires_in(-60).build();
            assert_eq!(judged(&scene, &layer, &expired).await, (Err(refused(Reason::TokenExpired)), 0));
            let forged = good.clone().forged_by(&key(Algorithm::ES256)).build();
            assert_eq!(judged(&scene, &layer, &forged).await, (Err(refused(Reason::SignatureInvalid)), 0));
            // No public key could verify it: only the authority could know it.
            let symmetric = good.header("alg", "HS256").claim("jti", scene.calls()).build();
            let expected =
                if introspects { unknown } else { (Err(refused(Reason::CredentialUnrecognized)), 0) };
            assert_eq!(judged(&scene, &layer, &symmetric).await, expected, "{introspects}");
        }
    }
}
