//! Signatures that others made, judged by the keys themselves: their payloads are no claims, so no authenticator could.
//!
//! `PORTCULLIS_VECTORS` names the folder with Wycheproof and the examples of the RFCs; without it these tests are skipped.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::error::Reason;
use crate::jose::algorithm::Algorithm;
use crate::jose::header::Typ;
use crate::jose::hmac::{HmacKey, Symmetric};
use crate::jose::jwk::{Jwk, Unusable};
use crate::jose::{Buffers, Opened, Parts, base64url};
use crate::keys::key_set::{Find, KeySet};

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn read(file: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os("PORTCULLIS_VECTORS") else {
        eprintln!("SKIPPED: PORTCULLIS_VECTORS is not set, `{file}` was not read");
        return None;
    };
    Some(serde_json::from_slice(&fs::read(Path::new(&folder).join(file)).unwrap()).unwrap())
}

fn each(file: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let groups = file["testGroups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["tests"].as_array().unwrap().iter().map(move |test| (group, test)))
}

/// As an authenticator does, but for the claims.
fn judge(keys: &Value, token: &str) -> Result<(), Reason> {
    let keys = KeySet::parse(keys.to_string()).map_err(|_| Reason::KeyUnknown)?;
    let parts = Parts::split(token.as_bytes(), 8 * 1024)?;
    let mut buffers = Buffers::default();
    let Opened { header, algorithm, seal, .. } = Opened::open(parts, &mut buffers, Typ::AccessToken)?;
    match keys.find(header.kid(), algorithm) {
        Find::Candidates(candidates) => seal.verify(candidates).map(drop),
        Find::OtherAlgorithm => Err(Reason::KeyMismatch),
        Find::Unknown => Err(Reason::KeyUnknown),
    }
}

/// The key of a group as a set, its public half where there is one.
fn key_set(group: &Value) -> Value {
    let key = group.get("public").unwrap_or(&group["private"]);
    if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) }
}

fn is_symmetric(keys: &Value) -> bool {
    keys["keys"].as_array().unwrap().iter().any(|key| key["kty"] == "oct")
}

/// Any key at all, so that a set with a symmetric key is a set.
fn with_another_key(keys: &Value) -> Value {
    let mut keys = keys.clone();
    let another = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    keys["keys"].as_array_mut().unwrap().push(another);
    keys
}

/// The numbers of the tests that are accepted, after all that holds without exception was checked.
fn accepted(file: &Value, cases: usize, waived: &[u64]) -> Vec<u64> {
    assert_eq!(each(file).count(), cases);
    let mut accepted = Vec::new();
    for (group, test) in each(file) {
        let (id, token) = (test["tcId"].as_u64().unwrap(), test["jws"].as_str().unwrap());
        let keys = key_set(group);
        let verdict = judge(&keys, token);
        if is_symmetric(&keys) {
            assert!(verdict.is_err(), "{id}: a shared secret");
            assert!(judge(&with_another_key(&keys), token).is_err(), "{id}: a shared secret beside a key");
        } else if !waived.contains(&id) {
            assert_eq!(verdict.is_ok(), test["result"] == "valid", "{id}: {} {verdict:?}", test["comment"]);
        }
        if verdict.is_ok() {
            accepted.push(id);
        }
    }
    accepted
}

#[test]
fn wycheproof_tokens_are_judged_as_marked() {
    let Some(file) = read("wycheproof/jose/json_web_signature_test.json") else { return };
    // Marked valid, although the key is for PS256 and the token says PS384, or the key is for `ES521`, which does not exist.
    let ids = accepted(&file, 401, &[346, 350, 347, 351]);
    let expected = [18, 33].into_iter().chain(259..=275).chain([287, 288]).chain(320..=323).chain(325..=328);
    assert_eq!(ids, expected.chain([345, 349, 378]).collect::<Vec<u64>>());
}

