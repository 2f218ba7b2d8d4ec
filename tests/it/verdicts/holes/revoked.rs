//! What is called back stays so, whatever the token says, and whoever asked about it.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::{Algorithm, AuthLayer, Authenticator, JwtAuthenticator, Mark, MemoryRevocations};
use serde_json::{Value, json};

use super::super::{ACCEPTED, Authority, Scene, active, introspection, seconds};
use super::{REVOKED, listed};
use crate::support::{AUDIENCE, ISSUER, bearer, issuer_of, jwt, key, outcome, send, token};

fn empty_list() -> MemoryRevocations {
    MemoryRevocations::new(seconds(3600))
}

/// A token of ann with these claims, as a JWT and as an opaque token, each with a layer that judges it.
fn both(claims: &Value) -> [(AuthLayer<Box<dyn Authenticator>>, String); 2] {
    let key = key(Algorithm::Ed25519);
    let members = claims.as_object().unwrap();
    let signed = members.iter().fold(token(&key), |token, (name, value)| token.claim(name, value.clone()));
    let (authority, mut answer) = (Authority::default(), active("ann"));
    answer.as_object_mut().unwrap().extend(members.clone());
    authority.answer("opaque", answer);
    let by_keys = JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE).build().unwrap();
    let by_authority = introspection(authority).build().unwrap();
    [
        (AuthLayer::new(Box::new(by_keys)), signed.build()),
        (AuthLayer::new(Box::new(by_authority)), "opaque".to_owned()),
    ]
}

#[tokio::test]
async fn a_claim_of_an_odd_type_takes_no_other_out_of_reach() {
    let odd = [json!(12345), json!({"id": 12345}), json!([12345]), json!(true), json!(null), json!("12345")];
    for sid in odd {
        let named = sid == json!(12345) || sid == json!("12345");
        let session = if named { REVOKED } else { ACCEPTED };
        for (mark, expected) in [
            (Mark::jti(ISSUER, "J"), REVOKED),
            (Mark::subject(ISSUER, "ann"), REVOKED),
            (Mark::session(ISSUER, "12345"), session),
            (Mark::session(ISSUER, "1234"), ACCEPTED),
            (Mark::jti(ISSUER, "K"), ACCEPTED),
        ] {
            for (layer, token) in both(&json!({"jti": "J", "sid": sid})) {
                let list = empty_list();
                let layer = layer.revocations(list.clone());
                list.revoke(mark).unwrap();
                assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected, "{sid} {mark:?}");
            }
            for (layer, token) in both(&json!({"jti": "J", "sid": sid})) {
                let list = empty_list();
                let layer = layer.revocations(list.clone());
                assert_eq!(outcome(&send(&layer, bearer(&token)).await), ACCEPTED, "{sid}");
                list.revoke(mark).unwrap();
                assert_eq!(outcome(&send(&layer, bearer(&token)).await), expected, "{sid} {mark:?}, known");
            }
        }
    }
}

#[tokio::test]
async fn who_joins_a_call_is_asked_about_by_his_own_list() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum When {
        Before,
        Meanwhile,
        Never,
    }
    for first_has_a_list in [false, true] {
        for when in [When::Before, When::Meanwhile, When::Never] {
            let (scene, list) = (Scene::new(), empty_list());
            let second = listed(&scene, list.clone());
            let first = if first_has_a_list { listed(&scene, empty_list()) } else { scene };
            let gate = first.authority.gate();
            let sender = first.start(None, "a").await;
            if when == When::Before {
                list.revoke(Mark::subject(ISSUER, "a")).unwrap();
            }
            let joiner = second.start(None, "a").await;
            assert_eq!(first.calls(), 1, "it joined");
            if when == When::Meanwhile {
                list.revoke(Mark::subject(ISSUER, "a")).unwrap();
            }
            drop(gate);
            let expected = if when == When::Never { ACCEPTED } else { REVOKED };
            let case = format!("{when:?} {first_has_a_list}");
            assert_eq!((sender.await.unwrap(), joiner.await.unwrap()), (ACCEPTED, expected), "{case}");
            assert_eq!((first.plain("a").await, second.plain("a").await), (ACCEPTED, expected), "{case}");
        }
    }
}

/// The order of P-256, big-endian (FIPS 186-4 D.1.2.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same token with the other signature that is valid if `(r, s)` is: `(r, n - s)`.
fn resigned(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for place in (0..32).rev() {
        let difference = i16::from(ORDER[place]) - i16::from(signature[32 + place]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + place] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    assert_eq!(borrow, 0);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn a_jwt_with_its_signature_rewritten_is_the_same_token() {
    let key = key(Algorithm::ES256);
    let (called_back, other) = (token(&key).build(), token(&key).build());
    let twin = resigned(&called_back);
    assert_ne!(twin, called_back);
    assert_eq!(resigned(&twin), called_back);
    for known in [false, true] {
        for mark in [Mark::token(&called_back), Mark::token(&twin)] {
            let list = empty_list();
            let layer = AuthLayer::new(jwt(&[&key])).revocations(list.clone());
            let ask = async |token: &str| outcome(&send(&layer, bearer(token)).await);
            if known {
                assert_eq!([ask(&called_back).await, ask(&twin).await], [ACCEPTED; 2], "both are valid");
            }
            list.revoke(mark).unwrap();
            assert_eq!([ask(&called_back).await, ask(&twin).await], [REVOKED; 2], "{known}");
            assert_eq!(ask(&other).await, ACCEPTED);
        }
    }
}

#[tokio::test]
async fn an_opaque_token_with_dots_is_called_back_by_its_whole_text() {
    let (scene, list) = (Scene::new(), empty_list());
    let scene = listed(&scene, list.clone());
    list.revoke(Mark::token("one.two.three")).unwrap();
    for (token, expected) in [
        ("one.two.three", REVOKED),
        ("one.two.four", ACCEPTED),
        ("one.two", ACCEPTED),
        ("one.two.", ACCEPTED),
        ("one.two.three.four", ACCEPTED),
    ] {
        assert_eq!(scene.plain(token).await, expected, "{token}");
    }
}

#[tokio::test]
async fn a_revoked_caller_costs_no_calls() {
    for revoked in [true, false] {
        for known in [true, false] {
            let (scene, list) = (Scene::new(), empty_list());
            let scene = listed(&scene, list.clone());
            if known {
                assert_eq!(scene.plain("a").await, ACCEPTED);
            }
            if revoked {
                list.revoke(Mark::subject(ISSUER, "a")).unwrap();
            }
            let expected = if revoked { REVOKED } else { ACCEPTED };
            // The first of one that is not known has to be asked about: nobody knows yet whose it is.
            assert_eq!((scene.plain("a").await, scene.calls()), (expected, 1));
            for round in 1..=5 {
                scene.clock.advance(seconds(40));
                assert_eq!(scene.plain("a").await, expected);
                scene.later();
                assert_eq!(scene.within(Duration::ZERO, "a").await, expected);
                assert_eq!(scene.calls(), if revoked { 1 } else { 1 + 2 * round });
            }
        }
    }
}
