//! One fetch of keys, from the network to a parsed set.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{Request, Response, StatusCode};
use url::Url;

use super::discovery::{Metadata, checked, locations, shown};
use super::set::{KeySet, SetError};
use crate::error::ConfigError;
use crate::http_client::{HttpClient, HttpError, Limits};
use crate::jose::Algorithm;

/// Where keys are.
#[derive(Clone)]
pub(super) enum Location {
    /// At a known `jwks_uri`.
    Pinned(Url),
    /// Where the metadata of this issuer says.
    Discovered { issuer: String, locations: [String; 2] },
}

impl Location {
    pub(super) fn pinned(jwks_uri: &str, allow_http: bool) -> Result<Self, ConfigError> {
        checked(jwks_uri, allow_http).map(Self::Pinned)
    }

    pub(super) fn discovered(issuer: &str, allow_http: bool) -> Result<Self, ConfigError> {
        Ok(Self::Discovered { issuer: issuer.to_owned(), locations: locations(issuer, allow_http)? })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pinned(url) => f.write_str(&shown(url.as_str())),
            Self::Discovered { issuer, .. } => f.write_str(issuer),
        }
    }
}

/// Everything that a fetch needs; shared with its task.
pub(super) struct Source {
    pub(super) location: Location,
    http: Arc<dyn HttpClient>,
    limits: Limits,
    allow_http: bool,
    rsa: Algorithm,
    /// The `jwks_uri` that discovery found, and when. Forgotten when it fails, so that the next fetch looks for it again.
    found: Mutex<Option<(Url, Instant)>>,
}

/// After this long the metadata is read again, for a `jwks_uri` that has moved while the old one still answers.
const METADATA_FOR: Duration = Duration::from_secs(24 * 3600);

/// Fresh keys, and for how long the server said they are.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) max_age: Option<Duration>,
}

/// Why a fetch brought no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("`{url}` {error}")]
    Http { url: String, error: HttpError },
    #[error("`{url}` answered with status {status}")]
    Status { url: String, status: StatusCode },
    #[error("`{url}`: {error}")]
    Set { url: String, error: SetError },
    #[error("`{url}` is not the metadata of an issuer")]
    Metadata { url: String },
    #[error("`{url}` is the metadata of another issuer")]
    OtherIssuer { url: String },
    #[error(transparent)]
    Url(ConfigError),
    #[error("the keys did not arrive in time")]
    Timeout,
    #[error("the HTTP client panicked")]
    Panic,
}

impl Source {
    pub(super) const fn new(
        location: Location,
        http: Arc<dyn HttpClient>,
        limits: Limits,
        allow_http: bool,
        rsa: Algorithm,
    ) -> Self {
        Self { location, http, limits, allow_http, rsa, found: Mutex::new(None) }
    }

    /// Fetches the keys, after the metadata if it is not known yet.
    pub(super) async fn fetch(&self, now: Instant) -> Result<Fetched, FetchError> {
        let jwks_uri = self.jwks_uri(now).await?;
        let fetched = self.fetch_from(&jwks_uri).await;
        if fetched.is_err() {
            *self.found() = None;
        }
        fetched
    }

    async fn jwks_uri(&self, now: Instant) -> Result<Url, FetchError> {
        let (issuer, locations) = match &self.location {
            Location::Pinned(url) => return Ok(url.clone()),
            Location::Discovered { issuer, locations } => (issuer, locations),
        };
        let known = self.found().clone();
        if let Some((url, since)) = known
            && now.saturating_duration_since(since) < METADATA_FOR
        {
            return Ok(url);
        }
        let mut failure = None;
        for location in locations {
            match self.discover(issuer, location).await {
                Ok(url) => {
                    *self.found() = Some((url.clone(), now));
                    return Ok(url);
                }
                // The server is gone: its other documents are too.
                Err(error @ FetchError::Http { error: HttpError::Transport(_) | HttpError::Timeout, .. }) => {
                    return Err(error);
                }
                // The first one is more telling, unless it only says that there is nothing there.
                Err(error) => match failure {
                    None | Some(FetchError::Status { .. }) => failure = Some(error),
                    Some(_) => {}
                },
            }
        }
        Err(failure.unwrap_or(FetchError::Timeout))
    }

    async fn discover(&self, issuer: &str, location: &str) -> Result<Url, FetchError> {
        let answer = self.get(location).await?;
        let url = || shown(location);
        let metadata = Metadata::parse(answer.body()).ok_or_else(|| FetchError::Metadata { url: url() })?;
        // RFC 8414 §3.3: identical, code point by code point, or the document must not be used.
        if metadata.issuer.as_deref() != Some(issuer) {
            return Err(FetchError::OtherIssuer { url: url() });
        }
        let jwks_uri = metadata.jwks_uri.ok_or_else(|| FetchError::Metadata { url: url() })?;
        checked(&jwks_uri, self.allow_http).map_err(FetchError::Url)
    }

    async fn fetch_from(&self, jwks_uri: &Url) -> Result<Fetched, FetchError> {
        let answer = self.get(jwks_uri.as_str()).await?;
        let keys = KeySet::read(answer.body(), self.rsa)
            .map_err(|error| FetchError::Set { url: shown(jwks_uri.as_str()), error })?;
        Ok(Fetched { keys, max_age: max_age(&answer) })
    }

    async fn get(&self, url: &str) -> Result<Response<Bytes>, FetchError> {
        let request = Request::get(url)
            .header(ACCEPT, "application/json, application/jwk-set+json")
            .body(Bytes::new())
            .map_err(|_| {
                FetchError::Url(ConfigError::Url { url: shown(url), problem: "it cannot be requested" })
            })?;
        let http = |error| FetchError::Http { url: shown(url), error };
        let answer = self.http.send(request, self.limits).await.map_err(http)?;
        // A client of the application's own may not know its limits.
        if answer.body().len() > self.limits.max_body {
            return Err(http(HttpError::TooLarge));
        }
        // A redirect is a status like any other that is not 200: it is never followed.
        if answer.status() == StatusCode::OK {
            Ok(answer)
        } else {
            Err(FetchError::Status { url: shown(url), status: answer.status() })
        }
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Option<(Url, Instant)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The freshness that `Cache-Control` gives (RFC 9111 §5.2.2); zero where it forbids storing.
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
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
