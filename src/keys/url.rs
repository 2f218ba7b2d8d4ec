//! The addresses of issuers: which ones are accepted, and how errors and logs show them.

use url::Url;

use crate::error::ConfigError;

/// A URL that may be asked: https, unless http was allowed by name, and no credentials in it.
pub(crate) fn checked(text: &str, allow_http: bool) -> Result<Url, ConfigError> {
    let wrong = |problem| ConfigError::Url { url: shown(text), problem };
    let url = Url::parse(text).map_err(|_| wrong("it is not an absolute URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds credentials"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if allow_http => Ok(url),
        "http" => Err(wrong("plain http needs `allow_http()`")),
        _ => Err(wrong("it is not an https URL")),
    }
}

/// A URL as errors and logs may show it: without what stands before an `@`, which may be a password, and without query, which may
/// hold a key.
pub(crate) fn shown(text: &str) -> String {
    let place = text.split(['?', '#']).next().unwrap_or_default();
    place.rsplit_once('@').map_or_else(|| place.to_owned(), |(_, place)| format!("***@{place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
