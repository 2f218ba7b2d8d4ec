//! The cells of a limit, in memory and bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::gcra::{Decision, decide};
use super::{Quota, RateKey};

/// How many callers a limit remembers.
pub(super) const DEFAULT_CAPACITY: usize = 100_000;

/// Enough that two cores seldom meet in one.
const SHARDS: usize = 64;

/// A bounded table of cells.
///
/// A cell that is fully replenished says nothing and is dropped when room is needed; one that is not is never dropped, so that
/// nobody becomes unlimited by flooding. Newcomers who find no room share one cell.
#[derive(Debug)]
pub(super) struct MemoryStore {
    shards: Box<[Mutex<Shard>]>,
    capacity: usize,
    overflow: Mutex<u64>,
}

#[derive(Debug, Default)]
struct Shard {
    cells: HashMap<RateKey, u64>,
    /// Before this time no cell of a full shard is replenished, so sweeping would be in vain.
    sweep_at: u64,
}

impl MemoryStore {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, capacity: capacity.div_ceil(SHARDS).max(1), overflow: Mutex::new(0) }
    }

    /// Spends one request; `Err` says after how long the next would be admitted.
    pub(super) fn spend(&self, key: RateKey, now: u64, quota: Quota) -> Result<(), Duration> {
        if let Some(shard) = self.shards.get(key.shard(SHARDS)) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(arrival) = shard.cells.get_mut(&key) {
                return apply(arrival, now, quota);
            }
            if shard.has_room(self.capacity, now) {
                return apply(shard.cells.entry(key).or_insert(0), now, quota);
            }
        }
        apply(&mut self.overflow.lock().unwrap_or_else(PoisonError::into_inner), now, quota)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().cells.len()).sum()
    }
}

impl Shard {
    fn has_room(&mut self, capacity: usize, now: u64) -> bool {
        if self.cells.len() < capacity {
            return true;
        }
        if now < self.sweep_at {
            return false;
        }
        self.cells.retain(|_, arrival| *arrival > now);
        self.sweep_at = self.cells.values().copied().min().unwrap_or(0);
        self.cells.len() < capacity
    }
}

fn apply(cell: &mut u64, now: u64, quota: Quota) -> Result<(), Duration> {
    match decide(*cell, now, quota) {
        Decision::Admitted { arrival } => {
            *cell = arrival;
            Ok(())
        }
        Decision::Refused { retry_after } => Err(retry_after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> RateKey {
        RateKey::of(&[&number.to_string()])
    }

    #[test]
    fn a_flood_of_callers_stays_bounded_and_frees_nobody() {
        let (store, quota) = (MemoryStore::new(1000), Quota::per_hour(1));
        assert!(store.spend(key(0), 1, quota).is_ok());
        let admitted = (1..100_000).filter(|number| store.spend(key(*number), 2, quota).is_ok()).count();
        let bound = store.capacity * SHARDS;
        assert!(store.len() <= bound, "{} cells", store.len());
        assert!(admitted <= bound, "{admitted} admitted: those with a cell, and one for all others");
        assert!(store.spend(key(0), 3, quota).is_err(), "still limited after the flood");
    }

    #[test]
    fn replenished_cells_make_room() {
        let (store, quota) = (MemoryStore::new(SHARDS), Quota::per_second(1));
        for number in 0..10_000 {
            let now = 2_000_000_000 * u64::try_from(number).unwrap();
            assert!(store.spend(key(number), now, quota).is_ok(), "{number}");
        }
        assert!(store.len() <= SHARDS);
    }
}
