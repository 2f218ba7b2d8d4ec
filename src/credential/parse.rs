//! Finds the one credential of a request, by the grammar of RFC 9110 §11.4 and RFC 6750 §2.1, to the letter.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Credential;
use super::charset::{are_token68, is_token};
use super::location::Presentation;
use crate::error::Reason;

/// No scheme in the field comes near this; authenticators have tighter limits of their own. Bytes of one header value.
pub(crate) const MAX_CREDENTIAL_LEN: usize = 64 * 1024;

/// What stands where a credential should, not looked at yet.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    /// The index of the presentation, which also says how to read it.
    pub(crate) place: usize,
    pub(crate) bytes: &'a [u8],
}

/// What was presented, `None` if nothing was, or the reason why it cannot be read.
pub(crate) fn extract<'a>(
    headers: &'a HeaderMap,
    presentations: &[Presentation],
) -> Result<Option<Found<'a>>, Reason> {
    let mut found = None;
    // Where nobody reads `Authorization` it is for somebody else, such as a gateway.
    if presentations.iter().any(|presentation| presentation.header_name().is_none())
        && let Some(value) = single(headers, &AUTHORIZATION)?
    {
        found = Some(from_authorization(value, presentations)?);
    }
    for (place, presentation) in presentations.iter().enumerate() {
        let Some(name) = presentation.header_name() else { continue };
        if let Some(value) = single(headers, name)? {
            if found.is_some() {
                return Err(Reason::SeveralCredentials);
            }
            found = Some(Found { place, bytes: bounded(value)? });
        }
    }
    Ok(found)
}

impl<'a> Found<'a> {
    /// The credential, if it is well-formed. One whose verdict is known need not be looked at again.
    pub(crate) fn credential(self, presentations: &'a [Presentation]) -> Result<Credential<'a>, Reason> {
        let presentation = presentations.get(self.place).ok_or(Reason::CredentialUnrecognized)?;
        let by_scheme = presentation.header_name().is_none();
        let right = if by_scheme { is_token68(self.bytes) } else { is_key_text(self.bytes) };
        if right {
            Ok(Credential::of_ascii(presentation, self.bytes))
        } else if by_scheme && self.bytes.contains(&b',') {
            // A list of two credentials in one line is no credential (RFC 9110 §5.3); it is said apart, since it is a trick.
            Err(Reason::SeveralCredentials)
        } else {
            Err(Reason::AuthorizationMalformed)
        }
    }
}

/// `HeaderMap::get` would hide a second line.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Reason> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    if lines.next().is_some() { Err(Reason::SeveralCredentials) } else { Ok(first) }
}

fn bounded(value: &HeaderValue) -> Result<&[u8], Reason> {
    let bytes = value.as_bytes();
    if bytes.len() > MAX_CREDENTIAL_LEN { Err(Reason::CredentialTooLong) } else { Ok(bytes) }
}

fn from_authorization<'a>(
    value: &'a HeaderValue,
    presentations: &[Presentation],
) -> Result<Found<'a>, Reason> {
    let bytes = bounded(value)?;
    let known = presentations.iter().enumerate().find_map(|(place, presentation)| {
        let is_ours = presentation.header_name().is_none();
        is_ours.then(|| behind(presentation.scheme_name(), bytes)).flatten().map(|rest| (place, rest))
    });
    let (place, rest) = known.ok_or_else(|| refusal_of(bytes))?;
    // RFC 6750 §2.1: 1*SP between the scheme and the token.
    let bytes = rest.get(rest.iter().take_while(|byte| **byte == b' ').count()..).unwrap_or_default();
    Ok(Found { place, bytes })
}

/// What stands behind this scheme, if that is what the value begins with.
fn behind<'a>(scheme: &str, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (start, rest) = bytes.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| *byte == b' ');
    // Nearly all spell it alike.
    let is_ours = start == scheme.as_bytes() || start.eq_ignore_ascii_case(scheme.as_bytes());
    (ends && is_ours).then_some(rest)
}

/// Why a value is refused that begins with no scheme of ours.
fn refusal_of(bytes: &[u8]) -> Reason {
    let scheme = bytes.split(|byte| *byte == b' ').next().and_then(|scheme| std::str::from_utf8(scheme).ok());
    if scheme.is_some_and(is_token) { Reason::SchemeUnsupported } else { Reason::AuthorizationMalformed }
}

