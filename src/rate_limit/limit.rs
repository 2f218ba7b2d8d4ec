//! One limit: whose quota a request spends, and whether there is any left.

use std::sync::Arc;
use std::time::Instant;

use super::store::MemoryStore;
use super::{Quota, RateKey};
use crate::authn::RequestContext;
use crate::error::{AuthError, Reason};
use crate::principal::Principal;
use crate::time::Clock;

pub(super) struct Limit {
    pub(super) quota: Quota,
    pub(super) by: By,
    store: MemoryStore,
    pub(super) clock: Arc<dyn Clock>,
    beginning: Instant,
    pub(super) capacity: usize,
}

#[derive(Clone)]
pub(super) enum By {
    Client,
    Subject,
    Own(Arc<KeyOf>),
}

pub(super) type KeyOf = dyn Fn(Option<&Principal>, &RequestContext<'_>) -> RateKey + Send + Sync;

impl Limit {
    pub(super) fn new(quota: Quota, by: By, clock: Arc<dyn Clock>, capacity: usize) -> Self {
        let beginning = clock.instant();
        Self { quota, by, store: MemoryStore::new(capacity), clock, beginning, capacity }
    }

    /// Spends one request of whoever this is.
    pub(super) fn check<B>(&self, request: &http::Request<B>) -> Result<(), AuthError> {
        let now = self.clock.instant().saturating_duration_since(self.beginning);
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.store
            .spend(self.key(request)?, now, self.quota)
            .map_err(|retry_after| AuthError::from(Reason::QuotaExceeded).with_retry_after(retry_after))
    }

    fn key<B>(&self, request: &http::Request<B>) -> Result<RateKey, AuthError> {
        let context = RequestContext::new(request);
        let principal = request.extensions().get::<Principal>();
        let own = match (&self.by, principal) {
            (By::Own(key), _) => return Ok(key(principal, &context)),
            (By::Client, Some(principal)) => RateKey::client(principal),
            (By::Subject, Some(principal)) => RateKey::subject(principal),
            (_, None) if context.is_anonymous() => None,
            (_, None) => return Err(Reason::LayerMissing.into()),
        };
        Ok(own.or_else(|| context.peer_addr().map(RateKey::address)).unwrap_or_else(RateKey::anonymous))
    }
}
