//! How much is allowed.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use crate::error::ConfigError;

/// A steady rate, and how many requests may come at once.
///
/// There is no window that begins and ends: what was spent comes back steadily, one request after each interval. So within any
/// time a caller gets at most the burst and what came back meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Nanoseconds after which one more request is allowed.
    pub(crate) interval: NonZeroU64,
    pub(crate) burst: NonZeroU32,
}

impl Quota {
    /// `count` requests a second, all of which may come at once.
    ///
    /// # Panics
    /// If `count` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_second(count: u32) -> Self {
        Self::fixed(count, Duration::from_secs(1))
    }

    /// `count` requests a minute, all of which may come at once.
    ///
    /// # Panics
    /// If `count` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_minute(count: u32) -> Self {
        Self::fixed(count, Duration::from_secs(60))
    }

    /// `count` requests an hour, all of which may come at once.
    ///
    /// # Panics
    /// If `count` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_hour(count: u32) -> Self {
        Self::fixed(count, Duration::from_secs(3600))
    }

    /// `count` requests a day, all of which may come at once. A day is 24 hours, whenever they begin.
    ///
    /// # Panics
    /// If `count` is zero.
    #[must_use]
    #[track_caller]
    pub fn per_day(count: u32) -> Self {
        Self::fixed(count, Duration::from_secs(24 * 3600))
    }

    /// `count` requests in a window of any length, all of which may come at once: for values from configuration.
    ///
    /// # Errors
    /// If the count is zero, or the window is empty or longer than a century.
    pub fn new(count: u32, window: Duration) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::Setting { setting: "quota", problem };
        let burst = NonZeroU32::new(count).ok_or(wrong("must allow at least one request"))?;
        let nanos = u64::try_from(window.as_nanos())
            .ok()
            .filter(|nanos| *nanos <= MAX_WINDOW_NANOS)
            .ok_or(wrong("the window must not be longer than a century"))?;
        if nanos == 0 {
            return Err(wrong("the window must not be empty"));
        }
        let interval = NonZeroU64::new(nanos.div_euclid(u64::from(count))).unwrap_or(NonZeroU64::MIN);
        Ok(Self { interval, burst })
    }

    /// Sets how many requests may come at once, apart from the rate: no more than come back within a century.
    ///
    /// # Panics
    /// If `burst` is zero.
    #[must_use]
    #[track_caller]
    #[expect(clippy::expect_used, reason = "documented: values written in the program")]
    pub fn burst(self, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).expect("a burst allows at least one request");
        let most = MAX_WINDOW_NANOS.div_euclid(self.interval.get());
        let most = u32::try_from(most).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        Self { burst: burst.min(most), ..self }
    }

    /// After how long one more request is allowed.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval.get())
    }

    /// How many requests may come at once.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.burst.get()
    }

    /// One of so many parts of it, at least `least` at once.
    pub(super) fn part(self, parts: NonZeroU32, least: NonZeroU32) -> Self {
        let interval = self.interval.saturating_mul(parts.into());
        let burst = NonZeroU32::new(self.burst.get().div_euclid(parts.get())).unwrap_or(least).max(least);
        Self { interval, burst }
    }

    #[track_caller]
    #[expect(clippy::panic, reason = "documented: values written in the program")]
    fn fixed(count: u32, window: Duration) -> Self {
        match Self::new(count, window) {
            Ok(quota) => quota,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Keeps the arithmetic of the limiter far from the end of its numbers.
const MAX_WINDOW_NANOS: u64 = 100 * 366 * 24 * 3600 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_in_hand_is_valid() {
        assert!(Quota::new(0, Duration::from_secs(1)).is_err());
        assert!(Quota::new(1, Duration::ZERO).is_err());
        assert!(Quota::new(1, Duration::MAX).is_err());
        assert_eq!(Quota::new(60, Duration::from_secs(60)).unwrap(), Quota::per_minute(60));
        assert_eq!(Quota::per_second(10).burst(3).burst.get(), 3);
    }

    #[test]
    #[should_panic(expected = "at least one request")]
    fn zero_is_no_quota() {
        let _ = Quota::per_minute(0);
    }
}
