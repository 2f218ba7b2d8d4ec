//! The numbers that keys are made of.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::test_util::SigningKey;
use portcullis::{Algorithm, Issuer, JwtAuthenticator, KeySet, Reason};
use serde_json::{Value, json};

use super::es256;
use crate::support::{AUDIENCE, ISSUER, judge, key, token};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(member: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(member.as_str().unwrap()).unwrap()
}

fn with(jwk: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut jwk = jwk.clone();
    jwk[name] = value.into();
    jwk
}

fn parse(jwk: &Value) -> Result<KeySet, portcullis::ConfigError> {
    KeySet::parse(json!({ "keys": [jwk] }).to_string())
}

async fn accepts(keys: KeySet, key: &Arc<SigningKey>) -> Result<(), Reason> {
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
    judge(&jwt, &token(key).build()).await.map(drop)
}

#[test]
fn weak_rsa_keys_are_left_out() {
    let jwk = key(Algorithm::RS256).jwk();
    assert!(parse(&jwk).is_ok());
    let modulus = decode(&jwk["n"]);
    let shorter = [&[0x7f], &modulus[1..]].concat();
    let even = [&modulus[..255], &[modulus[255] & 0xfe]].concat();
    let padded = [vec![0; 128], modulus[128..].to_vec()].concat();
    for weak in [
        vec![],
        vec![0],
        modulus[128..].to_vec(),
        // 2047 bits; 1024 bits that look like 2048.
        shorter,
        padded,
        even,
        // 8200 bits: a verification that costs too much.
        [vec![0xff; 1024], vec![0xff]].concat(),
    ] {
        let odd = with(&jwk, "n", encode(&weak));
        assert!(parse(&odd).is_err(), "a modulus of {} bytes", weak.len());
    }
    for exponent in [&[][..], &[0], &[1], &[0, 0, 1], &[2], &[1, 0, 0], &[0xff; 32]] {
        assert!(parse(&with(&jwk, "e", encode(exponent))).is_err(), "{exponent:?}");
    }
}

#[tokio::test]
async fn leading_zeros_of_rsa_numbers_change_nothing() {
    // RFC 7518 §6.3.1.1 forbids them; some issuers send them all the same.
    let key = key(Algorithm::RS256);
    let jwk = key.jwk();
    for zeros in [1, 3] {
        let pad = |name: &str| encode([vec![0; zeros], decode(&jwk[name])].concat());
        let padded = with(&with(&jwk, "n", pad("n")), "e", pad("e"));
        assert_eq!(accepts(parse(&padded).unwrap(), &key).await, Ok(()));
    }
}

#[tokio::test]
async fn an_rsa_key_without_alg_is_for_one_algorithm() {
    let (pkcs1, pss) = (key(Algorithm::RS256), key(Algorithm::PS256));
    let nameless = |key: &Arc<SigningKey>| {
        let mut jwk = key.jwk();
        jwk.as_object_mut().unwrap().remove("alg");
        json!({ "keys": [jwk] }).to_string()
    };
    for (key, algorithm, expected) in [
        (&pkcs1, None, Ok(())),
        (&pss, None, Err(Reason::KeyMismatch)),
        (&pss, Some(Algorithm::PS256), Ok(())),
        (&pkcs1, Some(Algorithm::PS256), Err(Reason::KeyMismatch)),
        (&pss, Some(Algorithm::PS384), Err(Reason::KeyMismatch)),
    ] {
        let document = nameless(key);
        let keys = match algorithm {
            None => KeySet::parse(document),
            Some(algorithm) => KeySet::parse_with_rsa(document, algorithm),
        };
        assert_eq!(accepts(keys.unwrap(), key).await, expected, "{key:?} {algorithm:?}");
    }
    // The setting is for keys that say nothing; it never overrules one that does.
    let said = json!({ "keys": [pkcs1.jwk()] }).to_string();
    assert_eq!(accepts(KeySet::parse_with_rsa(&said, Algorithm::PS256).unwrap(), &pkcs1).await, Ok(()));
    assert!(KeySet::parse_with_rsa(nameless(&pkcs1), Algorithm::ES256).is_err());
}

#[tokio::test]
async fn elliptic_coordinates_have_their_full_length() {
    // RFC 7518 §6.2.1.2. One key in 128 starts with a zero in one of its coordinates: these tell.
    let (key, name) = loop {
        let key = es256();
        let jwk = key.jwk();
        if let Some(name) = ["x", "y"].into_iter().find(|name| decode(&jwk[*name])[0] == 0) {
            break (key, name);
        }
    };
    let jwk = key.jwk();
    assert_eq!(accepts(parse(&jwk).unwrap(), &key).await, Ok(()));
    let full = decode(&jwk[name]);
    assert!(parse(&with(&jwk, name, encode(&full[1..]))).is_err(), "the zero is missing");
    assert!(parse(&with(&jwk, name, encode([&[0], &full[..]].concat()))).is_err(), "a zero too many");
}

#[test]
fn points_off_their_curve_are_left_out() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512] {
        let jwk = key(algorithm).jwk();
        assert!(parse(&jwk).is_ok());
        let (x, mut y) = (decode(&jwk["x"]), decode(&jwk["y"]));
        let zeros = encode(vec![0; x.len()]);
        *y.last_mut().unwrap() ^= 1;
        let beyond = encode(vec![0xff; x.len()]);
        for odd in [
            with(&jwk, "y", encode(&y)),
            with(&jwk, "y", encode(&x)),
            with(&with(&jwk, "x", zeros.clone()), "y", zeros),
            with(&jwk, "x", beyond),
        ] {
            assert!(parse(&odd).is_err(), "{odd}");
        }
    }
    let jwk = key(Algorithm::Ed25519).jwk();
    for len in [0, 31, 33] {
        assert!(parse(&with(&jwk, "x", encode(vec![1; len]))).is_err(), "{len}");
    }
}

#[test]
fn numbers_are_base64url_to_the_letter() {
    for (algorithm, name) in [(Algorithm::RS256, "n"), (Algorithm::ES256, "x"), (Algorithm::Ed25519, "x")] {
        let jwk = key(algorithm).jwk();
        assert!(parse(&jwk).is_ok());
        let number = jwk[name].as_str().unwrap();
        for odd in [
            format!("{number}="),
            format!(" {number}"),
            format!("{number}\n"),
            number.replace(&number[..1], "+"),
        ] {
            assert!(parse(&with(&jwk, name, odd)).is_err());
        }
    }
}

#[test]
fn the_setting_for_rsa_keys_names_an_algorithm_of_rsa() {
    let build = |algorithm| portcullis::RemoteKeySet::builder(super::JWKS).rsa_algorithm(algorithm).build();
    assert!(build(Algorithm::PS512).is_ok());
    assert!(build(Algorithm::ES256).is_err());
}
