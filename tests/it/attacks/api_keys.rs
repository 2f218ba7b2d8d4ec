//! Rows 51, 52, 57, 58, 61, 62 and 64 as far as they concern API keys.

use std::fmt::Debug;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use portcullis::api_key::{ApiKeyUse, KeyDigest, StoredApiKey};
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeyClaims, ApiKeyRecord, ApiKeyStore as _, ApiKeys, AuthError,
    AuthLayer, Authenticator as _, Credential, IssuedApiKey, MemoryApiKeyStore, NewApiKey, Presentation,
    Principal, Reason, RequestContext, ScopeSet, StoreError, StoreFuture, problem_json, require_scopes,
};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use super::{PASSED, Target, bad_request, forbidden, handler, request, unauthorized};
use crate::log::Log;
use crate::support::{outcome, send};

const PEPPER: &str = "a-pepper-that-nobody-may-ever-see-anywhere";

/// A server with one key of Ann's, which reads keys in every place.
struct Server {
    store: MemoryApiKeyStore,
    keys: ApiKeys,
    layer: AuthLayer<ApiKeyAuthenticator>,
    issued: IssuedApiKey,
}

impl Server {
    async fn new() -> Self {
        let store = MemoryApiKeyStore::new();
        let keys = ApiKeys::builder("todo_live", store.clone()).pepper("2026", PEPPER).build().unwrap();
        let authenticator = ApiKeyAuthenticator::builder(keys.clone()).accept_bearer().accept_basic();
        let new = NewApiKey::new("nightly build", "ann").scopes(ScopeSet::parse("todo:read").unwrap());
        let issued = keys.issue(new).await.unwrap();
        Self { store, layer: AuthLayer::new(authenticator.build().unwrap()), issued, keys }
    }

    fn key(&self) -> &str {
        self.issued.key.expose()
    }
}

#[tokio::test]
async fn row_51_several_keys() {
    let server = Server::new().await;
    let key = server.key().as_bytes();
    let scheme = &[b"ApiKey ", key].concat()[..];
    let several = bad_request(Reason::SeveralCredentials);
    for lines in [
        vec![("x-api-key", key), ("x-api-key", key)],
        vec![("X-API-Key", key), ("x-api-key", b"")],
        vec![("x-api-key", b""), ("x-api-key", key)],
        vec![("authorization", scheme), ("x-api-key", key)],
        vec![("authorization", scheme), ("x-api-key", b"")],
        vec![("authorization", scheme), ("authorization", scheme)],
        vec![("authorization", scheme), ("authorization", b"")],
        vec![("authorization", &[scheme, b", ", scheme].concat())],
        vec![("authorization", &[scheme, b",Bearer x"].concat())],
    ] {
        assert_eq!(outcome(&send(&server.layer, request(&lines)).await), several, "{lines:?}");
    }
    // A list in a field that holds no lists is no key.
    for separator in [&b", "[..], b",", b";", b" ", b"\t"] {
        let list = [key, separator, key].concat();
        let answer = outcome(&send(&server.layer, request(&[("x-api-key", &list)])).await);
        assert!(answer.0.is_client_error(), "{answer:?}");
    }
    for line in [("x-api-key", key), ("X-Api-Key", key), ("authorization", scheme)] {
        assert_eq!(outcome(&send(&server.layer, request(&[line])).await), PASSED);
    }
}

#[tokio::test]
async fn row_51_a_key_elsewhere_than_in_the_header_counts_for_nothing() {
    let server = Server::new().await;
    let key = server.key();
    let query: Uri = format!("/?api_key={key}&x-api-key={key}&key={key}").parse().unwrap();
    for (name, value) in [("cookie", format!("x-api-key={key}; api_key={key}")), ("x-none", key.to_owned())] {
        let mut elsewhere = request(&[(name, value.as_bytes())]);
        *elsewhere.uri_mut() = query.clone();
        let answer = outcome(&send(&server.layer, elsewhere).await);
        assert_eq!(answer, unauthorized(Reason::CredentialMissing), "{name}");
    }
    let mut known = request(&[("x-api-key", key.as_bytes()), ("cookie", b"x-api-key=other")]);
    *known.uri_mut() = "/?api_key=other".parse().unwrap();
    assert_eq!(outcome(&send(&server.layer, known).await), PASSED);
}

