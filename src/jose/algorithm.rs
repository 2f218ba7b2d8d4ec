//! The signature algorithms of RFC 7518, 8037 and 9864 that are accepted.

use std::fmt;

/// A signature algorithm. There is no `none` and nothing with a shared secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256 and a salt of the same length.
    PS256,
    /// RSASSA-PSS with SHA-384 and a salt of the same length.
    PS384,
    /// RSASSA-PSS with SHA-512 and a salt of the same length.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// EdDSA on Ed25519: the name `Ed25519` of RFC 9864 and the older `EdDSA` of RFC 8037 are one algorithm here. Ed448 is not
    /// supported.
    Ed25519,
}

impl Algorithm {
    /// Reads an `alg`: exact, with case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "EdDSA" | "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }

    /// The name that tokens of ours carry: `EdDSA` for Ed25519, which verifiers know that have not heard of RFC 9864.
    #[cfg(any(feature = "introspection", feature = "test-util"))]
    pub(crate) fn token_name(self) -> String {
        if self == Self::Ed25519 { "EdDSA".into() } else { self.to_string() }
    }

    pub(crate) const fn is_rsa(self) -> bool {
        matches!(self, Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
