//! Whoever judges elsewhere, asked within bounds: so many at once, so many in line, and not at all while it fails.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::circuit_breaker::{Breaker, BreakerState, Role};
use super::detached::runtime;
use crate::clock::timestamp::Timestamp;
use crate::clock::{Clock, OncePerSecond};
use crate::error::{AuthError, Reason};

/// Calls under way at once.
const IN_FLIGHT: usize = 64;

/// Calls that wait for one of those to end.
const WAITING: usize = 1000;

/// When to come again after a failure that was not bad enough for a pause.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call failed.
pub(crate) trait Fault: Clone + fmt::Display {
    const TIMEOUT: Self;
    const SLOW: Self;

    /// Whether other calls can be expected to fail too; what one odd credential may cause is not.
    fn is_general(&self) -> bool;
}

pub(crate) struct Bulkhead<F> {
    /// What is logged when a call fails.
    failed: &'static str,
    pub(crate) clock: Arc<dyn Clock>,
    limit: Duration,
    /// A call that takes longer counts as failed, whatever it brings.
    slow_after: Duration,
    at_once: usize,
    places: Semaphore,
    waiting: AtomicUsize,
    calls: AtomicU64,
    failures: AtomicU64,
    health: Mutex<Health<F>>,
    log_limit: OncePerSecond,
}

struct Health<F> {
    breaker: Breaker,
    last_error: Option<F>,
}

/// How it is, for health checks and dashboards.
#[cfg(feature = "introspection")]
pub(crate) struct Status {
    pub(crate) breaker: BreakerState,
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
    pub(crate) last_error: Option<String>,
}

impl<F: Fault> Bulkhead<F> {
    /// `limit`: how long a call may take, and how long it may wait before that.
    pub(crate) fn new(
        failed: &'static str,
        clock: Arc<dyn Clock>,
        limit: Duration,
        slow_after: Duration,
    ) -> Self {
        Self {
            failed,
            clock,
            limit,
            slow_after,
            at_once: IN_FLIGHT,
            places: Semaphore::new(IN_FLIGHT),
            waiting: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            health: Mutex::new(Health { breaker: Breaker::new(), last_error: None }),
            log_limit: OncePerSecond::new(),
        }
    }

    /// Sets how many calls may be under way, at most the usual number: where more would wait for something else than the answer, and be
    /// taken for slow.
    pub(crate) fn at_once(mut self, calls: usize) -> Self {
        self.at_once = calls.clamp(1, IN_FLIGHT);
        self.places = Semaphore::new(self.at_once);
        self
    }

    /// How long a call may take, the time in line included.
    #[cfg(any(feature = "introspection", feature = "api-keys"))]
    pub(crate) fn limit(&self) -> Duration {
        self.limit.saturating_mul(2)
    }

    /// Has the call made, which is told when that is.
    pub(crate) async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(Timestamp) -> Result<T, F>,
    ) -> Result<T, AuthError> {
        // Work and timers need one.
        runtime()?;
        self.paused()?;
        let _place = self.place().await?;
        let mut asking = Asking::begin(self)?;
        let result = timeout(self.limit, call(asking.asked)).await.unwrap_or(Err(F::TIMEOUT));
        asking.end(result.as_ref().err());
        result.map_err(|_| self.unavailable())
    }

    /// Refuses at once, before anybody gets in line.
    fn paused(&self) -> Result<(), AuthError> {
        let pause = self.health().breaker.pause(self.clock.instant());
        pause.map_or(Ok(()), |pause| Err(paused(pause)))
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

    fn note(&self, failure: Option<&F>, role: Role, took: Duration) {
        let now = self.clock.instant();
        let slow = if took < self.slow_after { None } else { Some(F::SLOW) };
        let failure = failure.cloned().or(slow);
        let mut health = self.health();
        match &failure {
            None => health.breaker.succeeded(),
            Some(failure) if !failure.is_general() => health.breaker.abandoned(role, now),
            Some(_) => health.breaker.failed(role, now),
        }
        health.last_error.clone_from(&failure);
        let state = health.breaker.state(now);
        // A subscriber is the application's code, which may ask for our status.
        drop(health);
        if let Some(error) = failure {
            self.log(&error, state);
        }
    }

    fn log(&self, error: &F, breaker: BreakerState) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.log_limit.allows() {
            tracing::error!(target: "portcullis", %error, ?breaker, "{}", self.failed);
        }
    }

    /// What was said without a call: a failure is nobody's credential here either.
    #[cfg(feature = "jwt")]
    pub(crate) fn said<T>(&self, said: Result<T, F>) -> Result<T, AuthError> {
        said.map_err(|error| {
            self.log(&error, BreakerState::Closed);
            AuthError::unavailable(RETRY_AFTER)
        })
    }

    fn unavailable(&self) -> AuthError {
        self.paused().err().map_or_else(
            || AuthError::unavailable(RETRY_AFTER),
            |error| AuthError::unavailable(error.retry_after().unwrap_or(RETRY_AFTER)),
        )
    }

    #[cfg(feature = "introspection")]
    pub(crate) fn status(&self) -> Status {
        let health = self.health();
        Status {
            breaker: health.breaker.state(self.clock.instant()),
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            in_flight: self.at_once.saturating_sub(self.places.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            last_error: health.last_error.as_ref().map(ToString::to_string),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health<F>> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call from its beginning to its end, which may be that nobody waits for it any more.
struct Asking<'a, F: Fault> {
    bulkhead: &'a Bulkhead<F>,
    asked: Timestamp,
    role: Role,
    ended: bool,
}

impl<'a, F: Fault> Asking<'a, F> {
    fn begin(bulkhead: &'a Bulkhead<F>) -> Result<Self, AuthError> {
        let clock = &bulkhead.clock;
        let asked = Timestamp::of(&**clock);
        let role = bulkhead.health().breaker.admit(asked.instant(), bulkhead.limit).map_err(paused)?;
        bulkhead.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Self { bulkhead, asked, role, ended: false })
    }

    fn end(&mut self, failure: Option<&F>) {
        self.ended = true;
        let took = self.bulkhead.clock.instant().saturating_duration_since(self.asked.instant());
        self.bulkhead.note(failure, self.role, took);
    }
}

impl<F: Fault> Drop for Asking<'_, F> {
    /// A probe that nobody waits for has found out nothing: the next one is due.
    fn drop(&mut self) {
        if !self.ended {
            let now = self.bulkhead.clock.instant();
            self.bulkhead.health().breaker.abandoned(self.role, now);
        }
    }
}

fn paused(retry_after: Duration) -> AuthError {
    AuthError::from(Reason::AuthorityPaused).with_retry_after(retry_after)
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
