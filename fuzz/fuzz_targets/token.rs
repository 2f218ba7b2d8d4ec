//! Any bytes as a bearer token. The private keys are lost, so none may be accepted.
#![no_main]

use std::future::Future as _;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis::test_util::ManualClock;
use portcullis::{Authenticator, Credential, Issuer, JwtAuthenticator, KeySet, Presentation, RequestContext};

/// The keys of RFC 7517 A.1, RFC 7515 A.3 and RFC 8037 A.2, without names, so that every token finds one.
const KEYS: &str = r#"{"keys":[
    {"kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"},
    {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

static JWT: LazyLock<JwtAuthenticator> = LazyLock::new(|| {
    let issuer = Issuer::new("i", KeySet::parse(KEYS).expect("keys"));
    let builder = JwtAuthenticator::builder(issuer, "a").accept_typ_jwt().clock(ManualClock::at(1_000));
    builder.build().expect("an authenticator")
});

fn judge(token: &str) {
    let request = http::Request::new(());
    let credential = Credential::new(&Presentation::BEARER, token);
    let _ = JWT.recognizes(&credential);
    // With the keys at hand the verdict is ready at once.
    let verdict = pin!(JWT.authenticate(&credential, &RequestContext::new(&request)).verdict());
    match verdict.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(verdict) => assert!(verdict.is_err(), "accepted without a key that signs"),
        Poll::Pending => panic!("waits for keys that it has"),
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        judge(text);
    }
    // As parts that are encoded well, so that their JSON is reached.
    let parts: Vec<String> =
        bytes.split(|byte| *byte == b'\n').map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
    judge(&parts.join("."));
});
