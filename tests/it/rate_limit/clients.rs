//! Which client a token counts for: claims of several providers, and tokens of several kinds.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::test_util::{FakeAuthorizationServer, TokenBuilder};
use portcullis::{
    AuthLayer, Authenticator, IntrospectionAuthenticator, JwtAuthenticator, PeerAddr, Quota, RateLimitLayer,
};
use serde_json::{Map, Value, json};
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use super::{TOO_OFTEN, app, parties};
use crate::introspection::basic;
use crate::log::Log;
use crate::support::{AUDIENCE, bearer};

/// A server that accepts JWTs and opaque tokens of one issuer.
struct Scene {
    server: Arc<FakeAuthorizationServer>,
    layer: AuthLayer<Box<dyn Authenticator>>,
    limit: RateLimitLayer,
}

type Configure = fn(Quota) -> RateLimitLayer;

impl Scene {
    async fn new(limit: Configure, quota: u32) -> Self {
        let server = Arc::new(FakeAuthorizationServer::start().await);
        let opaque = IntrospectionAuthenticator::builder(server.issuer(), basic()).audience(AUDIENCE);
        let jwt = JwtAuthenticator::builder(server.issuer(), AUDIENCE);
        Self::of(server, jwt.build().unwrap().or(opaque.build().unwrap()), limit, quota)
    }

    fn of(
        server: Arc<FakeAuthorizationServer>,
        authenticator: impl Authenticator,
        limit: Configure,
        quota: u32,
    ) -> Self {
        let authenticator: Box<dyn Authenticator> = Box::new(authenticator);
        let limit = limit(Quota::per_hour(quota).unwrap());
        Self { server, layer: AuthLayer::new(authenticator), limit }
    }

    async fn send(&self, token: &str) -> StatusCode {
        let inner = tower::service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let mut request = bearer(token);
        request.extensions_mut().insert(PeerAddr(([192, 0, 2, 1], 4711).into()));
        let service = self.layer.layer(self.limit.layer(inner));
        service.oneshot(request).await.unwrap().status()
    }

    fn token(&self, claims: &Value) -> TokenBuilder {
        let token = self.server.token().without("client_id").without("sub");
        let claims: &Map<String, Value> = claims.as_object().unwrap();
        claims.iter().fold(token, |token, (name, value)| token.claim(name, value.clone()))
    }

    fn jwt(&self, claims: Value) -> String {
        self.token(&claims).build()
    }

    fn opaque(&self, claims: Value) -> String {
        self.server.opaque_token(self.token(&claims))
    }
}

/// Sends one token more than the quota has room for; true if the last one is rejected.
async fn share(scene: &Scene, tokens: &[String]) -> bool {
    let (last, first) = tokens.split_last().unwrap();
    for token in first {
        assert_eq!(scene.send(token).await, StatusCode::OK);
    }
    scene.send(last).await == TOO_OFTEN
}

#[tokio::test]
async fn users_of_a_client_share_its_quota_in_each_claim() {
    for name in ["client_id", "azp", "cid", "appid"] {
        for (client, expected) in [("app", true), ("other", false)] {
            let first = json!({"sub": "ann", name: "app"});
            let second = json!({"sub": "bob", name: client});
            let scene = Scene::new(RateLimitLayer::per_client, 1).await;
            let jwts = [scene.jwt(first.clone()), scene.jwt(second.clone())];
            assert_eq!(share(&scene, &jwts).await, expected, "JWT {name}");
            let scene = Scene::new(RateLimitLayer::per_client, 1).await;
            let opaque = [scene.opaque(first), scene.opaque(second)];
            assert_eq!(share(&scene, &opaque).await, expected, "opaque {name}");
        }
    }
}

#[tokio::test]
async fn claims_that_name_clients_are_read_in_order() {
    let names = ["client_id", "azp", "cid", "appid"];
    for (index, name) in names.iter().enumerate() {
        // The claim decides where only claims behind it in the list differ.
        let mut first: Value = json!({"sub": "ann"});
        let mut second: Value = json!({"sub": "bob"});
        for (position, later) in names.iter().enumerate().skip(index) {
            first[*later] = json!(format!("app-{position}"));
            second[*later] = json!(format!("other-{position}"));
        }
        for (client, expected) in [(json!("app"), true), (json!("another"), false)] {
            first[*name] = json!("app");
            second[*name] = client.clone();
            let scene = Scene::new(RateLimitLayer::per_client, 1).await;
            let jwts = [scene.jwt(first.clone()), scene.jwt(second.clone())];
            assert_eq!(share(&scene, &jwts).await, expected, "JWT {name} {client}");
            let scene = Scene::new(RateLimitLayer::per_client, 1).await;
            let opaque = [scene.opaque(first.clone()), scene.opaque(second.clone())];
            assert_eq!(share(&scene, &opaque).await, expected, "opaque {name} {client}");
        }
    }
}

#[tokio::test]
async fn jwt_and_opaque_token_of_a_client_share_a_quota() {
    for limit in [RateLimitLayer::per_client, RateLimitLayer::per_subject] {
        for (client, expected) in [("app", true), ("other", false)] {
            let scene = Scene::new(limit, 3).await;
            let jwt = || scene.jwt(json!({"client_id": "app", "sub": "app"}));
            let opaque = |id: &str| scene.opaque(json!({"client_id": id, "sub": id}));
            let tokens = [jwt(), opaque("app"), jwt(), opaque(client)];
            assert_eq!(share(&scene, &tokens).await, expected, "{client}");
        }
    }
}

