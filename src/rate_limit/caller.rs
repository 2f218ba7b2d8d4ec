//! Whose quota a request spends, and which quotas that are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::key::RateKey;
use super::plans::{Plan, Plans};
use super::unnamed_clients::warn_once;
use crate::client_addr::TrustedProxies;
use crate::context::RequestContext;
use crate::error::{AuthError, Reason};
use crate::principal::Principal;
use crate::principal::rate_limit_memo::Counted;

/// Tells callers apart.
#[derive(Clone)]
pub(super) struct Who {
    by: By,
    plans: Plans,
    proxies: Option<Arc<TrustedProxies>>,
    /// Which limit it is, for what verdicts remember of it.
    number: u32,
}

#[derive(Clone)]
pub(super) enum By {
    Client,
    Subject,
    ClientAndSubject,
    ApiKey,
    Address,
    Own(Arc<KeyOf>),
}

pub(super) type KeyOf = dyn Fn(Option<&Principal>, &RequestContext<'_>) -> RateKey + Send + Sync;

/// Who spends, of which plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) key: RateKey,
    pub(super) plan: Plan,
}

/// The number of another limit. The last is for all that come when there are no more, of which nothing is remembered.
fn next() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let more = |number: u32| number.checked_add(1);
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).unwrap_or(u32::MAX)
}

impl Who {
    pub(super) fn new(by: By, plans: Plans) -> Self {
        Self { by, plans, proxies: None, number: next() }
    }

    pub(super) const fn plans(&self) -> &Plans {
        &self.plans
    }

    /// What was found out before counts no more.
    pub(super) fn change_plans(&mut self, change: impl FnOnce(&mut Plans)) {
        change(&mut self.plans);
        self.number = next();
    }

    pub(super) fn behind(&mut self, proxies: TrustedProxies) {
        self.proxies = Some(Arc::new(proxies));
    }

    pub(super) fn sent<B>(&self, request: &http::Request<B>) -> Result<Caller, AuthError> {
        let principal = request.extensions().get::<Principal>();
        let context = RequestContext::new(request);
        match (&self.by, principal) {
            (By::Own(key), _) => Ok(self.planned(key(principal, &context), principal)),
            (By::Address, _) => self.by_address(&context, principal),
            (_, Some(principal)) => self.known(principal, &context),
            (_, None) if context.is_anonymous() => self.by_address(&context, None),
            (_, None) => Err(Reason::LayerMissing.into()),
        }
    }

    #[inline]
    fn found_out(&self, principal: &Principal) -> Option<Caller> {
        let counted = principal.facts().counted.get()?;
        let caller = Caller { key: RateKey::from_words(counted.key), plan: counted.plan };
        (counted.number == self.number && self.number != u32::MAX).then_some(caller)
    }

    fn known(&self, principal: &Principal, context: &RequestContext<'_>) -> Result<Caller, AuthError> {
        if let Some(caller) = self.found_out(principal) {
            return Ok(caller);
        }
        let key = match self.by {
            By::Subject => RateKey::subject(principal),
            By::ClientAndSubject => RateKey::client_and_subject(principal),
            By::ApiKey => RateKey::api_key(principal),
            _ => RateKey::client(principal),
        };
        // A limit per client must not turn into one per user or address in silence.
        let needs_client = !matches!(self.by, By::Subject) && !self.is_by_api_key(principal);
        if principal.client_id().is_none() && (needs_client || key.is_none()) {
            warn_once(principal);
        }
        let Some(key) = key else { return self.by_address(context, Some(principal)) };
        let caller = self.planned(key, Some(principal));
        // Taken already if another limit was first.
        let counted = Counted { number: self.number, key: caller.key.words(), plan: caller.plan };
        let _ = principal.facts().counted.set(counted);
        Ok(caller)
    }

    fn is_by_api_key(&self, principal: &Principal) -> bool {
        matches!(self.by, By::ApiKey) && principal.api_key_id().is_some()
    }

    fn planned(&self, key: RateKey, principal: Option<&Principal>) -> Caller {
        let plan = self.plan(principal);
        Caller { key: key.under(self.plans.name(plan)), plan }
    }

    fn plan(&self, principal: Option<&Principal>) -> Plan {
        principal.and_then(|principal| self.plans.of(principal))
    }

    /// Returns the caller by its address. One that no quota limits needs no address.
    fn by_address(
        &self,
        context: &RequestContext<'_>,
        principal: Option<&Principal>,
    ) -> Result<Caller, AuthError> {
        let client = |peer| match &self.proxies {
            Some(proxies) => proxies.client_addr(peer, context.headers()),
            None => peer,
        };
        let key = context.peer_addr().map(|peer| RateKey::address(client(peer)));
        match key {
            Some(key) => Ok(self.planned(key, principal)),
            None if self.plans.quotas(self.plan(principal)).as_slice().is_empty() => {
                Ok(self.planned(RateKey::anonymous(), principal))
            }
            // A cell that all callers share would let one caller lock out all others.
            None => Err(Reason::AddressMissing.into()),
        }
    }
}
