//! One fetch of keys, from the network to a parsed set.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http::header::{AGE, CACHE_CONTROL};
use url::Url;

use super::discovery::Discovery;
use super::key_set::KeySet;
use super::metadata_client::{Documents, FetchError};
use super::url::{checked, shown};
use crate::error::ConfigError;
use crate::jose::algorithm::Algorithm;

/// Where keys are.
#[derive(Clone, Debug)]
pub(super) enum Location {
    /// At a known `jwks_uri`.
    Pinned(Url),
    /// Where the metadata of an issuer says.
    Discovered(Arc<Discovery>),
}

impl Location {
    pub(super) fn pinned(jwks_uri: &str, allow_http: bool) -> Result<Self, ConfigError> {
        checked(jwks_uri, allow_http).map(Self::Pinned)
    }

    pub(super) fn discovered(issuer: &str, documents: Documents) -> Result<Self, ConfigError> {
        Ok(Self::Discovered(Arc::new(Discovery::new(issuer, documents)?)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(url) => f.write_str(&shown(url.as_str())),
            Self::Discovered(discovery) => f.write_str(discovery.issuer()),
        }
    }
}

/// Everything that a fetch needs; shared with its task.
pub(super) struct Source {
    pub(super) location: Location,
    pub(super) documents: Documents,
    rsa: Algorithm,
}

/// Fresh keys, and for how long the server said they are.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) max_age: Option<Duration>,
}

impl Source {
    pub(super) const fn new(location: Location, documents: Documents, rsa: Algorithm) -> Self {
        Self { location, documents, rsa }
    }

    /// Fetches the keys, after the metadata if it is not known yet.
    pub(super) async fn fetch(&self, now: Instant) -> Result<Fetched, FetchError> {
        match &self.location {
            Location::Pinned(url) => self.fetch_from(url).await,
            Location::Discovered(discovery) => {
                let metadata = discovery.metadata(now).await?;
                let fetched = match metadata.jwks_uri() {
                    Ok(url) => self.fetch_from(url).await,
                    Err(error) => Err(error),
                };
                if fetched.is_err() {
                    discovery.forget(&metadata);
                }
                fetched
            }
        }
    }

    async fn fetch_from(&self, jwks_uri: &Url) -> Result<Fetched, FetchError> {
        let answer = self.documents.get(jwks_uri.as_str()).await?;
        let keys = KeySet::read(answer.body(), self.rsa)
            .map_err(|error| FetchError::Set { url: shown(jwks_uri.as_str()), error })?;
        Ok(Fetched { keys, max_age: max_age(&answer) })
    }
}

/// The freshness that `Cache-Control` gives (RFC 9111 §5.2.2), less `Age`; zero where it forbids storing.
fn max_age(answer: &Response<Bytes>) -> Option<Duration> {
    let mut found = None;
    for line in answer.headers().get_all(CACHE_CONTROL) {
        for directive in line.to_str().unwrap_or_default().split(',').map(str::trim) {
            if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            let Some((name, value)) = directive.split_once('=') else { continue };
            if name.eq_ignore_ascii_case("max-age") {
                found = value.trim_matches('"').parse().ok().map(Duration::from_secs);
            }
        }
    }
    Some(found?.saturating_sub(age(answer)))
}

/// Returns for how long a cache in between has held the response (RFC 9111 §5.1); zero if none says so.
fn age(answer: &Response<Bytes>) -> Duration {
    let age = answer.headers().get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
    Duration::from_secs(age.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_a_cache_in_between_counts() {
        for (age, left) in
            [("", 300), ("0", 300), ("120", 180), (" 299 ", 1), ("301", 0), ("-1", 300), ("x", 300)]
        {
            let response = Response::builder().header(CACHE_CONTROL, "max-age=300").header(AGE, age);
            let left = Some(Duration::from_secs(left));
            assert_eq!(max_age(&response.body(Bytes::new()).unwrap()), left, "{age}");
        }
        assert_eq!(max_age(&Response::builder().header(AGE, "9").body(Bytes::new()).unwrap()), None);
    }

    #[test]
    fn cache_control_is_read() {
        let of = |value: &str| {
            max_age(&Response::builder().header(CACHE_CONTROL, value).body(Bytes::new()).unwrap())
        };
        assert_eq!(of("public, Max-Age=300, must-revalidate"), Some(Duration::from_secs(300)));
        assert_eq!(of("max-age=\"60\""), Some(Duration::from_secs(60)));
        assert_eq!(of("no-store"), Some(Duration::ZERO));
        assert_eq!(of("max-age=300, no-cache"), Some(Duration::ZERO));
        for none in ["public", "max-age=x", "max-age=-1", "s-maxage=5", ""] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
