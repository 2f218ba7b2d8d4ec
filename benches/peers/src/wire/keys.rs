//! Who signs the tokens, and the files by which the servers learn of it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::test_util::SigningKey;

use super::ISSUER;
use super::probes;
use super::series::{Credentials, Fixture};
use super::serve::Signature;
use super::servers::Keys;
use crate::fixture;

/// A new key, and a token for each user. They stay good for an hour.
pub fn fixture(signature: Signature, users: usize, folder: &Path) -> Result<Fixture, Box<dyn Error>> {
    let key = Arc::new(SigningKey::generate(signature.algorithm()));
    let file = |extension: &str| folder.join(format!("{}-{users}.{extension}", signature.name()));
    let keys = Keys { signature, jwks: file("jwks.json"), pem: file("pem") };
    std::fs::write(&keys.jwks, serde_json::json!({"keys": [key.jwk()]}).to_string())?;
    std::fs::write(&keys.pem, public_pem(&key)?)?;
    let values =
        (0..users).map(|user| format!("Bearer {}", fixture::token(&key, ISSUER, user).build())).collect();
    let credentials = Credentials::write("authorization".into(), values, file("txt"))?;
    Ok(Fixture { keys, credentials, probes: probes::all(&key) })
}

/// The public key as HAProxy reads it.
fn public_pem(key: &SigningKey) -> Result<String, Box<dyn Error>> {
    let pem = key.pkcs8_pem();
    let private = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>())?;
    let public: PublicKeyX509Der<'_> = match key.alg().as_str() {
        "RS256" => RsaKeyPair::from_pkcs8(&private)?.public_key().as_der()?,
        "ES256" => {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private)?.public_key().as_der()?
        }
        _ => Ed25519KeyPair::from_pkcs8(&private)?.public_key().as_der()?,
    };
    let text = STANDARD.encode(public.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
}
