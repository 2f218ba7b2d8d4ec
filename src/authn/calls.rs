//! Calls to authorities under way, one for all who present the same credential.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::cache::Digest;
use crate::error::{AuthError, Reason};
use crate::flight::{Flight, GRACE, landing, runtime};
use crate::principal::Principal;

/// Calls of one layer at once. Authorities are bounded more tightly by those who ask them.
const MAX_CALLS: usize = 4096;

/// When to come again after a call that went wrong.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a call found out.
pub(super) type Outcome = Result<Principal, AuthError>;

/// The calls under way of one layer and its clones, by credential.
#[derive(Default)]
pub(super) struct Calls {
    table: Mutex<HashMap<Digest, Call>>,
    /// Known without the lock, for layers that never call anybody.
    under_way: AtomicUsize,
    numbers: AtomicU64,
}

/// When a call is made, how long it may take, and how old one may be that somebody else has made.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) asked: Instant,
    pub(super) limit: Duration,
    pub(super) oldest: Option<Instant>,
}

/// A call. Whoever waits for it keeps it alive: one that was replaced by a later call still answers those.
#[derive(Clone)]
pub(super) struct Call {
    number: u64,
    asked: Instant,
    limit: Duration,
    flight: Arc<Flight<Outcome>>,
}

impl Calls {
    /// A call that was sent no earlier than `oldest`.
    pub(super) fn join(&self, digest: Digest, now: Instant, oldest: Option<Instant>) -> Option<Call> {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.table().get(&digest).filter(|call| call.serves(now, oldest)).cloned()
    }

    /// Makes a call, unless somebody else just did. `work` is given its number, and gives what it does and what it leaves if it
    /// crashes.
    pub(super) fn send<W, C>(
        &self,
        digest: Digest,
        Timing { asked, limit, oldest }: Timing,
        work: impl FnOnce(u64) -> (W, C),
    ) -> Result<Call, AuthError>
    where
        W: Future<Output = Option<Outcome>> + Send + 'static,
        C: FnOnce() -> Option<Outcome> + Send + 'static,
    {
        let runtime = runtime()?;
        let mut table = self.table();
        if let Some(call) = table.get(&digest).filter(|call| call.serves(asked, oldest)) {
            return Ok(call.clone());
        }
        if table.len() >= MAX_CALLS {
            // Those that vanished with their runtime have nobody else to clear them away.
            table.retain(|_, call| call.flight.is_under_way(asked));
        }
        if table.len() >= MAX_CALLS {
            return Err(AuthError::from(Reason::AuthorityBusy).with_retry_after(RETRY_AFTER));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (work, crashed) = work(number);
        let due = asked.checked_add(limit.saturating_add(GRACE));
        let flight = Arc::new(Flight::launch(&runtime, due, work, crashed));
        let call = Call { number, asked, limit, flight };
        table.insert(digest, call.clone());
        self.under_way.store(table.len(), Ordering::Relaxed);
        Ok(call)
    }

    /// A call has come to its end. What it found out is remembered in the same breath, unless a later one was sent meanwhile,
    /// whose word counts more.
    pub(super) fn land(&self, digest: Digest, number: u64, remember: impl FnOnce()) {
        let mut table = self.table();
        if table.get(&digest).is_some_and(|call| call.number == number) {
            remember();
            table.remove(&digest);
            self.under_way.store(table.len(), Ordering::Relaxed);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Digest, Call>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
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
