//! No text but the token itself opens what it opens.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use http_body_util::Full;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Runtime;

use super::{ACCEPTED, Answer, Scene, answer, encode};
use crate::properties::{check, mutation};

struct Server {
    scene: Scene,
    runtime: Runtime,
}

impl Server {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { scene: Scene::new(), runtime }
    }

    /// `None` for what cannot stand in a header.
    fn answer(&self, token: &[u8]) -> Option<Answer> {
        let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
        let mut request = Request::get("/a?x=1").body(Full::<Bytes>::default()).unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
        Some(self.runtime.block_on(answer(&self.scene.layer, request)))
    }
}

#[test]
fn a_mutated_token_is_refused() {
    let server = Server::new();
    let good = server.scene.token().claim("jti", "1").bound_to("GET /a?x=1").build();
    assert_eq!(server.answer(good.as_bytes()), Some(ACCEPTED));
    check(vec(mutation(), 1..3), |mutations| {
        let mut mutated = good.clone().into_bytes();
        for mutation in &mutations {
            if !mutated.is_empty() {
                mutation.apply(&mut mutated);
            }
        }
        // RFC 6750 §2.1 allows several spaces between the scheme and the token.
        if mutated.trim_ascii_start() != good.as_bytes() {
            assert_ne!(server.answer(&mutated), Some(ACCEPTED), "{}", mutated.escape_ascii());
        }
    });
}

#[test]
fn a_signature_ends_in_one_way_only() {
    let server = Server::new();
    let good = server.scene.token().build();
    let (cut, last) = good.split_at(good.len() - 1);
    for byte in (33..127_u8).map(char::from) {
        let accepted = |text: String| server.answer(text.as_bytes()) == Some(ACCEPTED);
        assert_eq!(accepted(format!("{cut}{byte}")), last.contains(byte), "{byte:?}");
        assert!(!accepted(format!("{good}{byte}")), "{byte:?}");
    }
}

/// Whatever a client signs is judged, and nothing panics.
#[test]
fn a_signed_document_of_any_bytes_is_refused() {
    let server = Server::new();
    let token = server.scene.token();
    let document = || {
        prop_oneof![vec(any::<u8>(), 0..100), "[\\[\\]{}\",:0-9a-z\\\\ -]{0,60}".prop_map(String::into_bytes)]
    };
    let (header, claims) = (encode(r#"{"alg":"HS256"}"#), token.message());
    let claims = claims.split('.').nth(1).unwrap();
    assert_eq!(server.answer(token.sign(&format!("{header}.{claims}")).as_bytes()), Some(ACCEPTED));
    check((document(), document()), |(one, other)| {
        for message in [format!("{}.{claims}", encode(one)), format!("{header}.{}", encode(other))] {
            assert_ne!(server.answer(token.sign(&message).as_bytes()), Some(ACCEPTED), "{message}");
        }
    });
}
