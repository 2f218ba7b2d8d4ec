//! Tokens under a secret that both sides know: HMAC with SHA-256 (RFC 7518 §3.2), and nothing else.
//!
//! Apart from [`Jwk`](super::Jwk) and [`Algorithm`](super::Algorithm): no document of keys gives such a secret, and no key of an
//! issuer verifies such a token.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};
use bytes::Bytes;
use smallvec::SmallVec;

use super::header::{Header, HeaderBuffer, Typ};
use super::{Buffers, Parts, base64url};
use crate::error::Reason;

/// What HMAC-SHA-256 gives.
pub(crate) type Tag = [u8; 32];

/// A shared secret, prepared once. The library wipes it when it is dropped.
#[derive(Clone)]
pub(crate) struct HmacKey(Key);

impl HmacKey {
    /// Takes a secret of any length: whoever calls sees to it that it is long enough.
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    /// Whether this is the tag of these bytes, one part behind the other. Compares in constant time.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &Tag) -> bool {
        let mut context = Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        verify_slices_are_equal(context.sign().as_ref(), tag).is_ok()
    }
}

/// A token whose header was judged, and whose claims and signature were decoded; nothing of it is verified.
pub(crate) struct Symmetric<'b> {
    /// The claims as they are written.
    pub(crate) claims: &'b Bytes,
    /// The first two parts with their dot, as received.
    pub(crate) signed: &'b str,
    tag: Tag,
}

impl<'b> Symmetric<'b> {
    /// Decodes all three parts, strictly, and refuses what the header alone rules out. The type is `JWT` or not given.
    pub(crate) fn open(parts: Parts<'b>, buffers: &'b mut Buffers) -> Result<Self, Reason> {
        let header = Header::parse(parts.header, &mut buffers.header)?;
        header.judge(Typ::Jwt)?;
        header.require_hs256()?;
        buffers.claims = base64url::decode(parts.claims).ok_or(Reason::ClaimsMalformed)?.into();
        let mut buffer: SmallVec<[u8; 64]> = SmallVec::new();
        let tag = base64url::decode_small(parts.signature, &mut buffer).and_then(|tag| tag.try_into().ok());
        let tag = tag.ok_or(Reason::SignatureMalformed)?;
        let signed = std::str::from_utf8(parts.signed).map_err(|_| Reason::TokenMalformed)?;
        Ok(Self { claims: &buffers.claims, signed, tag })
    }

    pub(crate) fn is_signed_by(&self, key: &HmacKey) -> bool {
        key.verify(&[self.signed.as_bytes()], &self.tag)
    }
}

impl Parts<'_> {
    /// Whether this is a JWT under a shared secret: told by its `alg` alone, without believing it.
    pub(crate) fn is_symmetric(&self) -> bool {
        let mut buffer = HeaderBuffer::new();
        Header::parse(self.header, &mut buffer).is_ok_and(|header| header.is_symmetric())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 appendix A.1: a token that was made elsewhere, under the secret that stands there.
    const RFC_7515: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const SECRET: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

    fn open(token: &str, judge: impl FnOnce(Symmetric<'_>)) -> Result<(), Reason> {
        let mut buffers = Buffers::default();
        Symmetric::open(Parts::split(token.as_bytes(), 8192)?, &mut buffers).map(judge)
    }

    #[test]
    fn the_token_of_rfc_7515_verifies_with_its_secret_alone() {
        let secret = base64url::decode(SECRET).unwrap();
        open(RFC_7515, |token| {
            assert!(token.is_signed_by(&HmacKey::new(&secret)));
            assert!(!token.is_signed_by(&HmacKey::new(&secret[1..])));
            assert!(token.claims.starts_with(b"{\"iss\":\"joe\""));
        })
        .unwrap();
        let other = RFC_7515.replace(".eyJ", ".eyI");
        open(&other, |token| assert!(!token.is_signed_by(&HmacKey::new(&secret)))).unwrap();
    }

    #[test]
    fn a_tag_has_32_bytes() {
        let (signed, tag) = RFC_7515.rsplit_once('.').unwrap();
        let tag = base64url::decode(tag).unwrap();
        let longer = [&*tag, &[0]].concat();
        for (tag, expected) in [
            (&tag[..], Ok(())),
            (&tag[..31], Err(Reason::SignatureMalformed)),
            (&longer, Err(Reason::SignatureMalformed)),
            (&[], Err(Reason::SignatureMalformed)),
        ] {
            let token = format!("{signed}.{}", base64url::encode(tag));
            assert_eq!(open(&token, |_| {}), expected, "{}", tag.len());
        }
    }

    /// RFC 4231 §4.3.
    #[test]
    fn parts_are_one_text() {
        let key = HmacKey::new(b"Jefe");
        let tag = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        assert!(key.verify(&[b"what do ya want for nothing?"], &tag));
        assert!(key.verify(&[b"what do ya want", b" ", b"for nothing?"], &tag));
        assert!(!key.verify(&[b"what do ya want", b"for nothing?"], &tag));
    }
}
