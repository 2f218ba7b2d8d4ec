//! Where a key may stand in a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, StatusCode};
use http_body_util::Full;
use portcullis::{
    ApiKeyAuthenticator, ApiKeyAuthenticatorBuilder, ApiKeys, AuthLayer, MemoryApiKeyStore, Principal,
};

use super::scene::{Answer, OK, refused};
use super::support::{issue, keys};
use crate::stub::request;
use crate::support::{outcome, send};

const SEVERAL: Answer = (StatusCode::BAD_REQUEST, Some("several_credentials"));
const MALFORMED: Answer = (StatusCode::BAD_REQUEST, Some("authorization_malformed"));
const UNSUPPORTED: Answer = refused("scheme_unsupported");
const MISSING: Answer = refused("credential_missing");
const NO_KEY: Answer = refused("api_key_malformed");

struct Server {
    keys: ApiKeys,
    key: String,
}

impl Server {
    async fn new() -> Self {
        let keys = keys(MemoryApiKeyStore::new());
        let key = issue(&keys).await.key.expose().to_owned();
        Self { keys, key }
    }

    fn layer(
        &self,
        configure: impl FnOnce(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder,
    ) -> AuthLayer<ApiKeyAuthenticator> {
        AuthLayer::new(configure(ApiKeyAuthenticator::builder(self.keys.clone())).build().unwrap())
    }

    /// `$` stands for the key, and `base64(...)` for what it says.
    fn value(&self, template: &str) -> String {
        let text = template.replace("$", &self.key);
        match text.split_once("base64(") {
            Some((scheme, rest)) => format!("{scheme}{}", STANDARD.encode(rest.trim_end_matches(')'))),
            None => text,
        }
    }

    async fn answer(&self, layer: &AuthLayer<ApiKeyAuthenticator>, lines: &[(&'static str, &str)]) -> Answer {
        let lines: Vec<_> = lines.iter().map(|(name, template)| (*name, self.value(template))).collect();
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, reason) = outcome(&send(layer, request(&lines, Full::default())).await);
        (status, reason.map(portcullis::Reason::code))
    }
}

const fn authorization(value: &str) -> (&'static str, &str) {
    ("authorization", value)
}

#[tokio::test]
async fn by_default_a_key_stands_in_its_scheme_or_in_its_header() {
    let server = Server::new().await;
    let layer = server.layer(|builder| builder);
    for (line, expected) in [
        (authorization("ApiKey $"), OK),
        (authorization("apikey $"), OK),
        (authorization("APIKEY $"), OK),
        (authorization("aPiKeY   $"), OK),
        (("x-api-key", "$"), OK),
        (authorization("Bearer $"), UNSUPPORTED),
        (authorization("Basic base64(apikey:$)"), UNSUPPORTED),
        (authorization("Basic base64($:)"), UNSUPPORTED),
        (authorization("Token $"), UNSUPPORTED),
        (authorization("Api-Key $"), UNSUPPORTED),
        (authorization("$"), UNSUPPORTED),
        (authorization("ApiKey"), MALFORMED),
        (authorization("ApiKey $ "), MALFORMED),
        (authorization("ApiKey\t$"), MALFORMED),
        (("x-api-key", ""), MALFORMED),
        (("x-api-key", "$ $"), MALFORMED),
        (("x-api-key", "ApiKey $"), MALFORMED),
        (("api-key", "$"), MISSING),
        (("x-apikey", "$"), MISSING),
        (("x_api_key", "$"), MISSING),
        (("cookie", "x-api-key=$"), MISSING),
    ] {
        assert_eq!(server.answer(&layer, &[line]).await, expected, "{line:?}");
    }
    let mut in_query = request(&[], Full::default());
    *in_query.uri_mut() = format!("/?api_key={0}&x-api-key={0}", server.key).parse().unwrap();
    assert_eq!(outcome(&send(&layer, in_query).await).0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_header_has_the_name_that_was_set() {
    let server = Server::new().await;
    let token = server.layer(|builder| builder.header(HeaderName::from_static("x-auth-token")));
    for (line, expected) in
        [(("x-auth-token", "$"), OK), (("x-api-key", "$"), MISSING), (authorization("ApiKey $"), OK)]
    {
        assert_eq!(server.answer(&token, &[line]).await, expected, "{line:?}");
    }
    let bare = server.layer(ApiKeyAuthenticatorBuilder::no_header);
    for (line, expected) in
        [(("x-api-key", "$"), MISSING), (("x-auth-token", "$"), MISSING), (authorization("ApiKey $"), OK)]
    {
        assert_eq!(server.answer(&bare, &[line]).await, expected, "{line:?}");
    }
    // What is not read is for somebody else: it is no second credential.
    let both = [authorization("ApiKey $"), ("x-api-key", "$")];
    assert_eq!(server.answer(&bare, &both).await, OK);
    assert_eq!(server.answer(&server.layer(|builder| builder), &both).await, SEVERAL);
}

#[tokio::test]
async fn a_key_stands_as_a_bearer_token_only_where_that_is_said() {
    let server = Server::new().await;
    let accepts = server.layer(ApiKeyAuthenticatorBuilder::accept_bearer);
    for (value, expected) in [
        ("Bearer $", OK),
        ("bearer $", OK),
        ("ApiKey $", OK),
        ("Bearer opaque", NO_KEY),
        ("Bearer $.$.$", NO_KEY),
        ("Bearer", MALFORMED),
        ("Basic base64(apikey:$)", UNSUPPORTED),
    ] {
        assert_eq!(server.answer(&accepts, &[authorization(value)]).await, expected, "{value}");
    }
    let declines = server.layer(|builder| builder);
    assert_eq!(server.answer(&declines, &[authorization("Bearer $")]).await, UNSUPPORTED);
}

#[tokio::test]
async fn a_key_stands_in_basic_credentials_in_both_ways_only_where_that_is_said() {
    let server = Server::new().await;
    let accepts = server.layer(ApiKeyAuthenticatorBuilder::accept_basic);
    for (value, expected) in [
        ("Basic base64(apikey:$)", OK),
        ("basic base64($:)", OK),
        ("BASIC base64(apikey:$)", OK),
        ("ApiKey $", OK),
        ("Bearer $", UNSUPPORTED),
        ("Basic base64(apikey:)", NO_KEY),
        ("Basic base64(:$)", NO_KEY),
        ("Basic base64($)", NO_KEY),
        ("Basic base64(ann:$)", NO_KEY),
        ("Basic base64(ApiKey:$)", NO_KEY),
        ("Basic base64($:$)", NO_KEY),
        ("Basic base64(apikey:$:)", NO_KEY),
        ("Basic base64(apikey: $)", NO_KEY),
        ("Basic base64($: )", NO_KEY),
        ("Basic base64(apikey:$\n)", NO_KEY),
        ("Basic $", NO_KEY),
        ("Basic apikey:$", MALFORMED),
        ("Basic", MALFORMED),
        ("Basic ====", MALFORMED),
        ("Basic AAAA", NO_KEY),
        ("Basic A", NO_KEY),
    ] {
        assert_eq!(server.answer(&accepts, &[authorization(value)]).await, expected, "{value}");
    }
    // One spelling: padding is not optional, nor is it more than there is need for.
    let encoded = STANDARD.encode(format!("apikey:{}", server.key));
    assert_eq!(server.answer(&accepts, &[authorization(&format!("Basic {encoded}"))]).await, OK);
    for other in [format!("{encoded}="), encoded.trim_end_matches('=').to_owned() + "==="] {
        assert_ne!(server.answer(&accepts, &[authorization(&format!("Basic {other}"))]).await, OK);
    }
    let declines = server.layer(|builder| builder);
    for value in ["Basic base64(apikey:$)", "Basic base64($:)"] {
        assert_eq!(server.answer(&declines, &[authorization(value)]).await, UNSUPPORTED);
    }
}

#[tokio::test]
async fn two_credentials_are_one_too_many_in_every_pair_of_places() {
    let server = Server::new().await;
    let layer = server.layer(|builder| builder.accept_bearer().accept_basic());
    let places = [
        authorization("ApiKey $"),
        authorization("Bearer $"),
        authorization("Basic base64(apikey:$)"),
        authorization("Bearer opaque"),
        ("x-api-key", "$"),
        ("x-api-key", "other"),
    ];
    for one in places {
        for other in places {
            assert_eq!(server.answer(&layer, &[one, other]).await, SEVERAL, "{one:?} {other:?}");
        }
    }
    for place in places.into_iter().filter(|(_, value)| value.contains('$')) {
        assert_eq!(server.answer(&layer, &[place]).await, OK, "{place:?}");
    }
    assert_eq!(server.answer(&layer, &[authorization("ApiKey $, ApiKey $")]).await, SEVERAL);
    assert_eq!(server.answer(&layer, &[authorization("ApiKey $,$")]).await, SEVERAL);
    assert_eq!(server.answer(&layer, &[("x-api-key", "$, $")]).await, MALFORMED);
    assert_eq!(server.answer(&layer, &[("x-api-key", "$,$")]).await, NO_KEY);
    assert_eq!(server.answer(&layer, &[("x-api-key", "$")]).await, OK);
}

#[tokio::test]
async fn an_optional_layer_lets_nobody_pass_and_no_bad_key() {
    let server = Server::new().await;
    let layer = server.layer(|builder| builder).optional();
    for (lines, expected) in [
        (&[][..], OK),
        (&[("x-api-key", "$")], OK),
        (&[("x-api-key", "$0")], NO_KEY),
        (&[("x-api-key", "")], MALFORMED),
        (&[authorization("Bearer $")], UNSUPPORTED),
        (&[authorization("ApiKey $"), ("x-api-key", "$")], SEVERAL),
    ] {
        assert_eq!(server.answer(&layer, lines).await, expected, "{lines:?}");
    }
    let known = send(&layer, request(&[("x-api-key", &server.key)], Full::default())).await;
    assert!(known.extensions().get::<Principal>().is_some());
    let nobody = send(&layer, request(&[], Full::default())).await;
    assert!(nobody.extensions().get::<Principal>().is_none());
}

#[test]
fn a_layer_that_could_not_work_is_not_built() {
    let build = |configure: fn(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder| {
        configure(ApiKeyAuthenticator::builder(keys(MemoryApiKeyStore::new()))).build().is_ok()
    };
    assert!(build(|builder| builder.header(HeaderName::from_static("x-key"))));
    assert!(!build(|builder| builder.header(http::header::AUTHORIZATION)));
    assert!(build(|builder| builder.reuse_for(std::time::Duration::from_secs(3600))));
    assert!(!build(|builder| builder.reuse_for(std::time::Duration::from_secs(3601))));
    assert!(!build(|builder| builder.refuse_for(std::time::Duration::from_secs(3601))));
    assert!(build(|builder| builder.timeout(std::time::Duration::from_millis(1))));
    assert!(!build(|builder| builder.timeout(std::time::Duration::ZERO)));
}
