//! One public key of a JWK Set (RFC 7517), prepared once for verification.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents,
    VerificationAlgorithm,
};
use serde::de::MapAccess;

use super::algorithm::Algorithm;
use super::base64url;
use super::header::MAX_KID_LEN;
use super::json::{Fault, Members, Repeat, Skip, Text, parse_object};

/// A public key that may verify signatures of exactly one algorithm.
pub(crate) struct Jwk {
    kid: Option<Box<str>>,
    algorithm: Algorithm,
    key: ParsedPublicKey,
    /// kty, curve and value: tells whether a key is still the same after a refresh.
    material: Box<[u8]>,
}

/// Why a key of a set is not used. Others of the set still are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("not a well-formed JWK")]
    Malformed,
    #[error("a member stands twice")]
    Duplicate,
    #[error("of a type, curve or algorithm that is not supported")]
    Unsupported,
    #[error("not for verifying signatures (use, key_ops)")]
    NotForSignatures,
    #[error("it holds private or symmetric key material, which must not be published")]
    Private,
    #[error("its algorithm does not fit its type or curve")]
    Inconsistent,
    #[error(
        "too weak: RSA needs 2048 to 8192 bits and an odd exponent from 3 to 33 bits, Ed25519 a point of large order"
    )]
    Weak,
    #[error("not a valid public key, such as a point off its curve")]
    Invalid,
}

impl Jwk {
    /// Parses and prepares a key. `rsa` is the algorithm of RSA keys that name none.
    pub(crate) fn parse(document: &[u8], rsa: Algorithm) -> Result<Self, Unusable> {
        let mut fields = Fields::default();
        match parse_object(document, &mut fields) {
            Ok(()) => {}
            Err(Fault::Duplicate) => return Err(Unusable::Duplicate),
            Err(Fault::Malformed | Fault::TooDeep) => return Err(Unusable::Malformed),
        }
        fields.prepare(rsa)
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(crate) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// Whether two keys answer alike to every token.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kid == other.kid && self.algorithm == other.algorithm && self.material == other.material
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk").field("kid", &self.kid).field("alg", &self.algorithm).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Fields<'de> {
    kty: Option<Cow<'de, str>>,
    kid: Option<Cow<'de, str>>,
    alg: Option<Cow<'de, str>>,
    public_use: Option<Cow<'de, str>>,
    key_ops: Option<Vec<Cow<'de, str>>>,
    crv: Option<Cow<'de, str>>,
    n: Option<Cow<'de, str>>,
    e: Option<Cow<'de, str>>,
    x: Option<Cow<'de, str>>,
    y: Option<Cow<'de, str>>,
    private: bool,
}

impl<'de> Members<'de> for Fields<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        let place = match name {
            "kty" => &mut self.kty,
            "kid" => &mut self.kid,
            "alg" => &mut self.alg,
            "use" => &mut self.public_use,
            "crv" => &mut self.crv,
            "n" => &mut self.n,
            "e" => &mut self.e,
            "x" => &mut self.x,
            "y" => &mut self.y,
            "key_ops" => {
                let operations: Vec<Text<'de>> = map.next_value()?;
                let operations = operations.into_iter().map(|Text(operation)| operation).collect();
                return skip.once(&mut self.key_ops, operations);
            }
            "d" | "p" | "q" | "dp" | "dq" | "qi" | "oth" | "k" | "priv" => {
                self.private = true;
                return skip.over(map);
            }
            _ => return skip.over(map),
        };
        skip.once(place, map.next_value::<Text<'_>>()?.0)
    }
}

