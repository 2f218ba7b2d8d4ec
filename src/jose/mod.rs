//! Signed tokens (RFC 7515, 7518, 7519) in compact form, judged purely: no clock, no I/O, no async.
//!
//! A token is taken apart once ([`Token::parse`]), its claims are judged, and its signature is verified with a key that was
//! prepared once; only then is it [`Verified`]. The header never chooses how: the key fixes the algorithm, and nothing that the
//! header points to is followed. `sign` makes tokens in our own name.

pub(crate) mod algorithm;
pub(crate) mod base64url;
pub(crate) mod claims;
pub(crate) mod client_claims;
pub(crate) mod header;
pub(crate) mod hmac;
pub(crate) mod json;
pub(crate) mod jwk;
#[cfg(any(feature = "introspection", feature = "test-util"))]
pub(crate) mod key_pair;
pub(crate) mod scope_claim;
#[cfg(feature = "introspection")]
pub(crate) mod signer;
pub(crate) mod token_kind;

#[cfg(test)]
mod tests;

pub use algorithm::Algorithm;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::Reason;
use claims::{Claims, Rules};
use header::{Header, HeaderBuffer, Typ};
use jwk::Jwk;

/// Bytes of the longest signature: RSA with 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;

/// How many keys are tried for one token. More than one fits only where an issuer repeats a `kid` or leaves it out.
const MAX_CANDIDATES: usize = 4;

/// The three parts of a compact token, still encoded.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'t> {
    header: &'t [u8],
    claims: &'t [u8],
    signature: &'t [u8],
    /// What was signed: the first two parts with their dot, as received.
    signed: &'t [u8],
}

impl<'t> Parts<'t> {
    /// Looks at the length before anything else, and at no more than the first dots of a token that has thousands.
    pub(crate) fn split(token: &'t [u8], max_len: usize) -> Result<Self, Reason> {
        if token.len() > max_len {
            return Err(Reason::TokenTooLong);
        }
        let (header, rest) = split_dot(token).ok_or(Reason::TokenMalformed)?;
        let (claims, signature) = split_dot(rest).ok_or(Reason::TokenMalformed)?;
        if split_dot(signature).is_some() {
            // RFC 7516 §7.1: five parts are a JWE.
            let encrypted = signature.splitn(4, |byte| *byte == b'.').count() == 3;
            return Err(if encrypted { Reason::TokenEncrypted } else { Reason::TokenMalformed });
        }
        let signed_len = token.len().saturating_sub(signature.len()).saturating_sub(1);
        let signed = token.get(..signed_len).ok_or(Reason::TokenMalformed)?;
        Ok(Self { header, claims, signature, signed })
    }

    /// Whether this is a JWT that a public key could verify: told by its `alg` alone, without believing it.
    pub(crate) fn is_asymmetric(&self) -> bool {
        let mut buffer = HeaderBuffer::new();
        Header::parse(self.header, &mut buffer).is_ok_and(|header| header.algorithm().is_ok())
    }
}

/// `split_once('.')`, with a search that looks at many bytes at once.
fn split_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memchr(b'.', text)?;
    Some((text.get(..dot)?, text.get(dot.saturating_add(1)..)?))
}

/// The decoded bytes of a token; owns what a [`Token`] borrows.
#[derive(Default)]
pub(crate) struct Buffers {
    header: HeaderBuffer,
    /// As they are written; a principal keeps them.
    pub(crate) claims: Bytes,
}

/// A token whose header was judged and whose claims were decoded; nothing of it is verified.
pub(crate) struct Opened<'b> {
    pub(crate) header: Header<'b>,
    pub(crate) algorithm: Algorithm,
    /// The claims as they are written.
    pub(crate) claims: &'b Bytes,
    pub(crate) seal: Seal<'b>,
}

/// The signature of a token, with what it was made over.
pub(crate) struct Seal<'b>(Parts<'b>);

impl<'b> Opened<'b> {
    /// Decodes both JSON parts strictly and rejects a token whose header alone rules it out.
    pub(crate) fn open(parts: Parts<'b>, buffers: &'b mut Buffers, typ: Typ) -> Result<Self, Reason> {
        let header = Header::parse(parts.header, &mut buffers.header)?;
        header.judge(typ)?;
        let algorithm = header.algorithm()?;
        buffers.claims = base64url::decode(parts.claims).ok_or(Reason::ClaimsMalformed)?.into();
        Ok(Self { header, algorithm, claims: &buffers.claims, seal: Seal(parts) })
    }
}

impl Seal<'_> {
    /// Verifies the signature with the keys that the issuer has for the token's `kid` and algorithm, and gives the one that fits.
    ///
    /// Taking the keys as candidates keeps two keys of one `kid` deterministic: each of the same algorithm is tried.
    pub(crate) fn verify<'k, K: AsRef<Jwk>>(
        &self,
        candidates: impl Iterator<Item = &'k K>,
    ) -> Result<&'k K, Reason> {
        let mut signature: SmallVec<[u8; MAX_SIGNATURE_LEN]> = SmallVec::new();
        let signature = base64url::decode_small(self.0.signature, &mut signature)
            .filter(|signature| signature.len() <= MAX_SIGNATURE_LEN)
            .ok_or(Reason::SignatureMalformed)?;
        let signed = |key: &&K| key.as_ref().verify(self.0.signed, signature);
        candidates.take(MAX_CANDIDATES).find(signed).ok_or(Reason::SignatureInvalid)
    }
}

/// An access token whose claims were parsed; nothing of it is verified.
pub(crate) struct Token<'c, 'b> {
    pub(crate) header: Header<'b>,
    pub(crate) algorithm: Algorithm,
    pub(crate) unverified: Unverified<'c, 'b>,
}

/// Claims together with the signature that would prove them.
pub(crate) struct Unverified<'c, 'b> {
    pub(crate) claims: &'c Claims<'b>,
    document: &'b Bytes,
    seal: Seal<'b>,
}

impl<'c, 'b> Token<'c, 'b> {
    /// Opens it and parses its claims, into `claims`: they are large, and would be moved from place to place.
    pub(crate) fn parse(
        parts: Parts<'b>,
        buffers: &'b mut Buffers,
        claims: &'c mut Claims<'b>,
        rules: &Rules,
    ) -> Result<Self, Reason> {
        let opened = Opened::open(parts, buffers, rules.typ)?;
        let Opened { header, algorithm, claims: document, seal } = opened;
        claims.read(document, rules)?;
        Ok(Self { header, algorithm, unverified: Unverified { claims, document, seal } })
    }
}

impl<'c, 'b> Unverified<'c, 'b> {
    /// Verifies the signature; gives the key that did, too.
    pub(crate) fn verify<'k, K: AsRef<Jwk>>(
        &self,
        candidates: impl Iterator<Item = &'k K>,
    ) -> Result<(Verified<'c, 'b>, &'k K), Reason> {
        let key = self.seal.verify(candidates)?;
        Ok((Verified { claims: self.claims, document: self.document }, key))
    }
}

/// Claims that a key of their issuer signed. Made by [`Unverified::verify`] alone.
pub(crate) struct Verified<'c, 'b> {
    pub(crate) claims: &'c Claims<'b>,
    /// As they are written.
    pub(crate) document: &'b Bytes,
}