/// Tokens under the shared secret of their group, which has to be given as such: no document of keys does.
#[test]
fn wycheproof_tokens_under_a_shared_secret_are_judged_as_marked() {
    let Some(file) = read("wycheproof/jose/json_web_signature_test.json") else { return };
    let mut accepted = Vec::new();
    for (group, test) in each(&file).filter(|(group, _)| is_symmetric(&key_set(group))) {
        let secret = base64url::decode(key_set(group)["keys"][0]["k"].as_str().unwrap()).unwrap();
        let mut buffers = Buffers::default();
        let token = Parts::split(test["jws"].as_str().unwrap().as_bytes(), 8 * 1024);
        let token = token.and_then(|parts| Symmetric::open(parts, &mut buffers));
        let verdict = token.is_ok_and(|token| token.is_signed_by(&HmacKey::new(&secret)));
        let id = test["tcId"].as_u64().unwrap();
        // 367 and 370 are the very text of 357, which is valid; 372 and 373 hold characters that base64url does not have.
        if ![367, 370, 372, 373].contains(&id) {
            assert_eq!(verdict, test["result"] == "valid", "{id}: {}", test["comment"]);
        }
        if verdict {
            accepted.push(id);
        }
    }
    assert_eq!(accepted, [1, 348, 352, 357, 358, 359, 367, 370, 376, 377]);
}

#[test]
fn wycheproof_keys_are_judged_as_marked() {
    let Some(file) = read("wycheproof/jose/json_web_key_test.json") else { return };
    // 7 is a modulus of the ROCA kind: well-formed, and documented as not looked for.
    assert_eq!(accepted(&file, 26, &[7]), [5, 7]);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..][..2], 16).unwrap()).collect()
}

fn encoded(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(octets)
}

