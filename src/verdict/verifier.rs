//! From a credential to a principal: what is known already, a call that is under way, or the authenticator.

use std::sync::Arc;

use super::cache::Digest;
use super::single_flight::{Call, Sent, Timing};
use super::state::{Case, Memory};
use crate::authenticator::Authenticator;
use crate::authenticator::future::State as Judging;
use crate::clock::timestamp::Timestamp;
use crate::context::RequestContext;
use crate::credential::location::Presentation;
use crate::credential::parse::{Found, extract};
use crate::error::Reason;
use crate::principal::freshness::Demand;
use crate::principal::origin::{Judged, Landing, Origin, Outcome};
use crate::principal::record::Facts;
use crate::revocation::Revocations;
use crate::scope::{Rule, SharedRule};

/// What judges the credentials of a layer. Clones share what they know.
pub(crate) struct Verifier<A> {
    pub(crate) authenticator: Arc<A>,
    pub(crate) presentations: Arc<[Presentation]>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) revocations: Option<Arc<dyn Revocations>>,
    pub(crate) rule: SharedRule,
}

impl<A: Authenticator> Verifier<A> {
    /// Judges what was found in the request.
    pub(crate) fn judge(&self, found: Found<'_>, context: &RequestContext<'_>, demand: Demand) -> Judged {
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
            let mark = || self.authenticator.token_mark(&credential);
            let revocable = self.revocations.clone().map(|list| (list, mark()));
            Case { digest, demand, revocable }
        };
        if let Some(call) = digest.and_then(|digest| memory.calls.join(digest, || Timing::of(demand))) {
            return joined(Arc::clone(memory), make_case(), call);
        }
        let context = context.with_times(
            demand.oldest.map(|oldest| oldest.wall),
            memory.own_clock.is_none().then_some(demand.now.unix()),
        );
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
                Ok(Sent::Call(call)) => waiting(Arc::clone(memory), case, call),
                Ok(Sent::Joined(call)) => joined(Arc::clone(memory), case, call),
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
        (fresh && terms.hold(now)).then_some(Ok(facts))
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

/// Waits for a call that was made for somebody else. What was fresh enough for that may not be here: then it is made anew.
fn joined(memory: Arc<Memory>, case: Case, call: Call) -> Judged {
    Judged::Waiting(Box::pin(async move {
        match call.outcome().await.filter(|outcome| serves(case.demand, outcome)) {
            Some(outcome) => Landing::Judged(memory.finish(&case, outcome)),
            None => Landing::Vanished,
        }
    }))
}

fn waiting(memory: Arc<Memory>, case: Case, call: Call) -> Judged {
    Judged::Waiting(Box::pin(async move {
        match call.outcome().await {
            Some(outcome) => Landing::Judged(memory.finish(&case, outcome)),
            None => Landing::Vanished,
        }
    }))
}

/// Whether a verdict that somebody else waited for will do here too.
fn serves(demand: Demand, outcome: &Outcome) -> bool {
    let fresh = |facts: &Facts| demand.oldest.is_none_or(|oldest| facts.terms.asked_since(oldest.instant));
    // What was called back meanwhile is judged anew: who asked first may have asked before that, not who came later.
    let stands = |facts: &Facts| facts.terms.lease.as_ref().is_none_or(|lease| !lease.has_ended());
    outcome.as_ref().map_or(true, |facts| fresh(facts) && stands(facts))
}