#[tokio::test]
async fn row_52_scheme_and_header_are_read_to_the_letter() {
    let server = Server::new().await;
    let key = server.key().as_bytes();
    let answer = async |name: &'static str, before: &[u8], after: &[u8]| {
        let value = [before, key, after].concat();
        outcome(&send(&server.layer, request(&[(name, &value)])).await)
    };
    let malformed = bad_request(Reason::AuthorizationMalformed);
    for (before, after) in [
        (&b"ApiKey\t"[..], &b""[..]),
        (b"ApiKey \t", b""),
        (b" ApiKey ", b""),
        (b"ApiKey ", b" "),
        (b"ApiKey ", b"\t"),
        (b"ApiKey \"", b"\""),
        (b"ApiKey ", b"\xc3\xa9"),
        (b"ApiKey ", b" x"),
        (b"ApiKey key=", b""),
        (b"\xc3\xa4piKey ", b""),
    ] {
        assert_eq!(answer("authorization", before, after).await, malformed, "{before:?} {after:?}");
    }
    for before in [&b"ApiKeys "[..], b"Api ", b"Key ", b"", b"Bearer-ApiKey "] {
        let unsupported = unauthorized(Reason::SchemeUnsupported);
        assert_eq!(answer("authorization", before, b"").await, unsupported, "{before:?}");
    }
    for (before, after) in
        [(&b" "[..], &b""[..]), (b"", b" "), (b"\t", b""), (b"", b"\xff"), (b"ApiKey ", b"")]
    {
        assert_eq!(answer("x-api-key", before, after).await, malformed, "{before:?} {after:?}");
    }
    for (before, after) in [(&b"\""[..], &b"\""[..]), (b"", b"="), (b"", b"\\"), (b"+", b"")] {
        let no_key = unauthorized(Reason::ApiKeyMalformed);
        assert_eq!(answer("x-api-key", before, after).await, no_key, "{before:?} {after:?}");
    }
    for before in ["ApiKey ", "apikey ", "APIKEY    ", "Bearer ", "bEARER "] {
        assert_eq!(answer("authorization", before.as_bytes(), b"").await, PASSED, "{before}");
    }
    assert_eq!(answer("x-api-key", b"", b"").await, PASSED);
}

#[tokio::test]
async fn row_57_connection_takes_no_key_away() {
    let server = Server::new().await;
    for listed in ["x-api-key", "X-API-Key, x-user", "close, x-api-key", "keep-alive"] {
        let known = request(&[
            ("connection", listed.as_bytes()),
            ("x-api-key", server.key().as_bytes()),
            ("x-user", b"root"),
        ]);
        let response = send(&server.layer, known).await;
        assert_eq!(response.extensions().get::<Principal>().unwrap().subject(), Some("ann"), "{listed}");
        let anonymous = request(&[("connection", listed.as_bytes()), ("x-user", b"root")]);
        let refused = outcome(&send(&server.layer, anonymous).await);
        assert_eq!(refused, unauthorized(Reason::CredentialMissing), "{listed}");
    }
}

