//! How often keys may be fetched because of tokens that name unknown ones, and how soon after a failure.

use std::time::{Duration, Instant};

/// Fetches that unknown `kid`s may cause at once: a rotation, and a second one right after.
const BUCKET: u32 = 2;

/// After this long they may cause one more. A flood of random `kid`s costs an issuer no more than this.
pub(super) const REFILL: Duration = Duration::from_secs(5);

/// The bucket for unknown `kid`s. Failures spend it like successes.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u32,
    /// When the count was last right.
    since: Instant,
}

impl Bucket {
    pub(super) const fn full(now: Instant) -> Self {
        Self { left: BUCKET, since: now }
    }

    /// Spends one; `Err` says when the next will be there.
    pub(super) fn spend(&mut self, now: Instant) -> Result<(), Duration> {
        while self.left < BUCKET && now.saturating_duration_since(self.since) >= REFILL {
            self.left = self.left.saturating_add(1);
            self.since = self.since.checked_add(REFILL).unwrap_or(now);
        }
        if self.left == BUCKET {
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(REFILL.saturating_sub(now.saturating_duration_since(self.since))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn two_at_once_and_one_more_every_five_seconds() {
        let start = SystemClock.instant();
        let mut bucket = Bucket::full(start);
        let at = |tenths: u64| start + Duration::from_millis(100 * tenths);
        let mut spent = Vec::new();
        for tenths in 0..=100 {
            while bucket.spend(at(tenths)).is_ok() {
                spent.push(tenths);
            }
        }
        assert_eq!(spent, [0, 0, 50, 100]);
        assert_eq!(bucket.spend(at(120)), Err(Duration::from_secs(3)));
        // After a long rest it is full, never fuller.
        assert!(bucket.spend(at(10_000)).is_ok());
        assert!(bucket.spend(at(10_000)).is_ok());
        assert!(bucket.spend(at(10_000)).is_err());
    }
}
