//! Finds the keys of an issuer from its metadata (RFC 8414, OpenID Connect Discovery 1.0).

use serde::de::MapAccess;
use url::Url;

use crate::error::ConfigError;
use crate::jose::{Members, Repeat, Skip, Text, parse_object};

/// Where the metadata of an issuer may be, in the order in which it is asked: RFC 8414 §3.1 inserts its name between host and
/// path, OpenID Connect Discovery §4 appends its own.
pub(super) fn locations(issuer: &str, allow_http: bool) -> Result<[String; 2], ConfigError> {
    let url = checked(issuer, allow_http)?;
    let wrong = |problem| ConfigError::Url { url: shown(issuer), problem };
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("an issuer has neither a query nor a fragment (RFC 8414 §2)"));
    }
    let path = url.path().trim_end_matches('/');
    let origin = url.origin().ascii_serialization();
    Ok([
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ])
}

/// A URL that may be asked: https, unless http was allowed by name, and no credentials in it.
pub(super) fn checked(text: &str, allow_http: bool) -> Result<Url, ConfigError> {
    let wrong = |problem| ConfigError::Url { url: shown(text), problem };
    let url = Url::parse(text).map_err(|_| wrong("it is not an absolute URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds credentials"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http => Ok(url),
        "http" => Err(wrong("keys are fetched over https only, unless `allow_http` is set")),
        _ => Err(wrong("it is not an https URL")),
    }
}

/// A URL as errors and logs may show it: without what stands before an `@`, which may be a password, and without query, which may
/// hold a key.
pub(super) fn shown(text: &str) -> String {
    let place = text.split(['?', '#']).next().unwrap_or_default();
    place.rsplit_once('@').map_or_else(|| place.to_owned(), |(_, place)| format!("***@{place}"))
}

/// What of the metadata counts. The algorithms that it lists never widen what is accepted.
#[derive(Default)]
pub(super) struct Metadata {
    pub(super) issuer: Option<String>,
    pub(super) jwks_uri: Option<String>,
}

impl Metadata {
    pub(super) fn parse(document: &[u8]) -> Option<Self> {
        let mut metadata = Self::default();
        parse_object(document, &mut metadata).ok()?;
        Some(metadata)
    }
}

impl<'de> Members<'de> for Metadata {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        match name {
            "issuer" => skip.once(&mut self.issuer, map.next_value::<Text<'_>>()?.0.into_owned()),
            "jwks_uri" => skip.once(&mut self.jwks_uri, map.next_value::<Text<'_>>()?.0.into_owned()),
            _ => skip.over(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_urls() {
        let of = |issuer: &str| locations(issuer, false).unwrap();
        assert_eq!(
            of("https://id.example.com"),
            [
                "https://id.example.com/.well-known/oauth-authorization-server",
                "https://id.example.com/.well-known/openid-configuration",
            ]
        );
        assert_eq!(of("https://id.example.com/"), of("https://id.example.com"));
        assert_eq!(
            of("https://id.example.com/a/b/"),
            [
                "https://id.example.com/.well-known/oauth-authorization-server/a/b",
                "https://id.example.com/a/b/.well-known/openid-configuration",
            ]
        );
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (text, expected) in [
            ("https://id.example/a", "https://id.example/a"),
            ("https://svc:hunter2@id.example:port/", "***@id.example:port/"),
            ("https://id.example/keys?apikey=hunter2#x", "https://id.example/keys"),
            ("svc:hunter2@", "***@"),
        ] {
            assert_eq!(shown(text), expected);
            assert!(
                checked(text, true).is_ok_and(|_| true)
                    || !checked(text, true).unwrap_err().to_string().contains("hunter2")
            );
        }
    }

    #[test]
    fn only_https_unless_allowed_by_name() {
        assert!(locations("http://id.example.com", false).is_err());
        assert!(locations("http://id.example.com", true).is_ok());
        for bad in [
            "",
            "id.example.com",
            "ftp://x",
            "https://u:p@x",
            "https://x?q",
            "https://x#f",
            "file:///etc/passwd",
        ] {
            assert!(locations(bad, true).is_err(), "{bad}");
        }
    }
}
