//! The settings of a fetched key set.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::fetch::{Location, Source};
use super::key_set::DEFAULT_RSA_ALGORITHM;
use super::metadata_client::Documents;
use super::refresh::{Cache, Settings};
use super::remote_key_set::RemoteKeySet;
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::http_client::default_client::default_client;
use crate::http_client::{HttpClient, Limits};
use crate::jose::algorithm::Algorithm;

/// For how long keys that are no longer fresh serve while they cannot be fetched.
const STALE_FOR: Duration = Duration::from_secs(24 * 3600);

/// From sending the first request to having parsed the keys.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a document. A hundred keys of the longest kind fit.
const MAX_DOCUMENT: usize = 256 * 1024;

impl RemoteKeySet {
    /// Keys at a known address: no discovery.
    pub fn builder(jwks_uri: impl Into<String>) -> RemoteKeySetBuilder {
        RemoteKeySetBuilder::new(Place::JwksUri(jwks_uri.into()))
    }

    /// Keys at the address that the metadata of `issuer` names (RFC 8414, then OpenID Connect Discovery). Metadata in which
    /// another issuer stands is not used.
    pub fn discover(issuer: impl Into<String>) -> RemoteKeySetBuilder {
        RemoteKeySetBuilder::new(Place::Issuer(issuer.into()))
    }
}

/// Builds a [`RemoteKeySet`]. Building does no I/O.
#[must_use]
pub struct RemoteKeySetBuilder {
    place: Place,
    http: Option<Arc<dyn HttpClient>>,
    clock: Option<Arc<dyn Clock>>,
    allow_http: bool,
    fresh_for: Option<Duration>,
    stale_for: Duration,
    timeout: Duration,
    rsa: Algorithm,
}

enum Place {
    JwksUri(String),
    Issuer(String),
}

impl RemoteKeySetBuilder {
    fn new(place: Place) -> Self {
        Self {
            place,
            http: None,
            clock: None,
            allow_http: false,
            fresh_for: None,
            stale_for: STALE_FOR,
            timeout: FETCH_TIMEOUT,
            rsa: DEFAULT_RSA_ALGORITHM,
        }
    }

    /// Allows plain http, for a provider on the same machine and for tests.
    ///
    /// # Security
    /// Whoever sits on the way can then give you keys, and with them any token.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sets for how long keys are fresh, whatever the server's `Cache-Control` says. By default that decides, between one
    /// minute and 24 hours, and 10 minutes if it says nothing.
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = Some(time);
        self
    }

    /// Sets for how long keys that are no longer fresh serve while they cannot be fetched; 24 hours by default.
    pub fn stale_for(mut self, time: Duration) -> Self {
        self.stale_for = time;
        self
    }

    /// Sets how long a fetch may take in all, discovery included; 5 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets what RSA keys that name no `alg` are for; [`Algorithm::RS256`] by default.
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rsa = algorithm;
        self
    }

    /// Brings an HTTP client, in place of the one of the feature `reqwest`.
    pub fn http_client(mut self, client: impl HttpClient) -> Self {
        self.http = Some(Arc::new(client));
        self
    }

    /// Brings a clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The key set. Nothing is fetched yet.
    ///
    /// # Errors
    /// If the address cannot be used, a time is zero, the algorithm is not one of RSA, or there is no HTTP client.
    pub fn build(self) -> Result<RemoteKeySet, ConfigError> {
        let wrong = |setting, value, problem| ConfigError::Setting { setting, value: Some(value), problem };
        if let Some(time) = self.fresh_for.filter(Duration::is_zero) {
            return Err(wrong("fresh_for", format!("{time:?}"), "must be greater than zero"));
        }
        if self.timeout.is_zero() {
            return Err(wrong("timeout", format!("{:?}", self.timeout), "must be greater than zero"));
        }
        if !self.rsa.is_rsa() {
            return Err(wrong("rsa_algorithm", self.rsa.to_string(), "must be an algorithm of RSA keys"));
        }
        let http = match self.http {
            Some(client) => client,
            None => default_client()?,
        };
        let limits = Limits::new(self.timeout, MAX_DOCUMENT);
        let documents = Documents { http, limits, allow_http: self.allow_http };
        let location = match &self.place {
            Place::JwksUri(url) => Location::pinned(url, self.allow_http)?,
            Place::Issuer(issuer) => Location::discovered(issuer, documents.clone())?,
        };
        let source = Source::new(location, documents, self.rsa);
        let Self { clock: own_clock, fresh_for, stale_for, timeout, .. } = self;
        let settings = Settings { own_clock, fresh_for, stale_for, timeout };
        Ok(RemoteKeySet::of(Arc::new(Cache::new(source, settings))))
    }
}

/// Without the address: it may hold a password until `build` refuses it.
impl fmt::Debug for RemoteKeySetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeySetBuilder").field("fresh_for", &self.fresh_for).finish_non_exhaustive()
    }
}
