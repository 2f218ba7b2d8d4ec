//! What the clones of a layer remember together, and what they make of a verdict.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::timeout;

use super::Verdict;
use super::cache::{Bytes, Digest, VerdictCache};
use super::single_flight::{Calls, RETRY_AFTER, Sent, Timing};
use crate::authenticator::future::BoxedVerdict;
use crate::clock::Clock;
use crate::clock::timestamp::Timestamp;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::principal::freshness::Demand;
use crate::principal::origin::Outcome;
use crate::principal::record::Facts;
use crate::revocation::{Mark, Revocations};

pub(crate) struct Memory {
    pub(crate) bytes: Bytes,
    /// The clock of the authenticator, if it is not the system's.
    pub(crate) own_clock: Option<Arc<dyn Clock>>,
    pub(super) cache: Option<VerdictCache>,
    pub(super) calls: Calls,
    /// Counts credentials that an authority refused when it was asked again.
    withdrawn: AtomicU64,
}

/// One credential before its judges.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) digest: Option<Digest>,
    pub(super) demand: Demand,
    /// The layer's list, and how the credential is revoked by its own value.
    pub(super) revocable: Option<(Arc<dyn Revocations>, Mark)>,
}

impl Case {
    /// Makes facts of what the authenticator said, on its terms. Runs no code of others.
    pub(super) fn conclude(&self, result: Result<Verdict, AuthError>) -> Outcome {
        result.map(|verdict| {
            let token = self.revocable.as_ref().map(|(_, token)| *token);
            verdict.into_facts(self.demand.now, token)
        })
    }
}

impl Memory {
    /// `places`: of how many presentations the layer reads credentials.
    pub(crate) fn new(own_clock: Option<Arc<dyn Clock>>, places: usize, bytes: Bytes) -> Self {
        let cache = (bytes.verdicts > 0).then(|| VerdictCache::new(places, bytes));
        Self { bytes, own_clock, cache, calls: Calls::default(), withdrawn: AtomicU64::new(0) }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::read(self.own_clock.as_deref())
    }

    pub(super) fn withdrawn(&self) -> u64 {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Calls the authority in a task that holds nothing of the layer, so that it ends with it. What it lands is for all who wait;
    /// each of them makes of it what concerns him alone with [`finish`](Self::finish).
    pub(super) fn send(
        self: &Arc<Self>,
        case: &Case,
        limit: Duration,
        future: BoxedVerdict,
    ) -> Result<Sent, AuthError> {
        let Case { digest: Some(digest), demand, .. } = *case else {
            return Err(AuthError::unavailable(RETRY_AFTER));
        };
        let (owner, case) = (Arc::downgrade(self), case.clone());
        let landed = || self.landed(digest, demand);
        self.calls.send(digest, limit, Timing::of(demand), landed, |number| {
            let crashed_of = Weak::clone(&owner);
            let work = async move {
                let late = |_| Err(AuthError::unavailable(RETRY_AFTER));
                let outcome = case.conclude(timeout(limit, future).await.unwrap_or_else(late));
                let memory = Weak::upgrade(&owner)?;
                let refused =
                    outcome.as_ref().is_err_and(|error| error.kind() == AuthErrorKind::InvalidToken);
                memory.calls.land(digest, number, refused, || memory.remember(&case, &outcome));
                Some(outcome)
            };
            let crashed = move || {
                Weak::upgrade(&crashed_of)?.calls.land(digest, number, false, || {});
                Some(Err(AuthError::unavailable(RETRY_AFTER)))
            };
            (work, crashed)
        })
    }

    /// What a call has just landed, for who would otherwise make another.
    fn landed(&self, digest: Digest, Demand { now, oldest }: Demand) -> Option<Outcome> {
        let cache = self.cache.as_ref()?;
        match cache.verdict(digest) {
            Some(facts) => {
                let fresh = oldest.is_none_or(|oldest| facts.is_since(oldest));
                (fresh && facts.terms.hold(now)).then_some(Ok(facts))
            }
            None if oldest.is_none() => cache.refusal(digest, now).map(Err),
            None => None,
        }
    }

    /// What concerns the request alone: whether the credential was called back, and whether an old verdict will do where nobody
    /// could judge.
    pub(super) fn finish(&self, case: &Case, outcome: Outcome) -> Outcome {
        let facts = match outcome {
            Err(error) if error.kind() == AuthErrorKind::Unavailable && case.demand.oldest.is_none() => {
                self.stale(case).ok_or(error)
            }
            outcome => outcome,
        }?;
        if let Some((list, token)) = &case.revocable {
            let revoked = match &facts.terms.marks {
                Some(marks) => marks.are_revoked(&**list),
                None => facts.marks(*token).are_revoked(&**list),
            };
            if revoked {
                return Err(Reason::TokenRevoked.into());
            }
        }
        Ok(facts)
    }

    fn stale(&self, case: &Case) -> Option<Arc<Facts>> {
        let facts = self.cache.as_ref()?.verdict(case.digest?)?;
        let now = self.now();
        // What was called back does not come again because nobody can be asked.
        let ended = facts.terms.lease.as_ref().is_some_and(|lease| lease.has_ended());
        let expired = ended || facts.expires_at().is_some_and(|time| time <= now.wall());
        (!expired && facts.terms.serve_stale(now)).then_some(facts)
    }

    /// Keeps what may be used again. What is on a list of revocations is kept too: it is refused at each look.
    pub(super) fn remember(&self, case: &Case, outcome: &Outcome) {
        let (Some(cache), Some(digest)) = (&self.cache, case.digest) else { return };
        match outcome {
            Ok(facts) if facts.terms.lasts.is_some() => cache.accept(digest, Arc::clone(facts)),
            Ok(_) => {}
            Err(error) if error.kind() == AuthErrorKind::InvalidToken => {
                if case.demand.oldest.is_some() {
                    self.withdrawn.fetch_add(1, Ordering::AcqRel);
                }
                let lasts = error.reusable_until().map(|until| Timestamp::at(until, case.demand.now));
                cache.refuse(digest, error, lasts);
            }
            Err(_) => {}
        }
    }
}
