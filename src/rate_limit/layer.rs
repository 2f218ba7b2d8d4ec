//! The layer that limits.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use tower_layer::Layer;

use super::caller::{By, Who};
use super::headers::RateLimitHeaders;
use super::key::RateKey;
use super::limiter::Limit;
use super::metrics::{Events, RateLimitStatus};
use super::plans::{PlanBy, Plans};
use super::quotas::Quotas;
use super::service::RateLimit;
use super::store::memory::MemoryRateLimits;
use super::store::{OnStoreFailure, RateLimitStore};
use crate::client_addr::TrustedProxies;
use crate::clock::Clock;
use crate::context::RequestContext;
use crate::error::ConfigError;
use crate::principal::Principal;

/// Refuses with 429 and `Retry-After` what comes too often, and tells everybody how they stand
/// ([`RateLimitHeaders`](super::RateLimitHeaders)).
///
/// Put it beneath the [`AuthLayer`](crate::AuthLayer), so that it knows who is calling: a credential that is refused spends nobody's
/// quota. All clones share the counts, and so do the services of all routes that one layer covers. Where two limits cover a route a
/// request spends from both, and from the outer one also if the inner one refuses; several quotas on one layer are spent together or
/// not at all. Give the quotas of several limits different names: by these their callers tell them apart.
///
/// ```
/// use portcullis::{Quota, Quotas, RateLimitLayer};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// // Two quotas at once; other ones for those of the plan `pro`, and none for our own.
/// let limit = RateLimitLayer::per_client(Quotas::from_static([
///     ("burst", Quota::per_second(10)?.burst(20)?),
///     ("daily", Quota::per_day(5_000)?),
/// ]))
/// .plan("pro", Quotas::from_static([
///     ("burst", Quota::per_second(100)?),
///     ("daily", Quota::per_day(1_000_000)?),
/// ]))
/// .plan("internal", Quotas::unlimited());
/// // On a route of its own: each request there spends five.
/// let expensive = limit.clone().cost(5)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RateLimitLayer {
    limit: Arc<Limit>,
    cost: NonZeroU32,
}

impl RateLimitLayer {
    /// Quotas for each client, together for all of its users and tokens, whether JWTs or opaque
    /// tokens of one issuer.
    ///
    /// A credential without client counts by its subject, and one without both counts by the
    /// address, together with all others from there. For each issuer of such credentials the log
    /// has one warning: its tokens may name the client in another claim, which `client_claims` on
    /// the authenticator's builder sets. An anonymous request counts by its address. A request that
    /// must count by its address and has none is rejected with 500 (`address_missing`); see
    /// [`PeerAddr`](crate::PeerAddr).
    #[must_use]
    pub fn per_client(quotas: impl Into<Quotas>) -> Self {
        Self::with(quotas.into(), By::Client)
    }

    /// Quotas for each subject. A credential without subject counts by its client; else as
    /// [`per_client`](Self::per_client).
    #[must_use]
    pub fn per_subject(quotas: impl Into<Quotas>) -> Self {
        Self::with(quotas.into(), By::Subject)
    }

    /// Quotas for each subject with each client. One that is missing does not count; else as [`per_client`](Self::per_client).
    #[must_use]
    pub fn per_client_and_subject(quotas: impl Into<Quotas>) -> Self {
        Self::with(quotas.into(), By::ClientAndSubject)
    }

    /// Quotas for each API key. Other credentials count as with [`per_client`](Self::per_client).
    #[must_use]
    pub fn per_api_key(quotas: impl Into<Quotas>) -> Self {
        Self::with(quotas.into(), By::ApiKey)
    }

    /// Quotas for each address, IPv6 by /64: that of the connection's other end, or the one that
    /// [trusted proxies](Self::behind) report. Works without an [`AuthLayer`](crate::AuthLayer)
    /// above too.
    ///
    /// The server must supply the address: insert [`PeerAddr`](crate::PeerAddr), or in axum serve
    /// with `into_make_service_with_connect_info::<SocketAddr>()`. A request without an address is
    /// rejected with 500 and the reason `address_missing`.
    #[must_use]
    pub fn per_address(quotas: impl Into<Quotas>) -> Self {
        Self::with(quotas.into(), By::Address)
    }

