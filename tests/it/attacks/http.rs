//! Rows 51, 52, 59, 60 and 64: how a credential stands in a request.

use std::sync::{Arc, Mutex};

use http::{Request, Uri};
use http_body_util::Full;
use portcullis::{
    Algorithm, AuthFuture, AuthLayer, Authenticator, Credential, JwtAuthenticator, Match, Principal, Reason,
    RequestContext, Verdict,
};

use super::{Answer, PASSED, Target, bad_request, request, unauthorized};
use crate::support::{bearer, jwt, key, outcome, send, token};

#[tokio::test]
async fn row_51_several_credentials() {
    let target = Target::new(Algorithm::ES256);
    let good = format!("Bearer {}", target.token().build());
    let (good, other) = (good.as_bytes(), format!("Bearer {}", target.token().build()));
    let several = bad_request(Reason::SeveralCredentials);
    for lines in [
        vec![("authorization", good), ("authorization", good)],
        vec![("authorization", good), ("authorization", other.as_bytes())],
        vec![("authorization", good), ("Authorization", b"")],
        vec![("authorization", b"Basic YTpi"), ("authorization", good)],
        vec![("authorization", &[good, b", ", good].concat())],
        vec![("authorization", &[good, b",", good].concat())],
        vec![("authorization", &[good, b",DPoP a"].concat())],
    ] {
        assert_eq!(outcome(&send(&target.layer, request(&lines)).await), several);
    }
    // A list whose first scheme is not read here is nothing that could be judged.
    let list = [b"Basic YTpi, ", good].concat();
    let answer = outcome(&send(&target.layer, request(&[("authorization", &list)])).await);
    assert_eq!(answer, unauthorized(Reason::SchemeUnsupported));
    assert_eq!(target.http.total(), 0);
    assert_eq!(outcome(&send(&target.layer, request(&[("authorization", good)])).await), PASSED);
}

#[tokio::test]
async fn row_51_a_token_elsewhere_than_in_the_header_counts_for_nothing() {
    let target = Target::new(Algorithm::ES256);
    let (good, expired) = (target.token().build(), target.token().expires_in(-60).build());
    let in_query = |token: &str| format!("/?access_token={token}").parse::<Uri>().unwrap();
    let answer = async |uri: Uri, header: Option<&str>, cookie: Option<&str>| {
        let mut request = header.map_or_else(|| request(&[]), bearer);
        *request.uri_mut() = uri;
        if let Some(cookie) = cookie {
            let cookie = format!("access_token={cookie}; token={cookie}").parse().unwrap();
            request.headers_mut().insert("cookie", cookie);
        }
        outcome(&send(&target.layer, request).await)
    };
    let missing = unauthorized(Reason::CredentialMissing);
    assert_eq!(answer(in_query(&good), None, None).await, missing);
    assert_eq!(answer(Uri::from_static("/"), None, Some(&good)).await, missing);
    let stale = unauthorized(Reason::TokenExpired);
    assert_eq!(answer(in_query(&good), Some(&expired), Some(&good)).await, stale);
    assert_eq!(answer(in_query(&expired), Some(&good), Some(&expired)).await, PASSED);

    let form = Full::from(format!("access_token={good}"));
    let form = Request::post("/").header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(outcome(&send(&target.layer, form.unwrap()).await), missing);
}

#[tokio::test]
async fn row_52_the_scheme_is_read_to_the_letter() {
    let target = Target::new(Algorithm::ES256);
    let token = target.token().build();
    let answer =
        async |value: Vec<u8>| outcome(&send(&target.layer, request(&[("authorization", &value)])).await);
    let with = |before: &[u8], after: &[u8]| [before, token.as_bytes(), after].concat();
    let malformed = bad_request(Reason::AuthorizationMalformed);
    for value in [
        with(b"Bearer\t", b""),
        with(b"Bearer \t", b""),
        with(b"\tBearer ", b""),
        with(b" Bearer ", b""),
        with(b"Bearer ", b" "),
        with(b"Bearer ", b"\t"),
        with(b"Bearer ", b" x"),
        with(b"Bearer ", b";x=y"),
        with(b"Bearer ", b"\xc3\xa9"),
        with(b"Bearer \"", b"\""),
        with(b"Bearer <", b">"),
        with(b"Bearer token=", b""),
        with(b"Bearer\xa0", b""),
        b"Bearer".to_vec(),
        b"Bearer ".to_vec(),
        b"Bearer =".to_vec(),
        b"".to_vec(),
        b" ".to_vec(),
    ] {
        assert_eq!(answer(value.clone()).await, malformed, "{}", String::from_utf8_lossy(&value));
    }
    for value in [with(b"Bearer:", b""), with(b"Bearer=", b"")] {
        let refused = answer(value.clone()).await;
        assert!(refused != PASSED && refused.0.is_client_error(), "{}", String::from_utf8_lossy(&value));
    }
    for value in [with(b"Bearers ", b""), with(b"Bear ", b""), with(b"Token ", b""), with(b"", b"")] {
        assert_eq!(answer(value).await, unauthorized(Reason::SchemeUnsupported));
    }
    assert_eq!(target.http.total(), 0);
    // Without case, and with one space or more (RFC 6750 §2.1, RFC 9110 §11.1).
    for before in ["Bearer ", "bearer ", "BEARER ", "bEARER    "] {
        assert_eq!(answer(with(before.as_bytes(), b"")).await, PASSED, "{before}");
    }
}

