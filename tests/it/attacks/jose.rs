//! Rows 1 to 12: signatures and what the header would like to decide.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::test_util::{FakeAuthorizationServer, ScriptedHttpClient, SigningKey};
use portcullis::{Algorithm, AuthLayer, Issuer, JwtAuthenticator, KeySet, Reason, RemoteKeySet};
use serde_json::json;

use super::{Answer, JWKS_URI, PASSED, Target, answer, decode, encode, hex, jwks, unauthorized};
use crate::support::{AUDIENCE, ISSUER, bearer, judge, jwt, jwt_of, key, send, token};

/// The public key in every form that a library was ever given as the secret of an HMAC, and no secret at all.
pub(crate) fn public_forms(key: &SigningKey) -> Vec<Vec<u8>> {
    let jwk = key.jwk();
    let mut forms = vec![Vec::new(), jwk.to_string().into(), jwks([jwk.clone()]).into()];
    let mut add = |label: &str, der: Vec<u8>| {
        for end in ["\n", "\r\n", ""] {
            let lines: Vec<_> = STANDARD.encode(&der).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
            let (body, line) = (lines.join(&b'\n'), format!("-----BEGIN {label}-----\n"));
            let pem = [line.as_bytes(), &body, format!("\n-----END {label}-----{end}").as_bytes()].concat();
            forms.push(pem);
        }
        forms.push(encode(&der).into());
        forms.push(der);
    };
    if key.algorithm() == Algorithm::RS256 {
        let n = decode(&jwk["n"]);
        let pkcs1 = [hex("3082010a0282010100"), n.clone(), hex("0203010001")].concat();
        let spki = [hex("30820122300d06092a864886f70d01010105000382010f00"), pkcs1.clone()].concat();
        add("PUBLIC KEY", spki);
        add("RSA PUBLIC KEY", pkcs1);
        forms.extend([jwk["n"].as_str().unwrap().into(), n]);
    } else {
        let (x, y) = (decode(&jwk["x"]), decode(&jwk["y"]));
        let point = [vec![4], x.clone(), y].concat();
        let spki = [hex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), point.clone()].concat();
        add("PUBLIC KEY", spki);
        forms.extend([jwk["x"].as_str().unwrap().into(), x, point]);
    }
    forms
}

#[tokio::test]
async fn row_01_hmac_with_the_public_key() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let target = Target::new(algorithm);
        let hashes =
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
        for (alg, hash) in hashes {
            for secret in public_forms(&target.key) {
                let forged = target.token().header("alg", alg);
                let tag = hmac::sign(&hmac::Key::new(hash, &secret), forged.message().as_bytes());
                target.refuses(&forged.build_with_signature(tag.as_ref()), Reason::AlgorithmRefused).await;
            }
        }
        assert_eq!(target.http.total(), 0);
        target.accepts(&target.token().build()).await;
        // Under the name of the key's own algorithm it is no better.
        for secret in public_forms(&target.key) {
            let forged = target.token();
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), forged.message().as_bytes());
            target.refuses(&forged.build_with_signature(tag.as_ref()), Reason::SignatureInvalid).await;
        }
    }
}

#[tokio::test]
async fn row_02_alg_none_in_every_spelling() {
    let target = Target::new(Algorithm::ES256);
    for bits in 0..16_u8 {
        let spelling: String = "none"
            .chars()
            .enumerate()
            .map(|(place, letter)| if bits >> place & 1 == 1 { letter.to_ascii_uppercase() } else { letter })
            .collect();
        let unsigned = target.token().header("alg", spelling);
        target.refuses(&unsigned.build_with_signature(b""), Reason::AlgorithmRefused).await;
        target.refuses(&unsigned.build(), Reason::AlgorithmRefused).await;
    }
    for alg in ["", " ", "es256", "ES256 ", "ES256\0", "ES256K", "ES", "RS1", "HS256", "Ed448"] {
        target.refuses(&target.token().header("alg", alg).build(), Reason::AlgorithmRefused).await;
    }
    for alg in [json!(null), json!(["ES256"]), json!({"ES256": 1}), json!(0), json!(true)] {
        target.refuses(&target.token().header("alg", alg).build(), Reason::HeaderMalformed).await;
    }
    target.refuses(&target.token().without_header("alg").build(), Reason::AlgorithmRefused).await;
    target.refuses(&target.token().message(), Reason::TokenMalformed).await;
    target.accepts(&target.token().build()).await;
    target.refuses(&target.token().build_with_signature(b""), Reason::SignatureInvalid).await;
}

