//! The keys that one fetch brought, and for how long they are fresh.

use std::time::{Duration, Instant};

use super::key_set::KeySet;

/// For how long keys are fresh where neither the application nor the server says.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);

/// What a server may say by `Cache-Control`: less would hammer it, more would keep removed keys alive.
const FRESH_AT_LEAST: Duration = Duration::from_secs(60);
const FRESH_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// The part of their time after which keys are refreshed ahead.
const REFRESH_AFTER: f32 = 0.8;

/// The keys of one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) keys: KeySet,
    /// The fetch that brought them.
    pub(super) flight: u64,
    /// Moves only when a key was removed or altered.
    pub(super) generation: u64,
    pub(super) fetched_at: Instant,
    pub(super) fresh_for: Duration,
}

impl Snapshot {
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.fetched_at)
    }

    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < self.fresh_for
    }

    pub(super) fn refresh_after(&self) -> Duration {
        self.fresh_for.mul_f32(REFRESH_AFTER)
    }
}

/// Returns for how long keys are fresh. The setting of the application counts before `max_age`, which
/// the server sent.
pub(super) fn fresh_for(setting: Option<Duration>, max_age: Option<Duration>) -> Duration {
    let by_server = max_age.map(|age| age.clamp(FRESH_AT_LEAST, FRESH_AT_MOST));
    setting.or(by_server).unwrap_or(FRESH_FOR)
}