/// The key as a JWK: as it is given, or put together where the group has none.
fn raw_key(group: &Value, algorithm: Algorithm) -> Value {
    if let Some(key) = group.get("publicKeyJwk").or(group.get("keyJwk")) {
        return key.clone();
    }
    let key = &group["publicKey"];
    if algorithm.is_rsa() {
        let number = |name: &str| encoded(&hex(key[name].as_str().unwrap()));
        let (n, e) = (number("modulus"), number("publicExponent"));
        return json!({"kty": "RSA", "alg": algorithm.to_string(), "n": n, "e": e});
    }
    let point = hex(key["uncompressed"].as_str().unwrap());
    let (x, y) = point[1..].split_at(point.len() / 2);
    let curve = match algorithm {
        Algorithm::ES256 => "P-256",
        Algorithm::ES384 => "P-384",
        _ => "P-521",
    };
    json!({"kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y)})
}

#[test]
fn wycheproof_signatures_are_judged_as_marked() {
    // Besides, how many cases there are and how many of them are good. `acceptable`, a DigestInfo without its NULL, is not.
    let files = [
        ("ecdsa_p1363/ecdsa_secp256r1_sha256_p1363", Algorithm::ES256, 262, 173),
        ("ecdsa_p1363/ecdsa_secp384r1_sha384_p1363", Algorithm::ES384, 280, 193),
        ("ecdsa_p1363/ecdsa_secp521r1_sha512_p1363", Algorithm::ES512, 318, 231),
        ("eddsa/ed25519", Algorithm::Ed25519, 151, 88),
        ("rsa/rsa_signature_2048_sha256", Algorithm::RS256, 259, 9),
        ("rsa/rsa_signature_3072_sha256", Algorithm::RS256, 259, 8),
        ("rsa/rsa_signature_4096_sha256", Algorithm::RS256, 258, 7),
        ("rsa/rsa_signature_2048_sha384", Algorithm::RS384, 258, 7),
        ("rsa/rsa_signature_2048_sha512", Algorithm::RS512, 259, 8),
        ("rsa/rsa_signature_4096_sha512", Algorithm::RS512, 259, 7),
        ("rsa/rsa_pss_2048_sha256_mgf1_32", Algorithm::PS256, 108, 63),
        ("rsa/rsa_pss_3072_sha256_mgf1_32", Algorithm::PS256, 108, 63),
        ("rsa/rsa_pss_2048_sha384_mgf1_48", Algorithm::PS384, 141, 95),
        ("rsa/rsa_pss_4096_sha384_mgf1_48", Algorithm::PS384, 141, 95),
        ("rsa/rsa_pss_4096_sha512_mgf1_64", Algorithm::PS512, 179, 132),
    ];
    for (name, algorithm, cases, good) in files {
        let Some(file) = read(&format!("wycheproof/{name}_test.json")) else { return };
        let verdicts = raw_verdicts(&file, algorithm);
        for (test, verdict) in &verdicts {
            assert_eq!(*verdict, test["result"] == "valid", "{name} {test}");
        }
        let accepted = verdicts.iter().filter(|(_, verdict)| *verdict).count();
        assert_eq!((verdicts.len(), accepted), (cases, good), "{name}");
    }
}

/// RFC 7518 §3.5: the salt is as long as the hash. Of signatures that were made without salt none is good, but for the one that
/// was changed to have 32 bytes of it.
#[test]
fn wycheproof_signatures_with_another_salt_are_refused() {
    let Some(file) = read("wycheproof/rsa/rsa_pss_2048_sha256_mgf1_0_test.json") else { return };
    let verdicts = raw_verdicts(&file, Algorithm::PS256);
    assert_eq!(verdicts.len(), 103);
    for (test, verdict) in verdicts {
        assert_eq!(verdict, test["comment"] == "s_len changed to 32", "{test}");
    }
}

fn raw_verdicts(file: &Value, algorithm: Algorithm) -> Vec<(&Value, bool)> {
    each(file)
        .map(|(group, test)| {
            let key = raw_key(group, algorithm).to_string();
            let key = Jwk::parse(key.as_bytes(), Algorithm::RS256).unwrap();
            assert_eq!(key.algorithm(), algorithm);
            let octets = |name: &str| hex(test[name].as_str().unwrap());
            (test, key.verify(&octets("msg"), &octets("sig")))
        })
        .collect()
}

#[test]
fn wycheproof_keys_on_other_curves_are_not_used() {
    let files =
        [("ecdsa_p1363/ecdsa_secp256k1_sha256_p1363", "secp256k1", 242), ("eddsa/ed448", "Ed448", 87)];
    for (name, curve, cases) in files {
        let Some(file) = read(&format!("wycheproof/{name}_test.json")) else { return };
        let keys: Vec<&Value> = each(&file).filter_map(|(group, _)| group.get("publicKeyJwk")).collect();
        assert_eq!(keys.len(), cases, "{name}");
        for key in keys {
            assert_eq!(key["crv"], curve);
            let parsed = Jwk::parse(key.to_string().as_bytes(), Algorithm::RS256);
            assert_eq!(parsed.err(), Some(Unusable::Unsupported), "{key}");
        }
    }
}

#[test]
fn the_examples_of_rfc_7515_and_8037() {
    let (Some(jws), Some(ed)) = (read("rfc/rfc7515.json"), read("rfc/rfc8037.json")) else { return };
    let verdicts: Vec<_> = jws["cases"].as_array().unwrap().iter().map(example).collect();
    let (hmac, none) = (Err(Reason::AlgorithmRefused), Err(Reason::AlgorithmRefused));
    assert_eq!(verdicts, [hmac, Ok(()), Ok(()), Ok(()), none]);
    let any = with_another_key(&json!({"keys": []}));
    for form in ["A.6_general_json", "A.7_flattened_json"] {
        assert_eq!(judge(&any, &jws[form].to_string()), Err(Reason::TokenMalformed), "{form}");
    }
    let critical = jws["appendix_E_negative_crit"]["jws"].as_str().unwrap();
    assert_eq!(judge(&any, critical), Err(Reason::CriticalHeader));
    let keys = json!({ "keys": [ed["public_jwk"]] });
    let token = ed["jws"].as_str().unwrap();
    assert_eq!(judge(&keys, token), Ok(()));
    assert_eq!(judge(&keys, &token.replacen("hgyY", "hgyZ", 1)), Err(Reason::SignatureInvalid));
    let private = ed["private_jwk"].to_string();
    assert_eq!(Jwk::parse(private.as_bytes(), Algorithm::RS256).err(), Some(Unusable::Private));
}

/// Judges with the public half of a key that the RFC prints whole.
fn example(case: &Value) -> Result<(), Reason> {
    let mut key = case["jwk"].clone();
    if let Some(members) = key.as_object_mut() {
        members.retain(|name, _| ["kty", "crv", "n", "e", "x", "y"].contains(&name.as_str()));
    }
    judge(&with_another_key(&json!({ "keys": [key] })), case["jws"].as_str().unwrap())
}