/// A key in a header of its own: visible ASCII, no spaces.
fn is_key_text(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)
}

/// RFC 9110 §11.2 `token68`, which is the `b64token` of RFC 6750.
pub(crate) fn is_token68(bytes: &[u8]) -> bool {
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = bytes.get(..bytes.len().saturating_sub(padding)).unwrap_or_default();
    !body.is_empty() && are_token68(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HeaderName = HeaderName::from_static("x-api-key");

    fn read(lines: &[(&'static str, &[u8])]) -> Result<Option<String>, Reason> {
        let presentations = [Presentation::BEARER, Presentation::header(KEY, "ApiKey")];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let found = extract(&headers, &presentations)?;
        found.map(|found| found.credential(&presentations).map(|key| key.expose().to_owned())).transpose()
    }

    fn authorization(value: &[u8]) -> Result<Option<String>, Reason> {
        read(&[("authorization", value)])
    }

    #[test]
    fn the_grammar_accepts() {
        for good in ["Bearer abc", "bearer abc", "BEARER abc", "bEaReR   abc"] {
            assert_eq!(authorization(good.as_bytes()), Ok(Some("abc".into())), "{good}");
        }
        assert_eq!(authorization(b"Bearer aZ09-._~+/=="), Ok(Some("aZ09-._~+/==".into())));
        assert_eq!(read(&[("x-api-key", b"k.1\"2,3")]), Ok(Some("k.1\"2,3".into())));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn the_grammar_refuses() {
        let malformed: [&[u8]; 14] = [
            b"",
            b"Bearer",
            b"Bearer ",
            b"Bearer \"x\"",
            b"Bearer a b",
            b"Bearer a ",
            b"Bearer\tabc",
            b"Bearer a\tb",
            b"Bearer =",
            b"Bearer a=b",
            b" Bearer abc",
            b"Bearer \xc3\xa9",
            b"B@arer abc",
            b"\xff",
        ];
        for value in malformed {
            assert_eq!(authorization(value), Err(Reason::AuthorizationMalformed), "{value:?}");
        }
        for value in
            [&b"Basic YTpi"[..], b"Basic", b"Negotiate", b"Bearerabc", b"Digest username=\"a\", realm=\"b\""]
        {
            assert_eq!(authorization(value), Err(Reason::SchemeUnsupported), "{value:?}");
        }
        for value in [&b"Bearer a,b"[..], b"Bearer a, Bearer b"] {
            assert_eq!(authorization(value), Err(Reason::SeveralCredentials), "{value:?}");
        }
        let long = format!("Bearer {}", "a".repeat(MAX_CREDENTIAL_LEN));
        assert_eq!(authorization(long.as_bytes()), Err(Reason::CredentialTooLong));
    }

    #[test]
    fn one_credential_a_request() {
        let two = [("authorization", &b"Bearer a"[..]), ("authorization", b"Bearer a")];
        assert_eq!(read(&two), Err(Reason::SeveralCredentials));
        assert_eq!(read(&two[..1]), Ok(Some("a".into())));
        assert_eq!(read(&[two[0], ("x-api-key", b"k")]), Err(Reason::SeveralCredentials));
        assert_eq!(read(&[("x-api-key", b"k"), ("x-api-key", b"k")]), Err(Reason::SeveralCredentials));
        assert_eq!(read(&[("x-api-key", b"")]), Err(Reason::AuthorizationMalformed));
        assert_eq!(read(&[("x-api-key", b"a b")]), Err(Reason::AuthorizationMalformed));
    }

    #[test]
    fn authorization_is_for_somebody_else_where_nobody_reads_it() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Basic YTpi"));
        headers.insert(KEY, HeaderValue::from_static("k"));
        let found =
            |presentations: &[Presentation]| extract(&headers, presentations).map(|found| found.is_some());
        assert_eq!(found(&[Presentation::header(KEY, "ApiKey")]), Ok(true));
        assert_eq!(
            found(&[Presentation::header(KEY, "ApiKey"), Presentation::BEARER]),
            Err(Reason::SchemeUnsupported)
        );
    }
}