#[tokio::test]
async fn row_58_a_planted_principal_gives_way_to_the_key() {
    let planted = || Principal::builder("api-key").subject("root").scopes(ScopeSet::parse("admin").unwrap());
    let plant = |mut request: Request<Full<Bytes>>| {
        request.extensions_mut().insert(planted().build());
        request
    };
    // The first request has to wait for the store, the second finds a verdict.
    for optional in [false, true] {
        let server = Server::new().await;
        let layer = if optional { server.layer.clone().optional() } else { server.layer.clone() };
        for _ in 0..2 {
            let response = send(&layer, plant(request(&[("x-api-key", server.key().as_bytes())]))).await;
            assert_eq!(response.extensions().get::<Principal>().unwrap().subject(), Some("ann"));
            for (scope, expected) in [("admin", forbidden(Reason::ScopeInsufficient)), ("todo:read", PASSED)]
            {
                let guarded = layer.layer(require_scopes([scope]).layer(handler()));
                let known = plant(request(&[("x-api-key", server.key().as_bytes())]));
                assert_eq!(outcome(&guarded.oneshot(known).await.unwrap()), expected);
            }
        }
        let nobody = send(&layer, plant(request(&[]))).await;
        let expected = if optional { PASSED } else { unauthorized(Reason::CredentialMissing) };
        assert_eq!(outcome(&nobody), expected);
        assert!(nobody.extensions().get::<Principal>().is_none());
        let bad = send(&layer, plant(request(&[("x-api-key", b"x")]))).await;
        assert_eq!(outcome(&bad), unauthorized(Reason::ApiKeyMalformed));
    }
}

/// Texts of a key's owner: they come from forms, and other programs write to the store too.
#[tokio::test]
async fn row_61_nothing_that_a_record_says_gets_into_a_header() {
    let nasty = "sesame\r\nSet-Cookie: sesame=1\r\n\r\n\"\\\u{e9}\0";
    let server = Server::new().await;
    for new in [
        NewApiKey::new(nasty, "ann"),
        NewApiKey::new("x", nasty),
        NewApiKey::new("x", "ann").client_id(nasty),
        NewApiKey::new("x", "ann").plan(nasty),
    ] {
        assert!(server.keys.issue(new).await.is_err());
    }
    let issued = server.keys.issue(NewApiKey::new("x", "ann").metadata(nasty, nasty)).await.unwrap();
    let StoredApiKey { record, digest, .. } = server.store.find(&issued.record.id).await.unwrap().unwrap();
    let other = MemoryApiKeyStore::new();
    let mut written =
        ApiKeyRecord::new(record.id, nasty.into(), nasty.into(), nasty.into(), record.created_at);
    (written.client_id, written.plan) = (Some(nasty.into()), Some(nasty.into()));
    written.metadata = record.metadata;
    let id = written.id.clone();
    other.insert(&StoredApiKey::new(written, digest)).await.unwrap();

    let keys = ApiKeys::builder("todo_live", other).pepper("2026", PEPPER).build().unwrap();
    let layer = AuthLayer::new(ApiKeyAuthenticator::new(keys.clone())).on_reject(problem_json::<Full<Bytes>>);
    let ask = async |scope: &'static str| {
        let guarded = layer.layer(require_scopes([scope]).layer(tower::service_fn(
            async |request: Request<Full<Bytes>>| {
                let mut response = Response::new(Full::<Bytes>::default());
                response.extensions_mut().insert(request.extensions().get::<Principal>().cloned());
                Ok::<_, std::convert::Infallible>(response)
            },
        )));
        let request = request(&[("x-api-key", issued.key.expose().as_bytes())]);
        guarded.oneshot(request).await.unwrap()
    };
    for expected in [forbidden(Reason::ScopeInsufficient), unauthorized(Reason::ApiKeyDisabled)] {
        let response = ask("admin").await;
        assert_eq!(outcome(&response), expected);
        let headers = format!("{:?}", response.headers());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = format!("{headers}{}", String::from_utf8_lossy(&body));
        assert!(!text.contains("sesame") && !text.contains("cookie"), "{text}");
        keys.disable(&id).await.unwrap();
    }
    // The handler gets it as it is: what it makes of it is its own affair.
    let own = AuthLayer::new(ApiKeyAuthenticator::new(keys.clone()));
    keys.enable(&id).await.unwrap();
    let response = send(&own, request(&[("x-api-key", issued.key.expose().as_bytes())])).await;
    let principal = response.extensions().get::<Principal>().unwrap();
    assert_eq!(principal.subject(), Some(nasty));
    let claims: ApiKeyClaims = principal.claims().unwrap();
    assert_eq!((claims.label.as_str(), &claims.metadata[nasty]), (nasty, &json!(nasty)));
}

