//! API keys beside tokens: a key never leaves the process, whatever the order, and a token is none.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::Full;
use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{
    ApiKeyAuthenticator, ApiKeyAuthenticatorBuilder, ApiKeys, AuthLayer, Authenticator, ClientAuth,
    IntrospectionAuthenticator, JwtAuthenticator, Principal,
};

use super::probe::Probe;
use super::scene::{Answer, OK, refused};
use super::sealed::sealed;
use super::support::{issue, keys};
use crate::stub::{offers, request};
use crate::support::{AUDIENCE, outcome, send};

type Kind = Arc<dyn Fn() -> Box<dyn Authenticator>>;

const MALFORMED: Answer = refused("api_key_malformed");
const MISPLACED: Answer = refused("credential_misplaced");

struct Server {
    authority: FakeAuthorizationServer,
    store: Probe,
    keys: ApiKeys,
    opaque: IntrospectionAuthenticator,
    jwt: JwtAuthenticator,
}

impl Server {
    async fn start() -> Self {
        let authority = FakeAuthorizationServer::start().await;
        let client =
            ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET);
        let opaque = IntrospectionAuthenticator::builder(authority.issuer(), client).audience(AUDIENCE);
        let store = Probe::default();
        Self {
            opaque: opaque.build().unwrap(),
            jwt: JwtAuthenticator::builder(authority.issuer(), AUDIENCE).build().unwrap(),
            keys: keys(store.clone()),
            store,
            authority,
        }
    }

    /// The three kinds in every order, joined from the left and from the right, each time in a layer that knows nothing yet.
    fn layers(
        &self,
        configure: fn(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder,
    ) -> Vec<AuthLayer<Box<dyn Authenticator>>> {
        let key = configure(ApiKeyAuthenticator::builder(self.keys.clone())).build().unwrap();
        let (opaque, jwt) = (self.opaque.clone(), self.jwt.clone());
        let kinds: [Kind; 3] = [
            Arc::new(move || Box::new(key.clone())),
            Arc::new(move || Box::new(opaque.clone())),
            Arc::new(move || Box::new(jwt.clone())),
        ];
        let mut layers = Vec::new();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let [a, b, c] = order.map(|index: usize| kinds[index]());
            layers.push(AuthLayer::new(Box::new(a.or(b).or(c)) as Box<dyn Authenticator>));
            let [a, b, c] = order.map(|index: usize| kinds[index]());
            layers.push(AuthLayer::new(Box::new(a.or(b.or(c))) as Box<dyn Authenticator>));
        }
        layers
    }

    fn asked(&self) -> usize {
        self.authority.counts().introspection
    }
}

async fn answer(layer: &AuthLayer<Box<dyn Authenticator>>, name: &'static str, value: &str) -> Answer {
    let (status, reason) = outcome(&send(layer, request(&[(name, value)], Full::default())).await);
    (status, reason.map(portcullis::Reason::code))
}

#[tokio::test]
async fn a_key_as_a_bearer_token_is_never_shown_to_the_authority() {
    let server = Server::start().await;
    let key = issue(&server.keys).await.key.expose().to_owned();
    let of_test = ApiKeys::builder("todo_test", Probe::default()).build().unwrap();
    let of_test = issue(&of_test).await.key.expose().to_owned();
    let unknown = issue(&keys(Probe::default())).await.key.expose().to_owned();
    let cut = &key[..key.len() - 1];
    let jwt = server.authority.token().build();
    for (text, accepting) in [
        (key.clone(), OK),
        (unknown, refused("api_key_unknown")),
        (cut.to_owned(), MALFORMED),
        (format!("{cut}-"), MALFORMED),
        (format!("{key}=="), MALFORMED),
        (format!("{key}/{key}"), MALFORMED),
        ("todo_live_".into(), MALFORMED),
        ("todo_live_a.b.c".into(), MALFORMED),
        (format!("todo_live_{jwt}"), MALFORMED),
        (of_test, refused("credential_misplaced")),
        (sealed(&format!("other_{}", "0".repeat(39))), refused("credential_misplaced")),
    ] {
        let bearer = format!("Bearer {text}");
        for layer in server.layers(ApiKeyAuthenticatorBuilder::accept_bearer) {
            assert_eq!(answer(&layer, "authorization", &bearer).await, accepting, "{text}");
        }
        let finds = server.store.calls("find");
        for layer in server.layers(|builder| builder) {
            assert_eq!(answer(&layer, "authorization", &bearer).await, MISPLACED, "{text}");
        }
        assert_eq!(server.store.calls("find"), finds, "nobody may judge it");
        assert_eq!(server.asked(), 0, "{text}");
    }
}

