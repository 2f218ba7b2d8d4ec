//! Private keys, and the signatures that they make.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};

use super::algorithm::Algorithm;

/// A private key together with the one way in which it signs. The library wipes it when it is dropped.
pub(crate) enum KeyPair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl KeyPair {
    /// Reads an unencrypted PKCS#8 document (RFC 5208, and for Ed25519 also RFC 5958). An error is a text for people, without
    /// anything of the key.
    #[cfg(feature = "introspection")]
    pub(super) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, &'static str> {
        match Signing::of(algorithm) {
            Signing::Rsa(encoding) => RsaKeyPair::from_pkcs8(der)
                .map(|pair| Self::Rsa(pair, encoding))
                .map_err(|_| "this algorithm needs an RSA key of 2048 to 8192 bits in PKCS#8"),
            Signing::Ec(curve) => EcdsaKeyPair::from_pkcs8(curve, der)
                .map(Self::Ec)
                .map_err(|_| "this algorithm needs an EC key on its own curve in PKCS#8"),
            Signing::Ed => Ed25519KeyPair::from_pkcs8(der)
                .map(Self::Ed)
                .map_err(|_| "this algorithm needs an Ed25519 key in PKCS#8"),
        }
    }

    /// Signs in the form that JWS has (RFC 7518 §3): for ECDSA the two numbers at full length.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).map(|()| signature)
            }
            Self::Ec(pair) => pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()),
            Self::Ed(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
        }
    }
}

/// What the library is told to sign with an algorithm.
pub(crate) enum Signing {
    Rsa(&'static dyn RsaEncoding),
    Ec(&'static EcdsaSigningAlgorithm),
    Ed,
}

impl Signing {
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::RS256 => Self::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => Self::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => Self::Rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => Self::Rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => Self::Rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => Self::Rsa(&RSA_PSS_SHA512),
            Algorithm::ES256 => Self::Ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => Self::Ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::ES512 => Self::Ec(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::Ed25519 => Self::Ed,
        }
    }
}
