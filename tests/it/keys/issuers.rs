//! Several issuers in one authenticator: keys speak for one name only.

use std::sync::Arc;

use portcullis::test_util::{ScriptedHttpClient, SigningKey};
use portcullis::{Algorithm, AuthLayer, Issuer, JwtAuthenticator, KeySet, Reason, RemoteKeySet};

use super::{ACCEPTED, document, es256, refused, seconds, unavailable};
use crate::support::{AUDIENCE, bearer, outcome, send, token};

const ONE: &str = "https://one.example";
const TWO: &str = "https://two.example";

fn jwks(issuer: &str) -> String {
    format!("{issuer}/keys")
}

fn issuer(id: &str, http: &ScriptedHttpClient) -> Issuer {
    Issuer::new(id, RemoteKeySet::builder(jwks(id)).http_client(http.clone()).build().unwrap())
}

fn layer(http: &ScriptedHttpClient) -> AuthLayer<JwtAuthenticator> {
    let builder = JwtAuthenticator::builder(issuer(ONE, http), AUDIENCE).issuer(issuer(TWO, http));
    AuthLayer::new(builder.build().unwrap())
}

#[tokio::test]
async fn a_key_of_one_issuer_never_verifies_a_token_of_another() {
    // RFC 8725 §3.8. Both issuers use the same name for their keys, as an attacker would.
    let same = || Arc::new(SigningKey::generate(Algorithm::ES256).with_kid("1"));
    let (one, two, http) = (same(), same(), ScriptedHttpClient::new());
    http.answer(jwks(ONE), document(&[&one]));
    http.answer(jwks(TWO), document(&[&two]));
    let layer = layer(&http);
    for (key, name, expected) in [
        (&one, ONE, ACCEPTED),
        (&two, TWO, ACCEPTED),
        (&one, TWO, refused(Reason::SignatureInvalid)),
        (&two, ONE, refused(Reason::SignatureInvalid)),
    ] {
        let token = token(key).claim("iss", name).build();
        assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected, "{name}");
        let nameless = portcullis::test_util::TokenBuilder::new(Arc::clone(key), name, AUDIENCE);
        let nameless = nameless.without_header("kid").build();
        assert_eq!(outcome(&send(&layer, bearer(&nameless)).await), expected, "{name}");
    }
    assert_eq!(http.total(), 2);
}

#[tokio::test]
async fn a_key_that_only_another_issuer_has_is_unknown() {
    let (one, two, http) = (es256(), es256(), ScriptedHttpClient::new());
    http.answer(jwks(ONE), document(&[&one]));
    http.answer(jwks(TWO), document(&[&two]));
    let layer = layer(&http);
    let of = |name| token(&one).claim("iss", name).build();
    assert_eq!(outcome(&send(&layer, bearer(&of(ONE))).await), ACCEPTED);
    assert_eq!(outcome(&send(&layer, bearer(&of(TWO))).await), refused(Reason::KeyUnknown));
    assert_eq!((http.count(&jwks(ONE)), http.count(&jwks(TWO))), (1, 1));
}

#[tokio::test]
async fn what_one_issuer_suffers_does_not_touch_the_other() {
    let (one, two, http) = (es256(), es256(), ScriptedHttpClient::new());
    http.answer(jwks(ONE), document(&[&one]));
    let layer = layer(&http);
    for _ in 0..3 {
        let down = token(&two).claim("iss", TWO).build();
        assert_eq!(outcome(&send(&layer, bearer(&down)).await), unavailable(Reason::KeysUnavailable));
    }
    assert_eq!(http.count(&jwks(TWO)), 1, "the pause after a failure holds");
    let good = token(&one).claim("iss", ONE).build();
    assert_eq!(outcome(&send(&layer, bearer(&good)).await), ACCEPTED);
    assert_eq!(http.count(&jwks(ONE)), 1);
}

#[tokio::test]
async fn tokens_that_no_key_could_save_cause_no_requests() {
    let (key, http) = (es256(), ScriptedHttpClient::new());
    http.answer(jwks(ONE), document(&[&key]));
    let layer = layer(&http);
    let good = || token(&key).claim("iss", ONE);
    for (token, reason) in [
        (good().claim("iss", "https://evil.example"), Reason::IssuerRefused),
        (good().claim("iss", format!("{ONE}/")), Reason::IssuerRefused),
        (good().claim("iss", "HTTPS://ONE.EXAMPLE"), Reason::IssuerRefused),
        (
            good().header("jku", "https://evil.example/keys").claim("iss", "https://evil.example"),
            Reason::IssuerRefused,
        ),
        (good().expires_in(-60), Reason::TokenExpired),
        (good().claim("aud", "https://other.example"), Reason::AudienceRefused),
        (good().header("typ", "id+jwt"), Reason::TypeRefused),
        (good().header("crit", serde_json::json!(["x"])), Reason::CriticalHeader),
    ] {
        assert_eq!(outcome(&send(&layer, bearer(&token.build())).await), refused(reason));
        assert_eq!(http.total(), 0);
    }
    assert_eq!(outcome(&send(&layer, bearer(&good().build())).await), ACCEPTED);
    assert_eq!(http.total(), 1);
}

#[test]
fn issuers_and_keys_that_do_not_fit_are_reported_when_built() {
    let http = ScriptedHttpClient::new();
    let build = |issuers: [Issuer; 2]| {
        let [one, two] = issuers;
        JwtAuthenticator::builder(one, AUDIENCE).issuer(two).build().map(drop)
    };
    assert!(build([issuer(ONE, &http), issuer(TWO, &http)]).is_ok());
    assert!(build([issuer(ONE, &http), issuer(ONE, &http)]).is_err(), "twice");
    assert!(build([issuer(ONE, &http), Issuer::discover("http://two.example")]).is_err());
    let discovered = || RemoteKeySet::discover(TWO).http_client(http.clone()).build().unwrap();
    assert!(build([issuer(ONE, &http), Issuer::new(TWO, discovered())]).is_ok());
    assert!(build([issuer(ONE, &http), Issuer::new("https://three.example", discovered())]).is_err());
    let keys = KeySet::parse(document(&[&es256()])).unwrap();
    assert!(build([issuer(ONE, &http), Issuer::new(TWO, keys)]).is_ok());
}

#[test]
fn http_of_a_discovered_issuer_is_refused_unless_allowed() {
    let build = |issuer| JwtAuthenticator::builder(issuer, AUDIENCE).build().map(drop);
    for url in ["http://two.example", "http://127.0.0.1:1", "http://localhost/realm"] {
        let error = build(Issuer::discover(url)).unwrap_err();
        let expected = format!("`{url}` cannot be used: plain http needs `allow_http()`");
        assert_eq!(error.to_string(), expected);
        assert!(build(Issuer::discover(url).allow_http()).is_ok(), "{url}");
    }
    assert!(build(Issuer::discover("ftp://two.example").allow_http()).is_err());
}

#[tokio::test]
async fn times_of_zero_are_refused() {
    let builder = || RemoteKeySet::builder(jwks(ONE)).http_client(ScriptedHttpClient::new());
    assert!(builder().fresh_for(seconds(0)).build().is_err());
    assert!(builder().timeout(seconds(0)).build().is_err());
    assert!(builder().fresh_for(seconds(1)).timeout(seconds(1)).stale_for(seconds(0)).build().is_ok());
}
