//! Counts in the memory of this process, bounded.

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::{Charge, RateLimitStore, Standing};
use crate::clock::timestamp::monotonic_nanos;
use crate::clock::{Clock, SystemClock};
use crate::rate_limit::gcra;
use crate::rate_limit::key::RateKey;
use crate::rate_limit::quota::Quota;
use crate::store::StoreAnswer;

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
/// let (store, quotas) = (MemoryRateLimits::new(1000), Quotas::from(Quota::per_hour(2)?));
/// let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
/// for granted in [1, 1, 0] {
///     assert_eq!(store.charge(&charge).answer().await?.granted(), granted);
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryRateLimits {
    table: Arc<Table>,
}

struct Table {
    shards: Box<[Mutex<Shard>]>,
    /// Who meets whom in a shard cannot be foreseen, or callers could fill that of somebody else.
    secret: u64,
    /// Cells of a shard.
    capacity: usize,
    /// The cells of those for whom there is no room: as many as kinds of quotas. Locked after a shard, never before.
    overflow: Mutex<HashMap<Quota, u64>>,
    own_clock: Option<Arc<dyn Clock>>,
}

/// Cells by their key, as the time at which they are whole again.
///
/// Aligned so that two cores that work on two of them never write to one line of memory.
#[derive(Default)]
#[repr(align(128))]
struct Shard {
    cells: HashMap<RateKey, u64, RandomState>,
    /// Before this time sweeping would be too much.
    sweep_at: u64,
    /// Before this time it would be in vain: no cell is whole.
    whole_at: u64,
}

/// The cells of those for whom there is no room, by the kind of quota. Once they are needed they are held to the end: whoever
/// shares decides alone.
type Overflow<'a> = MutexGuard<'a, HashMap<Quota, u64>>;

impl MemoryRateLimits {
    /// An empty store for so many cells: one for each caller and quota.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with(capacity, None)
    }

    /// Brings a clock, and empties the store.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self::with(self.capacity(), Some(Arc::new(clock)))
    }

    pub(crate) fn capacity(&self) -> usize {
        self.table.capacity.saturating_mul(SHARDS)
    }

    /// An empty one for the usual number of cells.
    pub(crate) fn by_clock(own_clock: Option<Arc<dyn Clock>>) -> Self {
        Self::with(DEFAULT_CAPACITY, own_clock)
    }

    pub(crate) fn with(capacity: usize, own_clock: Option<Arc<dyn Clock>>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let capacity = capacity.div_ceil(SHARDS).max(1);
        let (secret, overflow) = (RandomState::default().hash_one(0), Mutex::default());
        Self { table: Arc::new(Table { shards, secret, capacity, overflow, own_clock }) }
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

    pub(crate) fn spend(&self, charge: &Charge<'_>) -> Standing {
        self.table.charge(charge)
    }

    /// After how long there is room for one more request under a quota without name; nothing is spent. Zero exactly where
    /// [`charge`](RateLimitStore::charge) would spend it now.
    pub(crate) fn wait(&self, key: RateKey, quota: Quota) -> Duration {
        let (table, now) = (&self.table, self.table.now());
        let Some(mut shard) = table.shard(key).map(lock) else { return Duration::ZERO };
        let cells = table.find(&mut shard, &mut None, &[(key, quota)], now);
        cells.first().map_or(Duration::ZERO, |cell| gcra::wait(cell.backlog, 1, quota))
    }

    /// Spends a request that was let through before it was known that it counts: also where there is no room any more.
    pub(crate) fn record(&self, key: RateKey, quota: Quota) {
        let (table, now) = (&self.table, self.table.now());
        let Some(mut shard) = table.shard(key).map(lock) else { return };
        let mut overflow = None;
        for mut cell in table.find(&mut shard, &mut overflow, &[(key, quota)], now) {
            cell.backlog = gcra::overdraw(cell.backlog, quota);
            cell.keep(&mut shard, &mut overflow, now);
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
        let own = self.own_clock.as_ref().map(|clock| clock.instant());
        monotonic_nanos(own.unwrap_or_else(|| SystemClock.instant()))
    }

    /// All cells of a caller are in one shard, so that one lock is enough.
    fn shard(&self, key: RateKey) -> Option<&Mutex<Shard>> {
        self.shards.get(key.shard(self.secret, SHARDS))
    }

    fn charge(&self, charge: &Charge<'_>) -> Standing {
        let now = self.now();
        let Some(mut shard) = self.shard(charge.key).map(lock) else {
            return Standing::from_nanos(0, SmallVec::new());
        };
        if let Some((granted, backlog)) = shard.spend(charge, now) {
            return Standing::from_nanos(granted, SmallVec::from_buf_and_len([backlog, 0], 1));
        }
        let mut overflow = None;
        let wanted: SmallVec<[_; 2]> =
            charge.quotas.iter().map(|named| (charge.key.of_quota(named.mark()), named.quota())).collect();
        let mut cells = self.find(&mut shard, &mut overflow, &wanted, now);
        let granted = grant(charge, cells.iter().map(|cell| (cell.backlog, cell.quota)));
        for cell in cells.iter_mut().filter(|_| granted > 0) {
            cell.backlog = gcra::spend(cell.backlog, granted, cell.quota);
            cell.keep(&mut shard, &mut overflow, now);
        }
        Standing::from_nanos(granted, cells.iter().map(|cell| cell.backlog).collect())
    }

    /// The cells of a caller, or of those for whom there is no room.
    fn find<'a>(
        &'a self,
        shard: &mut Shard,
        overflow: &mut Option<Overflow<'a>>,
        wanted: &[(RateKey, Quota)],
        now: u64,
    ) -> SmallVec<[Cell; 2]> {
        let mut known = shard.find(wanted);
        let newcomers = known.iter().filter(|due| due.is_none()).count();
        if newcomers > 0 && shard.make_room(newcomers, self.capacity, now) {
            known = shard.find(wanted);
        }
        let mut places = self.capacity.saturating_sub(shard.cells.len());
        let mut cell = |((key, quota), due): (&(RateKey, Quota), Option<u64>)| {
            let has_place = due.is_some() || places > 0;
            let due = match due {
                Some(due) => due,
                None if has_place => {
                    places = places.saturating_sub(1);
                    0
                }
                None => {
                    let overflow = overflow.get_or_insert_with(|| lock(&self.overflow));
                    overflow.get(quota).copied().unwrap_or_default()
                }
            };
            Cell { key: *key, quota: *quota, has_place, backlog: gcra::backlog(due, now) }
        };
        wanted.iter().zip(known).map(&mut cell).collect()
    }
}

