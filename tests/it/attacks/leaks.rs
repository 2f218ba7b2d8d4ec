//! Rows 61 and 62: what comes out again, in challenges, logs and `Debug`.

use std::fmt::Debug;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use portcullis::test_util::{ScriptedHttpClient, TokenBuilder};
use portcullis::{
    Algorithm, AuthError, AuthLayer, Authenticator, Challenge, Credential, Issuer, JwtAuthenticator, KeySet,
    Presentation, Principal, Reason, RemoteKeySet, RequestContext, Verdict, problem_json, require_scopes,
};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use super::{JWKS_URI, Target, handler, jwks};
use crate::log::Log;
use crate::support::{AUDIENCE, ISSUER, bearer, jwt, key, outcome, send, token};

/// The one challenge of an answer, read back by an independent parser: its parameters in order.
fn challenge<B>(response: &Response<B>) -> Vec<(String, String)> {
    let lines: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(lines.len(), 1);
    let challenges = http_auth::parse_challenges(lines[0].to_str().unwrap()).unwrap();
    assert_eq!(challenges.len(), 1, "{lines:?}");
    let params = challenges[0].params.iter();
    params.map(|(name, value)| ((*name).to_owned(), value.to_unescaped())).collect()
}

const NASTY: [(&str, &str); 8] = [
    ("a\"b", "a\"b"),
    ("a\\", "a\\"),
    ("\", scope=\"admin", "\", scope=\"admin"),
    ("\\\", x=\"y", "\\\", x=\"y"),
    ("a\r\nSet-Cookie: x=y", "a??Set-Cookie: x=y"),
    ("a\nb\tc\0d\u{7f}", "a?b?c?d?"),
    ("caf\u{e9}\u{2028}\u{1f512}", "caf???"),
    ("a, Basic realm=b", "a, Basic realm=b"),
];

#[tokio::test]
async fn row_61_nothing_breaks_out_of_the_realm() {
    let signer = key(Algorithm::ES256);
    for (realm, shown) in NASTY {
        let layer = AuthLayer::new(jwt(&[&signer])).realm(realm);
        let missing = send(&layer, Request::new(Full::default())).await;
        assert_eq!(challenge(&missing), [("realm".into(), shown.into())]);
        assert!(missing.headers().keys().all(|name| name != "set-cookie"));
        let expired = send(&layer, bearer(&token(&signer).expires_in(-60).build())).await;
        let params = challenge(&expired);
        let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["realm", "error", "error_description"], "{realm:?}");
        assert_eq!(params[0].1, shown);
        let challenge = Challenge::bearer().with("realm", realm).to_string();
        assert!(challenge.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{challenge:?}");
    }
}

#[tokio::test]
async fn row_61_nothing_breaks_out_of_a_scope_that_data_decides() {
    let signer = key(Algorithm::ES256);
    let layer = AuthLayer::new(jwt(&[&signer]));
    let require = async |scope: &str| {
        let scope = scope.to_owned();
        let service = layer.layer(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let refused = request.extensions().get::<Principal>().unwrap().require(&scope).unwrap_err();
            let mut response = Response::new(Full::<Bytes>::default());
            response.extensions_mut().insert(refused);
            std::future::ready(Ok::<_, std::convert::Infallible>(response))
        }));
        service.oneshot(bearer(&token(&signer).build())).await.unwrap()
    };
    // RFC 6750 §3: what is not made of scope-tokens may not stand there, not even quoted.
    for scope in NASTY.map(|(scope, _)| scope).into_iter().filter(|scope| !scope.starts_with("a, ")) {
        let refused = require(scope).await;
        assert_eq!(outcome(&refused), (StatusCode::FORBIDDEN, Some(Reason::ScopeInsufficient)), "{scope:?}");
        let names: Vec<_> = challenge(&refused).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["realm", "error", "error_description"], "{scope:?}");
    }
    let refused = require("todo:write todo:42").await;
    assert_eq!(challenge(&refused)[3], ("scope".into(), "todo:write todo:42".into()));
}

#[tokio::test]
async fn row_61_a_refusal_repeats_nothing_that_was_sent() {
    let target = Target::new(Algorithm::ES256);
    let layer = target.layer.clone().on_reject(problem_json);
    for token in tokens(&target.token()) {
        let response = layer.layer(handler()).oneshot(bearer(&token)).await.unwrap();
        assert!(response.status().is_client_error() || response.status().is_server_error(), "{token}");
        let headers = format!("{:?}", response.headers());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_silent(&format!("{headers}{}", String::from_utf8_lossy(&body)), &token);
    }
}

