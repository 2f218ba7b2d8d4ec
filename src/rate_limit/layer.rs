//! The layer that limits.

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::limit::{By, Limit};
use super::service::RateLimit;
use super::store::DEFAULT_CAPACITY;
use super::{Quota, RateKey};
use crate::authn::RequestContext;
use crate::principal::Principal;
use crate::time::{Clock, SystemClock};

/// Refuses with 429 and `Retry-After` what comes too often.
///
/// Put it beneath the [`AuthLayer`](crate::AuthLayer), so that it knows who is calling. All clones share the counts, and so do
/// the services of all routes that one layer covers.
#[derive(Clone)]
pub struct RateLimitLayer {
    limit: Arc<Limit>,
}

impl RateLimitLayer {
    /// A quota for each client, together for all of its users and tokens. A credential without client counts by its subject,
    /// an anonymous request by its address, and all of unknown address together.
    #[must_use]
    pub fn per_client(quota: Quota) -> Self {
        Self::with(quota, By::Client)
    }

    /// A quota for each subject. A credential without subject counts by its client, an anonymous request by its address, and
    /// all of unknown address together.
    #[must_use]
    pub fn per_subject(quota: Quota) -> Self {
        Self::with(quota, By::Subject)
    }

    /// A quota for each key that `key` finds. Works without an [`AuthLayer`](crate::AuthLayer) above too.
    ///
    /// ```
    /// use portcullis::{Quota, RateKey, RateLimitLayer};
    /// let by_address = RateLimitLayer::by(Quota::per_second(10), |_principal, request| {
    ///     request.peer_addr().map_or_else(RateKey::anonymous, RateKey::address)
    /// });
    /// ```
    #[must_use]
    pub fn by(
        quota: Quota,
        key: impl Fn(Option<&Principal>, &RequestContext<'_>) -> RateKey + Send + Sync + 'static,
    ) -> Self {
        Self::with(quota, By::Own(Arc::new(key)))
    }

    /// Sets how many callers are remembered; 100,000 by default. Those beyond share one quota until others are replenished.
    /// Starts the counts anew.
    #[must_use]
    pub fn capacity(self, callers: usize) -> Self {
        let Limit { quota, by, clock, .. } = &*self.limit;
        Self { limit: Arc::new(Limit::new(*quota, by.clone(), Arc::clone(clock), callers)) }
    }

    /// Sets the clock. Starts the counts anew.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        let Limit { quota, by, capacity, .. } = &*self.limit;
        Self { limit: Arc::new(Limit::new(*quota, by.clone(), Arc::new(clock), *capacity)) }
    }

    fn with(quota: Quota, by: By) -> Self {
        Self { limit: Arc::new(Limit::new(quota, by, Arc::new(SystemClock), DEFAULT_CAPACITY)) }
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").field("quota", &self.limit.quota).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.limit))
    }
}
