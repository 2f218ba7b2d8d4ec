//! Which keys of a set are used, and for what.

use std::sync::Arc;

use portcullis::test_util::SigningKey;
use portcullis::{Algorithm, Issuer, JwtAuthenticator, KeySet, Reason};
use serde_json::{Value, json};

use super::{document, es256};
use crate::support::{AUDIENCE, ISSUER, judge, key, token};

fn parse(keys: &[Value]) -> Result<KeySet, portcullis::ConfigError> {
    KeySet::parse(json!({ "keys": keys }).to_string())
}

fn jwt(keys: KeySet) -> JwtAuthenticator {
    JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap()
}

/// `jwk` with some members set, or taken out by null.
fn with(jwk: &Value, members: Value) -> Value {
    let mut jwk = jwk.clone();
    let object = jwk.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            object.remove(name)
        } else {
            object.insert(name.clone(), value.clone())
        };
    }
    jwk
}

/// A key of a set, sound but for `members`, is left out; the others of the set are used, and without them there is no set.
async fn assert_left_out(sound: &Arc<SigningKey>, odd: &Value) {
    let other = es256();
    assert_eq!(parse(&[sound.jwk(), other.jwk()]).unwrap().len(), 2, "the twin is sound");
    let set = parse(&[odd.clone(), other.jwk()]).unwrap_or_else(|error| panic!("{odd}: {error}"));
    assert_eq!((set.len(), set.skipped()), (1, 1), "{odd}");
    let jwt = jwt(set);
    assert!(judge(&jwt, &token(&other).build()).await.is_ok(), "{odd}");
    assert_eq!(judge(&jwt, &token(sound).build()).await.unwrap_err(), Reason::KeyUnknown, "{odd}");
    assert!(parse(std::slice::from_ref(odd)).is_err(), "{odd}");
}

#[tokio::test]
async fn keys_with_private_or_symmetric_material_are_left_out() {
    // RFC 7517 §9.2 wants private keys protected: one that is published is anybody's.
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
        let sound = es256();
        for value in [json!("AQAB"), json!(""), json!([]), json!(7)] {
            assert_left_out(&sound, &with(&sound.jwk(), json!({ name: value }))).await;
        }
    }
    for alg in [json!("HS256"), json!(null)] {
        let sound = es256();
        let symmetric =
            with(&json!({"kty": "oct", "k": "c2VjcmV0", "kid": sound.kid()}), json!({"alg": alg}));
        assert_left_out(&sound, &symmetric).await;
    }
}

