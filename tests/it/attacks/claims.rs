//! Rows 21 to 30: what a token says of itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::test_util::{ManualClock, ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, AuthLayer, Issuer, JwtAuthenticator, Principal, Reason, RemoteKeySet, require_scopes,
};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _};

use super::{PASSED, Target, answer, forbidden, handler, jwks, unauthorized};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, judge, jwt, key, outcome, send, token};

/// Puts a claim into a token as it is written, even where no JSON value could hold it.
fn with_claim(token: &TokenBuilder, name: &str, written: &str) -> String {
    let claims = token.clone().without(name).claims().to_string();
    let claims = format!("{},\"{name}\":{written}}}", claims.strip_suffix('}').unwrap());
    token.clone().raw_claims(claims).build()
}

#[tokio::test]
async fn row_21_times_of_a_wrong_type_are_not_absent() {
    let target = Target::new(Algorithm::ES256);
    for name in ["exp", "nbf", "iat"] {
        for wrong in [
            "\"4000000000\"",
            "\"\"",
            "null",
            "true",
            "[4000000000]",
            "{}",
            "1e400",
            "-1e400",
            "NaN",
            "Infinity",
            "0x10",
            "+1",
            "1_000",
        ] {
            target.refuses(&with_claim(&target.token(), name, wrong), Reason::ClaimsMalformed).await;
        }
    }
    for (written, reason) in [
        ("-1", Reason::TokenExpired),
        ("-1e300", Reason::TokenExpired),
        ("-9223372036854775809", Reason::TokenExpired),
        ("0", Reason::TokenExpired),
        ("1e-400", Reason::TokenExpired),
        ("1e300", Reason::LifetimeTooLong),
        ("18446744073709551615", Reason::LifetimeTooLong),
        ("18446744073709551616", Reason::LifetimeTooLong),
    ] {
        target.refuses(&with_claim(&target.token(), "exp", written), reason).await;
    }
    target.refuses(&target.token().without("exp").build(), Reason::ClaimMissing).await;
    // A fraction is a number too (RFC 7519 §2).
    let exp = target.token().claims()["exp"].as_u64().unwrap();
    target.accepts(&with_claim(&target.token(), "exp", &format!("{exp}.5"))).await;
    target.accepts(&with_claim(&target.token(), "nbf", "-1")).await;
}

#[tokio::test]
async fn row_22_claims_are_an_object() {
    let target = Target::new(Algorithm::ES256);
    let claims = target.token().claims().to_string();
    for payload in [
        "[]",
        &format!("[{claims}]"),
        "null",
        "true",
        "1",
        "\"{}\"",
        "",
        &Value::from(claims.clone()).to_string(),
    ] {
        target.refuses(&target.token().raw_claims(payload).build(), Reason::ClaimsMalformed).await;
    }
    target.refuses(&target.token().raw_claims("{}").build(), Reason::ClaimMissing).await;
    target.accepts(&target.token().raw_claims(claims).build()).await;
}