/// Nothing of the secret, of its digest, or of the pepper.
fn assert_silent(text: &str, key: &str, digest: &KeyDigest) {
    let secret = &key[key.len() - 33..key.len() - 6];
    for piece in secret.as_bytes().windows(6) {
        let piece = std::str::from_utf8(piece).unwrap();
        assert!(!text.contains(piece), "{piece} of the secret in {text}");
    }
    let [lower, upper] = [false, true].map(|upper| {
        let hex = digest.bytes.map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
        hex.concat()
    });
    let decimal = format!("{}, {}, {}", digest.bytes[0], digest.bytes[1], digest.bytes[2]);
    for forbidden in
        [&lower[..12], &upper[..12], &decimal, &super::encode(digest.bytes)[..12], "nobody-may-ever"]
    {
        assert!(!text.contains(forbidden), "{forbidden} in {text}");
    }
}

/// Fails, and says all that it knows of its keys in no log line of ours.
struct Failing;

impl portcullis::ApiKeyStore for Failing {
    fn find<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(std::future::ready(Err(StoreError::new("away"))))
    }

    fn insert<'a>(&'a self, _: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Err(StoreError::new("away"))))
    }

    fn list<'a>(&'a self, _: &'a portcullis::ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        Box::pin(std::future::ready(Err(StoreError::new("away"))))
    }

    fn change<'a>(
        &'a self,
        _: &'a str,
        _: portcullis::api_key::ApiKeyChange,
    ) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(std::future::ready(Err(StoreError::new("away"))))
    }

    fn replace<'a>(
        &'a self,
        _: &'a str,
        _: &'a StoredApiKey,
        _: std::time::SystemTime,
    ) -> StoreFuture<'a, bool> {
        Box::pin(std::future::ready(Err(StoreError::new("away"))))
    }

    fn record_uses<'a>(&'a self, _: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Err(StoreError::new("away"))))
    }
}

#[tokio::test]
async fn row_62_no_key_gets_into_the_log_or_into_an_answer() {
    use base64::Engine as _;
    let server = Server::new().await;
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    let key = server.key().to_owned();
    let digest = server.store.find(&server.issued.record.id).await.unwrap().unwrap().digest;
    let unpeppered = ApiKeys::builder("todo_live", server.store.clone()).build().unwrap();
    let away = ApiKeys::builder("todo_live", Failing).build().unwrap();
    let (other, away) = (
        AuthLayer::new(ApiKeyAuthenticator::new(unpeppered)),
        AuthLayer::new(ApiKeyAuthenticator::new(away.clone())),
    );
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("apikey:{key}"));
    let cut = &key[..key.len() - 1];
    let mut reasons = std::collections::HashSet::new();
    let mut seen = String::new();
    for (layer, name, value) in [
        (&server.layer, "x-api-key", key.clone()),
        (&server.layer, "x-api-key", cut.to_owned()),
        (&server.layer, "x-api-key", format!("{key} {key}")),
        (&server.layer, "authorization", format!("ApiKey {key}, {key}")),
        (&server.layer, "authorization", format!("Basic {basic}")),
        (&server.layer, "authorization", format!("Basic {basic}AAAA")),
        (&server.layer, "authorization", format!("Bearer {cut}")),
        (&server.layer, "authorization", format!("Digest {key}")),
        (&server.layer, "authorization", key.clone()),
        (&other, "x-api-key", key.clone()),
        (&away, "x-api-key", key.clone()),
    ] {
        let response = send(layer, request(&[(name, value.as_bytes())])).await;
        reasons.insert(outcome(&response).1);
        seen.push_str(&format!("{:?}", response.headers()));
        if let Some(error) = response.extensions().get::<AuthError>() {
            seen.push_str(&format!("{error} {error:?}"));
        }
    }
    for change in 0..2 {
        let id = &server.issued.record.id;
        let changed = if change == 0 { server.keys.disable(id).await } else { server.keys.revoke(id).await };
        changed.unwrap();
        let response = send(&server.layer, request(&[("x-api-key", key.as_bytes())])).await;
        reasons.insert(outcome(&response).1);
        seen.push_str(&format!("{:?}", response.headers()));
    }
    server.keys.flush().await.unwrap();
    let lines = log.take();
    assert!(reasons.len() >= 8, "{reasons:?}");
    assert!(
        lines.contains("api_key_malformed") && lines.contains("pepper_missing") && lines.contains("away")
    );
    assert_silent(&lines, &key, &digest);
    assert_silent(&seen, &key, &digest);
    assert!(!lines.contains(&basic[..12]) && !lines.contains(&server.issued.record.id), "{lines}");
}

