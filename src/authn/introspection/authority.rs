//! The authority, asked within bounds: so many at once, so many in line, and not at all while it fails.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::Url;

use super::breaker::{Breaker, BreakerState, Role};
use super::exchange::{Exchange, Failure, Parameters};
use crate::error::{AuthError, Reason};
use crate::time::{Clock, Moment, OncePerSecond};

/// Calls under way at once.
const IN_FLIGHT: usize = 64;

/// Calls that wait for one of those to end.
const WAITING: usize = 1000;

/// When to come again after a failure that was not bad enough for a pause.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Authority {
    pub(super) exchange: Exchange,
    pub(super) clock: Arc<dyn Clock>,
    /// A call that takes longer counts as failed, whatever it brings.
    slow_after: Duration,
    places: Semaphore,
    waiting: AtomicUsize,
    calls: AtomicU64,
    failures: AtomicU64,
    health: Mutex<Health>,
    log_limit: OncePerSecond,
}

struct Health {
    breaker: Breaker,
    last_error: Option<Failure>,
}

/// How an authority is, for health checks and dashboards: see
/// [`IntrospectionAuthenticator::status`](crate::IntrospectionAuthenticator::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IntrospectionStatus {
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// Calls sent so far.
    pub calls: u64,
    /// Calls that failed, brought nothing that could be used, or took too long.
    pub failures: u64,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for one of those to end.
    pub waiting: usize,
    /// Verdicts that served beyond their time, because the authority was away.
    pub served_stale: u64,
    /// Why the last call failed; `None` if it did not.
    pub last_error: Option<String>,
}

/// What an authority said, and when it was asked.
pub(super) struct Said {
    pub(super) body: Bytes,
    pub(super) by: Url,
    pub(super) asked: Moment,
}

impl Authority {
    pub(super) fn new(exchange: Exchange, clock: Arc<dyn Clock>, slow_after: Duration) -> Self {
        let health = Health { breaker: Breaker::new(), last_error: None };
        Self {
            exchange,
            clock,
            slow_after,
            places: Semaphore::new(IN_FLIGHT),
            waiting: AtomicUsize::new(0),
            calls: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            health: Mutex::new(health),
            log_limit: OncePerSecond::new(),
        }
    }

    /// Asks about a token and has `read` make something of the answer. What it cannot read counts as a failure too.
    pub(super) async fn ask<T>(
        &self,
        token: &str,
        parameters: Option<&Parameters>,
        read: impl AsyncFnOnce(Said) -> Result<T, Failure>,
    ) -> Result<T, AuthError> {
        let limit = self.exchange.limits.timeout;
        self.paused()?;
        let _place = self.place(limit).await?;
        let mut call = Asking::begin(self, limit)?;
        let asked = call.asked;
        let said = async {
            let (body, by) = self.exchange.ask(token, parameters, &*self.clock).await?;
            read(Said { body, by, asked }).await
        };
        let result = timeout(limit, said).await.unwrap_or(Err(Failure::Timeout));
        call.end(result.as_ref().err());
        result.map_err(|_| self.unavailable())
    }

    /// Refuses at once, before anybody gets in line.
    fn paused(&self) -> Result<(), AuthError> {
        let pause = self.health().breaker.pause(self.clock.instant());
        pause.map_or(Ok(()), |pause| Err(paused(pause)))
    }

    async fn place(&self, limit: Duration) -> Result<SemaphorePermit<'_>, AuthError> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let busy = || AuthError::from(Reason::AuthorityBusy).with_retry_after(RETRY_AFTER);
        let _in_line = InLine::join(&self.waiting).ok_or_else(busy)?;
        match timeout(limit, self.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(busy()),
        }
    }

    fn note(&self, failure: Option<&Failure>, role: Role, took: Duration) {
        let now = self.clock.instant();
        let slow = if took < self.slow_after { None } else { Some(&Failure::Slow) };
        let failure = failure.or(slow);
        let mut health = self.health();
        match failure {
            None => health.breaker.succeeded(),
            Some(failure) if !failure.is_general() => health.breaker.abandoned(role, now),
            Some(_) => health.breaker.failed(role, now),
        }
        health.last_error = failure.cloned();
        let state = health.breaker.state(now);
        // A subscriber is the application's code, which may ask for our status.
        drop(health);
        if let Some(error) = failure {
            self.failures.fetch_add(1, Ordering::Relaxed);
            if self.log_limit.allows() {
                tracing::error!(target: "portcullis", %error, breaker = ?state, "a token could not be introspected");
            }
        }
    }

    fn unavailable(&self) -> AuthError {
        self.paused().err().map_or_else(
            || AuthError::unavailable(RETRY_AFTER),
            |error| AuthError::unavailable(error.retry_after().unwrap_or(RETRY_AFTER)),
        )
    }

    pub(super) fn status(&self, served_stale: u64) -> IntrospectionStatus {
        let health = self.health();
        IntrospectionStatus {
            breaker: health.breaker.state(self.clock.instant()),
            calls: self.calls.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            in_flight: IN_FLIGHT.saturating_sub(self.places.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
            served_stale,
            last_error: health.last_error.as_ref().map(ToString::to_string),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call from its beginning to its end, which may be that nobody waits for it any more.
struct Asking<'a> {
    authority: &'a Authority,
    asked: Moment,
    role: Role,
    ended: bool,
}

impl<'a> Asking<'a> {
    fn begin(authority: &'a Authority, limit: Duration) -> Result<Self, AuthError> {
        let asked = Moment { instant: authority.clock.instant(), wall: authority.clock.now() };
        let role = authority.health().breaker.admit(asked.instant, limit).map_err(paused)?;
        authority.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Self { authority, asked, role, ended: false })
    }

    fn end(&mut self, failure: Option<&Failure>) {
        self.ended = true;
        let took = self.authority.clock.instant().saturating_duration_since(self.asked.instant);
        self.authority.note(failure, self.role, took);
    }
}

impl Drop for Asking<'_> {
    /// A probe that nobody waits for has found out nothing: the next one is due.
    fn drop(&mut self) {
        if !self.ended {
            let now = self.authority.clock.instant();
            self.authority.health().breaker.abandoned(self.role, now);
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
