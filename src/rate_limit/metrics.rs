//! What happened at a limit, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::store::OnStoreFailure;
use crate::clock::OncePerSecond;
use crate::store::StoreError;

/// What happened at a limit since it was made, for dashboards and tests. With the feature `metrics` the same is counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitStatus {
    /// Requests that were refused: `portcullis_rate_limit_refused_total`, once for each quota (`policy`) that had no room.
    pub refused: u64,
    /// Requests that would have been, under a limit that only observes: `portcullis_rate_limit_would_refuse_total`, likewise.
    pub would_refuse: u64,
    /// Requests for which the store could not be asked: `portcullis_rate_limit_store_failures_total`, with what happened to them
    /// as `outcome` (`open`, `closed` or `local`).
    pub store_failures: u64,
}

#[derive(Debug, Default)]
pub(super) struct Events {
    refused: AtomicU64,
    would_refuse: AtomicU64,
    store_failures: AtomicU64,
    log_limit: OncePerSecond,
}

impl Events {
    pub(super) fn status(&self) -> RateLimitStatus {
        let [refused, would_refuse, store_failures] =
            [&self.refused, &self.would_refuse, &self.store_failures]
                .map(|count| count.load(Ordering::Relaxed));
        RateLimitStatus { refused, would_refuse, store_failures }
    }

    pub(super) fn refused(&self, violated: &[Arc<str>], observe_only: bool) {
        let count = if observe_only { &self.would_refuse } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        for policy in violated {
            let name = match observe_only {
                true => "portcullis_rate_limit_would_refuse_total",
                false => "portcullis_rate_limit_refused_total",
            };
            metrics::counter!(name, "policy" => Arc::clone(policy)).increment(1);
        }
        if observe_only {
            tracing::debug!(target: "portcullis", ?violated, "would have been refused");
        }
    }

    pub(super) fn store_failed(&self, then: OnStoreFailure, error: &StoreError) {
        self.store_failures.fetch_add(1, Ordering::Relaxed);
        let outcome = match then {
            OnStoreFailure::Open => "open",
            OnStoreFailure::Closed => "closed",
            OnStoreFailure::Local { .. } => "local",
        };
        #[cfg(feature = "metrics")]
        metrics::counter!("portcullis_rate_limit_store_failures_total", "outcome" => outcome).increment(1);
        if self.log_limit.allows() {
            tracing::error!(target: "portcullis", %error, outcome, "the store of a rate limit cannot be asked");
        }
    }
}