impl Fields<'_> {
    fn prepare(self, rsa: Algorithm) -> Result<Jwk, Unusable> {
        if self.private {
            return Err(Unusable::Private);
        }
        if self.kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID_LEN) {
            return Err(Unusable::Malformed);
        }
        self.is_for_signatures()?;
        let declared = match self.alg.as_deref() {
            Some(name) => Some(Algorithm::from_name(name).ok_or(Unusable::Unsupported)?),
            None => None,
        };
        let (algorithm, key, material) = match self.kty.as_deref().ok_or(Unusable::Malformed)? {
            "RSA" => self.rsa(declared.unwrap_or(rsa))?,
            "EC" => self.ec(declared)?,
            "OKP" => self.okp(declared)?,
            _ => return Err(Unusable::Unsupported),
        };
        Ok(Jwk { kid: self.kid.map(Into::into), algorithm, key, material: material.into() })
    }

    /// RFC 7517 §4.2, §4.3: both may be absent; a repeated operation is an error.
    fn is_for_signatures(&self) -> Result<(), Unusable> {
        if self.public_use.as_deref().is_some_and(|public_use| public_use != "sig") {
            return Err(Unusable::NotForSignatures);
        }
        let Some(operations) = &self.key_ops else { return Ok(()) };
        let mut sorted: Vec<&str> = operations.iter().map(Cow::as_ref).collect();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != operations.len() {
            return Err(Unusable::Malformed);
        }
        if sorted.contains(&"verify") { Ok(()) } else { Err(Unusable::NotForSignatures) }
    }

    fn rsa(&self, algorithm: Algorithm) -> Result<Prepared, Unusable> {
        let parameters = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            _ => return Err(Unusable::Inconsistent),
        };
        let (n, e) = (number(self.n.as_deref())?, number(self.e.as_deref())?);
        // The range is checked when a signature is verified too, but a key that can never verify should be seen at once.
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits(&n))
            || !odd(&n)
            || !odd(&e)
            || e == [1]
            || bits(&e) > MAX_EXPONENT_BITS
        {
            return Err(Unusable::Weak);
        }
        let key = RsaPublicKeyComponents { n: &n, e: &e }
            .to_parsed_public_key(parameters)
            .map_err(|_| Unusable::Invalid)?;
        Ok((algorithm, key, [b"RSA", e.as_slice(), b".", n.as_slice()].concat()))
    }

    fn ec(&self, declared: Option<Algorithm>) -> Result<Prepared, Unusable> {
        let (algorithm, verification, field): (_, &'static dyn VerificationAlgorithm, _) =
            match self.crv.as_deref().ok_or(Unusable::Malformed)? {
                "P-256" => (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED, 32),
                "P-384" => (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED, 48),
                "P-521" => (Algorithm::ES512, &ECDSA_P521_SHA512_FIXED, 66),
                _ => return Err(Unusable::Unsupported),
            };
        if declared.is_some_and(|declared| declared != algorithm) {
            return Err(Unusable::Inconsistent);
        }
        // RFC 7518 §6.2.1.2: the full length of the field, leading zeros included.
        let (x, y) = (octets(self.x.as_deref(), field)?, octets(self.y.as_deref(), field)?);
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        let key = ParsedPublicKey::new(verification, &point).map_err(|_| Unusable::Invalid)?;
        Ok((algorithm, key, point))
    }

    fn okp(&self, declared: Option<Algorithm>) -> Result<Prepared, Unusable> {
        if self.crv.as_deref().ok_or(Unusable::Malformed)? != "Ed25519" {
            return Err(Unusable::Unsupported);
        }
        if declared.is_some_and(|declared| declared != Algorithm::Ed25519) {
            return Err(Unusable::Inconsistent);
        }
        let x = octets(self.x.as_deref(), 32)?;
        if self.x.as_deref().is_some_and(|x| SMALL_ORDER.contains(&x)) {
            return Err(Unusable::Weak);
        }
        let key = ParsedPublicKey::new(&ED25519, &x).map_err(|_| Unusable::Invalid)?;
        Ok((Algorithm::Ed25519, key, x))
    }
}

type Prepared = (Algorithm, ParsedPublicKey, Vec<u8>);

/// RFC 7518 §3.3 asks for 2048 bits at least; the library verifies up to 8192.
const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 8192;

/// The library verifies with none longer, since the work grows with it.
const MAX_EXPONENT_BITS: usize = 33;

/// Every encoding of the points of order 1, 2, 4 and 8 on edwards25519: under such a key anybody can sign, and neither RFC 8032
/// nor the library asks for a look.
const SMALL_ORDER: [&str; 14] = [
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
    "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU",
    "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_IU",
    "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
    "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA_o",
    "7P_______________________________________38",
    "7P________________________________________8",
    "7f_______________________________________38",
    "7f________________________________________8",
    "7v_______________________________________38",
    "7v________________________________________8",
];

fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |byte| byte.leading_zeros());
    number.len().saturating_mul(8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}

/// A Base64urlUInt (RFC 7518 §2). Leading zeros are wrong but common; they are taken off, since the library refuses them.
fn number(text: Option<&str>) -> Result<Vec<u8>, Unusable> {
    let mut octets = base64url::decode(text.ok_or(Unusable::Malformed)?).ok_or(Unusable::Malformed)?;
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    octets.drain(..zeros);
    Ok(octets)
}

fn octets(text: Option<&str>, len: usize) -> Result<Vec<u8>, Unusable> {
    let octets = base64url::decode(text.ok_or(Unusable::Malformed)?).ok_or(Unusable::Malformed)?;
    if octets.len() == len { Ok(octets) } else { Err(Unusable::Malformed) }
}
