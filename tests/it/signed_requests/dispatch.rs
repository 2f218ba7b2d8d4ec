//! Beside other authenticators, in whatever order: who judges which token, and that none goes astray.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use portcullis::test_util::{ScriptedHttpClient, SigningKey};
use portcullis::{
    Algorithm, AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator, JwtAuthenticator, Principal,
    Reason,
};
use serde_json::json;

use super::{ACCEPTED, NOW, Scene, SignedRequestAuthenticator, Token, answer, bearer, client, refused};
use crate::support::{AUDIENCE, issuer_of, key, send, token};

const ENDPOINT: &str = "https://id.example/introspect";

/// An authority that finds everything active, and would even be asked about JWTs of any length.
struct Party {
    http: ScriptedHttpClient,
    key: Arc<SigningKey>,
    scene: Scene,
}

impl Party {
    fn new() -> Self {
        let http = ScriptedHttpClient::new();
        let answer = json!({"active": true, "aud": AUDIENCE, "sub": "ann"}).to_string();
        let response = Response::builder().header("content-type", "application/json");
        http.answer_with(ENDPOINT, response.body(Bytes::from(answer)).unwrap());
        Self { http, key: key(Algorithm::ES256), scene: Scene::new() }
    }

    fn jwt(&self) -> JwtAuthenticator {
        let builder = JwtAuthenticator::builder(issuer_of(&[&self.key]), AUDIENCE);
        builder.clock(self.scene.clock.clone()).build().unwrap()
    }

    fn introspection(&self) -> IntrospectionAuthenticator {
        let client = ClientAuth::basic("api", "s3cret-of-the-api");
        IntrospectionAuthenticator::builder(issuer_of(&[&self.key]), client)
            .endpoint(ENDPOINT)
            .audience(AUDIENCE)
            .http_client(self.http.clone())
            .clock(self.scene.clock.clone())
            .introspect_jwts()
            .max_token_len(1 << 16)
            .build()
            .unwrap()
    }

    fn signed(&self) -> SignedRequestAuthenticator {
        let builder = SignedRequestAuthenticator::builder(self.scene.clients.clone());
        builder.clock(self.scene.clock.clone()).build().unwrap()
    }

    fn layers(&self) -> Vec<AuthLayer<Box<dyn Authenticator>>> {
        let layer = |authenticator: Box<dyn Authenticator>| AuthLayer::new(authenticator);
        vec![
            layer(Box::new(self.jwt().or(self.introspection()).or(self.signed()))),
            layer(Box::new(self.signed().or(self.introspection()).or(self.jwt()))),
            layer(Box::new(self.introspection().or(self.signed().or(self.jwt())))),
            layer(Box::new(self.introspection().or(self.jwt()).or(self.signed()))),
            layer(Box::new(self.jwt().or(self.signed()).or(self.introspection()))),
            layer(Box::new(self.signed().or(self.jwt().or(self.introspection())))),
        ]
    }
}

#[tokio::test]
async fn a_token_under_a_shared_secret_never_leaves_the_process() {
    let party = Party::new();
    let token = || party.scene.token();
    let rows = [
        (token(), ACCEPTED),
        (token().signed_by("another secret, just as long as it"), refused(Reason::ClientUnknown)),
        (token().claim("iss", "nobody"), refused(Reason::ClientUnknown)),
        (token().claim("iat", NOW - 31), refused(Reason::TokenStale)),
        (token().header("alg", "HS384"), refused(Reason::AlgorithmRefused)),
        (token().header("alg", "HS512"), refused(Reason::AlgorithmRefused)),
        (token().header("crit", json!(["b64"])), refused(Reason::CriticalHeader)),
        (token().claim("x", "x".repeat(8192)), refused(Reason::TokenTooLong)),
    ];
    for (order, layer) in party.layers().iter().enumerate() {
        for (token, expected) in &rows {
            let presented = token.build();
            assert_eq!(answer(layer, bearer(&presented)).await, *expected, "{order} {presented:.200}");
        }
    }
    assert_eq!(party.http.total(), 0);
}

#[tokio::test]
async fn all_other_tokens_go_where_they_went_before() {
    let party = Party::new();
    let issued_at = portcullis::Clock::now(&party.scene.clock);
    let access = token(&party.key).issued_at(issued_at).build();
    let rows =
        [(access.as_str(), "jwt", 0), ("opaque", "introspection", 1), ("e30.e30.e30", "introspection", 1)];
    for (order, layer) in party.layers().iter().enumerate() {
        for (text, method, calls) in rows {
            let before = party.http.total();
            let response = send(layer, bearer(text)).await;
            let principal = response.extensions().get::<Principal>().unwrap();
            assert_eq!((principal.method(), party.http.total() - before), (method, calls), "{order} {text}");
        }
    }
}

/// Alone it is asked directly, and can say what is wrong.
#[tokio::test]
async fn alone_it_tells_why() {
    let party = Party::new();
    party.scene.clients.put("other", client([super::OTHER_SECRET]));
    let issued_at = portcullis::Clock::now(&party.scene.clock);
    let access = token(&party.key).issued_at(issued_at);
    for (text, reason) in [
        ("opaque".to_owned(), Reason::TokenMalformed),
        (access.build(), Reason::TypeRefused),
        (access.header("typ", "JWT").build(), Reason::AlgorithmRefused),
    ] {
        assert_eq!(answer(&party.scene.layer, bearer(&text)).await, refused(reason), "{text}");
    }
    assert_eq!(party.scene.ask(&Token::new()).await, ACCEPTED);
}