#[tokio::test]
async fn row_03_a_key_without_alg_does_not_let_the_header_decide() {
    // Signed with the very key, by an algorithm that the key is not for.
    let signer = key(Algorithm::PS256);
    let mut jwk = signer.jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let server = |rsa| {
        let http = ScriptedHttpClient::new();
        http.answer(JWKS_URI, jwks([jwk.clone()]));
        let keys =
            RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).rsa_algorithm(rsa).build().unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
        (AuthLayer::new(jwt), http)
    };
    for (rsa, expected) in [
        (Algorithm::RS256, unauthorized(Reason::KeyMismatch)),
        (Algorithm::PS384, unauthorized(Reason::KeyMismatch)),
        (Algorithm::PS256, PASSED),
    ] {
        let (layer, http) = server(rsa);
        assert_eq!(answer(&layer, &token(&signer).build()).await, expected, "{rsa}");
        assert_eq!(http.total(), 1);
    }
}

#[tokio::test]
async fn row_03_the_curve_fixes_the_algorithm_whatever_alg_says() {
    for (alg, usable) in [(None, true), (Some("ES256"), true), (Some("ES384"), false), (Some("RS256"), false)]
    {
        let signer = key(Algorithm::ES256);
        let mut jwk = signer.jwk();
        jwk["alg"] = alg.into();
        if alg.is_none() {
            jwk.as_object_mut().unwrap().remove("alg");
        }
        let keys = KeySet::parse(jwks([jwk, key(Algorithm::Ed25519).jwk()])).unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
        let expected: Answer = if usable { PASSED } else { unauthorized(Reason::KeyUnknown) };
        assert_eq!(answer(&AuthLayer::new(jwt), &token(&signer).build()).await, expected, "{alg:?}");
    }
}

#[tokio::test]
async fn row_04_the_json_serialisation_is_no_token() {
    let signer = key(Algorithm::ES256);
    let (jwt, compact) = (jwt(&[&signer]), token(&signer).build());
    let parts: Vec<&str> = compact.split('.').collect();
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2], "header": {"alg": "HS256"}});
    let general =
        json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]});
    let layer = AuthLayer::new(jwt.clone());
    for json in [flattened, general] {
        let text = json.to_string();
        assert_eq!(judge(&jwt, &text).await.err(), Some(Reason::TokenMalformed));
        assert_eq!(answer(&layer, &encode(&text)).await, unauthorized(Reason::TokenMalformed));
        assert!([400, 401].contains(&send(&layer, bearer(&text)).await.status().as_u16()));
    }
    assert_eq!(answer(&layer, &compact).await, PASSED);
}

/// The order of P-256.
const N: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

/// `n - s`
fn negated(s: &[u8]) -> Vec<u8> {
    let (mut difference, mut borrow) = (hex(N), 0);
    for (digit, subtrahend) in difference.iter_mut().zip(s).rev() {
        let value = i16::from(*digit) - i16::from(*subtrahend) - borrow;
        borrow = i16::from(value < 0);
        *digit = u8::try_from(value.rem_euclid(256)).unwrap();
    }
    difference
}

fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let number = [&[0][..usize::from(number[0] >> 7)], number].concat();
        [&[2, u8::try_from(number.len()).unwrap()], number.as_slice()].concat()
    };
    let body = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], body.as_slice()].concat()
}