#[tokio::test]
async fn tokens_go_their_way_beside_keys() {
    let server = Server::start().await;
    let opaque = server.authority.opaque_token(server.authority.token());
    let jwt = server.authority.token().build();
    for configure in [|builder| builder, ApiKeyAuthenticatorBuilder::accept_bearer] {
        for layer in server.layers(configure) {
            let before = server.asked();
            assert_eq!(answer(&layer, "authorization", &format!("Bearer {jwt}")).await, OK);
            assert_eq!(server.asked(), before);
            assert_eq!(answer(&layer, "authorization", &format!("Bearer {opaque}")).await, OK);
            assert_eq!(server.asked(), before + 1);
        }
    }
    assert_eq!(server.store.total(), 0, "no token is looked for among the keys");
}

/// Nothing but its form tells a key: what begins like one, or is sealed like one, is one.
#[tokio::test]
async fn what_only_resembles_a_key_is_a_token_like_any_other() {
    let server = Server::start().await;
    let layer = &server.layers(ApiKeyAuthenticatorBuilder::accept_bearer)[0];
    let sealed = sealed(&format!("other_{}", "0".repeat(39)));
    let broken = format!("{}1", &sealed[..sealed.len() - 1]);
    for (calls, text) in ["todo_livex", "todo-live-abc", "xtodo_live_abc", &broken].into_iter().enumerate() {
        let answer = answer(layer, "authorization", &format!("Bearer {text}")).await;
        assert_eq!((answer, server.asked()), (refused("token_inactive"), calls + 1), "{text}");
    }
}

#[tokio::test]
async fn a_key_in_its_own_place_is_judged_by_its_own_kind_in_every_order() {
    let server = Server::start().await;
    let key = issue(&server.keys).await.key.expose().to_owned();
    let (jwt, opaque) =
        (server.authority.token().build(), server.authority.opaque_token(server.authority.token()));
    for layer in server.layers(|builder| builder) {
        for (name, value, expected) in [
            ("x-api-key", key.clone(), OK),
            ("authorization", format!("apikey {key}"), OK),
            // Tokens where only keys are read. Of a JWT it is certain what it is.
            ("x-api-key", jwt.clone(), MISPLACED),
            ("x-api-key", opaque.clone(), MALFORMED),
            ("authorization", format!("ApiKey {opaque}"), MALFORMED),
        ] {
            assert_eq!(answer(&layer, name, &value).await, expected, "{name}: {value}");
        }
        let response = send(&layer, request(&[("x-api-key", &key)], Full::default())).await;
        assert_eq!(response.extensions().get::<Principal>().unwrap().method(), "api-key");
        let missing = send(&layer, request(&[], Full::default())).await;
        assert_eq!(
            (missing.status(), offers(&missing)),
            (StatusCode::UNAUTHORIZED, vec!["Bearer".into(), "ApiKey".into()])
        );
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_key_where_no_key_is_read_is_not_looked_at_and_not_shown() {
    let server = Server::start().await;
    let key = issue(&server.keys).await.key.expose().to_owned();
    for layer in server.layers(ApiKeyAuthenticatorBuilder::no_header) {
        assert_eq!(answer(&layer, "x-api-key", &key).await, refused("credential_missing"));
        assert_eq!(answer(&layer, "authorization", &format!("ApiKey {key}")).await, OK);
    }
    for layer in server.layers(ApiKeyAuthenticatorBuilder::accept_basic) {
        use base64::Engine as _;
        let basic =
            |text: String| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        assert_eq!(answer(&layer, "authorization", &basic(format!("apikey:{key}"))).await, OK);
        assert_eq!(answer(&layer, "authorization", &basic(format!("{key}:"))).await, OK);
        let somebody = answer(&layer, "authorization", &basic("ann:secret".into())).await;
        assert_eq!(somebody.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(server.asked(), 0);
}
