//! What is refused for what it is, each with a twin that is accepted.

use std::time::{Duration, UNIX_EPOCH};

use portcullis::{ConfigError, MemoryClientSecrets, Principal, Reason, SignedRequestAuthenticator};
use serde_json::{Value, json};

use super::{ACCEPTED, NOW, Scene, Token, answer, bearer, encode, refused, send};

async fn raw(scene: &Scene, token: &str) -> super::Answer {
    answer(&scene.layer, bearer(token)).await
}

#[tokio::test]
async fn the_principal_is_the_client_and_nothing_that_it_says_of_itself() {
    let scene = Scene::new();
    let token =
        scene.token().claim("sub", "root").claim("scope", "admin").claim("client_id", "x").claim("n", 1);
    let response = send(&scene.layer, bearer(&token.build())).await;
    let principal = response.extensions().get::<Principal>().unwrap();
    assert_eq!((principal.method(), principal.client_id()), ("signed-request", Some("app")));
    assert_eq!((principal.subject(), principal.issuer()), (None, None));
    assert_eq!(principal.scopes().as_str(), "todo:read");
    assert_eq!(principal.claims::<Value>().unwrap()["n"], 1);
    assert_eq!(principal.verified_at(), UNIX_EPOCH + Duration::from_secs(NOW));
    assert_eq!(principal.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(NOW + 30)));
    let shorter = send(&scene.layer, bearer(&token.claim("exp", NOW + 5).build())).await;
    let principal = shorter.extensions().get::<Principal>().unwrap();
    assert_eq!(principal.expires_at(), Some(UNIX_EPOCH + Duration::from_secs(NOW + 5)));
}

#[tokio::test]
async fn the_header_is_that_of_a_plain_jwt_with_hs256() {
    use Reason::{
        AlgorithmRefused, CompressedToken, CriticalHeader, HeaderMalformed, NestedToken, TypeRefused,
    };
    let scene = Scene::new();
    for (name, good) in [
        ("typ", json!("JWT")),
        ("typ", json!("jwt")),
        ("typ", json!("application/jwt")),
        ("kid", json!("any")),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("cty", json!("json")),
    ] {
        assert_eq!(scene.ask(&scene.token().header(name, good.clone())).await, ACCEPTED, "{name} {good}");
    }
    assert_eq!(scene.ask(&scene.token().without_header("typ")).await, ACCEPTED);
    for (name, bad, reason) in [
        ("typ", json!("at+jwt"), TypeRefused),
        ("typ", json!("dpop+jwt"), TypeRefused),
        ("typ", json!("token-introspection+jwt"), TypeRefused),
        ("typ", json!(""), TypeRefused),
        ("typ", json!(null), HeaderMalformed),
        ("cty", json!("JWT"), NestedToken),
        ("zip", json!("DEF"), CompressedToken),
        ("crit", json!([]), CriticalHeader),
        ("b64", json!(true), CriticalHeader),
        ("alg", json!("none"), AlgorithmRefused),
        ("alg", json!("hs256"), AlgorithmRefused),
        ("alg", json!("HS256 "), AlgorithmRefused),
        ("alg", json!("RS256"), AlgorithmRefused),
        ("alg", json!(["HS256"]), HeaderMalformed),
        ("kid", json!("k".repeat(257)), HeaderMalformed),
    ] {
        assert_eq!(
            scene.ask(&scene.token().header(name, bad.clone())).await,
            refused(reason),
            "{name} {bad}"
        );
    }
    assert_eq!(scene.ask(&scene.token().without_header("alg")).await, refused(AlgorithmRefused));
}

#[tokio::test]
async fn claims_are_what_they_should_be() {
    use Reason::{AudienceRefused, ClaimMissing, ClaimsMalformed, SenderConstrained};
    let scene = Scene::new();
    for (name, good) in [("jti", json!("1")), ("req", json!(scene.token().tag("GET /"))), ("x", json!([1]))] {
        assert_eq!(scene.ask(&scene.token().claim(name, good)).await, ACCEPTED, "{name}");
    }
    for (name, bad, reason) in [
        ("iss", json!(["app"]), ClaimsMalformed),
        ("iss", json!(""), ClaimsMalformed),
        ("iss", json!("a".repeat(257)), ClaimsMalformed),
        ("iss", json!("a".repeat(256)), Reason::ClientUnknown),
        ("iat", json!("1800000000"), ClaimsMalformed),
        ("jti", json!(1), ClaimsMalformed),
        ("jti", json!("j".repeat(257)), ClaimsMalformed),
        ("req", json!(true), ClaimsMalformed),
        ("pay", json!("AAAA"), ClaimsMalformed),
        ("aud", json!("https://elsewhere.example"), AudienceRefused),
        ("cnf", json!({"jkt": "x"}), SenderConstrained),
    ] {
        assert_eq!(scene.ask(&scene.token().claim(name, bad.clone())).await, refused(reason), "{name} {bad}");
    }
    for name in ["iss", "iat"] {
        assert_eq!(scene.ask(&scene.token().without(name)).await, refused(ClaimMissing), "{name}");
    }
}

