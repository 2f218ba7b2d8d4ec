//! Who may introspect.

use std::sync::Arc;

use http::StatusCode;
use portcullis::Algorithm;
use portcullis::test_util::{FakeAuthorizationServer, SigningKey, TokenBuilder};

use super::{BASIC, Scene, basic, send};
use crate::support::key;

const OK: StatusCode = StatusCode::OK;
const UNAUTHORIZED: StatusCode = StatusCode::UNAUTHORIZED;
const BAD_REQUEST: StatusCode = StatusCode::BAD_REQUEST;

#[tokio::test]
async fn only_the_client_is_answered() {
    let scene = Scene::start().await;
    let bearer = format!("Bearer {}", FakeAuthorizationServer::CLIENT_TOKEN);
    let secret = "s3%3Acr%25et+%2B%2F%3D";
    for (case, header, form, expected) in [
        ("basic", basic(BASIC), String::new(), OK),
        ("with its id", basic(BASIC), "&client_id=resource-server".into(), OK),
        ("with another id", basic(BASIC), "&client_id=other".into(), UNAUTHORIZED),
        ("%20", basic("resource-server:s3%3Acr%25et%20%2B%2F%3D"), String::new(), OK),
        ("no encoding", basic("resource-server:s3:cr%et +/="), String::new(), UNAUTHORIZED),
        ("half encoded", basic("resource-server:s3%3Acr%25et++%2F%3D"), String::new(), UNAUTHORIZED),
        ("a plain colon", basic("resource-server:s3:cr%25et+%2B%2F%3D"), String::new(), UNAUTHORIZED),
        ("a plain slash", basic("resource-server:s3%3Acr%25et+%2B/%3D"), String::new(), UNAUTHORIZED),
        ("a plain space", basic("resource-server:s3%3Acr%25et %2B%2F%3D"), String::new(), UNAUTHORIZED),
        ("another client", basic("other:s3%3Acr%25et+%2B%2F%3D"), String::new(), UNAUTHORIZED),
        ("another secret", basic("resource-server:secret"), String::new(), UNAUTHORIZED),
        ("not base64", "Basic ~".into(), String::new(), UNAUTHORIZED),
        ("bearer", bearer.clone(), String::new(), OK),
        ("another bearer", format!("{bearer}x"), String::new(), UNAUTHORIZED),
        ("another scheme", bearer.replace("Bearer", "Token"), String::new(), UNAUTHORIZED),
        ("post", String::new(), format!("&client_id=resource-server&client_secret={secret}"), OK),
        ("post without id", String::new(), format!("&client_secret={secret}"), UNAUTHORIZED),
        ("post of another", String::new(), format!("&client_id=other&client_secret={secret}"), UNAUTHORIZED),
        ("post, wrong", String::new(), "&client_id=resource-server&client_secret=x".into(), UNAUTHORIZED),
        ("nobody", String::new(), "&client_id=resource-server".into(), UNAUTHORIZED),
        ("two ways", basic(BASIC), format!("&client_secret={secret}"), BAD_REQUEST),
        ("twice", basic(BASIC), "&a=1&a=2".into(), BAD_REQUEST),
    ] {
        for endpoint in [scene.server.introspection_endpoint(), scene.server.revocation_endpoint()] {
            let mut request = scene.post(&endpoint, &format!("token=t{form}"));
            if !header.is_empty() {
                request = request.header("authorization", &header);
            }
            assert_eq!(send(request).await.0, expected, "{case} at {endpoint}");
        }
    }
}