#[tokio::test]
async fn row_05_degenerate_ecdsa_signatures() {
    let target = Target::new(Algorithm::ES256);
    let token = target.token();
    let good = target.key.sign(token.message().as_bytes());
    let (r, s) = good.split_at(32);
    let (zero, one, n) = ([0; 32].to_vec(), [vec![0; 31], vec![1]].concat(), hex(N));
    target.accepts(&token.build_with_signature(&good)).await;
    for (case, forged) in [
        ("r = s = 0", [zero.clone(), zero.clone()].concat()),
        ("r = 0", [zero.clone(), s.to_vec()].concat()),
        ("s = 0", [r.to_vec(), zero.clone()].concat()),
        ("r = 0, s = 1", [zero, one.clone()].concat()),
        ("r = s = 1", [one.clone(), one].concat()),
        ("r = s = n", [n.clone(), n.clone()].concat()),
        ("r = n", [n.clone(), s.to_vec()].concat()),
        ("s = n", [r.to_vec(), n].concat()),
        ("all ones", vec![0xff; 64]),
        ("s before r", [s, r].concat()),
        ("nothing", Vec::new()),
        ("one byte", vec![0]),
        ("a byte too few", good[..63].to_vec()),
        ("a byte too many", [good.as_slice(), &[0]].concat()),
        ("a leading zero", [&[0], good.as_slice()].concat()),
        ("numbers at the length of P-384", [&[0; 16], r, &[0; 16], s].concat()),
        ("DER", der(r, s)),
    ] {
        let answer = target.answer(&token.build_with_signature(&forged)).await;
        assert_eq!(answer, unauthorized(Reason::SignatureInvalid), "{case}");
    }
    let endless = token.build_with_signature(&[1; 1025]);
    target.refuses(&endless, Reason::SignatureMalformed).await;
    // RFC 7518 §3.4 does not ask for a low s, and half of all honest signatures have a high one.
    target.accepts(&token.build_with_signature(&[r, &negated(s)].concat())).await;
}

#[tokio::test]
async fn row_05_the_curve_of_the_key_is_not_up_to_the_header() {
    use Algorithm::{ES256, ES384, ES512, Ed25519, RS256};
    for (own, claimed) in
        [(ES256, "ES384"), (ES256, "ES512"), (ES384, "ES256"), (ES512, "ES256"), (Ed25519, "ES256")]
            .into_iter()
            .chain([(ES256, "EdDSA"), (RS256, "PS256"), (RS256, "RS384"), (RS256, "ES256")])
    {
        let target = Target::new(own);
        target.accepts(&target.token().build()).await;
        target.refuses(&target.token().header("alg", claimed).build(), Reason::KeyMismatch).await;
    }
}

#[tokio::test]
async fn row_06_a_key_in_the_header_is_no_key() {
    let (target, mallory) = (Target::new(Algorithm::ES256), key(Algorithm::ES256));
    let header = target.token().header("jwk", mallory.jwk());
    // An honest token with such a header is judged as if it were not there.
    target.accepts(&header.build()).await;
    target.refuses(&header.clone().forged_by(&mallory).build(), Reason::SignatureInvalid).await;
    let nameless = header.clone().without_header("kid").forged_by(&mallory).build();
    target.refuses(&nameless, Reason::SignatureInvalid).await;
    // Its own kid is unknown: looked for at the issuer, once, and nowhere else.
    let answer = target.answer(&header.signed_by(&mallory).build()).await;
    assert_eq!(answer, unauthorized(Reason::KeyUnknown));
    assert_eq!((target.http.count(JWKS_URI), target.http.total()), (2, 2));
}

