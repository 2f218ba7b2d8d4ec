//! Used tokens in the memory of this process.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{SingleUse, SingleUseToken, Spend};
use crate::clock::timestamp::Timestamp;
use crate::clock::{Clock, SystemClock};
use crate::store::StoreAnswer;

/// About 90 MiB, if it is ever full.
const CAPACITY: usize = 1_000_000;

/// One client may hold this part of it, so that none can close it for all others.
const SHARE: usize = 10;

/// How many are looked at whose time is over, at each call: more than one, so that room is made faster than it is taken.
const SWEEP: usize = 16;

/// Used tokens in the memory of this process.
///
/// A token is remembered until it would be refused for its age by both clocks, the wall's and the stopwatch: about a minute and a
/// half with the usual window. It is never driven out before. A store that is full, and a client that has used up its share, get
/// 503 until others have left: with the usual million that is some 11,000 requests a second, and 1,100 of one client.
///
/// A restart forgets: what was used within the last minute can be used once more. Two processes that do not share a store accept
/// a token once each: `RedisSingleUse` (feature `redis`) is shared. Clones are the same store.
///
/// ```
/// use portcullis::{MemorySingleUse, SingleUse, SingleUseToken, Spend};
/// use std::time::{Duration, SystemTime};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemorySingleUse::new(1000);
/// let token = SingleUseToken::new([7; 32], "dashboard", SystemTime::now() + Duration::from_secs(90));
/// assert_eq!(store.spend(&token).answer().await?, Spend::Spent);
/// assert_eq!(store.spend(&token).answer().await?, Spend::AlreadySpent);
/// # Ok::<_, portcullis::StoreError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemorySingleUse {
    table: Arc<Table>,
}

struct Table {
    capacity: usize,
    per_client: usize,
    clock: Arc<dyn Clock>,
    beginning: Instant,
    entries: Mutex<Entries>,
}

type Key = [u8; 32];

#[derive(Default)]
struct Entries {
    spent: Keys,
    of_client: HashMap<Arc<str>, usize>,
    /// By the second since the beginning in which the stopwatch is through with them.
    elapsing: Queue,
    /// Those with which it is, by the second since the epoch in which the wall's clock is through: nothing waits here unless that
    /// clock was set back, and then nothing waits behind them.
    lagging: Queue,
}

struct Entry {
    key: Key,
    client: Arc<str>,
    until: u64,
}

impl MemorySingleUse {
    /// An empty store for so many tokens, a tenth of them of any one client.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let share = capacity.checked_div(SHARE).unwrap_or_default().max(1);
        Self::with(capacity, share, Arc::new(SystemClock))
    }

    /// Sets how many tokens of one client it holds, and empties it.
    #[must_use]
    pub fn per_client(self, tokens: usize) -> Self {
        Self::with(self.table.capacity, tokens, Arc::clone(&self.table.clock))
    }

    /// Brings a clock, and empties the store.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.clocked(Arc::new(clock))
    }

    pub(crate) fn clocked(self, clock: Arc<dyn Clock>) -> Self {
        Self::with(self.table.capacity, self.table.per_client, clock)
    }

    fn with(capacity: usize, per_client: usize, clock: Arc<dyn Clock>) -> Self {
        let (beginning, entries) = (clock.instant(), Mutex::default());
        Self { table: Arc::new(Table { capacity, per_client, clock, beginning, entries }) }
    }

    /// How many tokens it holds, those whose time is over included until they are looked at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.entries().spent.len
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// For a million tokens.
impl Default for MemorySingleUse {
    fn default() -> Self {
        Self::new(CAPACITY)
    }
}

impl SingleUse for MemorySingleUse {
    fn spend(&self, token: &SingleUseToken<'_>) -> StoreAnswer<Spend> {
        let table = &self.table;
        let now = Timestamp::of(&*table.clock);
        StoreAnswer::ready(Ok(table.spend(token, now)))
    }
}

impl Table {
    fn spend(&self, token: &SingleUseToken<'_>, now: Timestamp) -> Spend {
        let elapsed = now.instant().saturating_duration_since(self.beginning);
        let mut entries = self.entries();
        entries.sweep(elapsed.as_secs(), since_epoch(now.wall()));
        if entries.spent.contains(&token.key) {
            return Spend::AlreadySpent;
        }
        let of_client = entries.of_client.get(token.client).copied().unwrap_or_default();
        if entries.spent.len >= self.capacity || of_client >= self.per_client {
            return Spend::Full;
        }
        let left = token.until.duration_since(now.wall()).unwrap_or_default();
        let elapses = elapsed.saturating_add(left).as_secs().saturating_add(1);
        let until = since_epoch(token.until).saturating_add(1);
        let client = entries.count(token.client);
        entries.spent.insert(token.key);
        entries.elapsing.push(elapses, Entry { key: token.key, client, until });
        Spend::Spent
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Counts one more of a client.
    fn count(&mut self, client: &str) -> Arc<str> {
        let known = self.of_client.get_key_value(client).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| client.into());
        let count = self.of_client.entry(Arc::clone(&name)).or_default();
        *count = count.saturating_add(1);
        name
    }

    fn sweep(&mut self, elapsed: u64, wall: u64) {
        for _ in 0..SWEEP {
            match self.elapsing.pop(elapsed) {
                Some(entry) if entry.until > wall => self.lagging.push(entry.until, entry),
                Some(entry) => self.forget(&entry),
                None => match self.lagging.pop(wall) {
                    Some(entry) => self.forget(&entry),
                    None => return,
                },
            }
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.spent.remove(&entry.key);
        if let Some(count) = self.of_client.get_mut(&entry.client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_client.remove(&entry.client);
            }
        }
    }
}

/// Keys in a set for each first byte: a set that has to grow holds everybody up, the less the smaller it is.
#[derive(Default)]
struct Keys {
    parts: BTreeMap<u8, HashSet<Key>>,
    len: usize,
}

impl Keys {
    fn contains(&self, key: &Key) -> bool {
        self.parts.get(&key[0]).is_some_and(|part| part.contains(key))
    }

    fn insert(&mut self, key: Key) {
        let new = self.parts.entry(key[0]).or_default().insert(key);
        self.len = self.len.saturating_add(usize::from(new));
    }

    fn remove(&mut self, key: &Key) {
        let known = self.parts.get_mut(&key[0]).is_some_and(|part| part.remove(key));
        self.len = self.len.saturating_sub(usize::from(known));
    }
}

/// Entries by the second in which they are due: a few hundred seconds at most, whatever their number.
#[derive(Default)]
struct Queue(BTreeMap<u64, Vec<Entry>>);

impl Queue {
    fn push(&mut self, second: u64, entry: Entry) {
        self.0.entry(second).or_default().push(entry);
    }

    /// One that is due.
    fn pop(&mut self, now: u64) -> Option<Entry> {
        let mut first = self.0.first_entry().filter(|first| *first.key() <= now)?;
        let entry = first.get_mut().pop();
        if first.get().is_empty() {
            first.remove();
        }
        entry
    }
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
}

impl fmt::Debug for MemorySingleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySingleUse").field("capacity", &self.table.capacity).finish_non_exhaustive()
    }
}
