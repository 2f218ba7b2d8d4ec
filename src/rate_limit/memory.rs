//! Counts in the memory of this process, bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::store::{Charge, RateLimitStore, Standing};
use super::{Quota, RateKey, gcra};
use crate::store::StoreAnswer;
use crate::time::{Clock, SystemClock, nanos};

/// How many callers are remembered: some 6 MiB for each quota.
const DEFAULT_CAPACITY: usize = 100_000;

/// Enough that two cores seldom meet in one.
const SHARDS: usize = 64;

/// Nanoseconds for which a full shard is left alone after it was swept, for each cell in it: a tenth of the time at most goes
/// into sweeping.
const SWEEP_PAUSE: u64 = 100;

/// Counts in the memory of this process.
///
/// A cell, that is the spending of one caller under one quota, takes some 57 bytes, and there are as many of them as it was made
/// for. What is guaranteed when there are more callers than that:
/// - A cell that is not whole is never dropped. So nobody who was refused is admitted sooner for a flood of others.
/// - A cell that is whole says nothing; those make room first, at the latest when a tenth of a microsecond has passed for each cell of
///   its part of the table (0.2 ms with the usual 100,000).
/// - Newcomers for whom there is no room share one cell, for each kind of quota: all together they get as much as one
///   caller. They are held back more than they should be. Only one for whom there is room later has a whole cell then, whatever it
///   spent of the shared one.
///
/// A restart forgets what was spent. Clones are the same store.
///
/// ```
/// use portcullis::{Charge, MemoryRateLimits, Quota, Quotas, RateKey, RateLimitStore};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (store, quotas) = (MemoryRateLimits::new(1000), Quotas::from(Quota::per_hour(2)));
/// let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
/// for granted in [1, 1, 0] {
///     assert_eq!(store.charge(&charge).answer().await?.granted(), granted);
/// }
/// # Ok::<_, portcullis::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryRateLimits {
    table: Arc<Table>,
}

struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Cells of a shard.
    capacity: usize,
    /// The cells of those for whom there is no room: as many as kinds of quotas. Locked after a shard, never before.
    overflow: Mutex<HashMap<Quota, u64>>,
    clock: Arc<dyn Clock>,
    beginning: Instant,
}

/// Cells by their key, as the time at which they are whole again.
#[derive(Default)]
struct Shard {
    cells: HashMap<RateKey, u64>,
    /// Before this time sweeping would be too much.
    sweep_at: u64,
    /// Before this time it would be in vain: no cell is whole.
    whole_at: u64,
}

impl MemoryRateLimits {
    /// An empty store for so many cells: one for each caller and quota.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with(capacity, Arc::new(SystemClock))
    }

    /// Brings a clock, and empties the store.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self::with(self.capacity(), Arc::new(clock))
    }

    pub(super) fn capacity(&self) -> usize {
        self.table.capacity.saturating_mul(SHARDS)
    }

    pub(super) fn with(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let (capacity, beginning) = (capacity.div_ceil(SHARDS).max(1), clock.instant());
        let table = Table { shards, capacity, overflow: Mutex::default(), clock, beginning };
        Self { table: Arc::new(table) }
    }

    /// How many cells it holds, those that are whole included until room is needed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.shards.iter().fold(0, |sum, shard| sum.saturating_add(lock(shard).cells.len()))
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn spend(&self, charge: &Charge<'_>) -> Standing {
        self.table.charge(charge)
    }

    /// After how long there is room for one more request under a quota without name; nothing is spent.
    pub(crate) fn wait(&self, key: RateKey, quota: Quota) -> Duration {
        let (table, now) = (&self.table, self.table.now());
        let due = table.shard(key).map(|shard| lock(shard).cells.get(&key).copied());
        let backlog = |due| gcra::backlog(due, now, quota);
        match due {
            Some(Some(due)) => gcra::wait(backlog(due), 1, quota),
            // It would share the cell of those for whom there is no room, if there is none for it.
            _ => Duration::ZERO,
        }
    }
}

