//! Counts in the memory of this process, bounded.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
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
///   its part of the table (10 ms with the usual 100,000).
/// - Newcomers for whom there is no room share one cell, for each kind of quota: all together they get as much as one
///   caller. They are held back more than they should be, and never less.
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
    overflow: Mutex<HashMap<Quota, u64>>,
    clock: Arc<dyn Clock>,
    beginning: Instant,
}

/// Cells by their key, as the time at which they are whole again.
#[derive(Default)]
struct Shard {
    cells: HashMap<RateKey, u64, RandomState>,
    /// Before this time sweeping would be in vain, or too much.
    sweep_at: u64,
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

    /// An empty one for the usual number of cells.
    pub(crate) fn by_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with(DEFAULT_CAPACITY, clock)
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

    /// After how long there is room for one more request; nothing is spent. Zero exactly where
    /// [`charge`](RateLimitStore::charge) would spend it now.
    pub(crate) fn wait(&self, key: RateKey, quota: Quota) -> Duration {
        let (table, now) = (&self.table, self.table.now());
        let Some(mut shard) = table.shard(key).map(lock) else { return Duration::ZERO };
        let cell = table.find(&mut shard, &mut None, key, quota, now);
        gcra::wait(gcra::debt(cell.due, now, quota), 1, quota)
    }

    /// Spends a request that was let through before it was known that it counts: also where there is no room any more.
    pub(crate) fn record(&self, key: RateKey, quota: Quota) {
        let (table, now) = (&self.table, self.table.now());
        let Some(mut shard) = table.shard(key).map(lock) else { return };
        let mut overflow = None;
        let cell = table.find(&mut shard, &mut overflow, key, quota, now);
        let debt = gcra::overdraw(gcra::debt(cell.due, now, quota), quota);
        table.keep(&mut shard, &mut overflow, &Cell { due: now.saturating_add(debt), ..cell });
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
        // The usual case: one quota, of a caller who has come before, and one look into the table.
        if let [named] = charge.quotas
            && let Some(due) = shard.cells.get_mut(&charge.key)
        {
            let quota = named.quota();
            let mut backlog = gcra::backlog(*due, now, quota);
            let granted = grant(charge, std::iter::once((backlog, quota)));
            if granted > 0 {
                backlog = gcra::spend(backlog, granted, quota);
                *due = now.saturating_add(backlog);
            }
            return Standing::from_nanos(granted, SmallVec::from_buf_and_len([backlog, 0], 1));
        }
        let mut overflow = None;
        let mut cells: SmallVec<[Cell; 2]> = SmallVec::new();
        for (index, named) in charge.quotas.iter().enumerate() {
            let (key, quota) = (charge.key.nth(index), named.quota());
            cells.push(self.find(&mut shard, &mut overflow, key, quota, now));
        }
        let granted = grant(charge, cells.iter().map(|cell| (cell.backlog, cell.quota)));
        for cell in cells.iter_mut().filter(|_| granted > 0) {
            cell.backlog = gcra::spend(cell.backlog, granted, cell.quota);
            cell.due = now.saturating_add(cell.backlog);
            self.keep(&mut shard, &mut overflow, cell);
        }
        Standing::from_nanos(granted, cells.iter().map(|cell| cell.backlog).collect())
    }

    /// A caller's cell, or that of those for whom there is no room. That one stays locked until it is written, since callers of all
    /// shards share it.
    fn find<'a>(
        &'a self,
        shard: &mut Shard,
        overflow: &mut Option<Overflow<'a>>,
        key: RateKey,
        quota: Quota,
        now: u64,
    ) -> Cell {
        let known = shard.cells.get(&key).copied();
        let has_place = known.is_some() || shard.has_room(self.capacity, now);
        let due = if has_place { known } else { self.overflow(overflow).get(&quota).copied() };
        let due = due.unwrap_or_default();
        Cell { key, quota, has_place, due, backlog: gcra::backlog(due, now, quota) }
    }

    fn keep<'a>(&'a self, shard: &mut Shard, overflow: &mut Option<Overflow<'a>>, cell: &Cell) {
        if cell.has_place {
            shard.cells.insert(cell.key, cell.due);
        } else {
            self.overflow(overflow).insert(cell.quota, cell.due);
        }
    }

    /// The cells of those for whom there is no room. There are as many as kinds of quotas.
    fn overflow<'o, 'a>(&'a self, locked: &'o mut Option<Overflow<'a>>) -> &'o mut Overflow<'a> {
        locked.get_or_insert_with(|| lock(&self.overflow))
    }
}

