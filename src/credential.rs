//! What a request presented, before anybody has believed it.

use std::fmt;

use http::HeaderName;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

/// A place where a credential may stand in a request, and the authentication scheme that goes with it.
///
/// Credentials are read from header fields only; a token in the query or in a form is ignored, so that it never counts (OAuth
/// 2.1 §5.1). Two are equal if they are the same place: schemes are compared without case.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// A header field of its own; else `Authorization`.
    header: Option<HeaderName>,
    scheme: &'static str,
}

impl Presentation {
    /// `Authorization: Bearer TOKEN` (RFC 6750 §2.1).
    pub const BEARER: Self = Self { header: None, scheme: "Bearer" };

    /// `Authorization: SCHEME token68` (RFC 9110 §11.6.2). The scheme is compared without case.
    ///
    /// # Panics
    /// If `scheme` is not a token in the sense of RFC 9110 §5.6.2.
    #[must_use]
    #[track_caller]
    pub fn scheme(scheme: &'static str) -> Self {
        assert!(is_token(scheme), "`{scheme}` is not an authentication scheme");
        Self { header: None, scheme }
    }

    /// A header field of its own, such as `X-API-Key`. A 401 must name a scheme all the same (RFC 9110 §15.5.2): `scheme` is
    /// what its challenge says.
    ///
    /// # Panics
    /// If `scheme` is not a token, or `name` is `Authorization`, which is read by schemes.
    #[must_use]
    #[track_caller]
    pub fn header(name: HeaderName, scheme: &'static str) -> Self {
        assert!(name != AUTHORIZATION, "`Authorization` is read by its scheme");
        Self { header: Some(name), ..Self::scheme(scheme) }
    }

    /// The scheme, as challenges name it.
    #[must_use]
    pub const fn scheme_name(&self) -> &'static str {
        self.scheme
    }

    /// The header field of its own, if it is not `Authorization`.
    #[must_use]
    pub const fn header_name(&self) -> Option<&HeaderName> {
        self.header.as_ref()
    }
}

impl PartialEq for Presentation {
    fn eq(&self, other: &Self) -> bool {
        match (&self.header, &other.header) {
            (None, None) => self.scheme.eq_ignore_ascii_case(other.scheme),
            (one, other) => one == other,
        }
    }
}

impl Eq for Presentation {}

/// The one credential that a request presented: unverified, borrowed from the request, never printed.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    presentation: &'a Presentation,
    /// A text. Most are only decoded, which asks for no text.
    secret: &'a [u8],
}

impl<'a> Credential<'a> {
    /// A credential as a request would present it, for the tests of an [`Authenticator`](crate::Authenticator).
    ///
    /// What a layer extracts is visible ASCII without spaces; nothing here checks that again.
    #[must_use]
    pub const fn new(presentation: &'a Presentation, secret: &'a str) -> Self {
        Self { presentation, secret: secret.as_bytes() }
    }

    /// Takes what was found to be ASCII.
    pub(crate) const fn of_ascii(presentation: &'a Presentation, secret: &'a [u8]) -> Self {
        Self { presentation, secret }
    }

    /// Where it stood.
    #[must_use]
    pub const fn presentation(&self) -> &'a Presentation {
        self.presentation
    }

    /// The secret itself. Looked at once more at every call, so long ones are best asked for once.
    ///
    /// # Security
    /// Compare digests of it in constant time, never log it, never put it into an error.
    #[must_use]
    pub const fn expose(&self) -> &'a str {
        match std::str::from_utf8(self.secret) {
            Ok(secret) => secret,
            Err(_) => "",
        }
    }

    /// The secret itself, byte by byte.
    #[cfg(feature = "jwt")]
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.secret
    }

    /// A copy that outlives the request and is wiped when dropped, for authenticators that must wait.
    #[must_use]
    pub fn to_secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.expose().to_owned())
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("presentation", self.presentation).finish_non_exhaustive()
    }
}

/// Whether a text has the form of a JWT, signed or encrypted: three parts or more, of which the first is a JSON object in base64url.
pub(crate) fn looks_like_jwt(text: &str) -> bool {
    // What `{` comes to, followed by a quote, white space or `}`.
    let object = ["ey", "ew", "e3"].iter().any(|start| text.starts_with(start));
    object && text.bytes().filter(|byte| *byte == b'.').nth(1).is_some()
}

/// RFC 9110 §5.6.2 `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_where_and_never_what() {
        let credential = Credential::new(&Presentation::BEARER, "s3cret");
        let text = format!("{credential:?}");
        assert!(text.contains("Bearer") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    #[should_panic(expected = "not an authentication scheme")]
    fn a_scheme_is_a_token() {
        let _ = Presentation::scheme("not a token");
    }
}
