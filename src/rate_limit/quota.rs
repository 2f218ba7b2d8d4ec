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
    /// # Errors
    /// If `count` is zero.
    pub fn per_second(count: u32) -> Result<Self, ConfigError> {
        Self::with("per_second", count, Duration::from_secs(1))
    }

    /// `count` requests a minute, all of which may come at once.
    ///
    /// # Errors
    /// If `count` is zero.
    pub fn per_minute(count: u32) -> Result<Self, ConfigError> {
        Self::with("per_minute", count, Duration::from_secs(60))
    }

    /// `count` requests an hour, all of which may come at once.
    ///
    /// # Errors
    /// If `count` is zero.
    pub fn per_hour(count: u32) -> Result<Self, ConfigError> {
        Self::with("per_hour", count, Duration::from_secs(3600))
    }

    /// `count` requests a day, all of which may come at once. A day is 24 hours, whenever they begin.
    ///
    /// # Errors
    /// If `count` is zero.
    pub fn per_day(count: u32) -> Result<Self, ConfigError> {
        Self::with("per_day", count, Duration::from_secs(24 * 3600))
    }

    /// `count` requests in a window of any length, all of which may come at once.
    ///
    /// # Errors
    /// If the count is zero, or the window is empty or longer than a century.
    pub fn new(count: u32, window: Duration) -> Result<Self, ConfigError> {
        Self::with("count", count, window)
    }

    /// Sets how many requests may come at once, apart from the rate: no more than come back within a century.
    ///
    /// # Errors
    /// If `burst` is zero.
    pub fn burst(self, burst: u32) -> Result<Self, ConfigError> {
        let burst = at_least_one("burst", burst)?;
        let most = MAX_WINDOW_NANOS.div_euclid(self.interval.get());
        let most = u32::try_from(most).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
        Ok(Self { burst: burst.min(most), ..self })
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

    /// Creates a quota, or an error that names `setting`: the function that takes the count.
    fn with(setting: &'static str, count: u32, window: Duration) -> Result<Self, ConfigError> {
        let wrong = |problem| {
            let value = Some(format!("{window:?}"));
            ConfigError::Setting { setting: "window", value, problem }
        };
        let burst = at_least_one(setting, count)?;
        let nanos = u64::try_from(window.as_nanos())
            .ok()
            .filter(|nanos| *nanos <= MAX_WINDOW_NANOS)
            .ok_or_else(|| wrong("must not be longer than a century"))?;
        if nanos == 0 {
            return Err(wrong("must not be empty"));
        }
        let interval = NonZeroU64::new(nanos.div_euclid(u64::from(count))).unwrap_or(NonZeroU64::MIN);
        Ok(Self { interval, burst })
    }
}

fn at_least_one(setting: &'static str, count: u32) -> Result<NonZeroU32, ConfigError> {
    let problem = "must allow at least one request";
    NonZeroU32::new(count).ok_or_else(|| {
        let value = Some(count.to_string());
        ConfigError::Setting { setting, value, problem }
    })
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
        assert_eq!(Quota::new(60, Duration::from_secs(60)), Quota::per_minute(60));
        assert_eq!(Quota::per_second(10).unwrap().burst(3).unwrap().capacity(), 3);
    }

    #[test]
    fn window_that_is_empty_or_endless_is_named() {
        let error = |window| Quota::new(1, window).unwrap_err().to_string();
        assert_eq!(error(Duration::ZERO), "`window` is `0ns`: must not be empty");
        let century = Duration::from_nanos(MAX_WINDOW_NANOS);
        assert!(Quota::new(1, century).is_ok());
        let expected = "`window` is `3162240001s`: must not be longer than a century";
        assert_eq!(error(century + Duration::from_secs(1)), expected);
    }

    #[test]
    fn zero_requests_are_an_error_that_names_the_setting() {
        let burst = |burst| Quota::per_second(1).unwrap().burst(burst);
        type Make = fn(u32) -> Result<Quota, ConfigError>;
        let with: [(&str, Make); 6] = [
            ("per_second", Quota::per_second),
            ("per_minute", Quota::per_minute),
            ("per_hour", Quota::per_hour),
            ("per_day", Quota::per_day),
            ("count", |count| Quota::new(count, Duration::from_secs(1))),
            ("burst", burst),
        ];
        for (setting, quota) in with {
            let expected = format!("`{setting}` is `0`: must allow at least one request");
            assert_eq!(quota(0).unwrap_err().to_string(), expected);
            assert!(quota(1).is_ok(), "{setting}");
        }
    }
}
