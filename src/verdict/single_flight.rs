//! Calls to authorities under way, one for all who present the same credential.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::cache::Digest;
use crate::error::{AuthError, Reason};
use crate::principal::freshness::Demand;
use crate::principal::origin::Outcome;
use crate::upstream::detached::{Flight, GRACE, landing, runtime};

/// Calls of one layer at once. Authorities are bounded more tightly by those who ask them.
const MAX_CALLS: usize = 4096;

/// When to come again after a call that went wrong.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The calls under way of one layer and its clones, by credential.
#[derive(Default)]
pub(super) struct Calls {
    table: Mutex<Table>,
    /// Known without the lock, for layers that never call anybody.
    under_way: AtomicUsize,
    numbers: AtomicU64,
}

#[derive(Default)]
struct Table {
    lines: HashMap<Digest, Line>,
    /// Calls in all lines.
    len: usize,
    swept: Option<Instant>,
}

/// The calls under way about one credential. Only the latest that was sent may be joined. Earlier ones go on, for those who wait
/// for them, and so that nobody who comes and goes can have more under way than the authority is to bear.
#[derive(Default)]
struct Line {
    calls: Vec<Call>,
    latest: u64,
}

/// When a call is made, whether by a guard, and how old one may be that somebody else has made.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) asked: Instant,
    pub(super) again: bool,
    pub(super) oldest: Option<Instant>,
}

impl Timing {
    pub(super) fn of(demand: Demand) -> Self {
        let oldest = demand.oldest.and_then(|oldest| oldest.instant);
        Self { asked: demand.now.instant(), again: demand.oldest.is_some(), oldest }
    }
}

/// A call, to be waited for.
#[derive(Clone)]
pub(super) struct Call {
    number: u64,
    /// By a guard, for which it was worth to ask an authority.
    again: bool,
    asked: Instant,
    limit: Duration,
    flight: Arc<Flight<Outcome>>,
}

/// What became of the wish to make a call.
pub(super) enum Sent {
    Call(Call),
    /// Somebody else's call, which is under way.
    Joined(Call),
    /// Somebody else's call has just landed.
    Known(Outcome),
}

impl Calls {
    /// A call that can be joined unseen: one of the same kind. On a plain route an authenticator may have its verdict at once, and
    /// need not wait for what a guard wants to know.
    pub(super) fn join(&self, digest: Digest, timing: impl FnOnce() -> Timing) -> Option<Call> {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let timing = timing();
        self.table().joinable(digest, timing).filter(|call| call.again == timing.again).cloned()
    }

    /// Makes a call, unless somebody else just did: then `known` may have its outcome, or it can be joined. `work` is given its
    /// number, and gives what it does and what it leaves if it crashes. Neither runs code of others.
    pub(super) fn send<W, C>(
        &self,
        digest: Digest,
        limit: Duration,
        timing @ Timing { asked, again, .. }: Timing,
        known: impl FnOnce() -> Option<Outcome>,
        work: impl FnOnce(u64) -> (W, C),
    ) -> Result<Sent, AuthError>
    where
        W: Future<Output = Option<Outcome>> + Send + 'static,
        C: FnOnce() -> Option<Outcome> + Send + 'static,
    {
        let runtime = runtime()?;
        let mut table = self.table();
        if let Some(call) = table.joinable(digest, timing) {
            return Ok(Sent::Joined(call.clone()));
        }
        // What lands is remembered with the lock held, so it is either under way or known.
        if let Some(outcome) = known() {
            return Ok(Sent::Known(outcome));
        }
        if table.len >= MAX_CALLS && !table.sweep(asked) {
            return Err(AuthError::from(Reason::AuthorityBusy).with_retry_after(RETRY_AFTER));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let (work, crashed) = work(number);
        let due = asked.checked_add(limit.saturating_add(GRACE));
        let flight = Arc::new(Flight::launch(&runtime, due, work, crashed));
        let call = Call { number, again, asked, limit, flight };
        let line = table.lines.entry(digest).or_default();
        line.calls.push(call.clone());
        line.latest = number;
        table.len = table.len.saturating_add(1);
        self.under_way.store(table.len, Ordering::Relaxed);
        Ok(Sent::Call(call))
    }

    /// A call has come to its end. What it found out is remembered in the same breath, unless a later one was sent meanwhile,
    /// whose word counts more; that a credential is refused (`refused`) holds until that one says otherwise.
    pub(super) fn land(&self, digest: Digest, number: u64, refused: bool, remember: impl FnOnce()) {
        let mut table = self.table();
        let Some(line) = table.lines.get_mut(&digest) else { return };
        let Some(place) = line.calls.iter().position(|call| call.number == number) else { return };
        if number == line.latest || (refused && line.latest().is_some()) {
            remember();
        }
        line.calls.swap_remove(place);
        if line.calls.is_empty() {
            table.lines.remove(&digest);
        }
        table.len = table.len.saturating_sub(1);
        self.under_way.store(table.len, Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn joinable(&self, digest: Digest, Timing { asked, oldest, .. }: Timing) -> Option<&Call> {
        self.lines.get(&digest)?.latest().filter(|call| call.serves(asked, oldest))
    }

    /// Clears away what vanished with its runtime, which has nobody else to do that; once a second. False if that made no room.
    fn sweep(&mut self, now: Instant) -> bool {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < RETRY_AFTER) {
            return false;
        }
        self.swept = Some(now);
        self.lines.retain(|_, line| {
            line.calls.retain(|call| call.flight.is_under_way(now));
            !line.calls.is_empty()
        });
        self.len = self.lines.values().map(|line| line.calls.len()).sum();
        self.len < MAX_CALLS
    }
}

impl Line {
    fn latest(&self) -> Option<&Call> {
        self.calls.iter().find(|call| call.number == self.latest)
    }
}

impl Call {
    fn serves(&self, now: Instant, oldest: Option<Instant>) -> bool {
        oldest.is_none_or(|oldest| self.asked >= oldest) && self.flight.is_under_way(now)
    }

    /// What it found out; `None` if its task has vanished, and another call should be made.
    pub(super) async fn outcome(self) -> Option<Outcome> {
        match timeout(self.limit.saturating_add(GRACE), landing(self.flight.landed())).await {
            Ok(outcome) => outcome,
            Err(_) => Some(Err(AuthError::unavailable(RETRY_AFTER))),
        }
    }
}
