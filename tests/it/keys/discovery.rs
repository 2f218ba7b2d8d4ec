//! Where keys are found.

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis::http_client::HttpError;
use portcullis::test_util::{FakeAuthorizationServer, ScriptedHttpClient};
use portcullis::{
    AuthLayer, ConfigError, Issuer, JwtAuthenticator, Reason, RemoteKeySet, RemoteKeySetBuilder,
};
use serde_json::{Value, json};

use super::{ACCEPTED, Answer, JWKS, Scene, document, es256, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, jwt_of, outcome, send, token};

const RFC8414: &str = "https://id.example/.well-known/oauth-authorization-server";
const OIDC: &str = "https://id.example/.well-known/openid-configuration";

fn metadata() -> Value {
    json!({"issuer": ISSUER, "jwks_uri": JWKS})
}

/// Sends one good token, and tells the answer, why keys could not be had, and how often each place was asked: metadata by RFC
/// 8414, by OpenID Connect, and the keys.
async fn discover(prepare: impl FnOnce(&ScriptedHttpClient)) -> (Answer, Option<String>, [usize; 3]) {
    let (http, key) = (ScriptedHttpClient::new(), es256());
    http.answer(JWKS, document(&[&key]));
    // The keys are there, under other addresses too: what is refused must be refused before they are asked.
    http.answer(JWKS.replace("https", "http"), document(&[&key]));
    for place in [RFC8414, OIDC] {
        http.answer_status(place, StatusCode::NOT_FOUND);
    }
    prepare(&http);
    let keys = RemoteKeySet::discover(ISSUER).http_client(http.clone()).build().unwrap();
    let issuer = Issuer::new(ISSUER, keys.clone());
    let layer = AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap());
    let answer = outcome(&send(&layer, bearer(&token(&key).build())).await);
    let asked =
        [http.count(RFC8414), http.count(OIDC), http.total() - http.count(RFC8414) - http.count(OIDC)];
    (answer, keys.status().last_error, asked)
}