#[tokio::test]
async fn a_request_is_a_form_with_one_token() {
    let scene = Scene::start().await;
    for (content_type, form, expected) in [
        ("application/x-www-form-urlencoded", "token=t", OK),
        ("Application/X-WWW-Form-Urlencoded; charset=utf-8", "token=t", OK),
        ("application/json", "token=t", BAD_REQUEST),
        ("application/x-www-form-urlencoded", "token=", BAD_REQUEST),
        ("application/x-www-form-urlencoded", "tokens=t", BAD_REQUEST),
        ("application/x-www-form-urlencoded", "token=t&token=t", BAD_REQUEST),
    ] {
        let request = scene.http.post(scene.server.introspection_endpoint()).body(form);
        let request = request.header("content-type", content_type).header("authorization", basic(BASIC));
        assert_eq!(send(request).await.0, expected, "{content_type} {form}");
    }
    let twice = scene.question("t").header("authorization", basic(BASIC));
    assert_eq!(send(twice).await.0, BAD_REQUEST, "two headers");
    let get = scene.http.get(scene.server.introspection_endpoint()).header("authorization", basic(BASIC));
    assert_eq!(send(get).await.0, StatusCode::NOT_FOUND, "no POST");
}

/// An assertion that the server accepts once.
fn assertion(server: &FakeAuthorizationServer, key: &Arc<SigningKey>) -> TokenBuilder {
    let id = FakeAuthorizationServer::CLIENT_ID;
    TokenBuilder::new(Arc::clone(key), id, &server.issuer_id()).subject(id)
}

const JWT_BEARER: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

async fn present(scene: &Scene, assertion: &TokenBuilder, kind: &str) -> StatusCode {
    let form = format!("token=t&client_assertion_type={kind}&client_assertion={}", assertion.build());
    send(scene.post(&scene.server.introspection_endpoint(), &form)).await.0
}

#[tokio::test]
async fn an_assertion_is_accepted_if_all_of_it_is_right() {
    let scene = Scene::start().await;
    let (trusted, other) = (key(Algorithm::ES256), key(Algorithm::ES256));
    let start = || assertion(&scene.server, &trusted);
    assert_eq!(present(&scene, &start(), JWT_BEARER).await, UNAUTHORIZED, "before its key is known");
    scene.server.trust_client_key(&trusted);
    assert_eq!(present(&scene, &start(), JWT_BEARER).await, OK);

    let issuer = scene.server.issuer_id();
    for (case, assertion, expected) in [
        ("the endpoint", start().claim("aud", scene.server.introspection_endpoint()), OK),
        ("one of two", start().claim("aud", vec!["https://other.example", &issuer]), OK),
        ("another audience", start().claim("aud", "https://other.example"), UNAUTHORIZED),
        ("another endpoint", start().claim("aud", scene.server.revocation_endpoint()), UNAUTHORIZED),
        ("no audience", start().without("aud"), UNAUTHORIZED),
        ("another issuer", start().claim("iss", "other"), UNAUTHORIZED),
        ("another subject", start().subject("other"), UNAUTHORIZED),
        ("expired", start().expires_in(-1), UNAUTHORIZED),
        ("no exp", start().without("exp"), UNAUTHORIZED),
        ("no jti", start().without("jti"), UNAUTHORIZED),
        ("another key", start().forged_by(&other), UNAUTHORIZED),
        ("the server's key", start().signed_by(&scene.server.keys()[0]), UNAUTHORIZED),
        ("another algorithm", start().header("alg", "none"), UNAUTHORIZED),
    ] {
        assert_eq!(present(&scene, &assertion, JWT_BEARER).await, expected, "{case}");
    }
    assert_eq!(present(&scene, &start(), "other").await, UNAUTHORIZED, "another type");
}

#[tokio::test]
async fn an_assertion_is_accepted_once() {
    let scene = Scene::start().await;
    let trusted = key(Algorithm::RS256);
    scene.server.trust_client_key(&trusted);
    let assertion = assertion(&scene.server, &trusted);
    // One that is wrong uses its name not up.
    assert_eq!(present(&scene, &assertion.clone().subject("other"), JWT_BEARER).await, UNAUTHORIZED);
    assert_eq!(present(&scene, &assertion, JWT_BEARER).await, OK);
    assert_eq!(present(&scene, &assertion, JWT_BEARER).await, UNAUTHORIZED);
    assert_eq!(present(&scene, &assertion.claim("jti", "another"), JWT_BEARER).await, OK);
}