/// Tokens in which everything that a caller chooses says `sesame`, each refused for another reason.
fn tokens(good: &TokenBuilder) -> Vec<String> {
    let mark = |name: &str| format!("sesame-{name}");
    let good = good
        .clone()
        .subject(&mark("sub"))
        .client(&mark("client"))
        .scope(&mark("scope"))
        .claim("jti", mark("jti"))
        .claim("email", mark("mail"));
    let strange = good.clone().header("kid", mark("kid"));
    let whole = good.build();
    vec![
        good.clone().expires_in(-60).build(),
        good.clone().claim("iss", mark("iss")).build(),
        good.clone().claim("aud", mark("aud")).build(),
        good.clone().claim("exp", mark("exp")).build(),
        good.clone().claim("scope", "sesame\tscope").build(),
        good.clone().claim("cnf", json!({"jkt": mark("jkt")})).build(),
        good.clone().claim("at_hash", mark("hash")).build(),
        good.clone().without("exp").build(),
        good.clone().header("typ", mark("typ")).build(),
        good.clone().header("typ", "JWT").build(),
        good.clone().header("alg", mark("alg")).build(),
        good.clone().header("crit", json!([mark("crit")])).build(),
        good.clone().header("zip", mark("zip")).build(),
        good.clone().header("cty", "JWT").build(),
        good.clone().raw_header(r#"{"sesame":1,"sesame":1}"#).build(),
        good.clone().raw_claims(r#"{"sesame":"#).build(),
        good.clone().forged_by(&key(Algorithm::ES256)).build(),
        strange.build(),
        strange.claim("aud", mark("aud")).build(),
        format!("{whole}.{whole}"),
        format!("{whole}.AAAA.AAAA"),
        format!("{whole}AAA"),
        "sesame-opaque".into(),
        "sesame,sesame".into(),
        "sesame sesame".into(),
        "sesame".repeat(2000),
    ]
}

/// Nothing of what the caller chose, decoded or not.
fn assert_silent(text: &str, token: &str) {
    assert!(!text.contains("sesame"), "{text}");
    for part in token.split('.') {
        for piece in [part.get(..12), part.get(part.len().saturating_sub(12)..)].into_iter().flatten() {
            assert!(piece.len() < 12 || !text.contains(piece), "{piece} of the token in {text}");
        }
    }
}

#[tokio::test]
async fn row_62_each_refusal_is_logged_once_with_its_reason_and_nothing_else() {
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    let target = Target::new(Algorithm::ES256);
    let mut reasons = Vec::new();
    let mut check = |reason: Reason, status: StatusCode, token: &str| {
        let lines = log.take();
        let about: Vec<&str> = lines.lines().filter(|line| line.contains("reason=")).collect();
        let expected = format!("reason=\"{}\" status={}", reason.code(), status.as_u16());
        assert!(about.len() == 1 && about[0].contains(&expected), "{expected} in {lines}");
        assert!(about[0].contains("DEBUG"), "{lines}");
        assert_silent(&lines, token);
        reasons.push(reason);
    };
    for token in tokens(&target.token()) {
        let response = send(&target.layer, bearer(&token)).await;
        check(outcome(&response).1.unwrap(), response.status(), &token);
    }
    // Of guards, which the layer above renders again.
    let token = target.token().scope("sesame").subject("sesame").build();
    let guarded = require_scopes(["admin"]).layer(handler());
    let response = target.layer.layer(guarded).oneshot(bearer(&token)).await.unwrap();
    check(Reason::ScopeInsufficient, response.status(), &token);
    // When keys are missing.
    target.http.answer_status(JWKS_URI, StatusCode::NOT_FOUND);
    let rotated = target.token().header("kid", "sesame").build();
    let response = send(&target.layer, bearer(&rotated)).await;
    check(outcome(&response).1.unwrap(), response.status(), &rotated);
    let different: std::collections::HashSet<_> = reasons.iter().collect();
    assert!(different.len() >= 22, "{} reasons", different.len());
    // An accepted request is nothing to tell.
    send(&target.layer, bearer(&token)).await;
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn row_62_failures_of_an_issuer_are_errors_without_secrets() {
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    let http = ScriptedHttpClient::new();
    http.answer(JWKS_URI, "sesame");
    let keys = RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).build().unwrap();
    let signer = key(Algorithm::ES256);
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys.clone()), AUDIENCE).build().unwrap();
    let layer = AuthLayer::new(jwt);
    let token = token(&signer).subject("sesame").build();
    assert_eq!(outcome(&send(&layer, bearer(&token)).await).1, Some(Reason::KeysUnavailable));
    let lines = log.take();
    let errors: Vec<&str> = lines.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.len() == 1 && errors[0].contains(JWKS_URI), "{lines}");
    assert_silent(&lines, &token);
    assert_silent(&format!("{:?}", keys.status()), &token);
}

