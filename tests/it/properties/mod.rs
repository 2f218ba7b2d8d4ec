//! What holds for every input. `PROPTEST_CASES` sets how many are tried; a failure prints the smallest one that was found.

mod keys;
mod members;
mod proxies;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_auth::ChallengeParser;
use http_body_util::Full;
use portcullis::test_util::{ManualClock, SigningKey, TokenBuilder};
use portcullis::{Algorithm, AuthError, AuthLayer, JwtAuthenticator};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;

use crate::support::{AUDIENCE, issuer_of, judge, key, send, token};

const NOW: u64 = 1_800_000_000;

/// A server with one key, at a time that stands still.
struct Server {
    key: Arc<SigningKey>,
    jwt: JwtAuthenticator,
    layer: AuthLayer<JwtAuthenticator>,
    runtime: tokio::runtime::Runtime,
}

impl Server {
    fn new(algorithm: Algorithm) -> Self {
        let key = key(algorithm);
        let builder = JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE).clock(ManualClock::at(NOW));
        let jwt = builder.build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { key, layer: AuthLayer::new(jwt.clone()), jwt, runtime }
    }

    fn token(&self) -> TokenBuilder {
        token(&self.key).issued_at(UNIX_EPOCH + Duration::from_secs(NOW))
    }

    fn accepts(&self, token: &str) -> bool {
        self.runtime.block_on(judge(&self.jwt, token)).is_ok()
    }

    /// Sends lines of `Authorization`; what is not refused is 200.
    fn send(&self, layer: &AuthLayer<JwtAuthenticator>, lines: &[HeaderValue]) -> StatusCode {
        let mut request = Request::new(Full::<Bytes>::default());
        for line in lines {
            request.headers_mut().append(AUTHORIZATION, line.clone());
        }
        let response = self.runtime.block_on(send(layer, request));
        if response.status() != StatusCode::OK {
            assert_well_refused(&response);
        }
        response.status()
    }
}

pub(crate) fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value)) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&strategy, |input| {
        property(input);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// What every refusal of this layer must look like (RFC 6750 §3, RFC 9110 §11.6.1).
fn assert_well_refused(response: &Response<Full<Bytes>>) {
    let error = response.extensions().get::<AuthError>().expect("a refusal tells why");
    assert_eq!(response.status(), error.status());
    assert!([StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED].contains(&response.status()), "{error:?}");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    let lines: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    let challenges: Vec<_> = ChallengeParser::new(line.to_str().unwrap()).map(Result::unwrap).collect();
    let [challenge] = &challenges[..] else { panic!("{challenges:?}") };
    assert_eq!(challenge.scheme, "Bearer");
    let parameters: Vec<_> =
        challenge.params.iter().map(|(name, value)| (name.to_lowercase(), value.to_unescaped())).collect();
    let mut expected = vec![("realm".to_owned(), "api".to_owned())];
    if let Some(code) = error.kind().code() {
        expected.push(("error".into(), code.into()));
        expected.push(("error_description".into(), error.reason().description().into()));
    }
    assert_eq!(parameters, expected);
}

#[derive(Clone, Debug)]
enum Line {
    Good,
    Other(Vec<u8>),
}

fn line() -> impl Strategy<Value = Line> {
    let bytes = || vec(any::<u8>(), 0..200);
    let text =
        |pattern: &'static str| proptest::string::string_regex(pattern).unwrap().prop_map(String::into_bytes);
    prop_oneof![
        2 => Just(Line::Good),
        1 => bytes().prop_map(Line::Other),
        1 => bytes().prop_map(|bytes| Line::Other([b"Bearer ", &bytes[..]].concat())),
        2 => text("[Bb][Ee][Aa][Rr][Ee][Rr] {0,3}[A-Za-z0-9._~+/=-]{0,200}").prop_map(Line::Other),
        2 => text("Bearer [A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,200}\\.[A-Za-z0-9_-]{0,90}").prop_map(Line::Other),
        1 => text("[!-~]{0,12}[ ,=\"\t]{0,3}[ -~]{0,60}").prop_map(Line::Other),
    ]
}

#[test]
fn only_one_line_with_a_good_token_passes() {
    let server = Server::new(Algorithm::Ed25519);
    let optional = server.layer.clone().optional();
    let good = HeaderValue::try_from(format!("Bearer {}", server.token().build())).unwrap();
    check(vec(line(), 0..4), |lines| {
        let values: Vec<_> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Good => Some(good.clone()),
                Line::Other(bytes) => HeaderValue::from_bytes(bytes).ok(),
            })
            .collect();
        let (one_good, none) = (values.len() == 1 && values[0] == good, values.is_empty());
        assert_eq!(server.send(&server.layer, &values) == StatusCode::OK, one_good);
        assert_eq!(server.send(&optional, &values) == StatusCode::OK, one_good || none);
    });
}

