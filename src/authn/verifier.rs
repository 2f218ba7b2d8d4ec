//! From a credential to a principal: what is known already, a call that is under way, or the authenticator.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::time::timeout;

use super::cache::{Digest, REFUSAL_BYTES, VerdictCache};
use super::calls::{Call, Calls, Outcome, RETRY_AFTER, Timing};
use super::extract::{Found, extract};
use super::future::{BoxedVerdict, State as Judging};
use super::revocations::{Mark, Revocations};
use super::terms::Span;
use super::{Authenticator, RequestContext, Verdict};
use crate::credential::Presentation;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::principal::Principal;
use crate::scope::{Rule, SharedRule};
use crate::time::{Clock, Moment, Moments};

/// What judges the credentials of a layer. Clones share what they know.
pub(super) struct Verifier<A> {
    pub(super) authenticator: Arc<A>,
    pub(super) presentations: Arc<[Presentation]>,
    pub(super) memory: Arc<Memory>,
    pub(super) revocations: Option<Arc<dyn Revocations>>,
    pub(super) rule: SharedRule,
}

/// What the clones of a layer remember together.
pub(super) struct Memory {
    pub(super) moments: Moments,
    cache: Option<VerdictCache>,
    calls: Calls,
    /// Counts credentials that an authority refused when it was asked again: what was under way then may be outdated.
    withdrawn: AtomicU64,
}

/// A verdict that is ready, or has to be waited for.
pub(crate) enum Judged {
    Ready(Outcome),
    Waiting(JudgedLater),
}

pub(crate) type JudgedLater = Pin<Box<dyn Future<Output = Landing> + Send>>;

/// What became of a verdict that was waited for.
pub(crate) enum Landing {
    Judged(Outcome),
    /// The call vanished with its runtime: judge again.
    Vanished,
}

/// What a request wants of its verdict.
#[derive(Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) now: Moment,
    /// The authority must have been asked since then; `None`: a verdict that may be used again will do.
    pub(crate) oldest: Option<Oldest>,
}

/// The oldest verdict that a route accepts.
#[derive(Clone, Copy)]
pub(crate) struct Oldest {
    /// `None` reaches back beyond what the platform can tell: any verdict of an authority will do.
    pub(crate) instant: Option<Instant>,
    pub(crate) wall: SystemTime,
}

impl Oldest {
    /// The oldest verdict that a route accepts which asks for one no older than `age` when the request arrived.
    pub(crate) fn within(age: Duration, arrival: Instant, now: Moment) -> Self {
        let ago = now.instant.saturating_duration_since(arrival).saturating_add(age);
        let wall = now.wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { instant: arrival.checked_sub(age), wall }
    }
}

/// The layer that admitted a principal, as guards beneath it see it.
pub(crate) trait Origin: Send + Sync {
    fn rule(&self) -> Option<&Rule>;

    fn now(&self) -> Moment;

    /// Judges the credential of the request once more.
    fn judge_again(&self, context: &RequestContext<'_>, demand: Demand) -> Judged;
}

/// One credential before its judges.
#[derive(Clone)]
struct Case {
    digest: Option<Digest>,
    now: Moment,
    /// By a guard: what the cache says is too old for it.
    asks_again: bool,
    /// How it is revoked by its own value, where the layer has revocations.
    revocable: Option<(Arc<dyn Revocations>, Mark)>,
}

impl<A: Authenticator> Verifier<A> {
    /// Judges what was found in the request.
    pub(super) fn judge(&self, found: Found<'_>, context: &RequestContext<'_>, demand: Demand) -> Judged {
        let memory = &self.memory;
        let oldest = demand.oldest.and_then(|oldest| oldest.instant);
        let digest = memory.cache.as_ref().and_then(|cache| cache.digest(found));
        if let Some(digest) = digest {
            if let Some(known) = self.known(digest, demand) {
                return Judged::Ready(known);
            }
            if let Some(call) = memory.calls.join(digest, demand.now.instant, oldest) {
                return Judged::waiting(call);
            }
        }
        let credential = match found.credential(&self.presentations) {
            Ok(credential) => credential,
            Err(reason) => return Judged::Ready(Err(reason.into())),
        };
        let case = Case {
            digest,
            now: demand.now,
            asks_again: demand.oldest.is_some(),
            revocable: self.revocations.clone().map(|list| (list, Mark::token(credential.expose()))),
        };
        let context = context.with_not_before(demand.oldest.map(|oldest| oldest.wall));
        match self.authenticator.authenticate(&credential, &context).into_state() {
            Judging::Ready(result) => {
                let outcome = memory.conclude(&case, result);
                memory.remember(&case, &outcome);
                Judged::Ready(outcome)
            }
            Judging::Shared(limit, future) if let Some(digest) = digest => {
                let timing = Timing { asked: demand.now.instant, limit, oldest };
                match memory.send(case, digest, timing, future) {
                    Ok(call) => Judged::waiting(call),
                    Err(error) => Judged::Ready(Err(error)),
                }
            }
            Judging::Boxed(future) | Judging::Shared(_, future) => {
                let memory = Arc::clone(memory);
                let withdrawn = memory.withdrawn.load(Ordering::Acquire);
                Judged::Waiting(Box::pin(async move {
                    let outcome = memory.conclude(&case, future.await);
                    if memory.withdrawn.load(Ordering::Acquire) == withdrawn {
                        memory.remember(&case, &outcome);
                    }
                    Landing::Judged(outcome)
                }))
            }
        }
    }

