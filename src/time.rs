//! Time, read in one place.
//!
//! Claims are judged by the wall clock, ages and intervals by a monotonic one. Both come in through [`Clock`], so that tests
//! can move time by hand; nothing else in the crate reads time.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time, twice: by the wall and by a stopwatch.
///
/// Implement it for tests of your own, or use `ManualClock` of the feature `test-util`.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall-clock time. `exp`, `nbf` and `iat` are compared with it. One before 1970 counts as 1970, and one after 2554 as that.
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

/// A time of the wall in half the room: nanoseconds since the epoch. One before it becomes the epoch, one after five centuries their
/// end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WallTime(NonZeroU64);

impl WallTime {
    fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN))
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0.get()
    }
}

#[cfg(feature = "jwt")]
impl From<UnixTime> for WallTime {
    fn from(time: UnixTime) -> Self {
        let millis = u64::try_from(time.0).unwrap_or_default();
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }
}

impl From<SystemTime> for WallTime {
    fn from(time: SystemTime) -> Self {
        Self::from_nanos(wall_nanos(time))
    }
}

impl From<WallTime> for SystemTime {
    fn from(time: WallTime) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_nanos(time.nanos())).unwrap_or(UNIX_EPOCH)
    }
}

/// One moment by both clocks, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// See [`stopwatch_nanos`].
    stopwatch: u64,
    /// Since the epoch.
    wall: u64,
}

impl Moment {
    pub(crate) fn of(clock: &(impl Clock + ?Sized)) -> Self {
        Self { stopwatch: stopwatch_nanos(clock.instant()), wall: wall_nanos(clock.now()) }
    }

    pub(crate) fn instant(self) -> Instant {
        instant_at(self.stopwatch)
    }

    pub(crate) fn wall(self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_nanos(self.wall)).unwrap_or(UNIX_EPOCH)
    }

    #[cfg(feature = "jwt")]
    pub(crate) fn wall_time(self) -> WallTime {
        WallTime::from_nanos(self.wall)
    }

    /// By the stopwatch, since a beginning that is the same for the whole process.
    pub(crate) const fn stopwatch_nanos(self) -> u64 {
        self.stopwatch
    }

    /// By the wall's clock, since the epoch.
    pub(crate) const fn wall_nanos(self) -> u64 {
        self.wall
    }
}

/// The clock of the application if it brought one, else the clocks of the system.
#[derive(Clone, Default)]
pub(crate) struct Moments {
    own_clock: Option<Arc<dyn Clock>>,
}

impl Moments {
    pub(crate) const fn new(own_clock: Option<Arc<dyn Clock>>) -> Self {
        Self { own_clock }
    }

    /// Reads both clocks.
    pub(crate) fn now(&self) -> Moment {
        self.own_clock.as_deref().map_or_else(|| Moment::of(&SystemClock), Moment::of)
    }

    pub(crate) const fn is_of_the_machine(&self) -> bool {
        self.own_clock.is_none()
    }

    pub(crate) fn own_clock(&self) -> Option<Arc<dyn Clock>> {
        self.own_clock.clone()
    }
}

/// A time of the wall in nanoseconds since the epoch; none is earlier.
pub(crate) fn wall_nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, nanos)
}

/// What the stopwatch says when somebody first asks: 146 years, for clocks of applications may have begun earlier.
const FIRST: u64 = 1 << 62;

/// A time of the stopwatch in nanoseconds.
pub(crate) fn stopwatch_nanos(instant: Instant) -> u64 {
    let first = first_asked();
    match instant.checked_duration_since(first) {
        Some(after) => FIRST.saturating_add(nanos(after)),
        None => FIRST.saturating_sub(nanos(first.saturating_duration_since(instant))),
    }
}

fn instant_at(stopwatch: u64) -> Instant {
    let first = first_asked();
    let after = |nanos| first.checked_add(Duration::from_nanos(nanos));
    let before = |nanos| first.checked_sub(Duration::from_nanos(nanos));
    stopwatch
        .checked_sub(FIRST)
        .map_or_else(|| before(FIRST.saturating_sub(stopwatch)), after)
        .unwrap_or(first)
}

fn first_asked() -> Instant {
    static FIRST_ASKED: LazyLock<Instant> = LazyLock::new(|| SystemClock.instant());
    *FIRST_ASKED
}

/// Enough for five centuries.
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// A point in time in milliseconds since the Unix epoch. All arithmetic saturates, so no claim can overflow it.
#[cfg(feature = "jwt")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixTime(i64);

#[cfg(feature = "jwt")]
impl UnixTime {
    pub(crate) const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// A fractional NumericDate (RFC 7519 §2), rounded towards zero to a millisecond; out of range saturates.
    #[expect(
        clippy::as_conversions,
        clippy::cast_possible_truncation,
        reason = "float to integer casts saturate, which is what is wanted; no conversion trait exists"
    )]
    pub(crate) fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1000.0) as i64)
    }

    pub(crate) fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    pub(crate) fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

#[cfg(feature = "jwt")]
impl From<SystemTime> for UnixTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(millis(before.duration()).saturating_neg()),
        }
    }
}

#[cfg(feature = "jwt")]
impl From<WallTime> for UnixTime {
    fn from(time: WallTime) -> Self {
        Self(i64::try_from(time.nanos() / 1_000_000).unwrap_or(i64::MAX))
    }
}

#[cfg(feature = "jwt")]
impl From<UnixTime> for SystemTime {
    /// A time that the platform cannot hold becomes the epoch: for an expiry that is long past, which is the safe side.
    fn from(time: UnixTime) -> Self {
        let distance = Duration::from_millis(time.0.unsigned_abs());
        if time.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
            .unwrap_or(UNIX_EPOCH)
    }
}

#[cfg(feature = "jwt")]
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
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

#[cfg(test)]
mod moments {
    use super::*;

    #[test]
    fn times_before_the_first_question_are_told_apart() {
        let now = SystemClock.instant();
        let earlier = now.checked_sub(Duration::from_millis(10)).unwrap();
        assert_eq!(stopwatch_nanos(now) - stopwatch_nanos(earlier), 10_000_000);
        for instant in [now, earlier] {
            assert_eq!(instant_at(stopwatch_nanos(instant)), instant);
        }
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
    fn fractions_keep_milliseconds_and_huge_values_saturate() {
        assert_eq!(UnixTime::from_secs_f64(1.25), UnixTime(1250));
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
