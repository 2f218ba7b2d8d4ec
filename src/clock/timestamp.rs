//! Points in time.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Clock, SystemClock};

/// One point in time by both clocks.
///
/// A period ends when either clock reaches its end: the wall clock may be set back, and the monotonic
/// clock stands still while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamp {
    wall: UnixTime,
    /// See [`monotonic_nanos`].
    monotonic: u64,
}

impl Timestamp {
    /// Reads both clocks: those of the application if it brought one, else those of the system.
    pub(crate) fn read(own_clock: Option<&dyn Clock>) -> Self {
        own_clock.map_or_else(|| Self::of(&SystemClock), Self::of)
    }

    pub(crate) fn of(clock: &(impl Clock + ?Sized)) -> Self {
        Self { wall: clock.now().into(), monotonic: monotonic_nanos(clock.instant()) }
    }

    /// Returns the point at which the wall clock reaches `wall`, seen from `now`; `now` if it has.
    pub(crate) fn at(wall: UnixTime, now: Self) -> Self {
        let left = u64::try_from(wall.0.saturating_sub(now.wall.0)).unwrap_or_default();
        Self { wall, monotonic: now.monotonic.saturating_add(left) }
    }

    /// Returns whether both clocks are before `end`.
    pub(crate) fn is_before(self, end: Self) -> bool {
        self.wall < end.wall && self.monotonic < end.monotonic
    }

    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        let monotonic = self.monotonic.saturating_add(nanos(duration));
        Self { wall: self.wall.saturating_add(duration), monotonic }
    }

    pub(crate) fn wall(self) -> SystemTime {
        self.wall.into()
    }

    pub(crate) const fn unix(self) -> UnixTime {
        self.wall
    }

    /// Returns the monotonic clock in the form that atomics hold; see [`monotonic_nanos`].
    pub(crate) const fn monotonic_nanos(self) -> u64 {
        self.monotonic
    }

    pub(crate) fn instant(self) -> Instant {
        let base = monotonic_base();
        let after = |nanos| base.checked_add(Duration::from_nanos(nanos));
        let before = |nanos| base.checked_sub(Duration::from_nanos(nanos));
        self.monotonic
            .checked_sub(BASE_NANOS)
            .map_or_else(|| before(BASE_NANOS.saturating_sub(self.monotonic)), after)
            .unwrap_or(base)
    }
}

/// The number for the first reading of the monotonic clock: 146 years, since the clock of an
/// application may have begun earlier.
const BASE_NANOS: u64 = 1 << 62;

/// Returns a time of the monotonic clock in nanoseconds, on a scale that is the same for the process.
pub(crate) fn monotonic_nanos(instant: Instant) -> u64 {
    let base = monotonic_base();
    match instant.checked_duration_since(base) {
        Some(after) => BASE_NANOS.saturating_add(nanos(after)),
        None => BASE_NANOS.saturating_sub(nanos(base.saturating_duration_since(instant))),
    }
}

fn monotonic_base() -> Instant {
    static BASE: LazyLock<Instant> = LazyLock::new(|| SystemClock.instant());
    *BASE
}

/// Returns a duration in nanoseconds, which is enough for five centuries.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// A time of the wall clock in nanoseconds since the Unix epoch, from 1677 to 2262. All arithmetic
/// saturates, so no claim can overflow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixTime(i64);

impl UnixTime {
    /// Before any other time.
    pub(crate) const MIN: Self = Self(i64::MIN);

    #[cfg(feature = "jwt")]
    pub(crate) const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Reads a fractional NumericDate (RFC 7519 §2), rounded towards zero to a millisecond; a value out of range saturates.
    #[cfg(feature = "jwt")]
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "float to integer casts saturate, which is what is wanted; no conversion trait exists"
    )]
    pub(crate) fn from_secs_f64(seconds: f64) -> Self {
        Self(((seconds * 1e3) as i64).saturating_mul(1_000_000))
    }

    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(signed_nanos(duration)))
    }

    #[cfg(feature = "jwt")]
    pub(crate) fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(signed_nanos(duration)))
    }
}

impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(signed_nanos(after)),
            Err(before) => Self(signed_nanos(before.duration()).saturating_neg()),
        }
    }
}

impl From<UnixTime> for SystemTime {
    /// A time that the platform cannot hold becomes the epoch: an expiry long past, which is the safe side.
    fn from(time: UnixTime) -> Self {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        if time.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
            .unwrap_or(UNIX_EPOCH)
    }
}

fn signed_nanos(duration: Duration) -> i64 {
    i64::try_from(nanos(duration)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod timestamps {
    use super::*;

    const NOW: Timestamp = Timestamp { wall: UnixTime(1_000), monotonic: 500 };

    #[test]
    fn instants_before_the_base_keep_their_distance() {
        let now = SystemClock.instant();
        let earlier = now.checked_sub(Duration::from_millis(10)).unwrap();
        assert_eq!(monotonic_nanos(now) - monotonic_nanos(earlier), 10_000_000);
        for instant in [now, earlier] {
            let timestamp = Timestamp { monotonic: monotonic_nanos(instant), ..NOW };
            assert_eq!(timestamp.instant(), instant);
        }
    }

    #[test]
    fn a_period_ends_by_whichever_clock_comes_first() {
        let end = Timestamp::at(UnixTime(1_100), NOW);
        for (wall, monotonic, before) in [
            (1_099, 599, true),
            // The machine slept: the monotonic clock stood still.
            (1_100, 599, false),
            // The wall clock was set back.
            (1_099, 600, false),
            (900, 599, true),
        ] {
            let now = Timestamp { wall: UnixTime(wall), monotonic };
            assert_eq!(now.is_before(end), before, "{wall} {monotonic}");
            let later = Timestamp { wall: UnixTime(wall + 7), monotonic: monotonic + 7 };
            assert_eq!(later.is_before(end.saturating_add(Duration::from_nanos(7))), before);
        }
        assert!(!NOW.is_before(Timestamp::at(UnixTime(1_000), NOW)));
        assert!(!NOW.is_before(Timestamp::at(UnixTime::MIN, NOW)));
    }
}

#[cfg(all(test, feature = "jwt"))]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        let far = UnixTime::from_secs(i64::MAX);
        assert_eq!(far.saturating_add(Duration::MAX), far);
        assert!(UnixTime::from_secs(i64::MIN).saturating_sub(Duration::MAX) < UnixTime::from_secs(0));
        let _: SystemTime = far.into();
    }

    #[test]
    fn fractions_are_kept_and_huge_values_saturate() {
        assert_eq!(UnixTime::from_secs_f64(1.25), UnixTime(1_250_000_000));
        assert_eq!(UnixTime::from_secs_f64(1e308), UnixTime(i64::MAX));
        assert_eq!(UnixTime::from_secs_f64(-1e308), UnixTime(i64::MIN));
    }

    #[test]
    fn a_round_trip_keeps_the_time() {
        for seconds in [-1, 0, 1, 1_800_000_000] {
            let time = UnixTime::from_secs(seconds);
            assert_eq!(UnixTime::from(SystemTime::from(time)), time);
        }
    }
}
