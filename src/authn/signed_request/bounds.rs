//! A store, asked within bounds: so many at once, so many in line, and each for so long.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::error::{AuthError, Reason};
use crate::flight::runtime;
use crate::store::{StoreError, StoreFuture};
use crate::time::OncePerSecond;

/// Questions under way at once.
const IN_FLIGHT: usize = 64;

/// Questions that wait for one of those to be answered.
const WAITING: usize = 1000;

/// When to come again after a store failed, or had too much to do.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Bounds {
    /// Which store, for the log.
    store: &'static str,
    /// For a question, and as long again in line before it.
    limit: Duration,
    places: Semaphore,
    waiting: AtomicUsize,
    log_limit: OncePerSecond,
}

impl Bounds {
    pub(super) const fn new(store: &'static str, limit: Duration) -> Self {
        let (places, waiting) = (Semaphore::const_new(IN_FLIGHT), AtomicUsize::new(0));
        Self { store, limit, places, waiting, log_limit: OncePerSecond::new() }
    }

    /// Asks, and waits.
    pub(super) async fn ask<T>(&self, question: StoreFuture<'static, T>) -> Result<T, AuthError> {
        runtime()?;
        let _place = self.place().await?;
        match timeout(self.limit, question).await {
            Ok(said) => self.said(said),
            Err(_) => Err(self.failed(&"it took too long")),
        }
    }

    /// What a store said: a failure of it is nobody's credential.
    pub(super) fn said<T>(&self, said: Result<T, StoreError>) -> Result<T, AuthError> {
        said.map_err(|error| self.failed(&error))
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, AuthError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let busy = || AuthError::from(Reason::AuthorityBusy).with_retry_after(RETRY_AFTER);
        let _in_line = InLine::join(&self.waiting).ok_or_else(busy)?;
        match timeout(self.limit, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(busy()),
        }
    }

    fn failed(&self, error: &dyn fmt::Display) -> AuthError {
        if self.log_limit.allows() {
            tracing::error!(target: "portcullis", store = self.store, %error, "a store could not be asked");
        }
        AuthError::unavailable(RETRY_AFTER)
    }
}

/// A place in the line.
struct InLine<'a>(&'a AtomicUsize);

impl<'a> InLine<'a> {
    fn join(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING).then_some(place)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
