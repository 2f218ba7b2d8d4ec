//! A name, bound to the keys that may speak for it.

use std::fmt;
use std::sync::Arc;

use super::key_set::KeySet;
use super::lookup::{Lack, Patience};
use super::remote_key_set::RemoteKeySet;
use super::url::shown;
use crate::error::ConfigError;

/// An issuer of tokens: its identifier, and the keys that may sign in its name. A key of one issuer never verifies a token of
/// another.
///
/// ```
/// use portcullis::{Issuer, RemoteKeySet};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// // Found by its metadata:
/// let issuer = Issuer::discover("https://id.example.com");
/// // Pinned, and with settings of your own:
/// let keys = RemoteKeySet::builder("https://id.example.com/keys").stale_for(std::time::Duration::from_secs(3600)).build()?;
/// let issuer = Issuer::new("https://id.example.com", keys);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Issuer {
    id: Arc<str>,
    keys: Result<Keys, ConfigError>,
    /// Whether `discover` made the keys: only then may `allow_http` replace them.
    is_discovered: bool,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Known once and for all.
    Fixed(Arc<KeySet>),
    /// Fetched and refreshed.
    Remote(RemoteKeySet),
}

impl From<KeySet> for Keys {
    fn from(keys: KeySet) -> Self {
        Self::Fixed(Arc::new(keys))
    }
}

impl From<RemoteKeySet> for Keys {
    fn from(keys: RemoteKeySet) -> Self {
        Self::Remote(keys)
    }
}

impl Keys {
    /// Lets `judge` look at the keys; see [`RemoteKeySet::judge`]. What fixed keys cannot judge is final.
    pub(crate) fn judge<T>(
        &self,
        patience: Patience,
        judge: impl FnOnce(&KeySet) -> Option<T>,
    ) -> Result<Option<T>, Lack> {
        match self {
            Self::Fixed(keys) => Ok(judge(keys)),
            Self::Remote(keys) => keys.judge(patience, judge),
        }
    }
}

impl Issuer {
    /// An issuer whose keys are found by its metadata: RFC 8414 first, then OpenID Connect Discovery. Nothing is fetched before
    /// the first request, or [`warm_up`](Self::warm_up). An identifier that cannot be used is reported when the authenticator
    /// is built. For plain http see [`allow_http`](Self::allow_http), for other settings
    /// [`RemoteKeySet::discover`].
    #[must_use]
    pub fn discover(id: impl Into<String>) -> Self {
        let id = id.into();
        let keys = RemoteKeySet::discover(id.clone()).build().map(Keys::Remote);
        Self { id: id.into(), keys, is_discovered: true }
    }

    /// An issuer with keys of your choice: a [`KeySet`], or a [`RemoteKeySet`].
    ///
    /// Keys that were discovered for another issuer are refused when the authenticator is built.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, keys: impl Into<Keys>) -> Self {
        let (id, keys) = (id.into(), keys.into());
        let foreign =
            matches!(&keys, Keys::Remote(keys) if keys.discovered_issuer().is_some_and(|of| of != &*id));
        let problem = "the keys were discovered for another issuer";
        let keys = if foreign { Err(ConfigError::Url { url: shown(&id), problem }) } else { Ok(keys) };
        Self { id, keys, is_discovered: false }
    }

    /// Allows plain http for the identifier, the metadata and the keys of an issuer that
    /// [`discover`](Self::discover) created. For a provider on the same machine, and for tests.
    ///
    /// An issuer that [`new`](Self::new) created stays as it is: the setting of the given
    /// [`RemoteKeySet`] decides. Call this before the issuer is cloned or warmed up, since the keys are
    /// fetched anew afterwards.
    ///
    /// # Security
    /// An attacker on the network path can then supply keys, and with them forge any token.
    #[must_use]
    pub fn allow_http(mut self) -> Self {
        if self.is_discovered {
            self.keys = RemoteKeySet::discover(&*self.id).allow_http().build().map(Keys::Remote);
        }
        self
    }

    /// The identifier: what `iss` must be, code point by code point.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The keys, if they are fetched: for `warm_up()`, `refresh()` and `status()`.
    #[must_use]
    pub fn remote_keys(&self) -> Option<&RemoteKeySet> {
        match &self.keys {
            Ok(Keys::Remote(keys)) => Some(keys),
            _ => None,
        }
    }

    /// Fetches the keys if there are none yet; at once done where they are fixed.
    ///
    /// # Errors
    /// If they cannot be fetched. An application may go on: they are fetched again when they are needed.
    pub async fn warm_up(&self) -> Result<(), super::remote_key_set::KeysError> {
        match self.remote_keys() {
            Some(keys) => keys.warm_up().await,
            None => Ok(()),
        }
    }

    pub(crate) fn shared_id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn keys(&self) -> Result<&Keys, &ConfigError> {
        self.keys.as_ref()
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("id", &shown(&self.id)).field("keys", &self.keys).finish()
    }
}