type Overflow<'a> = MutexGuard<'a, HashMap<Quota, u64>>;

struct Cell {
    key: RateKey,
    quota: Quota,
    has_place: bool,
    /// When it is whole again.
    due: u64,
    backlog: u64,
}

/// How much may be spent: as much as every quota has room for, if that is enough.
fn grant(charge: &Charge<'_>, cells: impl Iterator<Item = (u64, Quota)> + Clone) -> u32 {
    if cells.clone().all(|(backlog, quota)| gcra::has_room(backlog, charge.up_to, quota)) {
        return charge.up_to;
    }
    if charge.up_to == charge.cost {
        return 0;
    }
    let room = cells.map(|(backlog, quota)| gcra::room(backlog, quota)).min().unwrap_or_default();
    if room >= charge.cost { room } else { 0 }
}

impl Shard {
    fn has_room(&mut self, capacity: usize, now: u64) -> bool {
        if self.cells.len() < capacity {
            return true;
        }
        if now < self.sweep_at {
            return false;
        }
        self.cells.retain(|_, due| *due > now);
        let pause = u64::try_from(capacity).unwrap_or(u64::MAX).saturating_mul(SWEEP_PAUSE);
        let whole_again = self.cells.values().copied().min().unwrap_or(0);
        self.sweep_at = whole_again.max(now.saturating_add(pause));
        self.cells.len() < capacity
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::Quotas;

    /// Keys of one shard.
    fn neighbours() -> impl Iterator<Item = RateKey> {
        let keys = (0..).map(|index: u32| RateKey::of(&[&index.to_string()]));
        keys.filter(|key| key.shard(SHARDS) == 0)
    }

    fn charge(store: &MemoryRateLimits, key: RateKey, quota: Quota) -> (u32, Duration) {
        let quotas = Quotas::from(quota);
        let standing = store.spend(&Charge::new(key, quotas.as_slice(), 1));
        (standing.granted(), standing.wait(quotas.as_slice(), 1))
    }

    #[test]
    fn a_look_beforehand_agrees_with_the_charge() {
        let quota = Quota::per_hour(2);
        let store = MemoryRateLimits::new(2 * SHARDS);
        // Two have a place of their own, and the others share the cell of those who have none.
        let callers: Vec<_> = neighbours().take(4).collect();
        let mut granted = 0;
        for round in 0..4 {
            for caller in &callers {
                let wait = store.wait(*caller, quota);
                let (spent, told) = charge(&store, *caller, quota);
                assert_eq!(spent == 1, wait.is_zero(), "round {round}: {wait:?}");
                if spent == 0 {
                    assert!(wait.abs_diff(told) < Duration::from_secs(60), "{wait:?} {told:?}");
                }
                granted += spent;
            }
        }
        assert_eq!((granted, store.len()), (6, 2), "two cells of their own, and one that is shared");
    }

    #[test]
    fn a_newcomer_without_a_place_waits_for_those_who_share_its_cell() {
        let quota = Quota::per_hour(1);
        let store = MemoryRateLimits::new(SHARDS);
        let callers: Vec<_> = neighbours().take(3).collect();
        store.record(callers[0], quota);
        assert_eq!(store.wait(callers[2], quota), Duration::ZERO);
        store.record(callers[1], quota);
        assert!(store.wait(callers[2], quota) > Duration::from_secs(3500));
        // In another part of the table there is room.
        let elsewhere = RateKey::of(&["x"]);
        assert_ne!(elsewhere.shard(SHARDS), 0);
        assert_eq!(store.wait(elsewhere, quota), Duration::ZERO);
    }

    #[test]
    fn what_is_recorded_beyond_the_quota_is_waited_for_too() {
        let quota = Quota::per_hour(2);
        // In half hours, rounded up; never more than one whole quota beyond.
        for (records, waits) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (9, 3)] {
            let (store, key) = (MemoryRateLimits::new(1), RateKey::of(&["ann"]));
            (0..records).for_each(|_| store.record(key, quota));
            assert_eq!(store.wait(key, quota).as_secs().div_ceil(1800), waits, "{records}");
        }
    }
}