#[tokio::test]
async fn row_62_debug_shows_no_key_no_digest_and_no_pepper() {
    let server = Server::new().await;
    let key = server.key().to_owned();
    let stored = server.store.find(&server.issued.record.id).await.unwrap().unwrap();
    let builder = ApiKeys::builder("todo_live", server.store.clone()).pepper("2026", PEPPER);
    let authenticator = ApiKeyAuthenticator::new(server.keys.clone());
    let with_key = request(&[("x-api-key", key.as_bytes())]);
    let presentation = Presentation::BEARER;
    let credential = Credential::new(&presentation, &key);
    let future = authenticator.authenticate(&credential, &RequestContext::new(&with_key));
    let mut used = ApiKeyUse::new(stored.record.id.clone(), stored.record.created_at);
    used.digest = Some((stored.digest.clone(), stored.digest.clone()));
    let response = send(&server.layer, request(&[("x-api-key", key.as_bytes())])).await;
    let principal = response.extensions().get::<Principal>().unwrap();
    let short = ApiKeys::builder("todo_live", server.store.clone()).pepper("p", &PEPPER[..31]).build();
    let config_error = short.unwrap_err();
    let error = server.keys.rotate("0123456789ab", std::time::Duration::ZERO).await.unwrap_err();
    let shown: Vec<&dyn Debug> = vec![
        &server.keys,
        &builder,
        &authenticator,
        &server.layer,
        &server.issued,
        &server.issued.key,
        &stored,
        &stored.digest,
        &server.store,
        &credential,
        &future,
        &used,
        principal,
        &config_error,
        &error,
    ];
    for value in shown {
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            assert_silent(&text, &key, &stored.digest);
        }
    }
    assert_silent(&format!("{config_error} {error}"), &key, &stored.digest);
    // The search would have found it: the request shows it all.
    assert!(format!("{with_key:?}").contains(&key));
}

#[tokio::test]
async fn row_64_a_key_with_dots_is_no_token_and_a_token_is_no_key() {
    let server = Server::new().await;
    let target = Target::new(Algorithm::ES256);
    let jwt = target.token().build();
    let with_dots = format!("todo_live_{jwt}");
    let no_key = unauthorized(Reason::ApiKeyMalformed);
    for swapped in [false, true] {
        let keys = ApiKeyAuthenticator::builder(server.keys.clone()).accept_bearer().build().unwrap();
        let tokens = crate::support::jwt(&[&target.key]);
        let layer: AuthLayer<Box<dyn portcullis::Authenticator>> =
            AuthLayer::new(if swapped { Box::new(tokens.or(keys)) } else { Box::new(keys.or(tokens)) });
        for (text, expected, method) in [
            (jwt.as_str(), PASSED, Some("jwt")),
            (server.key(), PASSED, Some("api-key")),
            (&with_dots, no_key, None),
            ("todo_live_a.b.c", no_key, None),
        ] {
            let response = send(&layer, crate::support::bearer(text)).await;
            let judged_by = response.extensions().get::<Principal>().map(Principal::method);
            assert_eq!((outcome(&response), judged_by), (expected, method), "{text}");
        }
    }
    // Where only tokens are taken a key is a bad one, and where only keys are, a token is.
    target.refuses(server.key(), Reason::TokenMalformed).await;
    let answer = outcome(&send(&server.layer, crate::support::bearer(&jwt)).await);
    assert_eq!(answer, no_key);
    target.accepts(&jwt).await;
}