impl Default for MemoryRateLimits {
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl RateLimitStore for MemoryRateLimits {
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing> {
        StoreAnswer::ready(Ok(self.spend(charge)))
    }
}

impl Table {
    fn now(&self) -> u64 {
        nanos(self.clock.instant().saturating_duration_since(self.beginning))
    }

    /// All cells of a caller are in one shard, so that one lock is enough.
    fn shard(&self, key: RateKey) -> Option<&Mutex<Shard>> {
        self.shards.get(key.shard(SHARDS))
    }

    fn charge(&self, charge: &Charge<'_>) -> Standing {
        let now = self.now();
        let Some(mut shard) = self.shard(charge.key).map(lock) else {
            return Standing::from_nanos(0, SmallVec::new());
        };
        let mut known = shard.find(charge);
        let newcomers = known.iter().filter(|due| due.is_none()).count();
        if newcomers > 0 && shard.make_room(newcomers, self.capacity, now) {
            known = shard.find(charge);
        }
        let mut places = self.capacity.saturating_sub(shard.cells.len());
        // Once it is needed it is held to the end: whoever shares decides alone.
        let mut shared: Option<MutexGuard<'_, _>> = None;
        let mut cells: SmallVec<[Cell; 2]> = SmallVec::new();
        for (named, due) in charge.quotas.iter().zip(known) {
            let (key, quota) = (charge.key.of_quota(named), named.quota());
            let has_place = due.is_some() || places > 0;
            let due = match due {
                Some(due) => due,
                None if has_place => {
                    places = places.saturating_sub(1);
                    0
                }
                None => {
                    let shared = shared.get_or_insert_with(|| lock(&self.overflow));
                    shared.get(&quota).copied().unwrap_or_default()
                }
            };
            cells.push(Cell { key, quota, has_place, backlog: gcra::backlog(due, now, quota) });
        }
        let granted = grant(charge, &cells);
        for cell in cells.iter_mut().filter(|_| granted > 0) {
            cell.backlog = gcra::spend(cell.backlog, granted, cell.quota);
            let due = now.saturating_add(cell.backlog);
            if cell.has_place {
                shard.put(cell.key, due);
            } else if let Some(shared) = &mut shared {
                shared.insert(cell.quota, due);
            }
        }
        Standing::from_nanos(granted, cells.iter().map(|cell| cell.backlog).collect())
    }
}

struct Cell {
    key: RateKey,
    quota: Quota,
    has_place: bool,
    backlog: u64,
}

/// How much may be spent: as much as every quota has room for, if that is enough.
fn grant(charge: &Charge<'_>, cells: &[Cell]) -> u32 {
    let fits = |count| cells.iter().all(|cell| gcra::has_room(cell.backlog, count, cell.quota));
    if fits(charge.up_to) {
        return charge.up_to;
    }
    let room = cells.iter().map(|cell| gcra::room(cell.backlog, cell.quota)).min().unwrap_or(charge.up_to);
    if room >= charge.cost { room } else { 0 }
}

impl Shard {
    /// What is known of each quota of a charge.
    fn find(&self, charge: &Charge<'_>) -> SmallVec<[Option<u64>; 2]> {
        let keys = charge.quotas.iter().map(|named| charge.key.of_quota(named));
        keys.map(|key| self.cells.get(&key).copied()).collect()
    }

    fn put(&mut self, key: RateKey, due: u64) {
        self.whole_at = self.whole_at.min(due);
        self.cells.insert(key, due);
    }

    /// Drops all cells that are whole, if there is no room for so many more. Whether it did so.
    fn make_room(&mut self, more: usize, capacity: usize, now: u64) -> bool {
        let has_room = self.cells.len().saturating_add(more) <= capacity;
        if has_room || now < self.sweep_at.max(self.whole_at) {
            return false;
        }
        self.cells.retain(|_, due| *due > now);
        let pause = u64::try_from(capacity).unwrap_or(u64::MAX).saturating_mul(SWEEP_PAUSE);
        self.sweep_at = now.saturating_add(pause);
        self.whole_at = self.cells.values().copied().min().unwrap_or(u64::MAX);
        true
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for MemoryRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRateLimits").field("capacity", &self.capacity()).finish_non_exhaustive()
    }
}
