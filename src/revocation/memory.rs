//! A list of revocations in the memory of this process.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use super::{Mark, Revocations};
use crate::clock::timestamp::Timestamp;
use crate::clock::{Clock, SystemClock};

/// Entries of a list in memory, about 20 MiB.
const CAPACITY: usize = 100_000;

/// Clocks differ, and credentials are accepted a little after their end.
pub(crate) const SLACK: Duration = Duration::from_secs(300);

/// A list in the memory of this process.
///
/// An entry stays until nothing that it could speak of is valid any more: the longest lifetime of any credential, which is
/// given to [`new`](Self::new), after it was entered or after the time before which it counts, whichever is later, and five
/// minutes for clocks that differ. It is never driven out before: a full list refuses new entries. It is empty after a restart:
/// who needs more fills it again when starting, or has a list that processes share, `RedisRevocations` (feature `redis`).
///
/// Clones are the same list.
///
/// ```
/// use portcullis::{Mark, MemoryRevocations, Revocations};
/// use std::time::{Duration, SystemTime};
/// # fn main() -> Result<(), portcullis::RevocationsFull> {
/// let list = MemoryRevocations::new(Duration::from_secs(24 * 3600));
/// // Signed out everywhere: whatever was issued until now.
/// list.revoke_before(Mark::subject("https://id.example.com", "ann"), SystemTime::now())?;
/// assert!(list.is_revoked(&Mark::subject("https://id.example.com", "ann"), None));
/// assert!(!list.is_revoked(&Mark::subject("https://id.example.com", "bob"), None));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryRevocations {
    list: Arc<List>,
}

struct List {
    longest_lifetime: Duration,
    capacity: usize,
    clock: Arc<dyn Clock>,
    /// Known without the lock, for the usual case of an empty list.
    len: AtomicUsize,
    entries: RwLock<Entries>,
}

#[derive(Default)]
struct Entries {
    by_mark: HashMap<Mark, Entry>,
    /// The same, in the order in which they leave.
    leaving: BTreeSet<(Instant, Mark)>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Credentials that were issued before are revoked; `None`: all.
    before: Option<SystemTime>,
    /// It leaves when it is over by both clocks: the wall's may jump ahead and be set back.
    leaves: SystemTime,
    elapses: Instant,
}

impl Entry {
    fn is_over(&self, now: Timestamp) -> bool {
        self.leaves <= now.wall() && self.elapses <= now.instant()
    }
}

/// One of a list, as others may copy it.
#[cfg(feature = "redis")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RevocationsEntry {
    pub(crate) mark: Mark,
    pub(crate) before: Option<SystemTime>,
    /// How long it has yet to stay.
    pub(crate) stays: Duration,
}

/// The list is full: nothing was entered, and what it was to call back stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of revocations is full")]
pub struct RevocationsFull;

impl MemoryRevocations {
    /// An empty list for 100,000 entries. `longest_lifetime`: no credential that is accepted here is valid for longer after it
    /// was issued.
    ///
    /// # Security
    /// For JWTs this is the issuer's setting, at most [`max_lifetime`](crate::JwtAuthenticatorBuilder::max_lifetime). A JWT
    /// without `iat` is accepted in the last part of whatever life it has: with such an issuer give the true lifetime.
    #[must_use]
    pub fn new(longest_lifetime: Duration) -> Self {
        Self::with(longest_lifetime, CAPACITY, Arc::new(SystemClock))
    }

    /// Sets how many entries the list holds, and empties it.
    #[must_use]
    pub fn capacity(self, entries: usize) -> Self {
        Self::with(self.list.longest_lifetime, entries, Arc::clone(&self.list.clock))
    }