    /// What is remembered of a credential, checked anew.
    fn known(&self, digest: Digest, Demand { now, oldest }: Demand) -> Option<Outcome> {
        let cache = self.memory.cache.as_ref()?;
        let Some(facts) = cache.verdict(digest) else {
            // A guard asks the authority, whatever was said before.
            return if oldest.is_none() { cache.refusal(digest, now).map(Err) } else { None };
        };
        let terms = &facts.terms;
        if let Some(revocations) = &self.revocations
            && terms.marks.as_ref()?.are_revoked(&**revocations)
        {
            return Some(Err(Reason::TokenRevoked.into()));
        }
        let fresh = oldest.is_none_or(|oldest| terms.asked_since(oldest.instant));
        (fresh && terms.hold(now)).then(|| Ok(Principal::from_facts(facts)))
    }
}

impl<A> Clone for Verifier<A> {
    fn clone(&self) -> Self {
        Self {
            authenticator: Arc::clone(&self.authenticator),
            presentations: Arc::clone(&self.presentations),
            memory: Arc::clone(&self.memory),
            revocations: self.revocations.clone(),
            rule: self.rule.clone(),
        }
    }
}

impl<A: Authenticator> Origin for Verifier<A> {
    fn rule(&self) -> Option<&Rule> {
        self.rule.as_deref()
    }

    fn now(&self) -> Moment {
        self.memory.moments.now()
    }

    fn judge_again(&self, context: &RequestContext<'_>, demand: Demand) -> Judged {
        match extract(context.headers(), &self.presentations) {
            Ok(Some(found)) => self.judge(found, context, demand),
            _ => Judged::Ready(Err(Reason::CredentialRemoved.into())),
        }
    }
}

impl Memory {
    /// `places`: of how many presentations the layer reads credentials.
    pub(super) fn new(own_clock: Option<Arc<dyn Clock>>, places: usize, verdict_bytes: u64) -> Self {
        let cache = (verdict_bytes > 0).then(|| VerdictCache::new(places, verdict_bytes, REFUSAL_BYTES));
        Self {
            moments: Moments::new(own_clock),
            cache,
            calls: Calls::default(),
            withdrawn: AtomicU64::new(0),
        }
    }

    /// Calls the authority in a task that holds nothing of the layer, so that it ends with it.
    fn send(
        self: &Arc<Self>,
        case: Case,
        digest: Digest,
        timing: Timing,
        future: BoxedVerdict,
    ) -> Result<Call, AuthError> {
        let owner = Arc::downgrade(self);
        self.calls.send(digest, timing, |number| {
            let land = move |result| {
                let memory = Weak::upgrade(&owner)?;
                let outcome = memory.conclude(&case, result);
                memory.calls.land(digest, number, || memory.remember(&case, &outcome));
                Some(outcome)
            };
            let late = || Err(AuthError::unavailable(RETRY_AFTER));
            let crashed = land.clone();
            let work = async move { land(timeout(timing.limit, future).await.unwrap_or_else(|_| late())) };
            (work, move || crashed(late()))
        })
    }

    /// Makes a principal of what the authenticator said, on its terms.
    fn conclude(&self, case: &Case, result: Result<Verdict, AuthError>) -> Outcome {
        match result {
            Ok(verdict) => verdict.into_principal(case.now, case.revocable.as_ref()),
            // Nobody could judge. What was judged before may do, if the authenticator says so.
            Err(error) if error.kind() == AuthErrorKind::Unavailable && !case.asks_again => {
                self.stale(case).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn stale(&self, case: &Case) -> Option<Principal> {
        let facts = self.cache.as_ref()?.verdict(case.digest?)?;
        if let Some((revocations, _)) = &case.revocable
            && facts.terms.marks.as_ref()?.are_revoked(&**revocations)
        {
            return None;
        }
        let now = self.moments.now();
        let expired = facts.expires_at().is_some_and(|time| time <= now.wall);
        (!expired && facts.terms.serve_stale(now)).then(|| Principal::from_facts(facts))
    }

    fn remember(&self, case: &Case, outcome: &Outcome) {
        let (Some(cache), Some(digest)) = (&self.cache, case.digest) else { return };
        match outcome {
            Ok(principal) if principal.facts().terms.lasts.is_some() => {
                cache.accept(digest, Arc::clone(principal.facts()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == AuthErrorKind::InvalidToken => {
                if case.asks_again {
                    self.withdrawn.fetch_add(1, Ordering::AcqRel);
                }
                cache.refuse(digest, error, error.reusable_until().map(|until| Span::until(until, case.now)));
            }
            Err(_) => {}
        }
    }
}

impl Judged {
    fn waiting(call: Call) -> Self {
        Self::Waiting(Box::pin(
            async move { call.outcome().await.map_or(Landing::Vanished, Landing::Judged) },
        ))
    }
}