#[tokio::test]
async fn row_59_optional_means_absent_and_nothing_else() {
    let target = Target::new(Algorithm::ES256);
    let optional = target.layer.clone().optional();
    let good = target.token().build();
    let with = |text: String| text.into_bytes();
    for (value, expected) in [
        (with(String::new()), bad_request(Reason::AuthorizationMalformed)),
        (with("Bearer".into()), bad_request(Reason::AuthorizationMalformed)),
        (with("Bearer null".into()), unauthorized(Reason::TokenMalformed)),
        (with("Bearer undefined".into()), unauthorized(Reason::TokenMalformed)),
        (with(format!("Basic {good}")), unauthorized(Reason::SchemeUnsupported)),
        (with("Basic".into()), unauthorized(Reason::SchemeUnsupported)),
        (with(format!("Bearer {good} ")), bad_request(Reason::AuthorizationMalformed)),
        (
            with(format!("Bearer {}", target.token().expires_in(-60).build())),
            unauthorized(Reason::TokenExpired),
        ),
        (
            with(format!("Bearer {}", target.token().header("alg", "none").build_with_signature(b""))),
            unauthorized(Reason::AlgorithmRefused),
        ),
        (vec![0xff], bad_request(Reason::AuthorizationMalformed)),
    ] {
        let answer = outcome(&send(&optional, request(&[("authorization", &value)])).await);
        assert_eq!(answer, expected, "{}", String::from_utf8_lossy(&value));
    }
    assert_eq!(target.http.total(), 0);
    assert_eq!(outcome(&send(&optional, request(&[])).await), PASSED);
    let forged = target.token().forged_by(&key(Algorithm::ES256)).build();
    assert_eq!(outcome(&send(&optional, bearer(&forged)).await), unauthorized(Reason::SignatureInvalid));
    let known = send(&optional, bearer(&good)).await;
    assert!(known.extensions().get::<Principal>().is_some());
}

#[tokio::test]
async fn row_60_not_any_token_will_do() {
    let target = Target::new(Algorithm::ES256);
    let good = target.token().build();
    for junk in
        ["x", "true", "admin", "0", "undefined", "eyJ", "..", "a.b.c", "eyJhbGciOiJFUzI1NiJ9.e30.", "===="]
    {
        let answer = outcome(&send(&target.layer, bearer(junk)).await);
        assert!(answer.0.is_client_error() && answer.1.is_some(), "{junk}: {answer:?}");
    }
    assert_eq!(target.http.total(), 0);
    target.accepts(&good).await;
}

/// Knows keys that start with `pk.`, and keeps what it was shown.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<Vec<String>>>);

impl Authenticator for Keys {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        if credential.expose().starts_with("pk.") { Match::Specific } else { Match::No }
    }

    fn authenticate(&self, credential: &Credential<'_>, _context: &RequestContext<'_>) -> AuthFuture {
        self.0.lock().unwrap().push(credential.expose().to_owned());
        AuthFuture::ready(Ok(Verdict::once(Principal::builder("key").subject("script").build())))
    }
}

/// Everything that nobody else knows, like introspection.
#[derive(Clone, Default)]
struct Anything(Arc<Mutex<Vec<String>>>);

impl Authenticator for Anything {
    fn recognizes(&self, _credential: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, credential: &Credential<'_>, _context: &RequestContext<'_>) -> AuthFuture {
        self.0.lock().unwrap().push(credential.expose().to_owned());
        AuthFuture::ready(Err(portcullis::AuthError::invalid_token("inactive")))
    }
}

#[tokio::test]
async fn row_64_a_credential_is_judged_by_its_kind_alone() {
    async fn judged_by<A: Authenticator>(layer: AuthLayer<A>, token: &str) -> (Answer, Option<&'static str>) {
        let response = send(&layer, bearer(token)).await;
        (outcome(&response), response.extensions().get::<Principal>().map(Principal::method))
    }
    let signer = key(Algorithm::ES256);
    let jwt: JwtAuthenticator = jwt(&[&signer]);
    let good = token(&signer).build();
    let expired = token(&signer).expires_in(-60).build();
    let symmetric = token(&signer).header("alg", "HS256").build();
    let inactive = unauthorized(Reason::Custom("inactive"));
    for (presented, expected, method, seen_by_keys, seen_by_anything) in [
        (good.as_str(), PASSED, Some("jwt"), 0, 0),
        // No second guess: what is a JWT is refused as one.
        (&expired, unauthorized(Reason::TokenExpired), None, 0, 0),
        ("pk.live.secret", PASSED, Some("key"), 1, 0),
        (&format!("pk.{good}"), PASSED, Some("key"), 1, 0),
        (&symmetric, inactive, None, 0, 1),
        ("opaque", inactive, None, 0, 1),
        ("op.aq.ue", inactive, None, 0, 1),
    ] {
        let (keys, any) = (Keys::default(), Anything::default());
        let one = judged_by(AuthLayer::new(jwt.clone().or(keys.clone()).or(any.clone())), presented).await;
        let other = judged_by(AuthLayer::new(any.clone().or(keys.clone().or(jwt.clone()))), presented).await;
        assert_eq!((one, other), ((expected, method), (expected, method)), "{presented}");
        let seen = (keys.0.lock().unwrap().len() / 2, any.0.lock().unwrap().len() / 2);
        assert_eq!(seen, (seen_by_keys, seen_by_anything), "{presented}");
    }
    // Where only JWTs are taken, a key is a bad token and nothing is fetched for it.
    let target = Target::new(Algorithm::ES256);
    target.refuses("pk.live.secret", Reason::HeaderMalformed).await;
    target.refuses("pk_live_secret", Reason::TokenMalformed).await;
    target.accepts(&target.token().build()).await;
}
