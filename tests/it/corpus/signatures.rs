//! Algorithms and signatures that do not fit.

use std::sync::Arc;

use portcullis::Algorithm::{ES256, Ed25519, PS256, PS384, PS512, RS256, RS384, RS512};
use serde_json::json;

use super::Corpus;

/// What is done to a good signature.
type Change = (&'static str, fn(&mut Vec<u8>));

impl Corpus<'_> {
    pub(super) fn algorithms(&mut self) {
        let trusted = self.keys.trusted.clone();
        let rsa = [RS384, RS512, PS256, PS384, PS512];
        let mut names: Vec<String> = trusted.iter().map(|key| key.alg()).collect();
        let others =
            ["none", "None", "nOnE", "", "HS256", "HS384", "HS512", "ES256K", "Ed25519", "Ed448", "RS1"];
        names.extend(others.map(String::from));
        names.extend(["eddsa", "rs256", "RS256 ", " RS256", "RS256\u{0}"].map(String::from));
        for (at, key) in trusted.iter().enumerate() {
            // One RSA key stands for all with names that do not fit.
            let names = if rsa.contains(&key.algorithm()) { &names[at..=at] } else { &names[..] };
            for name in names {
                let token = self.good_of(key).header("alg", name.as_str());
                self.push(format!("{} key, alg {name:?}", key.algorithm()), key, token.build());
            }
            let next = &trusted[(at + 1) % trusted.len()];
            let forged = self.good_of(key).forged_by(next);
            self.push(format!("{} key, signed by another", key.algorithm()), key, forged.build());
        }
        for value in [json!(null), json!(1), json!(["EdDSA"]), json!({"EdDSA": 1})] {
            self.add(format!("alg {value}"), &self.good().header("alg", value.clone()));
        }
        // Without a `kid` every key of the named algorithm is tried, and no other.
        for other in &trusted {
            let token = self.good().without_header("kid").header("alg", other.alg());
            self.add(format!("no kid, alg {}", other.alg()), &token);
        }
        self.add("no alg", &self.good().without_header("alg"));
        // The public key as the secret of an HMAC.
        for key in [ES256, RS256, Ed25519].map(|algorithm| self.keys.of(algorithm)) {
            let message = self.good_of(key).header("alg", "HS256").message();
            let secret = jsonwebtoken::EncodingKey::from_secret(key.jwk().to_string().as_bytes());
            let hmac = jsonwebtoken::Algorithm::HS256;
            let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, hmac).unwrap();
            self.push(format!("{} key as a secret", key.algorithm()), key, format!("{message}.{mac}"));
        }
    }

    pub(super) fn signatures(&mut self) {
        for key in &self.keys.trusted.clone() {
            let good = self.good_of(key);
            let signature = key.sign(good.message().as_bytes());
            let changed = |change: fn(&mut Vec<u8>)| {
                let mut changed = signature.clone();
                change(&mut changed);
                good.build_with_signature(&changed)
            };
            let variants: [Change; 11] = [
                ("first bit", |signature| signature[0] ^= 0x80),
                ("last bit", |signature| *signature.last_mut().unwrap() ^= 1),
                ("another bit", |signature| signature[20] ^= 0x10),
                ("a byte less", |signature| signature.truncate(signature.len() - 1)),
                ("a byte less in front", |signature| _ = signature.remove(0)),
                ("zero behind", |signature| signature.push(0)),
                ("zero in front", |signature| signature.insert(0, 0)),
                ("all zero", |signature| signature.fill(0)),
                ("all ones", |signature| signature.fill(0xff)),
                ("empty", |signature| signature.clear()),
                ("halves swapped", |signature| {
                    let half = signature.len() / 2;
                    signature.rotate_left(half);
                }),
            ];
            for (name, change) in variants {
                self.push(format!("{} signature: {name}", key.algorithm()), key, changed(change));
            }
            let other = self.good_of(key).subject("eve").message();
            let token = good.build_with_signature(&key.sign(other.as_bytes()));
            self.push(format!("{} signature: of other claims", key.algorithm()), key, token);
        }
        let key = Arc::clone(self.keys.of(ES256));
        let good = self.good_of(&key);
        let signature = key.sign(good.message().as_bytes());
        self.push("ES256 signature: DER", &key, good.build_with_signature(&der(&signature)));
        self.push("ES256 signature: n - s", &key, good.build_with_signature(&negated(&signature)));
    }
}

/// The signature as X.509 writes it.
fn der(signature: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut bytes = bytes[zeros..].to_vec();
        if bytes[0] >= 0x80 {
            bytes.insert(0, 0);
        }
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [number(r), number(s)].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

/// The twin of a signature on P-256: `n - s` in the place of `s`, as valid as the first.
fn negated(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
        0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut twin = signature.to_vec();
    let mut borrow = false;
    for at in (0..32).rev() {
        let (difference, first) = ORDER[at].overflowing_sub(signature[32 + at]);
        let (difference, second) = difference.overflowing_sub(u8::from(borrow));
        twin[32 + at] = difference;
        borrow = first || second;
    }
    twin
}