#[tokio::test]
async fn keys_for_another_purpose_are_left_out() {
    let sound = es256();
    let jwk = sound.jwk();
    for members in [
        json!({"use": "enc"}),
        json!({"use": "SIG"}),
        json!({"use": ""}),
        json!({"use": 1}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": []}),
        json!({"key_ops": ["verify", "verify"]}),
        json!({"key_ops": "verify"}),
        json!({"use": "enc", "key_ops": ["verify"]}),
    ] {
        assert_left_out(&sound, &with(&jwk, members)).await;
    }
    for members in [json!({"use": null}), json!({"key_ops": ["verify"]}), json!({"key_ops": ["x", "verify"]})]
    {
        assert_eq!(parse(&[with(&jwk, members)]).unwrap().len(), 1);
    }
}

#[tokio::test]
async fn keys_of_other_types_curves_and_algorithms_are_left_out() {
    let (ec, rsa, ed) = (es256(), key(Algorithm::RS256), key(Algorithm::Ed25519));
    for (sound, members) in [
        (&ec, json!({"kty": null})),
        (&ec, json!({"kty": "ec"})),
        (&ec, json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQAB"})),
        (&ec, json!({"kty": "RSA"})),
        (&ec, json!({"crv": null})),
        (&ec, json!({"crv": "P-384"})),
        (&ec, json!({"crv": "secp256k1", "alg": "ES256K"})),
        (&ec, json!({"crv": "secp256k1", "alg": null})),
        (&ec, json!({"alg": "ES384"})),
        (&ec, json!({"alg": "RS256"})),
        (&ec, json!({"alg": "es256"})),
        (&ec, json!({"alg": "ECDH-ES"})),
        (&rsa, json!({"alg": "none"})),
        (&rsa, json!({"alg": "HS256"})),
        (&rsa, json!({"alg": "ES256"})),
        (&rsa, json!({"alg": "RSA-OAEP"})),
        (&rsa, json!({"alg": ["RS256"]})),
        (&rsa, json!({"n": null})),
        (&rsa, json!({"e": null})),
        (&ed, json!({"crv": "X25519"})),
        (&ed, json!({"crv": "Ed448", "alg": null})),
        (&ed, json!({"alg": "ES256"})),
        (&ed, json!({"x": null})),
        // RFC 7517 §4.7: a certificate comes beside the key, never in its place.
        (&rsa, json!({"n": null, "e": null, "x5c": ["MIIB"]})),
    ] {
        assert_left_out(sound, &with(&sound.jwk(), members)).await;
    }
}

#[tokio::test]
async fn keys_that_are_not_well_formed_are_left_out_one_by_one() {
    let sound = es256();
    let jwk = sound.jwk();
    let mut nested = json!(1);
    for _ in 0..20 {
        nested = json!([nested]);
    }
    for odd in [
        with(&jwk, json!({"kid": 7})),
        with(&jwk, json!({"kid": "k".repeat(257)})),
        with(&jwk, json!({"kid": ["a"]})),
        with(&jwk, json!({"x": 7})),
        with(&jwk, json!({"vendor": nested})),
        json!({}),
        json!([]),
        json!(null),
        json!("key"),
        json!(1),
    ] {
        assert_left_out(&sound, &odd).await;
    }
    let beyond = json!({"vendor": {"a": [1]}, "kid": "k".repeat(256), "x5t": "AQAB", "x5c": ["MIIB"]});
    assert_eq!(parse(&[with(&jwk, beyond)]).unwrap().len(), 1, "unknown members are ignored");
}

#[tokio::test]
async fn a_key_with_a_repeated_member_is_left_out() {
    let (sound, other) = (es256(), es256());
    for repeated in [r#""kid":"b""#, r#""\u006bid":"b""#, r#""vendor":1,"vendor":1"#, r#""v":{"a":1,"a":1}"#]
    {
        let odd = sound.jwk().to_string().replacen('{', &format!("{{{repeated},"), 1);
        let set = KeySet::parse(format!(r#"{{"keys":[{odd},{}]}}"#, other.jwk())).unwrap();
        assert_eq!((set.len(), set.skipped()), (1, 1), "{odd}");
        let jwt = jwt(set);
        assert!(judge(&jwt, &token(&other).build()).await.is_ok());
        assert_eq!(judge(&jwt, &token(&sound).build()).await.unwrap_err(), Reason::KeyUnknown);
    }
    let sound = sound.jwk().to_string().replacen('{', r#"{"vendor":1,"#, 1);
    assert_eq!(KeySet::parse(format!(r#"{{"keys":[{sound}]}}"#)).unwrap().skipped(), 0);
}

#[test]
fn a_document_that_is_no_key_set_is_refused_as_a_whole() {
    let good = document(&[&es256()]);
    assert!(KeySet::parse(&good).is_ok());
    for bad in [
        String::new(),
        "<html></html>".into(),
        "[]".into(),
        "{}".into(),
        r#"{"keys":[]}"#.into(),
        r#"{"keys":null}"#.into(),
        r#"{"keys":{}}"#.into(),
        r#"{"Keys":[]}"#.into(),
        good.replace("keys", "key"),
        format!("{good}x"),
        format!("\u{feff}{good}"),
        format!(r#"{{"keys":[],{}"#, &good[1..]),
        good[..good.len() - 1].into(),
        es256().jwk().to_string(),
    ] {
        assert!(KeySet::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn a_hundred_keys_are_used_and_more_are_refused() {
    let key = es256();
    let keys = |count: usize| parse(&vec![key.jwk(); count]);
    assert_eq!(keys(100).unwrap().len(), 100);
    // The ones left out count too: they cost as much to read.
    assert!(keys(101).is_err());
    assert!(parse(&[vec![key.jwk()], vec![json!({}); 100]].concat()).is_err());
}

#[tokio::test]
async fn a_token_without_kid_is_judged_by_the_keys_of_its_algorithm() {
    let (ec, rsa) = (es256(), key(Algorithm::RS256));
    let jwt = crate::support::jwt(&[&ec, &rsa]);
    for key in [&ec, &rsa] {
        assert!(judge(&jwt, &token(key).without_header("kid").build()).await.is_ok());
        // A name that no key has is no reason to try them all.
        let named = token(key).header("kid", "other").build();
        assert_eq!(judge(&jwt, &named).await.unwrap_err(), Reason::KeyUnknown);
    }
    let foreign = token(&es256()).without_header("kid").build();
    assert_eq!(judge(&jwt, &foreign).await.unwrap_err(), Reason::SignatureInvalid);
    let other = token(&key(Algorithm::Ed25519)).without_header("kid").build();
    assert_eq!(judge(&jwt, &other).await.unwrap_err(), Reason::KeyUnknown);
}

#[tokio::test]
async fn keys_of_one_kid_are_tried_in_turn_up_to_four() {
    let same = |algorithm| Arc::new(SigningKey::generate(algorithm).with_kid("same"));
    let (ec, rsa) = (same(Algorithm::ES256), same(Algorithm::RS256));
    let mixed = crate::support::jwt(&[&ec, &rsa]);
    for key in [&ec, &rsa] {
        assert!(judge(&mixed, &token(key).build()).await.is_ok(), "picked by algorithm");
    }
    let ed = same(Algorithm::Ed25519);
    assert_eq!(judge(&mixed, &token(&ed).build()).await.unwrap_err(), Reason::KeyMismatch);

    let five: Vec<_> = (0..5).map(|_| same(Algorithm::ES256)).collect();
    let jwt = crate::support::jwt(&five.iter().collect::<Vec<_>>());
    for key in &five[..4] {
        assert!(judge(&jwt, &token(key).build()).await.is_ok());
    }
    // A set that repeats a name without end must not make one token cost without end.
    assert_eq!(judge(&jwt, &token(&five[4]).build()).await.unwrap_err(), Reason::SignatureInvalid);
}

#[test]
fn debug_output_shows_no_key_material() {
    let key = es256();
    let shown = format!("{:?}", parse(&[key.jwk()]).unwrap());
    assert!(shown.contains(key.kid()) && !shown.contains(key.jwk()["x"].as_str().unwrap()), "{shown}");
}