/// A client's name with characters that have to be escaped is one name, however it is written.
#[tokio::test]
async fn a_name_is_compared_as_it_is_meant() {
    let scene = Scene::new();
    let name = "büro \"7\"";
    scene.clients.put(name, super::client([super::SECRET]));
    for (text, expected) in [
        (r#"{"iss":"büro \"7\"","iat":1800000000}"#, ACCEPTED),
        (r#"{"iss":"b\u00fcro \u00227\u0022","iat":1800000000}"#, ACCEPTED),
        (r#"{"iss":"Büro \"7\"","iat":1800000000}"#, refused(Reason::ClientUnknown)),
        (r#"{"iss":"bu\u0308ro \"7\"","iat":1800000000}"#, refused(Reason::ClientUnknown)),
        (r#"{"iss":"app ","iat":1800000000}"#, refused(Reason::ClientUnknown)),
    ] {
        let token = Token::new();
        let signed = token.sign(&format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(text)));
        assert_eq!(raw(&scene, &signed).await, expected, "{text}");
    }
}

#[tokio::test]
async fn only_the_exact_form_is_read() {
    use Reason::{
        ClaimsMalformed, HeaderMalformed, MemberDuplicated, NestingTooDeep, SignatureMalformed,
        TokenEncrypted, TokenMalformed,
    };
    let scene = Scene::new();
    let (token, good) = (scene.token(), scene.token().build());
    assert_eq!(raw(&scene, &good).await, ACCEPTED);
    let parts: Vec<&str> = good.split('.').collect();
    let with_claims = |text: &str| token.sign(&format!("{}.{}", parts[0], encode(text)));
    let with_header = |text: &str| token.sign(&format!("{}.{}", encode(text), parts[1]));
    let deep = format!(r#"{{"iss":"app","iat":{NOW},"x":{}{}}}"#, "[".repeat(16), "]".repeat(16));
    assert_eq!(raw(&scene, &with_claims(&deep.replacen("[[]]", "[]", 1))).await, ACCEPTED);
    for (bad, reason) in [
        ("opaque".to_owned(), TokenMalformed),
        (format!("{}.{}", parts[0], parts[1]), TokenMalformed),
        (format!("{good}.x"), TokenMalformed),
        (format!("{good}.x.x"), TokenEncrypted),
        (format!("{good}="), SignatureMalformed),
        (format!("{}.{}.", parts[0], parts[1]), SignatureMalformed),
        (format!("{}.{}.{}", parts[0], parts[1], encode([0; 31])), SignatureMalformed),
        (format!("{}.{}.{}", parts[0], parts[1], encode([0; 33])), SignatureMalformed),
        (with_header(r#"{"alg":"HS256","alg":"HS256"}"#), MemberDuplicated),
        (with_header(r#"{"alg":"HS256"} x"#), HeaderMalformed),
        (with_claims(&format!(r#"{{"iss":"app","iss":"app","iat":{NOW}}}"#)), MemberDuplicated),
        (with_claims(&format!(r#"{{"iss":"app","\u0069ss":"app","iat":{NOW}}}"#)), MemberDuplicated),
        (with_claims(&format!(r#"{{"iss":"app","iat":{NOW},}}"#)), ClaimsMalformed),
        (with_claims("[]"), ClaimsMalformed),
        (with_claims(&deep), NestingTooDeep),
    ] {
        assert_eq!(raw(&scene, &bad).await, refused(reason), "{bad}");
    }
}

#[tokio::test]
async fn a_token_has_8_kib_at_most_unless_somebody_says_else() {
    let padded = |scene: &Scene, len: usize| {
        let short = scene.token().claim("x", "").build().len();
        // Three bytes of claims are four characters of the token.
        (0..4)
            .map(|more| scene.token().claim("x", "x".repeat((len - short) / 4 * 3 + more)).build())
            .rfind(|token| token.len() <= len)
            .unwrap()
    };
    let scene = Scene::new();
    let (longest, too_long) = (padded(&scene, 8192), padded(&scene, 8196));
    assert!(longest.len() > 8188 && too_long.len() > 8192);
    assert_eq!(raw(&scene, &longest).await, ACCEPTED);
    assert_eq!(raw(&scene, &too_long).await, refused(Reason::TokenTooLong));
    let roomy = Scene::with(|builder| builder.max_token_len(8196));
    assert_eq!(raw(&roomy, &too_long).await, ACCEPTED);
}

#[test]
fn settings_that_make_no_sense_are_found_when_the_server_starts() {
    let problem = |window, timeout| {
        let builder = SignedRequestAuthenticator::builder(MemoryClientSecrets::new());
        match builder.window(window).timeout(timeout).build() {
            Ok(_) => None,
            Err(ConfigError::Setting { setting, .. }) => Some(setting),
            Err(error) => panic!("{error}"),
        }
    };
    let (seconds, millis) = (Duration::from_secs, Duration::from_millis);
    for (window, timeout, expected) in [
        (seconds(30), seconds(2), None),
        (seconds(300), seconds(10), None),
        (millis(1), millis(1), None),
        (millis(300_001), seconds(2), Some("window")),
        (Duration::ZERO, seconds(2), Some("window")),
        (seconds(30), millis(10_001), Some("timeout")),
        (seconds(30), Duration::ZERO, Some("timeout")),
    ] {
        assert_eq!(problem(window, timeout), expected, "{window:?} {timeout:?}");
    }
}