/// RFC 9068 names the client as the subject; many introspection responses leave the subject out.
#[tokio::test]
async fn client_that_is_its_own_subject_has_one_quota() {
    let limits =
        [RateLimitLayer::per_client, RateLimitLayer::per_subject, RateLimitLayer::per_client_and_subject];
    for limit in limits {
        for (client, expected) in [("app", true), ("other", false)] {
            let scene = Scene::new(limit, 1).await;
            let tokens = [
                scene.jwt(json!({"client_id": "app", "sub": "app"})),
                scene.opaque(json!({"client_id": client})),
            ];
            assert_eq!(share(&scene, &tokens).await, expected, "{client}");
        }
    }
}

#[tokio::test]
async fn issuer_is_warned_about_once_if_it_names_no_client() {
    let (log, _guard) = Log::capture(LevelFilter::WARN);
    let app = app(RateLimitLayer::per_client(Quota::per_hour(9).unwrap()), parties("stub"));
    let send = async |secret: &str| {
        let mut request = Request::builder()
            .uri("/a")
            .header("authorization", format!("Bearer {secret}"))
            .body(axum::body::Body::empty())
            .unwrap();
        request.extensions_mut().insert(PeerAddr(([192, 0, 2, 1], 4711).into()));
        assert_eq!(app.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
        log.take()
    };
    assert_eq!(send("a.example~app~ann").await, "", "it names its client");
    let text = send("a.example~~ann").await;
    assert!(text.contains("WARN") && text.contains("client_claims"), "{text}");
    assert!(text.contains("a.example") && !text.contains("ann"), "{text}");
    assert_eq!(send("a.example~~bob").await, "");
    assert_eq!(send("a.example~~").await, "");
    // Another issuer has a warning of its own, by the address as by the subject.
    let text = send("b.example~~").await;
    assert!(text.contains("client_claims") && text.contains("b.example"), "{text}");
    assert_eq!(send("b.example~~").await, "");
}

#[tokio::test]
async fn warnings_about_issuers_are_bounded() {
    let (log, _guard) = Log::capture(LevelFilter::WARN);
    let app = app(RateLimitLayer::per_client(Quota::per_hour(9).unwrap()), parties("stub"));
    for index in 0..1000 {
        let secret = format!("{index}.example~~ann");
        assert_eq!(super::statuses(&app, &["GET /a"], &secret).await, [200]);
    }
    let warnings = log.take().lines().filter(|line| line.contains("client_claims")).count();
    assert_eq!(warnings, 100);
}

#[tokio::test]
async fn claims_of_clients_can_be_set() {
    for (claim, expected) in [("application", true), ("client_id", false)] {
        let first = json!({"sub": "ann", "client_id": "one", "application": "one"});
        let mut second = json!({"sub": "bob", "client_id": "two", "application": "two"});
        second[claim] = json!("one");
        for opaque in [false, true] {
            let server = Arc::new(FakeAuthorizationServer::start().await);
            let builder = IntrospectionAuthenticator::builder(server.issuer(), basic());
            let introspection =
                builder.audience(AUDIENCE).client_claims(["application", "client_id"]).build().unwrap();
            let jwt = JwtAuthenticator::builder(server.issuer(), AUDIENCE)
                .client_claims(["application", "client_id"])
                .build()
                .unwrap();
            let scene = Scene::of(server, jwt.or(introspection), RateLimitLayer::per_client, 1);
            let make = |claims: &Value| {
                if opaque { scene.opaque(claims.clone()) } else { scene.jwt(claims.clone()) }
            };
            assert_eq!(share(&scene, &[make(&first), make(&second)]).await, expected, "{claim} {opaque}");
        }
    }
}

#[tokio::test]
async fn list_of_client_claims_is_checked_by_both_builders() {
    let server = FakeAuthorizationServer::start().await;
    for (claim, expected) in [("sub", false), ("", false), ("application", true)] {
        let jwt = JwtAuthenticator::builder(server.issuer(), AUDIENCE).client_claims([claim]);
        assert_eq!(jwt.build().is_ok(), expected, "{claim}");
        let opaque = IntrospectionAuthenticator::builder(server.issuer(), basic()).client_claims([claim]);
        assert_eq!(opaque.build().is_ok(), expected, "{claim}");
    }
}

/// The names of Okta and Entra ID belong to no standard: a claim of another type is an
/// application's.
#[tokio::test]
async fn claim_that_is_no_name_names_no_client() {
    for value in [json!(42), json!(null), json!(""), json!({"id": "app"}), json!(["app"])] {
        let scene = Scene::new(RateLimitLayer::per_client, 1).await;
        let claims = |sub: &str| json!({"sub": sub, "cid": value.clone(), "appid": "app"});
        let tokens = [scene.jwt(claims("ann")), scene.opaque(claims("bob"))];
        assert!(share(&scene, &tokens).await, "{value}");
        let scene = Scene::new(RateLimitLayer::per_client, 1).await;
        let claims = |sub: &str| json!({"sub": sub, "cid": value.clone()});
        let tokens = [scene.jwt(claims("ann")), scene.opaque(claims("bob"))];
        assert!(!share(&scene, &tokens).await, "{value}");
    }
}
