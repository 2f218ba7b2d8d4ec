//! The protected header.

use std::borrow::Cow;

use serde::de::{Error as _, MapAccess};
use smallvec::SmallVec;

use super::algorithm::Algorithm;
use super::base64url;
use super::json::{Members, Repeat, Skip, Text, parse_object};
use crate::error::Reason;

/// Decoded bytes of a header. Real ones have a hundred or two; thumbprints and the like fit too.
const MAX_HEADER_LEN: usize = 2048;

/// Bytes of a `kid`: an opaque name, compared and never interpreted.
pub(crate) const MAX_KID_LEN: usize = 256;

/// Holds a decoded header, on the stack if it is of the usual kind.
pub(super) type HeaderBuffer = SmallVec<[u8; 256]>;

/// What of a header counts. `jku`, `x5u`, `x5c` and `jwk` are never looked at: keys come from the issuer alone.
#[derive(Default)]
pub(crate) struct Header<'b> {
    alg: Option<Cow<'b, str>>,
    kid: Option<Cow<'b, str>>,
    typ: Option<Cow<'b, str>>,
    cty: Option<Cow<'b, str>>,
    critical: bool,
    compressed: bool,
}

impl<'b> Header<'b> {
    pub(super) fn parse(encoded: &[u8], buffer: &'b mut HeaderBuffer) -> Result<Self, Reason> {
        // Four characters hold three bytes.
        if encoded.len() > MAX_HEADER_LEN.div_ceil(3).saturating_mul(4) {
            return Err(Reason::HeaderTooLong);
        }
        let document = base64url::decode_small(encoded, buffer).ok_or(Reason::HeaderMalformed)?;
        if document.len() > MAX_HEADER_LEN {
            return Err(Reason::HeaderTooLong);
        }
        let mut header = Self::default();
        parse_object(document, &mut header).map_err(|fault| fault.reason(Reason::HeaderMalformed))?;
        Ok(header)
    }

    /// The algorithm that the token claims: a hint for the choice of key, never more.
    pub(super) fn algorithm(&self) -> Result<Algorithm, Reason> {
        self.alg.as_deref().and_then(Algorithm::from_name).ok_or(Reason::AlgorithmRefused)
    }

    /// Whether it claims an algorithm with a shared secret (RFC 7518 §3.2), of whatever length.
    pub(super) fn is_symmetric(&self) -> bool {
        self.alg.as_deref().is_some_and(|alg| alg.starts_with("HS"))
    }

    /// Refuses every algorithm but HMAC with SHA-256. It is none of [`Algorithm`], so that no key of an issuer is ever for it.
    pub(super) fn require_hs256(&self) -> Result<(), Reason> {
        if self.alg.as_deref() == Some("HS256") { Ok(()) } else { Err(Reason::AlgorithmRefused) }
    }

    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Refuses what the header alone rules out.
    pub(super) fn judge(&self, typ: Typ) -> Result<(), Reason> {
        if self.critical {
            return Err(Reason::CriticalHeader);
        }
        if self.compressed {
            return Err(Reason::CompressedToken);
        }
        if self.cty.as_deref().is_some_and(|cty| is_media_type(cty, "jwt")) {
            return Err(Reason::NestedToken);
        }
        if typ.admits(self.said_typ()) { Ok(()) } else { Err(Reason::TypeRefused) }
    }

    /// Judged last, when all else is right: then a log line that blames the `typ` alone, and names the setting, is true.
    pub(crate) fn judge_typ(&self, typ: Typ) -> Result<(), Reason> {
        let refused = typ == Typ::AccessToken && self.said_typ() == SaidTyp::JwtOrNothing;
        if refused { Err(Reason::TypeJwtRefused) } else { Ok(()) }
    }

    fn said_typ(&self) -> SaidTyp {
        SaidTyp::read(self.typ.as_deref())
    }
}

/// What a token must say of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typ {
    /// `at+jwt` (RFC 9068 §4).
    AccessToken,
    /// Besides `JWT` or nothing, as older providers send; never another explicit type.
    AccessTokenOrJwt,
    /// `JWT` or nothing, and never an explicit type: what a client makes for one request.
    Jwt,
    /// `token-introspection+jwt` (RFC 9701 §5): what an authorization server says to us, and no token.
    #[cfg(feature = "introspection")]
    IntrospectionAnswer,
}

impl Typ {
    const fn admits(self, said: SaidTyp) -> bool {
        match self {
            Self::AccessToken | Self::AccessTokenOrJwt => {
                matches!(said, SaidTyp::AccessToken | SaidTyp::JwtOrNothing)
            }
            Self::Jwt => matches!(said, SaidTyp::JwtOrNothing),
            #[cfg(feature = "introspection")]
            Self::IntrospectionAnswer => matches!(said, SaidTyp::IntrospectionAnswer),
        }
    }
}

/// What a token says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SaidTyp {
    AccessToken,
    JwtOrNothing,
    IntrospectionAnswer,
    Other,
}

impl SaidTyp {
    fn read(typ: Option<&str>) -> Self {
        match typ {
            Some(typ) if is_media_type(typ, "at+jwt") => Self::AccessToken,
            Some(typ) if is_media_type(typ, "token-introspection+jwt") => Self::IntrospectionAnswer,
            Some(typ) if !is_media_type(typ, "jwt") => Self::Other,
            _ => Self::JwtOrNothing,
        }
    }
}

/// Compares a `typ` or `cty` as RFC 7515 §4.1.9 says: without case, `application/` may be left out.
fn is_media_type(value: &str, expected: &str) -> bool {
    const PREFIX: &str = "application/";
    let short = match value.get(..PREFIX.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(PREFIX) => value.get(PREFIX.len()..).unwrap_or_default(),
        _ => value,
    };
    short.eq_ignore_ascii_case(expected)
}

impl<'de> Members<'de> for Header<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        match name {
            "alg" => skip.once(&mut self.alg, map.next_value::<Text<'_>>()?.0),
            "kid" => {
                let kid = map.next_value::<Text<'_>>()?.0;
                if kid.len() > MAX_KID_LEN {
                    return Err(A::Error::custom("kid too long"));
                }
                skip.once(&mut self.kid, kid)
            }
            "typ" => skip.once(&mut self.typ, map.next_value::<Text<'_>>()?.0),
            "cty" => skip.once(&mut self.cty, map.next_value::<Text<'_>>()?.0),
            // RFC 7515 §4.1.11: who does not understand an extension must refuse. None is understood here, and `b64`
            // (RFC 7797) means nothing without `crit`.
            "crit" | "b64" => {
                self.critical = true;
                skip.over(map)
            }
            "zip" => {
                self.compressed = true;
                skip.over(map)
            }
            _ => skip.over(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_case_and_prefix() {
        for good in ["at+jwt", "at+JWT", "application/at+jwt", "APPLICATION/AT+JWT"] {
            assert!(is_media_type(good, "at+jwt"), "{good}");
        }
        for bad in
            ["", "jwt", "at+jwt ", "text/at+jwt", "application/", "application/application/at+jwt", "äää"]
        {
            assert!(!is_media_type(bad, "at+jwt"), "{bad}");
        }
    }
}