#[test]
fn row_62_keys_that_are_left_out_are_named_by_their_place() {
    let (log, _guard) = Log::capture(LevelFilter::WARN);
    let signer = key(Algorithm::ES256);
    let mut private = signer.jwk();
    private["d"] = "sesame".into();
    private["kid"] = "sesame".into();
    let symmetric = json!({"kty": "oct", "k": "sesame", "kid": "sesame"});
    let keys = KeySet::parse(jwks([signer.jwk(), private.clone(), symmetric])).unwrap();
    let lines = log.take();
    assert_eq!(lines.lines().filter(|line| line.contains("WARN")).count(), 2, "{lines}");
    assert!(lines.contains("index=1") && lines.contains("index=2") && lines.contains("private"), "{lines}");
    assert_silent(&lines, signer.jwk()["x"].as_str().unwrap());
    assert_silent(&format!("{keys:?}"), signer.jwk()["x"].as_str().unwrap());
    let error = KeySet::parse(jwks([private])).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sesame"));
    log.take();
    KeySet::parse(jwks([signer.jwk()])).unwrap();
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn row_62_debug_shows_no_token_and_no_claim() {
    let signer = key(Algorithm::ES256);
    let good = token(&signer).subject("sesame-sub").client("sesame-client").claim("email", "sesame-mail");
    let good = good.scope("sesame:scope").build();
    let mut request = bearer(&good);
    request.headers_mut().insert("x-api-key", "sesame".parse().unwrap());
    request.headers_mut().insert("cookie", "sesame".parse().unwrap());
    request.headers_mut().insert(CONTENT_LENGTH, "0".parse().unwrap());
    *request.uri_mut() = "/path?access_token=sesame".parse().unwrap();
    let jwt = jwt(&[&signer]);
    let layer = AuthLayer::new(jwt.clone());
    let presentation = Presentation::BEARER;
    let credential = Credential::new(&presentation, &good);
    let context = RequestContext::new(&request);
    let pending = Target::new(Algorithm::ES256);
    let futures = [&jwt, &pending_jwt(&pending)].map(|jwt| jwt.authenticate(&credential, &context));
    let verdict: Verdict = jwt.authenticate(&credential, &context).verdict().await.unwrap();
    let service = layer.layer(());
    let remote = RemoteKeySet::builder(JWKS_URI).http_client(pending.http.clone());
    let refused = send(&layer, bearer(&token(&signer).expires_in(-60).subject("sesame").build())).await;
    let error = refused.extensions().get::<AuthError>().unwrap();
    let shown: Vec<&dyn Debug> = vec![
        &credential,
        &context,
        &futures,
        &verdict,
        &verdict.principal,
        &layer,
        &service,
        &jwt,
        &remote,
        error,
    ];
    for value in shown {
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            assert_silent(&text, &good);
        }
    }
    assert_silent(&error.to_string(), &good);
    // The request itself shows it all, so the search would have found it.
    assert!(format!("{request:?}").contains(request.headers()[AUTHORIZATION].to_str().unwrap()));
}

fn pending_jwt(target: &Target) -> JwtAuthenticator {
    let keys = RemoteKeySet::builder(JWKS_URI).http_client(target.http.clone()).build().unwrap();
    JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap()
}

#[test]
fn row_62_credentials_in_a_configured_address_are_not_repeated() {
    for result in [
        RemoteKeySet::builder("https://user:sesame@id.example/jwks").build(),
        RemoteKeySet::builder("http://user:sesame@id.example/jwks").build(),
        RemoteKeySet::builder("ftp://sesame@id.example/jwks").allow_http().build(),
        RemoteKeySet::discover("https://sesame@id.example?a").build(),
    ] {
        let error = result.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains("id.example") && !text.contains("sesame"), "{text}");
    }
}

/// Providers that do not send `at+jwt` are many: whoever meets one should not have to search.
#[tokio::test]
async fn a_token_that_is_refused_for_its_type_alone_names_the_setting() {
    let (log, _guard) = Log::capture(LevelFilter::DEBUG);
    let strict = Target::new(Algorithm::ES256);
    let lenient = Target::with(Algorithm::ES256, portcullis::JwtAuthenticatorBuilder::accept_typ_jwt);
    strict.accepts(&strict.token().build()).await;
    for typ in [Some("JWT"), None] {
        let of = |target: &Target| {
            let token = target.token().without_header("typ");
            typ.map_or(token.clone(), |typ| token.header("typ", typ))
        };
        strict.refuses(&of(&strict).build(), Reason::TypeJwtRefused).await;
        let lines = log.take();
        assert!(lines.contains("accept_typ_jwt()") && lines.contains("type_jwt_refused"), "{lines}");
        lenient.accepts(&of(&lenient).build()).await;
        // Were it wrong besides, the setting would not help.
        log.take();
        strict.refuses(&of(&strict).expires_in(-60).build(), Reason::TokenExpired).await;
        strict
            .refuses(&of(&strict).forged_by(&key(Algorithm::ES256)).build(), Reason::SignatureInvalid)
            .await;
        assert!(!log.take().contains("accept_typ_jwt"));
    }
}
