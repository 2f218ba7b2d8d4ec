//! For how long, and on which terms, a verdict may be used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::clock::timestamp::{Timestamp, monotonic_nanos};
use crate::revocation::Marks;

/// On which terms a verdict may be used again. By default it may not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) lasts: Option<Timestamp>,
    pub(crate) lease: Option<Arc<Lease>>,
    /// By what it can be revoked; there if the layer has revocations.
    pub(crate) marks: Option<Box<Marks>>,
    /// When the authority was asked; `None` if none was.
    pub(crate) asked: Option<Instant>,
    pub(crate) grace: Option<Arc<Grace>>,
}

impl Terms {
    pub(crate) fn hold(&self, now: Timestamp) -> bool {
        self.lasts.is_some_and(|end| now.is_before(end))
            && self.lease.as_ref().is_none_or(|lease| lease.holds(now))
    }

    /// Whether the authority was asked at that time or later; `None` accepts any verdict of an authority.
    pub(crate) fn asked_since(&self, oldest: Option<Instant>) -> bool {
        self.asked.is_some_and(|asked| oldest.is_none_or(|oldest| asked >= oldest))
    }

    /// Whether it may serve, while the authority is away, although its time is over; counts that it does.
    pub(crate) fn serve_stale(&self, now: Timestamp) -> bool {
        let (Some(grace), Some(end)) = (&self.grace, self.lasts) else { return false };
        let serves = now.is_before(end.saturating_add(grace.time));
        if serves {
            grace.served.fetch_add(1, Ordering::Relaxed);
        }
        serves
    }
}

/// For how long verdicts serve beyond their time while their authority is away, and how many did.
#[derive(Debug)]
pub(crate) struct Grace {
    pub(crate) time: Duration,
    pub(crate) served: AtomicU64,
}

/// Until when the verdicts that a key brought about may be used again without a look at the keys: a key that was removed, or
/// keys that are due for a refresh, end it.
#[derive(Debug)]
pub(crate) struct Lease {
    /// See [`monotonic_nanos`].
    until: AtomicU64,
    ended: AtomicBool,
    /// The clock of the keys, if it is not the machine's. Else the layer's time will do, which spares reading it again.
    clock: Option<Arc<dyn Clock>>,
}

impl Lease {
    /// One that holds until it is ended.
    #[cfg(feature = "api-keys")]
    pub(crate) fn open() -> Self {
        let until = AtomicU64::new(u64::MAX);
        Self { until, ended: AtomicBool::new(false), clock: None }
    }

    #[cfg(feature = "jwt")]
    pub(crate) const fn new(clock: Option<Arc<dyn Clock>>) -> Self {
        Self { until: AtomicU64::new(0), ended: AtomicBool::new(false), clock }
    }

    #[cfg(feature = "jwt")]
    pub(crate) fn extend(&self, until: Option<Instant>) {
        self.until.store(until.map_or(u64::MAX, monotonic_nanos), Ordering::Relaxed);
    }

    #[cfg(any(feature = "jwt", feature = "api-keys"))]
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.until.store(0, Ordering::Relaxed);
    }

    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        let own = |clock: &Arc<dyn Clock>| monotonic_nanos(clock.instant());
        let now = self.clock.as_ref().map_or_else(|| now.monotonic_nanos(), own);
        now < self.until.load(Ordering::Relaxed)
    }

    /// Whether it was ended, for good, and not only its time is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
