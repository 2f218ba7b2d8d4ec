//! What the stream says as a whole.

use std::collections::HashMap;
use std::time::Duration;

use crate::revocation::Mark;
use crate::revocation::memory::RevocationsEntry;

/// All entries of the stream that still count, those of one mark as one.
#[derive(Default)]
pub(super) struct There(HashMap<Mark, RevocationsEntry>);

impl There {
    /// Clocks are read one after the other.
    const TOLERANCE: Duration = Duration::from_secs(60);

    pub(super) fn add(&mut self, entry: RevocationsEntry) {
        if entry.stays.is_zero() {
            return;
        }
        let known = self.0.entry(entry.mark).or_insert(entry);
        known.before = known.before.and_then(|known| entry.before.map(|before| before.max(known)));
        known.stays = known.stays.max(entry.stays);
    }

    /// Whether it calls back as much, for as long.
    pub(super) fn has(&self, ours: &RevocationsEntry) -> bool {
        self.0.get(&ours.mark).is_some_and(|there| {
            let as_much = there.before.is_none_or(|there| ours.before.is_some_and(|ours| ours <= there));
            as_much && there.stays.saturating_add(Self::TOLERANCE) >= ours.stays
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn it_has_what_it_calls_back_as_much_of_for_as_long() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let at = |time| Some(UNIX_EPOCH + minutes(time));
        let entry = |before: Option<SystemTime>, stays| RevocationsEntry {
            mark: Mark::from_bytes([1; 32]),
            before,
            stays: minutes(stays),
        };
        let mut there = There::default();
        assert!(!there.has(&entry(None, 1)));
        there.add(entry(None, 0));
        assert!(!there.has(&entry(at(1), 1)), "what is over says nothing");
        there.add(entry(at(10), 30));
        there.add(entry(at(5), 60));
        assert!(there.has(&entry(at(10), 60)) && there.has(&entry(at(9), 61)));
        assert!(
            !there.has(&entry(at(11), 1)) && !there.has(&entry(None, 1)) && !there.has(&entry(at(1), 62))
        );
        there.add(entry(None, 1));
        there.add(entry(at(12), 1));
        assert!(there.has(&entry(None, 60)));
    }
}
