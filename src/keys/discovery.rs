//! Finds the keys of an issuer from its metadata (RFC 8414, OpenID Connect Discovery 1.0).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::de::MapAccess;
use tokio::sync::Semaphore;
use url::Url;

use super::metadata_client::{Documents, FetchError};
use super::url::{checked, shown};
use crate::error::ConfigError;
use crate::http_client::HttpError;
use crate::jose::json::{Members, Repeat, Skip, Text, parse_object};

/// After this long the metadata is read again, for an address that has moved while the old one still answers.
const METADATA_FOR: Duration = Duration::from_secs(24 * 3600);

/// The metadata of an issuer: read when first needed, once for all who need it, and forgotten when what it names fails.
pub(crate) struct Discovery {
    issuer: String,
    locations: [String; 2],
    documents: Documents,
    found: Mutex<Option<(Arc<Metadata>, Instant)>>,
    /// One reads, the others wait for what it finds.
    turn: Semaphore,
}

/// What of the metadata counts. The algorithms that it lists never widen what is accepted.
#[derive(Debug)]
pub(crate) struct Metadata {
    // One that cannot be used is no trouble to who needs the other.
    jwks_uri: Result<Url, FetchError>,
    #[cfg(feature = "introspection")]
    introspection_endpoint: Result<Url, FetchError>,
}

impl Metadata {
    pub(super) fn jwks_uri(&self) -> Result<&Url, FetchError> {
        self.jwks_uri.as_ref().map_err(Clone::clone)
    }

    #[cfg(feature = "introspection")]
    pub(crate) fn introspection_endpoint(&self) -> Result<&Url, FetchError> {
        self.introspection_endpoint.as_ref().map_err(Clone::clone)
    }
}

impl Discovery {
    pub(crate) fn new(issuer: &str, documents: Documents) -> Result<Self, ConfigError> {
        let locations = locations(issuer, documents.allow_http)?;
        Ok(Self {
            issuer: issuer.to_owned(),
            locations,
            documents,
            found: Mutex::new(None),
            turn: Semaphore::new(1),
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) async fn metadata(&self, now: Instant) -> Result<Arc<Metadata>, FetchError> {
        if let Some(metadata) = self.known(now) {
            return Ok(metadata);
        }
        let _turn = self.turn.acquire().await.map_err(|_| FetchError::Timeout)?;
        if let Some(metadata) = self.known(now) {
            return Ok(metadata);
        }
        let metadata = Arc::new(self.read().await?);
        *self.found() = Some((Arc::clone(&metadata), now));
        Ok(metadata)
    }

    /// What this metadata names does not answer, or it names too little: next time it is read again.
    pub(crate) fn forget(&self, metadata: &Arc<Metadata>) {
        let mut found = self.found();
        if found.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, metadata)) {
            *found = None;
        }
    }

    fn known(&self, now: Instant) -> Option<Arc<Metadata>> {
        let found = self.found();
        let (metadata, since) = found.as_ref()?;
        (now.saturating_duration_since(*since) < METADATA_FOR).then(|| Arc::clone(metadata))
    }

    async fn read(&self) -> Result<Metadata, FetchError> {
        let (mut failure, mut without_keys) = (None, None);
        for location in &self.locations {
            match self.read_from(location).await {
                Ok(metadata) if metadata.jwks_uri.is_ok() => return Ok(metadata),
                // The other document may know more; what only introspects needs no keys.
                Ok(metadata) => without_keys = without_keys.or(Some(metadata)),
                // The server is gone: its other documents are too.
                Err(error @ FetchError::Http { error: HttpError::Transport(_) | HttpError::Timeout, .. }) => {
                    return without_keys.ok_or(error);
                }
                // The first one is more telling, unless it only says that there is nothing there.
                Err(error) => match failure {
                    None | Some(FetchError::Status { .. }) => failure = Some(error),
                    Some(_) => {}
                },
            }
        }
        without_keys.ok_or_else(|| failure.unwrap_or(FetchError::Timeout))
    }

    async fn read_from(&self, location: &str) -> Result<Metadata, FetchError> {
        let answer = self.documents.get(location).await?;
        let url = || shown(location);
        let document = Document::parse(answer.body()).ok_or_else(|| FetchError::Metadata { url: url() })?;
        // RFC 8414 §3.3: identical, code point by code point, or the document must not be used.
        if document.issuer.as_deref() != Some(&*self.issuer) {
            return Err(FetchError::OtherIssuer { url: url() });
        }
        let address = |member, text: Option<String>| {
            let text = text.ok_or_else(|| FetchError::NotNamed { issuer: shown(&self.issuer), member })?;
            checked(&text, self.documents.allow_http).map_err(FetchError::Url)
        };
        Ok(Metadata {
            jwks_uri: address("jwks_uri", document.jwks_uri),
            #[cfg(feature = "introspection")]
            introspection_endpoint: address("introspection_endpoint", document.introspection_endpoint),
        })
    }

    fn found(&self) -> MutexGuard<'_, Option<(Arc<Metadata>, Instant)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Discovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery").field("issuer", &shown(&self.issuer)).finish_non_exhaustive()
    }
}

/// Where the metadata of an issuer may be, in the order in which it is asked: RFC 8414 §3.1 inserts its name between host and
/// path, OpenID Connect Discovery §4 appends its own.
fn locations(issuer: &str, allow_http: bool) -> Result<[String; 2], ConfigError> {
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

/// The document, as far as it counts.
#[derive(Default)]
struct Document {
    issuer: Option<String>,
    jwks_uri: Option<String>,
    introspection_endpoint: Option<String>,
}

impl Document {
    fn parse(document: &[u8]) -> Option<Self> {
        let mut metadata = Self::default();
        parse_object(document, &mut metadata).ok()?;
        Some(metadata)
    }
}

impl<'de> Members<'de> for Document {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        let place = match name {
            "issuer" => &mut self.issuer,
            "jwks_uri" => &mut self.jwks_uri,
            "introspection_endpoint" => &mut self.introspection_endpoint,
            _ => return skip.over(map),
        };
        skip.once(place, map.next_value::<Text<'_>>()?.0.into_owned())
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