#[tokio::test]
async fn row_23_the_issuer_is_compared_to_the_letter() {
    let target = Target::new(Algorithm::ES256);
    for iss in [
        "https://id.example/",
        "https://id.example.",
        "https://id.exampl",
        "https://id.example.evil.test",
        "https://id.example@evil.test",
        "https://ID.example",
        "HTTPS://id.example",
        "http://id.example",
        "https://id.example:443",
        "https://id.example#",
        "https://id.example?",
        "https://id.ex%61mple",
        " https://id.example",
        "https://id.example\n",
        "https://id.example\0",
        "https://id.ex\u{430}mple",
        "https://\u{ff49}d.example",
        "id.example",
        "",
    ] {
        target.refuses(&target.token().claim("iss", iss).build(), Reason::IssuerRefused).await;
    }
    for iss in
        [json!([ISSUER]), json!(["https://evil.test", ISSUER]), json!({"a": ISSUER}), json!(null), json!(1)]
    {
        target.refuses(&target.token().claim("iss", iss).build(), Reason::ClaimsMalformed).await;
    }
    target.refuses(&target.token().without("iss").build(), Reason::ClaimMissing).await;
    // An escape is only another spelling of the same string.
    target.accepts(&with_claim(&target.token(), "iss", r#""https:\/\/\u0069d.example""#)).await;
}

#[tokio::test]
async fn row_24_the_audience_is_required_and_exact() {
    let target = Target::new(Algorithm::ES256);
    for aud in [
        json!(""),
        json!([]),
        json!([""]),
        json!("https://api.example/"),
        json!("https://api.exampl"),
        json!("https://api.example.evil.test"),
        json!("https://API.example"),
        json!("https://other.example https://api.example"),
        json!(["https://other.example", "app"]),
        json!("*"),
    ] {
        target.refuses(&target.token().claim("aud", aud).build(), Reason::AudienceRefused).await;
    }
    for aud in
        [json!(42), json!(null), json!(true), json!({AUDIENCE: 1}), json!([AUDIENCE, 1]), json!([[AUDIENCE]])]
    {
        target.refuses(&target.token().claim("aud", aud).build(), Reason::ClaimsMalformed).await;
    }
    target.refuses(&target.token().without("aud").build(), Reason::ClaimMissing).await;
    target.accepts(&target.token().claim("aud", json!([AUDIENCE])).build()).await;
    // RFC 7519 §4.1.3: one of several names is enough.
    target.accepts(&target.token().claim("aud", json!(["https://other.example", AUDIENCE])).build()).await;
    assert!(JwtAuthenticator::builder(issuer_of(&[&target.key]), "").build().is_err());
}

/// Seconds since the epoch at which these servers stand still.
const NOW: u64 = 1_800_000_000;

#[tokio::test]
async fn row_27_times_far_away_overflow_nothing() {
    let target = Target::with(Algorithm::ES256, |jwt| jwt.clock(ManualClock::at(NOW)));
    let token = target.token().issued_at(UNIX_EPOCH + Duration::from_secs(NOW));
    let century = NOW + 100 * 365 * 86_400;
    for (name, value, reason) in [
        ("nbf", json!(NOW + 31), Reason::TokenNotYetValid),
        ("nbf", json!(century), Reason::TokenNotYetValid),
        ("nbf", json!(i64::MAX), Reason::TokenNotYetValid),
        ("nbf", json!(u64::MAX), Reason::TokenNotYetValid),
        ("nbf", json!(1e300), Reason::TokenNotYetValid),
        ("iat", json!(NOW + 31), Reason::IssuedInFuture),
        ("iat", json!(i64::MAX), Reason::IssuedInFuture),
        ("iat", json!(u64::MAX), Reason::IssuedInFuture),
        ("iat", json!(NOW - 86_400), Reason::LifetimeTooLong),
        ("iat", json!(i64::MIN), Reason::LifetimeTooLong),
        ("iat", json!(-1e300), Reason::LifetimeTooLong),
        ("exp", json!(NOW + 86_401), Reason::LifetimeTooLong),
        ("exp", json!(century), Reason::LifetimeTooLong),
        ("exp", json!(i64::MAX), Reason::LifetimeTooLong),
        ("exp", json!(u64::MAX), Reason::LifetimeTooLong),
        ("exp", json!(NOW - 30), Reason::TokenExpired),
        ("exp", json!(i64::MIN), Reason::TokenExpired),
    ] {
        target.refuses(&token.clone().claim(name, value).build(), reason).await;
    }
    let nameless = token.clone().without("iat");
    target.refuses(&nameless.clone().claim("exp", NOW + 86_431).build(), Reason::LifetimeTooLong).await;
    for (name, value) in [
        ("nbf", json!(NOW + 30)),
        ("iat", json!(NOW + 30)),
        ("iat", json!(NOW - 86_340)),
        ("exp", json!(NOW + 86_400)),
        ("exp", json!(NOW - 29)),
        ("nbf", json!(i64::MIN)),
    ] {
        target.accepts(&token.clone().claim(name, value).build()).await;
    }
    target.accepts(&nameless.claim("exp", NOW + 86_430).build()).await;
}

#[tokio::test]
async fn row_27_the_widest_settings_overflow_nothing() {
    let signer = key(Algorithm::ES256);
    let build = |leeway| {
        let jwt = JwtAuthenticator::builder(issuer_of(&[&signer]), AUDIENCE);
        jwt.max_lifetime(Duration::MAX).leeway(leeway).build()
    };
    assert!(build(Duration::MAX).is_err() && build(Duration::from_secs(301)).is_err());
    let jwt = build(Duration::from_secs(300)).unwrap();
    for exp in [json!(i64::MAX), json!(u64::MAX), json!(1e308)] {
        let principal = judge(&jwt, &token(&signer).claim("exp", exp).build()).await.unwrap();
        // What no clock can hold counts as past, which is the safe side for whoever keeps data until then.
        let expires_at = principal.expires_at().unwrap();
        assert!(expires_at == UNIX_EPOCH || expires_at > SystemTime::UNIX_EPOCH + Duration::from_secs(NOW));
    }
}

#[tokio::test]
async fn row_28_scopes_are_whole_words() {
    let signer = key(Algorithm::ES256);
    let layer = AuthLayer::new(jwt(&[&signer]));
    let guarded = async |scope: Value| {
        let inner = require_scopes(["read"]).layer(handler());
        let request = bearer(&token(&signer).claim("scope", scope).build());
        outcome(&layer.layer(inner).oneshot(request).await.unwrap())
    };
    for scope in [
        "readwrite",
        "rea",
        "READ",
        "read:all",
        "xread",
        "read,write",
        "read;",
        "read+write",
        "",
        " ",
        "read/*",
    ] {
        assert_eq!(guarded(json!(scope)).await, forbidden(Reason::ScopeInsufficient), "{scope:?}");
    }
    for scope in [
        json!("write\tread"),
        json!("write\nread"),
        json!("write\u{a0}read"),
        json!("write\0read"),
        json!("read\r\nX: y"),
        json!("\"read\""),
        json!("r\u{435}ad"),
        json!(["write read"]),
        json!(["write", ""]),
        json!(["read", "a\"b"]),
    ] {
        assert_eq!(guarded(scope.clone()).await, unauthorized(Reason::ScopeMalformed), "{scope}");
    }
    for scope in [json!({"read": true}), json!([["read"]]), json!(["read", 1]), json!(true), json!(null)] {
        assert_eq!(guarded(scope.clone()).await, unauthorized(Reason::ClaimsMalformed), "{scope}");
    }
    for scope in
        [json!("read"), json!("write read"), json!("read read"), json!(["write", "read"]), json!("a  read ")]
    {
        assert_eq!(guarded(scope.clone()).await, PASSED, "{scope}");
    }
}

/// Two issuers at scripted addresses.
fn two_issuers(a: &SigningKey, b: &SigningKey) -> (AuthLayer<JwtAuthenticator>, ScriptedHttpClient) {
    let http = ScriptedHttpClient::new();
    let issuer = |name: &str, key: &SigningKey| {
        let url = format!("{name}/jwks");
        http.answer(&url, jwks([key.jwk()]));
        Issuer::new(name, RemoteKeySet::builder(url).http_client(http.clone()).build().unwrap())
    };
    let jwt = JwtAuthenticator::builder(issuer("https://a.example", a), AUDIENCE);
    (AuthLayer::new(jwt.issuer(issuer("https://b.example", b)).build().unwrap()), http)
}

#[tokio::test]
async fn row_29_an_unlisted_issuer_causes_no_fetch() {
    let (a, b) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let (layer, http) = two_issuers(&a, &b);
    for iss in ["https://evil.test", "http://169.254.169.254", "https://c.example", "file:///etc/passwd"] {
        let forged = TokenBuilder::new(a.clone(), iss, AUDIENCE).header("jku", format!("{iss}/jwks")).build();
        assert_eq!(answer(&layer, &forged).await, unauthorized(Reason::IssuerRefused), "{iss}");
    }
    assert_eq!(http.total(), 0);
    // A listed one causes the fetch of its own keys, and of no other's.
    assert_eq!(answer(&layer, &TokenBuilder::new(a, "https://a.example", AUDIENCE).build()).await, PASSED);
    assert_eq!((http.count("https://a.example/jwks"), http.total()), (1, 1));
}

#[tokio::test]
async fn row_30_a_key_speaks_for_its_own_issuer_alone() {
    let named = |kid: &str| std::sync::Arc::new(SigningKey::generate(Algorithm::ES256).with_kid(kid));
    for (a, b, reason) in [
        (named("same"), named("same"), Reason::SignatureInvalid),
        (named("a"), named("b"), Reason::KeyUnknown),
    ] {
        let (layer, http) = two_issuers(&a, &b);
        let of = |iss: &str| TokenBuilder::new(a.clone(), iss, AUDIENCE);
        assert_eq!(answer(&layer, &of("https://b.example").build()).await, unauthorized(reason));
        let nameless = of("https://b.example").without_header("kid").build();
        assert_eq!(answer(&layer, &nameless).await, unauthorized(Reason::SignatureInvalid));
        assert_eq!(http.count("https://a.example/jwks"), 0, "the other issuer is not even asked");
        let accepted = send(&layer, bearer(&of("https://a.example").build())).await;
        assert_eq!(accepted.extensions().get::<Principal>().unwrap().issuer(), Some("https://a.example"));
    }
}