#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Flip(Index, u8),
    Replace(Index, u8),
    Insert(Index, u8),
    Delete(Index),
    Cut(Index),
    Swap(Index, Index),
    Repeat(Index, Index),
}

pub(crate) fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    // Characters that a token may hold make the more dangerous mutations.
    let byte = || prop_oneof![any::<u8>(), select(&b"ABCXYZabcxyz0189-_.=+/ "[..])];
    prop_oneof![
        (at(), 0..8_u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        at().prop_map(Mutation::Delete),
        at().prop_map(Mutation::Cut),
        (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        (at(), at()).prop_map(|(one, other)| Mutation::Repeat(one, other)),
    ]
}

impl Mutation {
    pub(crate) fn apply(&self, token: &mut Vec<u8>) {
        let len = token.len();
        match self {
            Self::Flip(at, bit) => token[at.index(len)] ^= 1 << bit,
            Self::Replace(at, byte) => token[at.index(len)] = *byte,
            Self::Insert(at, byte) => token.insert(at.index(len + 1), *byte),
            Self::Delete(at) => _ = token.remove(at.index(len)),
            Self::Cut(at) => token.truncate(at.index(len)),
            Self::Swap(one, other) => token.swap(one.index(len), other.index(len)),
            Self::Repeat(one, other) => {
                let (one, other) = (one.index(len), other.index(len));
                let part = token[one.min(other)..one.max(other)].to_vec();
                token.extend(part);
            }
        }
    }
}

/// There is one spelling of a token: no other decodes to the same bytes, or the signature does not fit.
#[test]
fn a_mutated_token_is_refused() {
    for algorithm in [Algorithm::Ed25519, Algorithm::ES256, Algorithm::RS256] {
        let server = Server::new(algorithm);
        let good = server.token().build();
        assert!(server.accepts(&good));
        check(vec(mutation(), 1..3), |mutations| {
            let mut mutated = good.clone().into_bytes();
            for mutation in &mutations {
                if !mutated.is_empty() {
                    mutation.apply(&mut mutated);
                }
            }
            // RFC 6750 §2.1 allows several spaces between the scheme and the token.
            if mutated.trim_ascii_start() == good.as_bytes() {
                return;
            }
            if let Ok(text) = std::str::from_utf8(&mutated) {
                assert!(!server.accepts(text), "{text:?}");
            }
            if let Ok(value) = HeaderValue::from_bytes(&[b"Bearer ", &mutated[..]].concat()) {
                assert_ne!(server.send(&server.layer, &[value]), StatusCode::OK);
            }
        });
    }
}

/// The last character of a signature holds bits that no byte uses, and padding may be missing: neither gives a second spelling.
#[test]
fn a_signature_ends_in_one_way_only() {
    for algorithm in [Algorithm::Ed25519, Algorithm::ES256, Algorithm::RS256] {
        let server = Server::new(algorithm);
        let good = server.token().build();
        let (cut, last) = good.split_at(good.len() - 1);
        for byte in (0..=127_u8).map(char::from) {
            assert_eq!(server.accepts(&format!("{cut}{byte}")), last.contains(byte), "{byte:?}");
            assert!(!server.accepts(&format!("{good}{byte}")), "{byte:?}");
            assert!(!server.accepts(&format!("{good}{byte}{byte}")), "{byte:?}");
        }
    }
}

/// Documents that are no objects, or no JSON, signed as they are: refused, and nothing panics.
#[test]
fn a_signed_document_of_any_bytes_is_refused() {
    let server = Server::new(Algorithm::Ed25519);
    let document = || {
        prop_oneof![vec(any::<u8>(), 0..100), "[\\[\\]{}\",:0-9a-z\\\\ -]{0,60}".prop_map(String::into_bytes)]
    };
    check((document(), document()), |(header, claims)| {
        for token in [server.token().raw_header(header), server.token().raw_claims(claims)] {
            let value = HeaderValue::try_from(format!("Bearer {}", token.build())).unwrap();
            assert_ne!(server.send(&server.layer, &[value]), StatusCode::OK);
        }
    });
}
