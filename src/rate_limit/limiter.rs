//! One limit: whether there is any left for a request, and what becomes of one for which there is not.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::Response;

use super::caller::{Caller, Who};
use super::headers::RateLimitHeaders;
use super::metrics::Events;
use super::plans::Plan;
use super::quotas::{NamedQuota, Quotas};
use super::store::memory::MemoryRateLimits;
use super::store::{Charge, OnStoreFailure, RateLimitStore, Standing};
use crate::clock::{Clock, SystemClock};
use crate::error::{AuthError, Reason};
use crate::response::log::log;
use crate::store::{State, StoreError, StoreFuture};

/// When to come again where the store cannot be asked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Limit {
    pub(super) who: Who,
    /// `None`: the counts are in memory.
    pub(super) store: Option<Arc<dyn RateLimitStore>>,
    pub(super) on_failure: OnStoreFailure,
    pub(super) local: MemoryRateLimits,
    pub(super) headers: RateLimitHeaders,
    pub(super) observe_only: bool,
    pub(super) events: Arc<Events>,
    pub(super) own_clock: Option<Arc<dyn Clock>>,
}

/// What is to be done with a request.
pub(super) enum Checked {
    Judged(Judged),
    /// The store has to be asked.
    Asking(Caller, StoreFuture<'static, Standing>),
}

/// Whether it goes on. How things stand is told in the response, either way.
pub(super) type Judged = Result<Option<Told>, Box<Refusal>>;

pub(super) struct Refusal {
    pub(super) error: AuthError,
    pub(super) told: Option<Told>,
}

impl From<AuthError> for Box<Refusal> {
    fn from(error: AuthError) -> Self {
        Self::new(Refusal { error, told: None })
    }
}

/// How a caller stands.
pub(super) struct Told {
    pub(super) plan: Plan,
    pub(super) standing: Standing,
}

impl Limit {
    /// Spends so much of whoever this is.
    pub(super) fn check<B>(&self, request: &http::Request<B>, cost: NonZeroU32) -> Checked {
        let caller = match self.who.sent(request) {
            Ok(caller) => caller,
            Err(error) if self.observe_only && error.reason() == Reason::AddressMissing => {
                log(&error);
                return Checked::Judged(Ok(None));
            }
            Err(error) => return Checked::Judged(Err(error.into())),
        };
        let quotas = self.quotas(caller.plan).as_slice();
        if quotas.is_empty() {
            return Checked::Judged(Ok(None));
        }
        if quotas.iter().any(|named| named.quota().capacity() < cost.get()) {
            return Checked::Judged(self.too_dear(quotas, cost));
        }
        let charge = Charge::new(caller.key, quotas, cost.get());
        let Some(store) = &self.store else {
            return Checked::Judged(self.judge(caller.plan, cost, self.local.spend(&charge)));
        };
        match store.charge(&charge).into_state() {
            State::Ready(said) => Checked::Judged(self.conclude(caller, cost, said)),
            State::Boxed(future) => Checked::Asking(caller, future),
        }
    }

    /// No caller could ever come: that is a mistake, and in a trial one more that would have been refused.
    fn too_dear(&self, quotas: &[NamedQuota], cost: NonZeroU32) -> Judged {
        if !self.observe_only {
            return Err(AuthError::from(Reason::CostTooHigh).into());
        }
        let small = quotas.iter().filter(|named| named.quota().capacity() < cost.get());
        let violated: Vec<_> = small.map(|named| Arc::clone(named.shared_name())).collect();
        self.events.refused(&violated, true);
        Ok(None)
    }

    /// What the store's answer means.
    pub(super) fn conclude(
        &self,
        caller: Caller,
        cost: NonZeroU32,
        said: Result<Standing, StoreError>,
    ) -> Judged {
        match said {
            Ok(standing) => self.judge(caller.plan, cost, standing),
            Err(error) => self.without_store(caller, cost, &error),
        }
    }

    fn judge(&self, plan: Plan, cost: NonZeroU32, standing: Standing) -> Judged {
        if standing.granted() >= cost.get() {
            return Ok(self.told(plan, standing));
        }
        let quotas = self.quotas(plan).as_slice();
        let violated = standing.violated(quotas, cost.get());
        self.events.refused(&violated, self.observe_only);
        if self.observe_only {
            return Ok(None);
        }
        let wait = standing.wait(quotas, cost.get());
        let error = AuthError::quota_exceeded(wait, violated);
        Err(Box::new(Refusal { error, told: self.told(plan, standing) }))
    }

    fn without_store(&self, caller: Caller, cost: NonZeroU32, error: &StoreError) -> Judged {
        self.events.store_failed(self.on_failure, error);
        match self.on_failure {
            OnStoreFailure::Local { processes } => {
                let quotas = self.quotas(caller.plan).part(processes, cost);
                let charge = Charge::new(caller.key, quotas.as_slice(), cost.get());
                self.judge_local(&quotas, cost, &self.local.spend(&charge))
            }
            OnStoreFailure::Closed if !self.observe_only => {
                let error = AuthError::from(Reason::LimitsUnavailable).with_retry_after(RETRY_AFTER);
                Err(error.into())
            }
            _ => Ok(None),
        }
    }

    /// Nothing is told of a part of the quotas: the whole is what callers know.
    fn judge_local(&self, quotas: &Quotas, cost: NonZeroU32, standing: &Standing) -> Judged {
        if standing.granted() >= cost.get() {
            return Ok(None);
        }
        let violated = standing.violated(quotas.as_slice(), cost.get());
        self.events.refused(&violated, self.observe_only);
        if self.observe_only {
            return Ok(None);
        }
        let wait = standing.wait(quotas.as_slice(), cost.get());
        Err(AuthError::quota_exceeded(wait, violated).into())
    }

    fn told(&self, plan: Plan, standing: Standing) -> Option<Told> {
        self.tells().then_some(Told { plan, standing })
    }

    fn tells(&self) -> bool {
        !self.headers.are_none() && !self.observe_only
    }

    pub(super) fn tell<B>(&self, told: &Told, response: &mut Response<B>) {
        let clock = self.own_clock.as_deref().unwrap_or(&SystemClock);
        self.headers.write(self.quotas(told.plan), &told.standing, clock, response);
    }

    fn quotas(&self, plan: Plan) -> &Quotas {
        self.who.plans().quotas(plan)
    }
}
