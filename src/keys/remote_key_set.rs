//! The keys of an issuer, as others see them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "introspection")]
use super::discovery::Discovery;
use super::fetch::Location;
#[cfg(feature = "introspection")]
use super::metadata_client::Documents;
use super::refresh::{Cache, Landing};

/// The keys of an issuer: fetched when first needed, refreshed before they run out, kept while the issuer is away.
///
/// A request whose key is known never waits: the keys are refreshed beside it, once four fifths of their time are over. If
/// they ran out because nobody came for that long, the next request waits for fresh ones, half a second at most. A failed
/// refresh changes nothing; it is tried again after 1, 2 and then every 4 seconds, and the old keys serve for another 24
/// hours. A `kid` that is not known is looked for by a fetch that is sent after the request arrived: at most two in a row, and
/// one more every 5 seconds, whatever is thrown at it. Where that is used up, or a fetch fails, the answer is 503: nobody is
/// refused whom we could not judge.
///
/// All clones share the keys.
#[derive(Clone)]
pub struct RemoteKeySet {
    pub(super) cache: Arc<Cache>,
}

/// The keys could not be fetched.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeysError(String);

/// The state of a [`RemoteKeySet`], for health checks and dashboards.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysStatus {
    /// How many keys can be used now; zero before the first fetch, and once they are too old.
    pub keys: usize,
    /// How many keys of the document were left out.
    pub skipped: usize,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// Counts how often a key was removed or altered.
    pub generation: u64,
    /// Fetches sent so far.
    pub fetches: u64,
    /// Why the last fetch failed; `None` if it did not.
    pub last_error: Option<String>,
}

impl RemoteKeySet {
    pub(super) const fn of(cache: Arc<Cache>) -> Self {
        Self { cache }
    }

    /// Fetches the keys if there are none yet, so that the first request need not wait. An application may go on if this
    /// fails: keys are fetched again when they are needed.
    ///
    /// # Errors
    /// If the keys cannot be fetched.
    pub async fn warm_up(&self) -> Result<(), KeysError> {
        if self.cache.snapshot().is_some() { Ok(()) } else { self.fetch_after(0).await }
    }

    /// Fetches the keys now, whatever their age: after a rotation for cause, when waiting is no option.
    ///
    /// # Errors
    /// If the keys cannot be fetched; the old ones stay.
    pub async fn refresh(&self) -> Result<(), KeysError> {
        self.fetch_after(self.cache.sent()).await
    }

    async fn fetch_after(&self, sent_before: u64) -> Result<(), KeysError> {
        match self.cache.fetch_after(sent_before).await {
            Ok(Some(Landing::Keys)) => Ok(()),
            Ok(_) => {
                Err(KeysError(self.cache.last_error().unwrap_or_else(|| "the fetch was cut off".into())))
            }
            Err(error) => Err(KeysError(error.to_string())),
        }
    }

    /// How the keys are.
    #[must_use]
    pub fn status(&self) -> KeysStatus {
        let (loaded, now) = (self.cache.snapshot(), self.cache.now());
        let snapshot = loaded.as_ref();
        KeysStatus {
            keys: snapshot.filter(|keys| self.cache.serves(keys, now)).map_or(0, |keys| keys.keys.len()),
            skipped: snapshot.map_or(0, |keys| keys.keys.skipped()),
            age: snapshot.map(|keys| keys.age(now)),
            generation: snapshot.map_or(0, |keys| keys.generation),
            fetches: self.cache.sent(),
            last_error: self.cache.last_error(),
        }
    }

    /// How its documents are asked for.
    #[cfg(feature = "introspection")]
    pub(crate) fn documents(&self) -> &Documents {
        &self.cache.source().documents
    }

    /// The metadata that led here, if it did.
    #[cfg(feature = "introspection")]
    pub(crate) fn discovery(&self) -> Option<Arc<Discovery>> {
        match &self.cache.source().location {
            Location::Pinned(_) => None,
            Location::Discovered(discovery) => Some(Arc::clone(discovery)),
        }
    }

    /// The issuer whose metadata led here.
    pub(super) fn discovered_issuer(&self) -> Option<&str> {
        match &self.cache.source().location {
            Location::Pinned(_) => None,
            Location::Discovered(discovery) => Some(discovery.issuer()),
        }
    }
}

impl fmt::Debug for RemoteKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = self.cache.source().location.to_string();
        f.debug_struct("RemoteKeySet").field("location", &location).finish_non_exhaustive()
    }
}
