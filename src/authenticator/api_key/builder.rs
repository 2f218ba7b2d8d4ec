//! The settings of API keys.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::{ApiKeyAuthenticator, Inner};
use crate::api_key::keys::ApiKeys;
use crate::clock::SystemClock;
use crate::error::ConfigError;
use crate::principal::validity::Grace;
use crate::upstream::bulkhead::Bulkhead;

/// For how long a verdict may be used again: how late a revocation by another process may be noticed.
const REUSE_FOR: Duration = Duration::from_secs(10);

/// For how long a refusal may be.
const REFUSE_FOR: Duration = Duration::from_secs(10);

/// More than this would make revoking meaningless.
const MAX_REUSE: Duration = Duration::from_secs(3600);

/// A look-up by an index takes a millisecond.
const TIMEOUT: Duration = Duration::from_secs(2);

impl ApiKeyAuthenticator {
    /// With the usual settings: `Authorization: ApiKey` and `X-API-Key`.
    #[must_use]
    pub fn new(keys: ApiKeys) -> Self {
        Self { inner: Arc::new(Self::builder(keys).into_inner()) }
    }

    /// Starts with the keys of the application.
    pub fn builder(keys: ApiKeys) -> ApiKeyAuthenticatorBuilder {
        ApiKeyAuthenticatorBuilder::new(keys)
    }
}

/// Builds an [`ApiKeyAuthenticator`]. Building does no I/O.
#[must_use]
pub struct ApiKeyAuthenticatorBuilder {
    keys: ApiKeys,
    header: Option<HeaderName>,
    accept_bearer: bool,
    accept_basic: bool,
    reuse_for: Duration,
    refuse_for: Duration,
    serve_stale: Option<Duration>,
    timeout: Duration,
}

impl ApiKeyAuthenticatorBuilder {
    fn new(keys: ApiKeys) -> Self {
        Self {
            keys,
            header: Some(HeaderName::from_static("x-api-key")),
            accept_bearer: false,
            accept_basic: false,
            reuse_for: REUSE_FOR,
            refuse_for: REFUSE_FOR,
            serve_stale: None,
            timeout: TIMEOUT,
        }
    }

    /// Sets the header field that holds a key; `X-API-Key` by default. Shared caches know that an answer to `Authorization` is for
    /// one caller, and nothing of other fields: answers to those get `Cache-Control: private`, unless they say more.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = Some(name);
        self
    }

    /// Reads keys from `Authorization` alone.
    pub fn no_header(mut self) -> Self {
        self.header = None;
        self
    }

    /// Accepts `Authorization: Bearer KEY` too: for clients that know nothing else.
    pub fn accept_bearer(mut self) -> Self {
        self.accept_bearer = true;
        self
    }

    /// Accepts HTTP Basic too (RFC 7617): the user `apikey` with the key as password, or the key as user with an empty password. A
    /// browser that meets the challenge of this scheme asks its user for a name and a password.
    pub fn accept_basic(mut self) -> Self {
        self.accept_basic = true;
        self
    }

    /// Sets for how long a verdict may be used again; 10 seconds by default. It is how late this process may notice that
    /// another one has revoked a key.
    pub fn reuse_for(mut self, time: Duration) -> Self {
        self.reuse_for = time;
        self
    }

    /// Sets for how long a refusal may be used again; 10 seconds by default.
    pub fn refuse_for(mut self, time: Duration) -> Self {
        self.refuse_for = time;
        self
    }

    /// Lets verdicts serve for so much longer while the store is away; by default they do not. Never beyond the end of a key, nor
    /// on routes that ask for a fresh verdict.
    pub fn serve_stale(mut self, time: Duration) -> Self {
        self.serve_stale = Some(time);
        self
    }

    /// Sets how long a look-up may take; 2 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// The authenticator.
    ///
    /// # Errors
    /// If the header is `Authorization`, which is read anyway, or a time is out of bounds: a verdict may be used for an hour at most,
    /// and a look-up takes some time.
    pub fn build(self) -> Result<ApiKeyAuthenticator, ConfigError> {
        let refused = |setting, value, problem| Err(ConfigError::Setting { setting, value, problem });
        if self.header == Some(AUTHORIZATION) {
            return refused("header", None, "`Authorization` is read by its scheme");
        }
        for (setting, time) in [("reuse_for", self.reuse_for), ("refuse_for", self.refuse_for)] {
            if time > MAX_REUSE {
                return refused(setting, Some(format!("{time:?}")), "must not be longer than an hour");
            }
        }
        if self.timeout.is_zero() {
            return refused("timeout", Some(format!("{:?}", self.timeout)), "must be greater than zero");
        }
        Ok(ApiKeyAuthenticator { inner: Arc::new(self.into_inner()) })
    }

    fn into_inner(self) -> Inner {
        let clock = self.keys.own_clock().unwrap_or_else(|| Arc::new(SystemClock));
        // As long as it may take: a store that is slow is not about to fall.
        let bulkhead = Bulkhead::new("an API key could not be looked up", clock, self.timeout, self.timeout)
            .at_once(self.keys.at_once());
        let grace = self.serve_stale.map(|time| Arc::new(Grace { time, served: AtomicU64::new(0) }));
        Inner {
            keys: self.keys,
            header: self.header,
            accept_bearer: self.accept_bearer,
            accept_basic: self.accept_basic,
            bulkhead,
            reuse_for: self.reuse_for,
            refuse_for: self.refuse_for,
            grace,
        }
    }
}

impl fmt::Debug for ApiKeyAuthenticatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyAuthenticatorBuilder").field("keys", &self.keys).finish_non_exhaustive()
    }
}
