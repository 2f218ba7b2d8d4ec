//! From a credential to a principal: what is known already, a call that is under way, or the authenticator.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::cache::Digest;
use super::calls::{Call, Outcome, Sent, Timing};
use super::extract::{Found, extract};
use super::future::State as Judging;
use super::memory::{Case, Memory};
use super::revocations::{Mark, Revocations};
use super::{Authenticator, RequestContext};
use crate::credential::Presentation;
use crate::error::Reason;
use crate::principal::Principal;
use crate::scope::{Rule, SharedRule};
use crate::time::Timestamp;

/// What judges the credentials of a layer. Clones share what they know.
pub(super) struct Verifier<A> {
    pub(super) authenticator: Arc<A>,
    pub(super) presentations: Arc<[Presentation]>,
    pub(super) memory: Arc<Memory>,
    pub(super) revocations: Option<Arc<dyn Revocations>>,
    pub(super) rule: SharedRule,
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
    /// The call vanished with its runtime, or was of no use here: judge again.
    Vanished,
}

/// What a request wants of its verdict.
#[derive(Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) now: Timestamp,
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

impl Demand {
    pub(super) fn timing(self) -> Timing {
        let oldest = self.oldest.and_then(|oldest| oldest.instant);
        Timing { asked: self.now.instant(), again: self.oldest.is_some(), oldest }
    }

    /// Whether a verdict that somebody else waited for will do here too.
    fn is_met_by(self, outcome: &Outcome) -> bool {
        let fresh = |principal: &Principal| {
            self.oldest.is_none_or(|oldest| principal.facts().terms.asked_since(oldest.instant))
        };
        // What was called back meanwhile is judged anew: who asked first may have asked before that, not who came later.
        let stands = |principal: &Principal| {
            principal.facts().terms.lease.as_ref().is_none_or(|lease| !lease.has_ended())
        };
        outcome.as_ref().map_or(true, |principal| fresh(principal) && stands(principal))
    }
}

impl Oldest {
    /// The oldest verdict that a route accepts which asks for one no older than `age` when the request arrived.
    pub(crate) fn within(age: Duration, arrival: Timestamp, now: Timestamp) -> Self {
        let arrival = arrival.instant();
        let ago = now.instant().saturating_duration_since(arrival).saturating_add(age);
        let wall = now.wall().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { instant: arrival.checked_sub(age), wall }
    }
}

/// The layer that admitted a principal, as guards beneath it see it.
pub(crate) trait Origin: Send + Sync {
    fn rule(&self) -> Option<&Rule>;

    fn now(&self) -> Timestamp;

    /// Judges the credential of the request once more.
    fn judge_again(&self, context: &RequestContext<'_>, demand: Demand) -> Judged;
}

impl<A: Authenticator> Verifier<A> {
    /// Judges what was found in the request.
    pub(super) fn judge(&self, found: Found<'_>, context: &RequestContext<'_>, demand: Demand) -> Judged {
        let memory = &self.memory;
        let digest = memory.cache.as_ref().and_then(|cache| cache.digest(found));
        if let Some(known) = digest.and_then(|digest| self.known(digest, demand)) {
            return Judged::Ready(known);
        }
        let credential = match found.credential(&self.presentations) {
            Ok(credential) => credential,
            Err(reason) => return Judged::Ready(Err(reason.into())),
        };
        // Made where it is needed: what is refused at once, and not remembered, has none.
        let make_case = || {
            let revocable = self.revocations.clone().map(|list| (list, Mark::token(credential.expose())));
            Case { digest, demand, revocable }
        };
        if let Some(call) = digest.and_then(|digest| memory.calls.join(digest, || demand.timing())) {
            return Judged::joined(Arc::clone(memory), make_case(), call);
        }
        let context = RequestContext {
            not_before: demand.oldest.map(|oldest| oldest.wall),
            #[cfg(feature = "jwt")]
            time: memory.own_clock.is_none().then_some(demand.now.unix()),
            ..*context
        };
        let judging = self.authenticator.authenticate(&credential, &context).0;
        // Nothing of it is kept, and nothing was.
        if digest.is_none()
            && let Judging::Ready(Err(error)) = judging
        {
            return Judged::Ready(Err(error));
        }
        let case = make_case();
        match judging {
            Judging::Ready(result) => {
                let outcome = case.conclude(result);
                memory.remember(&case, &outcome);
                Judged::Ready(memory.finish(&case, outcome))
            }
            Judging::Shared(limit, future) if digest.is_some() => match memory.send(&case, limit, future) {
                Ok(Sent::Call(call)) => Judged::waiting(Arc::clone(memory), case, call),
                Ok(Sent::Joined(call)) => Judged::joined(Arc::clone(memory), case, call),
                Ok(Sent::Known(outcome)) => Judged::Ready(memory.finish(&case, outcome)),
                Err(error) => Judged::Ready(memory.finish(&case, Err(error))),
            },
            Judging::Boxed(future) | Judging::Shared(_, future) => {
                let memory = Arc::clone(memory);
                Judged::Waiting(Box::pin(async move {
                    let before = memory.withdrawn();
                    let outcome = case.conclude(future.await);
                    // What was refused meanwhile may have been asked about later than this.
                    if memory.withdrawn() == before {
                        memory.remember(&case, &outcome);
                    }
                    Landing::Judged(memory.finish(&case, outcome))
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
        let fresh = oldest.is_none_or(|oldest| facts.is_since(oldest));
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

    fn now(&self) -> Timestamp {
        self.memory.now()
    }

    fn judge_again(&self, context: &RequestContext<'_>, demand: Demand) -> Judged {
        match extract(context.headers(), &self.presentations) {
            Ok(Some(found)) => self.judge(found, context, demand),
            _ => Judged::Ready(Err(Reason::CredentialRemoved.into())),
        }
    }
}

impl Judged {
    /// Waits for a call that was made for somebody else. What was fresh enough for that may not be here: then it is made anew.
    fn joined(memory: Arc<Memory>, case: Case, call: Call) -> Self {
        Self::Waiting(Box::pin(async move {
            match call.outcome().await.filter(|outcome| case.demand.is_met_by(outcome)) {
                Some(outcome) => Landing::Judged(memory.finish(&case, outcome)),
                None => Landing::Vanished,
            }
        }))
    }

    fn waiting(memory: Arc<Memory>, case: Case, call: Call) -> Self {
        Self::Waiting(Box::pin(async move {
            match call.outcome().await {
                Some(outcome) => Landing::Judged(memory.finish(&case, outcome)),
                None => Landing::Vanished,
            }
        }))
    }
}
