//! Rows 17 to 20: names of keys, and keys that must not be used.

use std::sync::Arc;

use portcullis::test_util::SigningKey;
use portcullis::{Algorithm, AuthLayer, Issuer, JwtAuthenticator, KeySet, Reason};
use serde_json::{Value, json};

use super::{Answer, JWKS_URI, PASSED, Target, answer, bad_request, decode, encode, jwks, unauthorized};
use crate::support::{AUDIENCE, ISSUER, key, token};

fn layer_of(keys: impl IntoIterator<Item = Value>) -> AuthLayer<JwtAuthenticator> {
    let keys = KeySet::parse(jwks(keys)).unwrap();
    AuthLayer::new(JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap())
}

#[tokio::test]
async fn row_17_a_kid_is_an_opaque_name() {
    let long = "k".repeat(256);
    for kid in [
        "../../../etc/passwd",
        "/dev/null",
        "' UNION SELECT 'secret' --",
        "%s%s%n%x",
        "a\r\nX-Injected: 1",
        "a\0b",
        "\u{1b}[2J",
        "http://169.254.169.254/latest",
        "${jndi:ldap://evil}",
        "\u{43a}\u{435}\u{443}",
        "",
        &long,
    ] {
        let target = Target::new(Algorithm::ES256);
        // No such key: looked for where the issuer's keys are, and nowhere else.
        let answer = target.answer(&target.token().header("kid", kid).build()).await;
        assert_eq!(answer, unauthorized(Reason::KeyUnknown), "{kid:?}");
        assert_eq!(target.http.count(JWKS_URI), target.http.total(), "{kid:?}");
        // As the name of a key it is as good as any other.
        let named = Arc::new(SigningKey::generate(Algorithm::ES256).with_kid(kid));
        assert_eq!(super::answer(&layer_of([named.jwk()]), &token(&named).build()).await, PASSED, "{kid:?}");
    }
}

#[tokio::test]
async fn row_17_kids_are_compared_to_the_letter_and_bounded() {
    let signer = Arc::new(SigningKey::generate(Algorithm::ES256).with_kid("Key-1"));
    let layer = layer_of([signer.jwk()]);
    for kid in ["key-1", "Key-1 ", "Key-1\0", "Key-10", "Key-", "\u{212a}ey-1", "Key\u{2010}1"] {
        let answer = answer(&layer, &token(&signer).header("kid", kid).build()).await;
        assert_eq!(answer, unauthorized(Reason::KeyUnknown), "{kid:?}");
    }
    assert_eq!(answer(&layer, &token(&signer).build()).await, PASSED);

    let target = Target::with(Algorithm::ES256, |jwt| jwt.max_token_len(4 << 20));
    for kid in [json!(1), json!(null), json!(["Key-1"]), json!({"a": 1}), json!("k".repeat(257))] {
        target.refuses(&target.token().header("kid", kid).build(), Reason::HeaderMalformed).await;
    }
    target.refuses(&target.token().header("kid", "k".repeat(10_000)).build(), Reason::HeaderTooLong).await;
    let megabyte = target.token().header("kid", "k".repeat(1 << 20)).build();
    // The layer does not even hand such a header over.
    assert_eq!(target.answer(&megabyte).await, bad_request(Reason::CredentialTooLong));
    target.accepts(&target.token().build()).await;
}

#[tokio::test]
async fn row_18_two_keys_of_one_kid() {
    let named = |algorithm| Arc::new(SigningKey::generate(algorithm).with_kid("same"));
    let of_kinds = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::Ed25519].map(named);
    let layer = layer_of(of_kinds.iter().map(|key| key.jwk()));
    for signer in &of_kinds {
        assert_eq!(answer(&layer, &token(signer).build()).await, PASSED, "{signer:?}");
    }
    // Of one algorithm: each is tried, in either order.
    let (one, other) = (named(Algorithm::ES256), named(Algorithm::ES256));
    for keys in [[&one, &other], [&other, &one]] {
        let layer = layer_of(keys.map(|key| key.jwk()));
        for (signer, expected) in [
            (&one, PASSED),
            (&other, PASSED),
            (&named(Algorithm::ES256), unauthorized(Reason::SignatureInvalid)),
            (&named(Algorithm::ES384), unauthorized(Reason::KeyMismatch)),
        ] {
            assert_eq!(answer(&layer, &token(signer).build()).await, expected);
        }
    }
    // But not without end: the work for one token is bounded.
    let many: Vec<_> = (0..5).map(|_| named(Algorithm::ES256)).collect();
    let layer = layer_of(many.iter().map(|key| key.jwk()));
    for (place, signer) in many.iter().enumerate() {
        let expected = if place < 4 { PASSED } else { unauthorized(Reason::SignatureInvalid) };
        assert_eq!(answer(&layer, &token(signer).build()).await, expected, "{place}");
    }
}

