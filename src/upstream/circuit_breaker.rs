//! Stops asking an authority that fails: a pure state machine, time comes in as an argument.

use std::time::{Duration, Instant};

#[cfg(any(feature = "jwt", feature = "api-keys"))]
use super::backoff::backoff;

/// Failures in a row after which nobody asks for a while.
const THRESHOLD: u32 = 5;

/// Whether an authority is asked.
#[cfg(any(feature = "jwt", feature = "api-keys"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// It is: all is well, or not yet bad enough.
    Closed,
    /// It is not: it failed several times in a row. Requests that need it get 503 at once.
    Open,
    /// One call finds out whether it is there again.
    HalfOpen,
}

/// What a call is to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Usual,
    /// It finds out whether the authority is there again.
    Probe,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    failures: u32,
    /// How often it opened without a success between.
    openings: u32,
    phase: Phase,
    /// For how long nobody asks after so many openings.
    pause: fn(u32) -> Duration,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
    },
    /// After `until` the probe has gone astray, and there may be another.
    Probing {
        until: Instant,
    },
}

impl Breaker {
    /// For authorities that a request cannot do without: asked again after 1, 2, then every 4 seconds.
    #[cfg(any(feature = "jwt", feature = "api-keys"))]
    pub(crate) const fn new() -> Self {
        Self::pausing(backoff)
    }

    pub(crate) const fn pausing(pause: fn(u32) -> Duration) -> Self {
        Self { failures: 0, openings: 0, phase: Phase::Closed, pause }
    }

    /// Whether a call may be made that takes at most `limit`; else, when to come again.
    pub(crate) fn admit(&mut self, now: Instant, limit: Duration) -> Result<Role, Duration> {
        if let Some(pause) = self.pause(now) {
            return Err(pause);
        }
        if matches!(self.phase, Phase::Closed) {
            return Ok(Role::Usual);
        }
        self.phase = Phase::Probing { until: now.checked_add(limit).unwrap_or(now) };
        Ok(Role::Probe)
    }

    /// For how long no call may be made: while it is open, and while a probe is under way.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Open { until } | Phase::Probing { until } if now < until => {
                Some(until.saturating_duration_since(now))
            }
            _ => None,
        }
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::pausing(self.pause);
    }

    /// Failed, or took too long to be waited for by everybody.
    pub(crate) fn failed(&mut self, role: Role, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let opens = match (self.phase, role) {
            (Phase::Closed, _) => self.failures >= THRESHOLD,
            (Phase::Probing { .. }, Role::Probe) => true,
            // Those that were sent before it opened tell nothing new.
            _ => false,
        };
        if opens {
            self.openings = self.openings.saturating_add(1);
            self.phase = Phase::Open { until: now.checked_add((self.pause)(self.openings)).unwrap_or(now) };
        }
    }

    /// A call that was given up, or told nothing about the authority: if it was the probe, another one is due.
    pub(crate) fn abandoned(&mut self, role: Role, now: Instant) {
        if let (Phase::Probing { .. }, Role::Probe) = (self.phase, role) {
            self.phase = Phase::Open { until: now };
        }
    }

    #[cfg(any(feature = "jwt", feature = "api-keys"))]
    pub(crate) fn state(&self, now: Instant) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { until } if now < until => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock as _, SystemClock};

    const LIMIT: Duration = Duration::from_secs(3);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..THRESHOLD {
            assert_eq!(breaker.admit(now, LIMIT), Ok(Role::Usual));
            breaker.failed(Role::Usual, now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let now = SystemClock.instant();
        assert_eq!(opened(now).state(now), BreakerState::Open);
        let mut breaker = Breaker::new();
        for _ in 0..20 {
            for _ in 1..THRESHOLD {
                breaker.failed(Role::Usual, now);
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn after_a_pause_one_probe_decides() {
        let now = SystemClock.instant();
        let second = Duration::from_secs(1);
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now, LIMIT), Err(second));
        assert_eq!(breaker.admit(now + second, LIMIT), Ok(Role::Probe));
        assert_eq!(breaker.admit(now + second, LIMIT), Err(LIMIT));
        breaker.failed(Role::Probe, now + second);
        // The next pause is longer.
        assert_eq!(breaker.admit(now + second, LIMIT), Err(2 * second));
        assert_eq!(breaker.admit(now + 3 * second, LIMIT), Ok(Role::Probe));
        breaker.succeeded();
        assert_eq!(breaker.state(now), BreakerState::Closed);
        assert_eq!(breaker.admit(now, LIMIT), Ok(Role::Usual));
    }

    #[test]
    fn a_probe_that_went_astray_is_followed_by_another() {
        let now = SystemClock.instant();
        let mut breaker = opened(now);
        let probed = now + Duration::from_secs(1);
        assert!(breaker.admit(probed, LIMIT).is_ok());
        assert!(breaker.admit(probed + LIMIT - Duration::from_millis(1), LIMIT).is_err());
        assert!(breaker.admit(probed + LIMIT, LIMIT).is_ok());
    }

    #[test]
    fn a_probe_that_was_given_up_makes_room_for_another() {
        let now = SystemClock.instant();
        let mut breaker = opened(now);
        let probed = now + Duration::from_secs(1);
        assert!(breaker.admit(probed, LIMIT).is_ok());
        breaker.abandoned(Role::Probe, probed);
        assert!(breaker.admit(probed, LIMIT).is_ok());
        assert!(breaker.admit(probed, LIMIT).is_err());
        // Before it opened nothing is lost with it.
        let mut breaker = Breaker::new();
        breaker.abandoned(Role::Usual, now);
        assert_eq!(breaker.state(now), BreakerState::Closed);
    }

    #[test]
    fn late_failures_do_not_prolong_the_pause() {
        let now = SystemClock.instant();
        let mut breaker = opened(now);
        breaker.failed(Role::Usual, now + Duration::from_millis(900));
        let probed = now + Duration::from_secs(1);
        assert_eq!(breaker.admit(probed, LIMIT), Ok(Role::Probe));
        breaker.failed(Role::Usual, probed);
        assert_eq!(breaker.state(probed), BreakerState::HalfOpen);
    }
}
