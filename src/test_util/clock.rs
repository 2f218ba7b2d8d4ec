//! Time, moved by hand.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::clock::{Clock, SystemClock};

/// A clock that stands still until it is moved. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Hands>>);

#[derive(Debug)]
struct Hands {
    wall: SystemTime,
    instant: Instant,
}

impl ManualClock {
    /// A clock that shows this many seconds since the Unix epoch.
    #[must_use]
    pub fn at(seconds: u64) -> Self {
        let wall = UNIX_EPOCH + Duration::from_secs(seconds);
        Self(Arc::new(Mutex::new(Hands { wall, instant: SystemClock.instant() })))
    }

    /// A clock that shows the present.
    #[must_use]
    pub fn now() -> Self {
        Self(Arc::new(Mutex::new(Hands { wall: SystemClock.now(), instant: SystemClock.instant() })))
    }

    /// Moves both clocks on.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.hands();
        hands.wall += by;
        hands.instant += by;
    }

    /// Sets the clock on the wall, as an administrator might; the stopwatch goes on undisturbed.
    pub fn set_wall(&self, wall: SystemTime) {
        self.hands().wall = wall;
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, Hands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.hands().wall
    }

    fn instant(&self) -> Instant {
        self.hands().instant
    }
}