struct Cell {
    key: RateKey,
    quota: Quota,
    has_place: bool,
    backlog: u64,
}

impl Cell {
    fn keep(&self, shard: &mut Shard, overflow: &mut Option<Overflow<'_>>, now: u64) {
        let due = now.saturating_add(self.backlog);
        if self.has_place {
            shard.put(self.key, due);
        } else if let Some(overflow) = overflow {
            overflow.insert(self.quota, due);
        }
    }
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
    /// The usual case: one quota, of a caller who has come before, and one look into the table. How much is granted, and what the
    /// backlog is afterwards.
    fn spend(&mut self, charge: &Charge<'_>, now: u64) -> Option<(u32, u64)> {
        let [named] = charge.quotas else { return None };
        let due = self.cells.get_mut(&charge.key.of_quota(named.mark()))?;
        let quota = named.quota();
        let mut backlog = gcra::backlog(*due, now);
        let granted = grant(charge, std::iter::once((backlog, quota)));
        if granted > 0 {
            backlog = gcra::spend(backlog, granted, quota);
            *due = now.saturating_add(backlog);
        }
        Some((granted, backlog))
    }

    fn find(&self, wanted: &[(RateKey, Quota)]) -> SmallVec<[Option<u64>; 2]> {
        wanted.iter().map(|(key, _)| self.cells.get(key).copied()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::quotas::Quotas;

    fn keys() -> impl Iterator<Item = RateKey> {
        (0..).map(|index: u32| RateKey::of(&[&index.to_string()]))
    }

    /// Keys of one shard.
    fn neighbours(store: &MemoryRateLimits) -> impl Iterator<Item = RateKey> {
        let place = |key| store.table.shard(key).map(std::ptr::from_ref);
        let first = place(RateKey::of(&["0"]));
        keys().filter(move |key| place(*key) == first)
    }

    #[test]
    fn who_meets_in_a_shard_cannot_be_foreseen() {
        let [store, other] = [0, 1].map(|_| MemoryRateLimits::new(1000));
        let meeting = neighbours(&store).take(200);
        let places = meeting.map(|key| other.table.shard(key).map(std::ptr::from_ref));
        assert!(places.collect::<std::collections::HashSet<_>>().len() > 32);
    }

    fn charge(store: &MemoryRateLimits, key: RateKey, quota: Quota) -> (u32, Duration) {
        let quotas = Quotas::from(quota);
        let standing = store.spend(&Charge::new(key, quotas.as_slice(), 1));
        (standing.granted(), standing.wait(quotas.as_slice(), 1))
    }

    #[test]
    fn a_look_beforehand_agrees_with_the_charge() {
        let quota = Quota::per_hour(2).unwrap();
        let store = MemoryRateLimits::new(2 * SHARDS);
        // Two have a place of their own, and the others share the cell of those who have none.
        let callers: Vec<_> = neighbours(&store).take(4).collect();
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
        let quota = Quota::per_hour(1).unwrap();
        let store = MemoryRateLimits::new(SHARDS);
        let callers: Vec<_> = neighbours(&store).take(3).collect();
        store.record(callers[0], quota);
        assert_eq!(store.wait(callers[2], quota), Duration::ZERO);
        store.record(callers[1], quota);
        assert!(store.wait(callers[2], quota) > Duration::from_secs(3500));
        // In another part of the table there is room.
        let place = |key| store.table.shard(key).map(std::ptr::from_ref);
        let elsewhere = keys().find(|key| place(*key) != place(callers[0])).unwrap();
        assert_eq!(store.wait(elsewhere, quota), Duration::ZERO);
    }

    #[test]
    fn what_is_recorded_beyond_the_quota_is_waited_for_too() {
        let quota = Quota::per_hour(2).unwrap();
        // In half hours, rounded up; never more than one whole quota beyond.
        for (records, waits) in [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3), (5, 3), (9, 3)] {
            let (store, key) = (MemoryRateLimits::new(1), RateKey::of(&["ann"]));
            (0..records).for_each(|_| store.record(key, quota));
            assert_eq!(store.wait(key, quota).as_secs().div_ceil(1800), waits, "{records}");
        }
    }
}
