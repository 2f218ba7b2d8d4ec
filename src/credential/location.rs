//! Where credentials stand in a request.

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::charset::is_token;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "not an authentication scheme")]
    fn a_scheme_is_a_token() {
        let _ = Presentation::scheme("not a token");
    }
}
