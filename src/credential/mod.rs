//! What a request presented, before anybody has believed it.

pub(crate) mod charset;
pub(crate) mod location;
pub(crate) mod parse;

use std::fmt;

pub use location::Presentation;
use zeroize::Zeroizing;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_where_and_never_what() {
        let credential = Credential::new(&Presentation::BEARER, "s3cret");
        let text = format!("{credential:?}");
        assert!(text.contains("Bearer") && !text.contains("s3cret"), "{text}");
    }
}
