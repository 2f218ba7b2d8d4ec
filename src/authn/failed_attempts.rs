//! Counts failed attempts by address, and turns away beforehand who has failed too often.

#[cfg(feature = "rate-limit")]
use crate::client_addr::TrustedProxies;
#[cfg(feature = "rate-limit")]
use crate::client_addr::peer::peer_addr;
#[cfg(feature = "rate-limit")]
use crate::clock::Clock;
#[cfg(feature = "rate-limit")]
use crate::error::{AuthErrorKind, Reason};
#[cfg(feature = "rate-limit")]
use crate::principal::origin::Landing;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::key::RateKey;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::quota::Quota;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::store::memory::MemoryRateLimits;
#[cfg(feature = "rate-limit")]
use crate::upstream::detached::runtime;
use http::Request;
#[cfg(feature = "rate-limit")]
use std::future::Future;
#[cfg(feature = "rate-limit")]
use std::pin::Pin;
#[cfg(feature = "rate-limit")]
use std::sync::Arc;
#[cfg(feature = "rate-limit")]
use std::task::{Context, Poll, ready};
#[cfg(feature = "rate-limit")]
use std::time::Duration;
#[cfg(feature = "rate-limit")]
use tokio::sync::Semaphore;
#[cfg(feature = "rate-limit")]
use tokio::time::timeout;

use crate::error::AuthError;
use crate::principal::origin::JudgedLater;

/// Attempts that are followed to their end at once, after their callers have gone away.
#[cfg(feature = "rate-limit")]
const FOLLOWED: usize = 1024;

/// For how long one is followed: longer than any authenticator of this crate takes by default.
#[cfg(feature = "rate-limit")]
const FOLLOWED_FOR: Duration = Duration::from_secs(60);

/// How many failed attempts an address has; without limit by default.
#[derive(Clone, Default)]
pub(super) struct Failures {
    #[cfg(feature = "rate-limit")]
    limit: Option<Arc<Limit>>,
    #[cfg(feature = "rate-limit")]
    proxies: Option<TrustedProxies>,
}

/// A request that presents something, where failures are counted: for whom it will count.
#[derive(Clone, Copy, Default)]
pub(super) struct Attempt {
    #[cfg(feature = "rate-limit")]
    by: Option<RateKey>,
}

#[cfg(feature = "rate-limit")]
struct Limit {
    quota: Quota,
    store: MemoryRateLimits,
    followed: Arc<Semaphore>,
}

#[cfg(feature = "rate-limit")]
impl Failures {
    pub(super) fn limit(&mut self, quota: Quota, own_clock: Option<Arc<dyn Clock>>) {
        let (store, followed) = (MemoryRateLimits::by_clock(own_clock), Arc::new(Semaphore::new(FOLLOWED)));
        self.limit = Some(Arc::new(Limit { quota, store, followed }));
    }

    pub(super) fn behind(&mut self, proxies: TrustedProxies) {
        self.proxies = Some(proxies);
    }

    /// Whether what the request presents may be looked at.
    pub(super) fn look<B>(&self, request: &Request<B>) -> Result<Attempt, AuthError> {
        let Some(limit) = &self.limit else { return Ok(Attempt::default()) };
        // Counting all of unknown address together would let one lock out everybody.
        let peer = peer_addr(request.extensions()).ok_or(Reason::AddressMissing)?;
        let proxies = self.proxies.as_ref();
        let address = proxies.map_or(peer, |proxies| proxies.client_addr(peer, request.headers()));
        let by = RateKey::address(address);
        let wait = limit.store.wait(by, limit.quota);
        if wait.is_zero() {
            return Ok(Attempt { by: Some(by) });
        }
        #[cfg(feature = "metrics")]
        metrics::counter!("portcullis_failures_limited_total").increment(1);
        Err(AuthError::from(Reason::FailuresExceeded).with_retry_after(wait))
    }

    /// Counts the attempt, if it was refused for what it presented.
    pub(super) fn count(&self, attempt: Attempt, error: &AuthError) {
        if let (Some(limit), Some(by)) = (&self.limit, attempt.by) {
            limit.count(by, error);
        }
    }

    /// Sees to it that an attempt counts whose caller goes away before the verdict is there: who always does could go on without
    /// end.
    pub(super) fn follow(&self, attempt: Attempt, verdict: JudgedLater) -> JudgedLater {
        match (&self.limit, attempt.by) {
            (Some(limit), Some(by)) => {
                Box::pin(Followed { verdict: Some(verdict), limit: Arc::clone(limit), by })
            }
            _ => verdict,
        }
    }
}

#[cfg(not(feature = "rate-limit"))]
impl Failures {
    pub(super) fn look<B>(&self, _request: &Request<B>) -> Result<Attempt, AuthError> {
        Ok(Attempt::default())
    }

    pub(super) fn count(&self, _attempt: Attempt, _error: &AuthError) {}

    pub(super) fn follow(&self, _attempt: Attempt, verdict: JudgedLater) -> JudgedLater {
        verdict
    }
}

#[cfg(feature = "rate-limit")]
impl Limit {
    fn count(&self, by: RateKey, error: &AuthError) {
        let failed = match error.reason() {
            Reason::SchemeUnsupported => true,
            // The credential was good as far as it was judged, and the connection was not.
            Reason::BodyUnreadable => false,
            _ => matches!(error.kind(), AuthErrorKind::InvalidToken | AuthErrorKind::InvalidRequest),
        };
        if failed {
            self.store.record(by, self.quota);
        }
    }
}

/// A verdict that is waited for, by a task of its own once its caller does not any more.
#[cfg(feature = "rate-limit")]
struct Followed {
    verdict: Option<JudgedLater>,
    limit: Arc<Limit>,
    by: RateKey,
}

#[cfg(feature = "rate-limit")]
impl Future for Followed {
    type Output = Landing;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Landing> {
        let Some(verdict) = &mut self.verdict else { return Poll::Pending };
        let landing = ready!(verdict.as_mut().poll(cx));
        self.verdict = None;
        Poll::Ready(landing)
    }
}

#[cfg(feature = "rate-limit")]
impl Drop for Followed {
    fn drop(&mut self) {
        let Some(verdict) = self.verdict.take() else { return };
        let place = Arc::clone(&self.limit.followed).try_acquire_owned();
        let (Ok(place), Ok(runtime)) = (place, runtime()) else { return };
        let (limit, by) = (Arc::clone(&self.limit), self.by);
        runtime.spawn(async move {
            if let Ok(Landing::Judged(Err(error))) = timeout(FOLLOWED_FOR, verdict).await {
                limit.count(by, &error);
            }
            drop(place);
        });
    }
}