/// Puts a changed key beside a good one: it must be left out, and the good one used.
async fn changed(
    signer: &Arc<SigningKey>,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> (usize, Answer) {
    let good = key(Algorithm::Ed25519);
    let mut jwk = signer.jwk();
    change(jwk.as_object_mut().unwrap());
    let keys = KeySet::parse(jwks([jwk, good.jwk()])).unwrap();
    let skipped = keys.skipped();
    assert_eq!(keys.len() + skipped, 2);
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
    let layer = AuthLayer::new(jwt);
    assert_eq!(answer(&layer, &token(&good).build()).await, PASSED, "the good key beside it");
    (skipped, answer(&layer, &token(signer).build()).await)
}

const LEFT_OUT: (usize, Answer) = (1, unauthorized(Reason::KeyUnknown));
const USED: (usize, Answer) = (0, PASSED);

#[tokio::test]
async fn row_19_keys_for_other_uses_verify_nothing() {
    let signer = key(Algorithm::ES256);
    let with = async |name: &str, value: Value| {
        changed(&signer, |jwk| {
            jwk.remove("use");
            jwk.insert(name.into(), value);
        })
        .await
    };
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!("")),
        ("use", json!(["sig"])),
        ("use", json!(null)),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["encrypt", "wrapKey"])),
        ("key_ops", json!([])),
        ("key_ops", json!(["verify", "verify"])),
        ("key_ops", json!("verify")),
        ("key_ops", json!(null)),
        ("alg", json!("ECDH-ES")),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!(null)),
    ] {
        assert_eq!(with(name, value.clone()).await, LEFT_OUT, "{name} {value}");
    }
    for (name, value) in
        [("use", json!("sig")), ("key_ops", json!(["verify"])), ("key_ops", json!(["sign", "verify"]))]
    {
        assert_eq!(with(name, value.clone()).await, USED, "{name} {value}");
    }
    // Both are there and contradict each other.
    let both = async |operations: Value| {
        changed(&signer, |jwk| drop(jwk.insert("key_ops".into(), operations))).await
    };
    assert_eq!(both(json!(["encrypt"])).await, LEFT_OUT);
    assert_eq!(both(json!(["verify"])).await, USED);
}

#[tokio::test]
async fn row_20_weak_rsa_keys() {
    let signer = key(Algorithm::RS256);
    let n = decode(&signer.jwk()["n"]);
    let with = async |name: &str, number: Vec<u8>| {
        changed(&signer, |jwk| drop(jwk.insert(name.into(), encode(number).into()))).await
    };
    let even = [&n[..255], &[n[255] & 0xfe]].concat();
    let bits_2047 = [&[n[0] >> 1], &n[1..]].concat();
    let mut large = vec![0xff; 1025];
    large[0] = 1;
    for (case, name, number) in [
        ("512 bits", "n", n[192..].to_vec()),
        ("1024 bits", "n", n[128..].to_vec()),
        ("1024 bits behind zeros", "n", [vec![0; 128], n[128..].to_vec()].concat()),
        ("2047 bits", "n", bits_2047),
        ("8193 bits", "n", large),
        ("an even modulus", "n", even),
        ("modulus zero", "n", vec![0; 256]),
        ("no modulus", "n", Vec::new()),
        ("e = 0", "e", vec![0]),
        ("e = 1", "e", vec![1]),
        ("e = 1 behind zeros", "e", vec![0, 0, 1]),
        ("e = 2", "e", vec![2]),
        ("e = 65536", "e", vec![1, 0, 0]),
        ("no e", "e", Vec::new()),
        ("e of 2048 bits, which costs a second", "e", n.clone()),
        ("e of 64 bits", "e", vec![0xff; 8]),
    ] {
        assert_eq!(with(name, number).await, LEFT_OUT, "{case}");
    }
    assert_eq!(with("n", n.clone()).await, USED);
    // Leading zeros are wrong (RFC 7518 §6.3.1.1), common, and harmless.
    assert_eq!(with("n", [vec![0], n].concat()).await, USED);
    let foreign_exponent = with("e", vec![3]).await;
    assert_eq!(foreign_exponent, (0, unauthorized(Reason::SignatureInvalid)));
}

