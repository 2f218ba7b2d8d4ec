//! How fresh a verdict must be.

use std::time::{Duration, Instant, SystemTime};

use crate::clock::timestamp::Timestamp;

/// What a request wants of its verdict.
#[derive(Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) now: Timestamp,
    /// The authority must have been asked since then; `None`: a verdict that may be used again will do.
    pub(crate) oldest: Option<Oldest>,
}

/// The oldest verdict that a route accepts.
#[derive(Clone, Copy)]
pub(crate) struct Oldest {
    /// `None` reaches back beyond what the platform can tell: any verdict of an authority will do.
    pub(crate) instant: Option<Instant>,
    pub(crate) wall: SystemTime,
}

impl Oldest {
    /// The oldest verdict that a route accepts which asks for one no older than `age` when the request arrived.
    pub(crate) fn within(age: Duration, arrival: Timestamp, now: Timestamp) -> Self {
        let arrival = arrival.instant();
        let ago = now.instant().saturating_duration_since(arrival).saturating_add(age);
        let wall = now.wall().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { instant: arrival.checked_sub(age), wall }
    }
}