#[tokio::test]
async fn row_07_no_address_in_the_header_is_asked() {
    let evil = FakeAuthorizationServer::start().await;
    let mallory = evil.keys().remove(0);
    let server = FakeAuthorizationServer::start().await;
    let layer = AuthLayer::new(jwt_of(&server));
    for (name, value) in [
        ("jku", json!(evil.jwks_uri())),
        ("x5u", json!(evil.jwks_uri())),
        ("x5c", json!(["MIIB", "MIIC"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("url", json!(evil.jwks_uri())),
        ("iss", json!(evil.issuer_id())),
    ] {
        let token = server.token().header(name, value);
        assert_eq!(answer(&layer, &token.build()).await, PASSED, "{name} is ignored");
        let forged = token.forged_by(&mallory).build();
        assert_eq!(answer(&layer, &forged).await, unauthorized(Reason::SignatureInvalid), "{name}");
        assert_eq!((evil.counts().jwks, evil.counts().discovery), (0, 0), "{name}");
        assert_eq!((server.counts().jwks, server.counts().discovery), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn row_08_critical_extensions_are_refused() {
    let target = Target::new(Algorithm::ES256);
    for crit in [
        json!(["ext"]),
        json!([]),
        json!(["alg"]),
        json!(["exp", "exp"]),
        json!("ext"),
        json!(null),
        json!(false),
        json!({}),
    ] {
        let token = target.token().header("ext", 1).header("crit", crit).build();
        target.refuses(&token, Reason::CriticalHeader).await;
    }
    target.accepts(&target.token().header("ext", 1).build()).await;
}

#[tokio::test]
async fn row_09_unencoded_payloads_are_refused() {
    let target = Target::new(Algorithm::ES256);
    for b64 in [json!(false), json!(true), json!(null), json!("false")] {
        let token = target.token().header("b64", b64);
        target.refuses(&token.build(), Reason::CriticalHeader).await;
        target.refuses(&token.header("crit", json!(["b64"])).build(), Reason::CriticalHeader).await;
    }
    // RFC 7797 §3: signed over the claims as they are, without base64url.
    let jwt = jwt(&[&target.key]);
    for (more, reason) in
        [(r#","b64":false,"crit":["b64"]"#, Reason::CriticalHeader), ("", Reason::ClaimsMalformed)]
    {
        let header = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"{}"{more}}}"#, target.key.kid());
        let message = format!("{}.{}", encode(header), r#"{"iss":"id","exp":4000000000}"#);
        let raw = format!("{message}.{}", encode(target.key.sign(message.as_bytes())));
        assert_eq!(judge(&jwt, &raw).await.err(), Some(reason));
    }
    target.accepts(&target.token().build()).await;
}

#[tokio::test]
async fn row_10_encrypted_tokens_are_no_signed_ones() {
    let target = Target::new(Algorithm::ES256);
    let signed = target.token().build();
    let header = encode(r#"{"alg":"RSA-OAEP","enc":"A256GCM","cty":"JWT","typ":"at+jwt"}"#);
    target.refuses(&format!("{header}.AAAA.AAAA.AAAA.AAAA"), Reason::TokenEncrypted).await;
    target.refuses(&format!("{header}....",), Reason::TokenEncrypted).await;
    target.refuses(&format!("{signed}.AAAA.AAAA"), Reason::TokenEncrypted).await;
    target.refuses(&format!("{header}.AAAA.AAAA"), Reason::NestedToken).await;
    for alg in ["RSA-OAEP", "dir", "A256KW", "ECDH-ES"] {
        let mixed = target.token().header("alg", alg).header("enc", "A256GCM").build();
        target.refuses(&mixed, Reason::AlgorithmRefused).await;
    }
    // A signature around another token says nothing about the one inside.
    for cty in ["JWT", "jwt", "application/jwt"] {
        target.refuses(&target.token().header("cty", cty).build(), Reason::NestedToken).await;
    }
    target.refuses(&format!("{signed}.AAAA"), Reason::TokenMalformed).await;
    target.refuses(&format!("{signed}.A.A.A"), Reason::TokenMalformed).await;
    target.accepts(&signed).await;
}

#[tokio::test]
async fn row_11_compressed_tokens_are_refused_before_their_claims_are_read() {
    let target = Target::new(Algorithm::ES256);
    for zip in [json!("DEF"), json!("GZ"), json!(""), json!(null)] {
        let token = target.token().header("zip", zip).raw_claims([0xff; 4096]).build();
        target.refuses(&token, Reason::CompressedToken).await;
    }
    target.refuses(&target.token().raw_claims([0xff; 4096]).build(), Reason::ClaimsMalformed).await;
    target.accepts(&target.token().build()).await;
}

#[tokio::test]
async fn row_12_no_password_is_stretched() {
    let target = Target::new(Algorithm::ES256);
    for alg in ["PBES2-HS256+A128KW", "PBES2-HS384+A192KW", "PBES2-HS512+A256KW"] {
        let header = target.token().header("p2c", 2_147_483_647).header("p2s", "AAAA");
        let token = header.header("alg", alg).build();
        target.refuses(&token, Reason::AlgorithmRefused).await;
        target.refuses(&format!("{token}.AAAA.AAAA"), Reason::TokenEncrypted).await;
    }
    // The number alone is harmless.
    target.accepts(&target.token().header("p2c", 2_147_483_647).build()).await;
}