    /// Brings a clock, and empties the list.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self::with(self.list.longest_lifetime, self.list.capacity, Arc::new(clock))
    }

    fn with(longest_lifetime: Duration, capacity: usize, clock: Arc<dyn Clock>) -> Self {
        let (len, entries) = (AtomicUsize::new(0), RwLock::default());
        Self { list: Arc::new(List { longest_lifetime, capacity, clock, len, entries }) }
    }

    /// Calls back all credentials with this mark, whenever they were issued. Counts from the next request on.
    ///
    /// # Errors
    /// If the list is full.
    pub fn revoke(&self, mark: Mark) -> Result<(), RevocationsFull> {
        self.enter(mark, None)
    }

    /// Calls back the credentials with this mark that were issued before `time`, and those that do not say when. Counts from
    /// the next request on.
    ///
    /// Most issuers give `iat` in whole seconds: what was issued within the second of `time` may count as before. An issuer whose clock
    /// is ahead dates its tokens later than they are: add what its clock may differ.
    ///
    /// # Errors
    /// If the list is full.
    pub fn revoke_before(&self, mark: Mark, time: SystemTime) -> Result<(), RevocationsFull> {
        self.enter(mark, Some(time))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut entries = self.list.write();
        entries.drop_until(self.list.now());
        entries.by_mark.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn enter(&self, mark: Mark, before: Option<SystemTime>) -> Result<(), RevocationsFull> {
        let now = self.list.now();
        let after = before.and_then(|before| before.duration_since(now.wall()).ok()).unwrap_or_default();
        let stays = self.list.longest_lifetime.saturating_add(SLACK).saturating_add(after);
        self.enter_for(mark, before, stays, now)
    }

    /// Enters what others called back, unless it has left already. It `stays` at least for so long from now on.
    #[cfg(feature = "redis")]
    pub(crate) fn copy(&self, entry: &RevocationsEntry) -> Result<(), RevocationsFull> {
        let RevocationsEntry { mark, before, stays } = *entry;
        if stays.is_zero() { Ok(()) } else { self.enter_for(mark, before, stays, self.list.now()) }
    }

    /// All that counts now, for others to copy.
    #[cfg(feature = "redis")]
    pub(crate) fn entries(&self) -> Vec<RevocationsEntry> {
        let now = self.list.now();
        let of = |(mark, entry): (&Mark, &Entry)| {
            let by_wall = entry.leaves.duration_since(now.wall()).unwrap_or_default();
            let stays = by_wall.max(entry.elapses.saturating_duration_since(now.instant()));
            RevocationsEntry { mark: *mark, before: entry.before, stays }
        };
        let entries = self.list.read();
        entries.by_mark.iter().map(of).filter(|entry| !entry.stays.is_zero()).collect()
    }

    fn enter_for(
        &self,
        mark: Mark,
        before: Option<SystemTime>,
        stays: Duration,
        now: Timestamp,
    ) -> Result<(), RevocationsFull> {
        let list = &self.list;
        let leaves = now.wall().checked_add(stays).zip(now.instant().checked_add(stays));
        let (leaves, elapses) = leaves.ok_or(RevocationsFull)?;
        let mut entry = Entry { before, leaves, elapses };
        let mut entries = list.write();
        entries.drop_until(now);
        if let Some(old) = entries.by_mark.get(&mark).copied() {
            // What is called back stays so: the later time counts, and all is later than any.
            entry.before = old.before.and_then(|old| before.map(|new| new.max(old)));
            entry.leaves = entry.leaves.max(old.leaves);
            entry.elapses = entry.elapses.max(old.elapses);
            entries.leaving.remove(&(old.elapses, mark));
        } else if entries.by_mark.len() >= list.capacity {
            return Err(RevocationsFull);
        }
        entries.by_mark.insert(mark, entry);
        entries.leaving.insert((entry.elapses, mark));
        list.len.store(entries.by_mark.len(), Ordering::Release);
        Ok(())
    }
}

impl Revocations for MemoryRevocations {
    fn is_revoked(&self, mark: &Mark, issued_at: Option<SystemTime>) -> bool {
        if self.list.len.load(Ordering::Acquire) == 0 {
            return false;
        }
        let Some(entry) = self.list.read().by_mark.get(mark).copied() else { return false };
        let meant = match (entry.before, issued_at) {
            (Some(before), Some(issued_at)) => issued_at < before,
            _ => true,
        };
        meant && !entry.is_over(self.list.now())
    }
}

impl List {
    fn now(&self) -> Timestamp {
        Timestamp::of(&*self.clock)
    }

    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn drop_until(&mut self, now: Timestamp) {
        while let Some((elapses, mark)) = self.leaving.first().copied() {
            if !self.by_mark.get(&mark).is_none_or(|entry| entry.is_over(now)) {
                return;
            }
            self.leaving.remove(&(elapses, mark));
            self.by_mark.remove(&mark);
        }
    }
}

impl fmt::Debug for MemoryRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocations").field("capacity", &self.list.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_was_called_back_stays_so() {
        let list = MemoryRevocations::new(Duration::from_secs(60));
        let (mark, time) = (Mark::subject("i", "s"), UNIX_EPOCH + Duration::from_secs(1000));
        let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
        list.revoke_before(mark, time).unwrap();
        list.revoke_before(mark, time - Duration::from_secs(500)).unwrap();
        assert!(list.is_revoked(&mark, at(999)) && list.is_revoked(&mark, None));
        assert!(!list.is_revoked(&mark, at(1000)));
        list.revoke(mark).unwrap();
        list.revoke_before(mark, time).unwrap();
        assert!(list.is_revoked(&mark, at(5000)));
    }
}
