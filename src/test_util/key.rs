//! Keys that sign.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::jose::algorithm::Algorithm;
pub(super) use crate::jose::base64url::encode;
use crate::jose::key_pair::{KeyPair, Signing};

/// A private key of a fake issuer, with its `kid`.
pub struct SigningKey {
    kid: String,
    algorithm: Algorithm,
    pair: KeyPair,
    public: Arc<PublicKey>,
}

/// What verifies the signatures of a [`SigningKey`].
#[derive(Debug)]
pub(super) struct PublicKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl SigningKey {
    /// A new key for this algorithm (RSA with 2048 bits), with a `kid` that no other key of this process has.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let pair = match Signing::of(algorithm) {
            Signing::Rsa(encoding) => {
                KeyPair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key pair"), encoding)
            }
            Signing::Ec(curve) => KeyPair::Ec(EcdsaKeyPair::generate(curve).expect("a key pair")),
            Signing::Ed => KeyPair::Ed(Ed25519KeyPair::generate().expect("a key pair")),
        };
        let public = Arc::new(PublicKey::of(&pair, algorithm));
        Self { kid: format!("key-{}", COUNT.fetch_add(1, Ordering::Relaxed)), algorithm, pair, public }
    }

    /// Sets the `kid`.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = kid.into();
        self
    }

    /// The `kid`.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the algorithm as tokens carry it: `EdDSA` for Ed25519.
    #[must_use]
    pub fn alg(&self) -> String {
        self.algorithm.token_name()
    }

    /// The public key as a JWK, with `kid`, `alg` and `use`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            KeyPair::Rsa(pair, _) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                json!({
                    "kty": "RSA",
                    "n": encode(n.big_endian_without_leading_zero()),
                    "e": encode(e.big_endian_without_leading_zero()),
                })
            }
            KeyPair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.split_at(1).1.split_at(point.len() / 2);
                let crv = match self.algorithm {
                    Algorithm::ES384 => "P-384",
                    Algorithm::ES512 => "P-521",
                    _ => "P-256",
                };
                json!({"kty": "EC", "crv": crv, "x": encode(x), "y": encode(y)})
            }
            KeyPair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("kid".into(), self.kid.clone().into());
            members.insert("alg".into(), self.alg().into());
            members.insert("use".into(), "sig".into());
        }
        jwk
    }

    /// The private key in PKCS#8 as a PEM text: for a client that authenticates itself with a key, in tests alone.
    #[must_use]
    pub fn pkcs8_pem(&self) -> String {
        let der: Vec<u8> = match &self.pair {
            KeyPair::Rsa(pair, _) => pkcs8(pair.as_der()),
            KeyPair::Ec(pair) => pair.to_pkcs8v1().expect("a document").as_ref().to_vec(),
            KeyPair::Ed(pair) => pkcs8(pair.as_der()),
        };
        let lines: Vec<String> = der.chunks(BYTES_OF_A_LINE).map(|line| STANDARD.encode(line)).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }

    /// Signs in the form that JWS has: for ECDSA the two numbers at full length.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).expect("a signature")
    }

    pub(super) fn public(&self) -> Arc<PublicKey> {
        Arc::clone(&self.public)
    }
}

impl PublicKey {
    fn of(pair: &KeyPair, algorithm: Algorithm) -> Self {
        let verification: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::ES512 => &ECDSA_P521_SHA512_FIXED,
            Algorithm::Ed25519 => &ED25519,
        };
        let bytes = match pair {
            KeyPair::Rsa(pair, _) => pair.public_key().as_ref(),
            KeyPair::Ec(pair) => pair.public_key().as_ref(),
            KeyPair::Ed(pair) => pair.public_key().as_ref(),
        };
        Self { algorithm, key: ParsedPublicKey::new(verification, bytes).expect("a public key") }
    }

    /// Whether tokens that this key verifies may name this algorithm.
    pub(super) fn is_for(&self, alg: &str) -> bool {
        Algorithm::from_name(alg) == Some(self.algorithm)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("alg", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// RFC 7468 §2: 64 characters of Base64.
const BYTES_OF_A_LINE: usize = 48;

fn pkcs8(der: Result<Pkcs8V1Der<'static>, Unspecified>) -> Vec<u8> {
    der.expect("a document").as_ref().to_vec()
}
