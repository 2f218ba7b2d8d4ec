//! Time, read in one place.
//!
//! Claims are judged by the wall clock, ages and intervals by a monotonic one. Both come in through [`Clock`], so that tests
//! can move time by hand; nothing else in the crate reads time.

pub(crate) mod timestamp;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time, twice: by the wall and by a stopwatch.
///
/// Implement it for tests of your own, or use `ManualClock` of the feature `test-util`.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall-clock time. `exp`, `nbf` and `iat` are compared with it. A time before 1677 or after 2262 counts
    /// as that year.
    fn now(&self) -> SystemTime;

    /// A monotonic time. The age of keys and the spacing of requests are measured with it.
    fn instant(&self) -> Instant;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// Lets one event through each second: for log lines that a flood would repeat.
#[derive(Debug)]
pub(crate) struct OncePerSecond(AtomicU64);

impl Default for OncePerSecond {
    fn default() -> Self {
        Self::new()
    }
}

impl OncePerSecond {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }

    pub(crate) fn allows(&self) -> bool {
        let second = SystemClock.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.0.swap(second, Ordering::Relaxed) != second
    }
}