#[tokio::test]
async fn row_20_points_off_the_curve() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512] {
        let signer = key(algorithm);
        let jwk = signer.jwk();
        let (x, y) = (decode(&jwk["x"]), decode(&jwk["y"]));
        let with = async |x: &[u8], y: &[u8]| {
            changed(&signer, |jwk| {
                jwk.insert("x".into(), encode(x).into());
                jwk.insert("y".into(), encode(y).into());
            })
            .await
        };
        let (last, zero) = (x.len() - 1, vec![0; x.len()]);
        let shifted = [&y[..last], &[y[last] ^ 1]].concat();
        for (case, x, y) in [
            ("off the curve", &x, &shifted),
            ("the other way round", &y, &x),
            ("zero", &zero, &zero),
            ("beyond the field", &vec![0xff; x.len()], &y),
            ("short", &x[1..].to_vec(), &y),
            ("long", &[vec![0], x.clone()].concat(), &y),
            ("nothing", &Vec::new(), &y),
        ] {
            assert_eq!(with(x, y).await, LEFT_OUT, "{algorithm} {case}");
        }
        assert_eq!(with(&x, &y).await, USED);
        for crv in ["P-256", "P-384", "P-521", "p-256", "secp256k1", "Ed25519", ""] {
            let expected = if jwk["crv"] == crv { USED } else { LEFT_OUT };
            let outcome = changed(&signer, |jwk| drop(jwk.insert("crv".into(), crv.into()))).await;
            assert_eq!(outcome, expected, "{algorithm} on {crv}");
        }
    }
}

/// Points of order 1, 2, 4 and 8 on edwards25519, with the sign bit off and in their encodings that exceed the field: under such
/// a key anybody can sign.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[tokio::test]
async fn row_20_ed25519_keys_under_which_anybody_signs() {
    let signer = key(Algorithm::Ed25519);
    let with = async |x: &[u8]| changed(&signer, |jwk| drop(jwk.insert("x".into(), encode(x).into()))).await;
    for point in SMALL_ORDER {
        let mut x = super::hex(point);
        assert_eq!(with(&x).await, LEFT_OUT, "{point}");
        x[31] |= 0x80;
        assert_eq!(with(&x).await, LEFT_OUT, "{point}, negative");
    }
    // R is the neutral element and S zero: under a key of order 1 that signs everything.
    let (mut jwk, neutral) = (signer.jwk(), super::hex(SMALL_ORDER[1]));
    jwk["x"] = encode(&neutral).into();
    let layer = layer_of([jwk, key(Algorithm::ES256).jwk()]);
    let forged = token(&signer).build_with_signature(&[neutral, vec![0; 32]].concat());
    assert_eq!(answer(&layer, &forged).await, unauthorized(Reason::KeyUnknown));
    let x = decode(&signer.jwk()["x"]);
    assert_eq!(with(&x[1..]).await, LEFT_OUT);
    assert_eq!(with(&[x.as_slice(), &[0]].concat()).await, LEFT_OUT);
    assert_eq!(with(&x).await, USED);
}

#[tokio::test]
async fn row_20_published_secrets() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::Ed25519] {
        let signer = key(algorithm);
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"] {
            for value in [json!("AAAA"), json!(""), json!(null), json!([{"r": "AA"}])] {
                let outcome = changed(&signer, |jwk| drop(jwk.insert(member.into(), value.clone()))).await;
                assert_eq!(outcome, LEFT_OUT, "{algorithm} {member} {value}");
            }
        }
        assert_eq!(changed(&signer, |_| ()).await, USED, "{algorithm}");
    }
}

#[tokio::test]
async fn row_20_symmetric_keys_in_the_set() {
    use aws_lc_rs::hmac;
    let (good, secret) = (key(Algorithm::ES256), b"a secret of thirty-two bytes, ok");
    for alg in ["HS256", "ES256", "RS256", ""] {
        let mut oct = json!({"kty": "oct", "kid": "s", "k": encode(secret), "use": "sig", "alg": alg});
        if alg.is_empty() {
            oct.as_object_mut().unwrap().remove("alg");
        }
        assert!(KeySet::parse(jwks([oct.clone()])).is_err(), "alone it is no set");
        let layer = layer_of([oct, good.jwk()]);
        for (claimed, reason) in [
            ("HS256", Reason::AlgorithmRefused),
            ("ES256", Reason::KeyUnknown),
            ("RS256", Reason::KeyUnknown),
        ] {
            let forged = token(&good).header("kid", "s").header("alg", claimed);
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), forged.message().as_bytes());
            let forged = forged.build_with_signature(tag.as_ref());
            assert_eq!(answer(&layer, &forged).await, unauthorized(reason), "{alg} {claimed}");
        }
        assert_eq!(answer(&layer, &token(&good).build()).await, PASSED);
    }
}