#[tokio::test]
async fn rfc_8414_is_asked_first_and_openid_connect_after_it() {
    let good = || metadata().to_string();
    let other =
        json!({"issuer": "https://other.example", "jwks_uri": "https://other.example/keys"}).to_string();
    let (answer, _, asked) = discover(|http| http.answer(RFC8414, good())).await;
    assert_eq!((answer, asked), (ACCEPTED, [1, 0, 1]));
    let redirect = Response::builder().status(302).header("location", JWKS).body(Bytes::new()).unwrap();
    type Prepare<'a> = Box<dyn FnOnce(&ScriptedHttpClient) + 'a>;
    let not_there: [(&str, Prepare<'_>); 6] = [
        ("404", Box::new(|_| {})),
        ("a page for everything", Box::new(|http| http.answer(RFC8414, "<html>"))),
        ("a large page", Box::new(|http| http.answer(RFC8414, " ".repeat(256 * 1024 + 1)))),
        ("a redirect", Box::new(|http| http.answer_with(RFC8414, redirect))),
        ("another issuer", Box::new(|http| http.answer(RFC8414, other))),
        ("no keys", Box::new(|http| http.answer(RFC8414, json!({"issuer": ISSUER}).to_string()))),
    ];
    for (name, prepare) in not_there {
        let (answer, error, asked) = discover(|http| {
            http.answer(OIDC, good());
            prepare(http);
        })
        .await;
        assert_eq!((answer, asked, error), (ACCEPTED, [1, 1, 1], None), "{name}");
    }
    // A host that cannot be reached is not asked twice.
    let (answer, _, asked) = discover(|http| {
        http.answer(OIDC, good());
        http.fail(RFC8414, HttpError::Timeout);
    })
    .await;
    assert_eq!((answer, asked), (unavailable(Reason::KeysUnavailable), [1, 0, 0]));
}

#[tokio::test]
async fn the_metadata_names_the_issuer_code_point_by_code_point() {
    // RFC 8414 §3.3, §4.
    for other in [
        json!("https://id.example/"),
        json!("https://ID.example"),
        json!("https://id.example:443"),
        json!("http://id.example"),
        json!("https://id.example.evil"),
        json!("https://іd.example"),
        json!("https://id.example "),
        json!(["https://id.example"]),
        json!(null),
    ] {
        let (answer, error, asked) = discover(|http| {
            for place in [RFC8414, OIDC] {
                http.answer(place, json!({"issuer": other, "jwks_uri": JWKS}).to_string());
            }
        })
        .await;
        assert_eq!((answer, asked), (unavailable(Reason::KeysUnavailable), [1, 1, 0]), "{other}");
        assert!(error.unwrap().contains(RFC8414), "the error names the document");
    }
    let escaped = metadata().to_string().replacen("https", "\\u0068ttps", 1);
    let (answer, _, asked) = discover(|http| http.answer(RFC8414, escaped)).await;
    assert_eq!((answer, asked), (ACCEPTED, [1, 0, 1]));
}

#[tokio::test]
async fn a_jwks_uri_is_an_https_url() {
    for odd in [
        json!(JWKS.replace("https", "http")),
        json!("ftp://id.example/keys"),
        json!("file:///etc/keys"),
        json!("/keys"),
        json!("//id.example/keys"),
        json!(""),
        json!("https://user:pass@id.example/keys"),
        json!([JWKS]),
        json!(null),
    ] {
        let (answer, error, asked) = discover(|http| {
            http.answer(RFC8414, json!({"issuer": ISSUER, "jwks_uri": odd}).to_string());
        })
        .await;
        assert_eq!((answer, asked), (unavailable(Reason::KeysUnavailable), [1, 1, 0]), "{odd}");
        assert!(!error.unwrap().contains("pass@"), "no secret in an error");
    }
    let (answer, ..) = discover(|http| http.answer(RFC8414, metadata().to_string())).await;
    assert_eq!(answer, ACCEPTED);
}

#[tokio::test]
async fn metadata_is_read_strictly_and_widens_nothing() {
    let good = metadata().to_string();
    for odd in [
        good.replacen('{', r#"{"issuer":"https://other.example","#, 1),
        good.replacen('{', r#"{"a":1,"a":2,"#, 1),
        format!("[{good}]"),
        format!("{good}{good}"),
        String::new(),
    ] {
        let (answer, _, asked) = discover(|http| http.answer(RFC8414, odd.clone())).await;
        assert_eq!((answer, asked), (unavailable(Reason::KeysUnavailable), [1, 1, 0]), "{odd}");
    }
    let more = json!({"issuer": ISSUER, "jwks_uri": JWKS, "id_token_signing_alg_values_supported": ["none", "HS256"]});
    let (answer, ..) = discover(|http| http.answer(RFC8414, more.to_string())).await;
    assert_eq!(answer, ACCEPTED);
}

#[tokio::test]
async fn a_path_is_kept_behind_or_before_the_well_known_name() {
    for (issuer, first, second) in [
        (
            "https://id.example/a/b",
            "/.well-known/oauth-authorization-server/a/b",
            "/a/b/.well-known/openid-configuration",
        ),
        (
            "https://id.example/a/",
            "/.well-known/oauth-authorization-server/a",
            "/a/.well-known/openid-configuration",
        ),
        (
            "https://id.example/",
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ),
    ] {
        for right in [first, second] {
            let http = ScriptedHttpClient::new();
            http.answer(JWKS, document(&[&es256()]));
            for place in [first, second] {
                http.answer_status(format!("https://id.example{place}"), StatusCode::NOT_FOUND);
            }
            let found = json!({"issuer": issuer, "jwks_uri": JWKS}).to_string();
            http.answer(format!("https://id.example{right}"), found);
            let keys = RemoteKeySet::discover(issuer).http_client(http.clone()).build().unwrap();
            assert!(keys.warm_up().await.is_ok(), "{issuer} {right}");
            assert_eq!(http.total(), if right == first { 2 } else { 3 });
        }
    }
}

#[tokio::test]
async fn a_pinned_address_is_not_looked_for() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!((scene.http.script.count(JWKS), scene.fetches()), (1, 1));
}

#[tokio::test]
async fn an_address_that_moved_is_found_again_after_a_failure() {
    let (http, key) = (ScriptedHttpClient::new(), es256());
    http.answer(RFC8414, metadata().to_string());
    http.answer(JWKS, document(&[&key]));
    let keys = RemoteKeySet::discover(ISSUER).http_client(http.clone()).build().unwrap();
    keys.warm_up().await.unwrap();
    keys.refresh().await.unwrap();
    assert_eq!((http.count(RFC8414), http.count(JWKS)), (1, 2), "what was found is remembered");

    let moved = "https://id.example/moved";
    http.answer(RFC8414, json!({"issuer": ISSUER, "jwks_uri": moved}).to_string());
    http.answer_status(JWKS, StatusCode::NOT_FOUND);
    http.answer(moved, document(&[&key]));
    assert!(keys.refresh().await.is_err());
    assert!(keys.refresh().await.is_ok());
    assert_eq!((http.count(RFC8414), http.count(JWKS), http.count(moved)), (2, 3, 1));
}

#[test]
fn an_address_that_cannot_be_used_is_reported_when_the_keys_are_built() {
    let http = ScriptedHttpClient::new();
    let build = |builder: RemoteKeySetBuilder| builder.http_client(http.clone()).build().map(drop);
    for bad in [
        "",
        "id.example",
        "/keys",
        "ftp://id.example",
        "http://id.example",
        "file:///etc/passwd",
        "https://user@id.example",
        "https://user:pass@id.example",
        "http://user:pass@id.example",
        "ftp://user:pass@id.example",
    ] {
        for builder in [RemoteKeySet::builder(bad), RemoteKeySet::discover(bad)] {
            let error = build(builder).unwrap_err();
            assert!(matches!(error, ConfigError::Url { .. }), "{bad}: {error}");
            // An error is logged; a password must not be.
            assert!(!format!("{error} {error:?}").contains("pass@"), "{error}");
        }
    }
    for bad in ["https://id.example?a=b", "https://id.example#a"] {
        assert!(build(RemoteKeySet::discover(bad)).is_err(), "{bad}: RFC 8414 §2");
        assert!(build(RemoteKeySet::builder(bad)).is_ok(), "{bad}");
    }
    for good in [RemoteKeySet::builder("http://127.0.0.1:1"), RemoteKeySet::discover("http://127.0.0.1:1")] {
        assert!(build(good.allow_http()).is_ok());
    }
    assert_eq!(http.total(), 0, "building does no I/O");
}

#[tokio::test]
async fn a_real_server_is_discovered() {
    let server = FakeAuthorizationServer::start().await;
    let layer = AuthLayer::new(jwt_of(&server));
    for _ in 0..3 {
        assert_eq!(outcome(&send(&layer, bearer(&server.token().build())).await), ACCEPTED);
    }
    assert_eq!((server.counts().discovery, server.counts().jwks), (1, 1));

    let issuer = Issuer::discover(server.issuer_id()).allow_http();
    let layer = AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap());
    assert_eq!(outcome(&send(&layer, bearer(&server.token().build())).await), ACCEPTED);
    assert_eq!((server.counts().discovery, server.counts().jwks), (2, 2));

    // The document names another issuer than the one that was asked for.
    let issuer = server.issuer();
    let token = server.token();
    server.set_issuer_id("https://other.example");
    let layer = AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap());
    let answer = outcome(&send(&layer, bearer(&token.build())).await);
    assert_eq!(answer, unavailable(Reason::KeysUnavailable));
    assert_eq!((server.counts().discovery, server.counts().jwks), (4, 2));
}