    /// Quotas for each key that `key` finds. Works without an [`AuthLayer`](crate::AuthLayer) above too.
    ///
    /// ```
    /// use portcullis::{Quota, RateKey, RateLimitLayer};
    /// #[derive(serde::Deserialize)]
    /// struct Tenant { tenant: String }
    ///
    /// # fn main() -> Result<(), portcullis::ConfigError> {
    /// let by_tenant = RateLimitLayer::by(Quota::per_second(10)?, |principal, _request| {
    ///     let claims = principal.and_then(|principal| principal.claims::<Tenant>().ok());
    ///     claims.map_or_else(RateKey::anonymous, |claims| RateKey::of(&["tenant", &claims.tenant]))
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn by(
        quotas: impl Into<Quotas>,
        key: impl Fn(Option<&Principal>, &RequestContext<'_>) -> RateKey + Send + Sync + 'static,
    ) -> Self {
        Self::with(quotas.into(), By::Own(Arc::new(key)))
    }

    /// Sets other quotas for callers of a plan, by default that of their API key or of the client that signs
    /// ([`Principal::plan`]). Callers of no plan, of one that is not set, and unknown ones have the layer's own.
    ///
    /// Under each plan a caller spends apart.
    #[must_use]
    pub fn plan(self, name: impl Into<Arc<str>>, quotas: impl Into<Quotas>) -> Self {
        let (name, quotas) = (name.into(), quotas.into());
        self.change(|limit| limit.who.change_plans(|plans| plans.set(name, quotas)))
    }

    /// Takes the name of the plan from a claim, which is a string.
    #[must_use]
    pub fn plan_from_claim(self, name: impl Into<Arc<str>>) -> Self {
        let by = PlanBy::Claim(name.into());
        self.change(|limit| limit.who.change_plans(|plans| plans.by(by)))
    }

    /// Has a function name the plan of a caller, from nothing but the principal: what it says is kept with a verdict that is used
    /// again, where this is the first limit that the caller meets.
    #[must_use]
    pub fn plan_by(self, plan: impl Fn(&Principal) -> Option<String> + Send + Sync + 'static) -> Self {
        let by = PlanBy::Own(Arc::new(plan));
        self.change(|limit| limit.who.change_plans(|plans| plans.by(by)))
    }

    /// Sets how much a request spends, for a clone on other routes; 1 by default. A cost that is higher than what a caller may
    /// ever spend at once is a mistake, and answered with 500.
    ///
    /// # Errors
    /// If `cost` is zero.
    pub fn cost(self, cost: u32) -> Result<Self, ConfigError> {
        let cost = NonZeroU32::new(cost).ok_or_else(|| {
            let (value, problem) = (Some(cost.to_string()), "must be at least 1");
            ConfigError::Setting { setting: "cost", value, problem }
        })?;
        Ok(Self { cost, ..self })
    }

    /// Refuses nobody: counts, and says in [`status`](Self::status) and in metrics what would have been refused. Headers are not
    /// written. A request whose address is missing passes uncounted, with an error in the log.
    #[must_use]
    pub fn observe_only(self) -> Self {
        self.change(|limit| limit.observe_only = true)
    }

    /// Sets which headers tell callers how they stand; [`RateLimitHeaders::draft_11`] by default.
    #[must_use]
    pub fn headers(self, headers: RateLimitHeaders) -> Self {
        self.change(|limit| limit.headers = headers)
    }

    /// Believes these proxies about addresses.
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        self.change(|limit| limit.who.behind(proxies))
    }

    /// Keeps the counts in this store, which other layers and processes may share: then quotas of one name are the same, so give
    /// them names. By default in memory, for 100,000 cells.
    #[must_use]
    pub fn store(self, store: impl RateLimitStore) -> Self {
        self.change(|limit| limit.store = Some(Arc::new(store)))
    }

    /// Sets what happens while the store cannot be asked; by default requests pass.
    #[must_use]
    pub fn on_store_failure(self, then: OnStoreFailure) -> Self {
        self.change(|limit| limit.on_failure = then)
    }

    /// Sets how many cells are kept in memory, one for each caller and quota; 100,000 by default. See [`MemoryRateLimits`] for
    /// what happens beyond. Starts those counts anew; a [store](Self::store) stays as it is.
    #[must_use]
    pub fn capacity(self, cells: usize) -> Self {
        self.change(|limit| limit.local = MemoryRateLimits::with(cells, limit.own_clock.clone()))
    }

    /// Sets the clock. Starts the counts in memory anew; a [store](Self::store) has a clock of its own.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.change(|limit| {
            limit.own_clock = Some(Arc::new(clock));
            limit.local = MemoryRateLimits::with(limit.local.capacity(), limit.own_clock.clone());
        })
    }

    /// What happened so far, on this layer and its clones.
    #[must_use]
    pub fn status(&self) -> RateLimitStatus {
        self.limit.events.status()
    }

    fn with(quotas: Quotas, by: By) -> Self {
        let limit = Limit {
            who: Who::new(by, Plans::new(quotas)),
            store: None,
            on_failure: OnStoreFailure::default(),
            local: MemoryRateLimits::default(),
            headers: RateLimitHeaders::default(),
            observe_only: false,
            events: Arc::new(Events::default()),
            own_clock: None,
        };
        Self { limit: Arc::new(limit), cost: NonZeroU32::MIN }
    }

    fn change(mut self, change: impl FnOnce(&mut Limit)) -> Self {
        change(Arc::make_mut(&mut self.limit));
        self
    }
}

impl fmt::Debug for RateLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("quotas", self.limit.who.plans().quotas(None))
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.limit), self.cost)
    }
}
