//! The layer that authenticates.

use std::fmt;
use std::sync::Arc;

use http::Response;
use tower_layer::Layer;

use super::service::Auth;
use super::shared::Settings;
use crate::authenticator::Authenticator;
use crate::authenticator::or::once_each;
#[cfg(feature = "rate-limit")]
use crate::client_addr::TrustedProxies;
use crate::error::AuthError;
#[cfg(feature = "rate-limit")]
use crate::rate_limit::quota::Quota;
use crate::response::EmptyBody;
use crate::response::challenge::{Challenge, DEFAULT_REALM, Offered};
use crate::revocation::Revocations;
use crate::scope::SharedRule;
use crate::verdict::cache::Bytes;
use crate::verdict::state::Memory;
use crate::verdict::verifier::Verifier;

/// Authenticates every request that passes: inserts the [`Principal`](crate::Principal), or refuses.
///
/// Works over any request body and any inner service whose response body has a default (an empty body) or for which
/// [`on_reject`](Self::on_reject) makes one. The service's error stays the inner one's: a refusal is a response.
///
/// All state is made with the authenticator and the layer: clones of the layer share what is remembered and the calls under way,
/// and so do the many services that a router makes of one layer. Two layers that are made of one authenticator do not.
pub struct AuthLayer<A, R = EmptyBody> {
    settings: Arc<Settings<A, R>>,
}

impl<A: Authenticator> AuthLayer<A> {
    /// A layer that demands a credential which this authenticator accepts.
    pub fn new(authenticator: A) -> Self {
        let mut challenges = once_each(authenticator.challenges());
        if challenges.is_empty() {
            // RFC 9110 §15.5.2: a 401 has at least one.
            challenges.push(Challenge::bearer());
        }
        let mut challenges: Vec<Challenge> = challenges
            .into_iter()
            .map(
                |challenge| {
                    if challenge.has("realm") { challenge } else { challenge.with("realm", DEFAULT_REALM) }
                },
            )
            .collect();
        // Clients that know one scheme look at the first challenge only, and Bearer is the one they know.
        challenges.sort_by_key(|challenge| !challenge.scheme().eq_ignore_ascii_case("Bearer"));
        let clock = authenticator.clock();
        let presentations = once_each(authenticator.presentations());
        let verifier = Verifier {
            authenticator: Arc::new(authenticator),
            memory: Arc::new(Memory::new(clock, presentations.len(), Bytes::DEFAULT)),
            presentations: presentations.into(),
            revocations: None,
            rule: None,
        };
        let offers = challenges.into_iter().map(Offered::from).collect();
        let settings = Arc::new(Settings::new(verifier, offers, EmptyBody));
        Self { settings }
    }
}

impl<A: Authenticator, R: Clone> AuthLayer<A, R> {
    /// Sets the rule by which a granted scope covers others, for everything beneath: guards, [`Principal::require`](crate::Principal::require) and
    /// extractors. By default a scope covers only itself, and that it always does.
    ///
    /// The closure is given a scope that was granted and one that is needed. Ready-made is
    /// [`colon_hierarchy`](crate::colon_hierarchy).
    #[must_use]
    pub fn scope_rule(self, covers: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        let rule: SharedRule = Some(Arc::new(covers));
        self.change(|settings| settings.change_verifier(|verifier| verifier.rule = rule))
    }

    /// Asks this list on every request whether the credential was called back, whatever is cached.
    #[must_use]
    pub fn revocations(self, list: impl Revocations) -> Self {
        let list: Arc<dyn Revocations> = Arc::new(list);
        self.change(|settings| settings.change_verifier(|verifier| verifier.revocations = Some(list)))
    }

    /// Sets how many bytes the verdicts may take that can be used again; 32 MiB by default. With zero every request is judged
    /// by itself, and calls to authorities are not shared either.
    ///
    /// The verdicts are those of this layer and the clones that are made of it from now on.
    #[must_use]
    pub fn verdict_cache(self, bytes: u64) -> Self {
        self.resize(|sizes| sizes.verdicts = bytes)
    }

    /// Sets how many bytes the refusals may take that can be used again; 4 MiB by default, of their own. With zero none is.
    #[must_use]
    pub fn refusal_cache(self, bytes: u64) -> Self {
        self.resize(|sizes| sizes.refusals = bytes)
    }

    /// Counts failed attempts by address, IPv6 by /64. Who presents anything from an address whose quota is spent is answered 429
    /// with `Retry-After`, before any cryptography, look-up or I/O.
    ///
    /// A failed attempt is a request of which this layer refuses what it presents: 401 for a credential that was judged or is of a
    /// scheme that is not read here, 400 for what is not well-formed. Nothing else counts: not what is accepted, not requests
    /// that present nothing, not 403, 413, 429, 500 and 503, and not what is refused beneath, also where a guard asks again. So
    /// nobody's success spends it, and no failure spends the quota of a [`RateLimitLayer`](crate::RateLimitLayer) beneath.
    ///
    /// While the quota is spent a good credential is turned away too: whether it is good is what is not looked at. So leave room
    /// where many callers share an address, as beneath a NAT. Requests without a credential go on as without this setting. The
    /// 429 costs nothing, so whoever waits for `Retry-After` has one more attempt.
    ///
    /// The address is that of the connection's other end, or the one that [trusted proxies](Self::behind) tell. Where the server
    /// does not tell it ([`PeerAddr`](crate::PeerAddr), or axum's `ConnectInfo<SocketAddr>`) a request that presents something is
    /// answered 500: counted together, one caller would lock out all others.
    ///
    /// The counts of 100,000 addresses are kept in the memory of this process, for the clones that are made from now on. With the feature `metrics`,
    /// `portcullis_failures_limited_total` counts the requests that were turned away.
    ///
    /// # Security
    /// An attempt counts when it ends, so those under way when the last room is taken are judged too: one for each thread that
    /// judges, and besides as many credentials as may wait for an authority or a store (1,064 for each of those in this crate) or for
    /// keys. They count all the same: the address waits the longer for them, up to twice the time in which its quota becomes whole.
    /// Going away before the answer spares nobody: what has to wait is judged to its end, 1,024 at once and for a minute at most.
    ///
    /// While 100,000 addresses have failed and their quotas are not whole again, all others share one count, as in
    /// [`MemoryRateLimits`](crate::MemoryRateLimits): then who has that many addresses can have strangers turned away. One failure is
    /// over after the quota's interval, so a short one makes that dear, and the burst can be set apart: `per_minute(30)` takes 50,000
    /// failures a second, `per_hour(30)` takes 833.
    ///
    /// ```
    /// # use portcullis::{AuthLayer, Authenticator, Quota};
    /// # fn limited<A: Authenticator>(authenticator: A) -> Result<(), portcullis::ConfigError> {
    /// // 30 mistakes at once, and one more every two seconds.
    /// let auth = AuthLayer::new(authenticator).limit_failures(Quota::per_minute(30)?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "rate-limit")]
    #[must_use]
    pub fn limit_failures(self, quota: Quota) -> Self {
        self.change(|settings| {
            let clock = settings.verifier.memory.own_clock.clone();
            settings.failures.limit(quota, clock);
        })
    }

    /// Believes these proxies about the addresses of which failed attempts are counted.
    #[cfg(feature = "rate-limit")]
    #[must_use]
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        self.change(|settings| settings.failures.behind(proxies))
    }

    fn resize(self, change: impl FnOnce(&mut Bytes)) -> Self {
        self.change(|settings| {
            settings.change_verifier(|verifier| {
                let mut bytes = verifier.memory.bytes;
                change(&mut bytes);
                let clock = verifier.memory.own_clock.clone();
                verifier.memory = Arc::new(Memory::new(clock, verifier.presentations.len(), bytes));
            });
        })
    }
}

impl<A, R> AuthLayer<A, R> {
    /// Lets requests without any credential pass as anonymous. A credential that is malformed, unsupported or refused is not
    /// absent: it is refused as ever.
    #[must_use]
    pub fn optional(self) -> Self
    where
        R: Clone,
    {
        self.change(|settings| settings.optional = true)
    }

    /// Names the protected space in all challenges; by default `api`, where an authenticator says nothing else.
    #[must_use]
    pub fn realm(self, realm: &str) -> Self
    where
        R: Clone,
    {
        self.change(|settings| {
            let named = |offered: &Offered| offered.challenge().clone().with("realm", realm).into();
            settings.offers = settings.offers.iter().map(named).collect();
        })
    }

    /// Makes the bodies of refusals: of this layer, and of the guards, limits and extractors beneath it.
    ///
    /// Takes a function `Fn(&AuthError) -> Response<B>`; [`problem_json`](crate::problem_json) is one. Status, challenges,
    /// `Retry-After` and `Cache-Control: no-store` are stamped on what it returns; other headers stay. Where layers are nested,
    /// the one that is nearest to the refusal makes its body.
    ///
    /// ```
    /// # use portcullis::{AuthLayer, Authenticator};
    /// # use http::Response;
    /// # fn with_bodies<A: Authenticator>(authenticator: A) {
    /// let auth = AuthLayer::new(authenticator)
    ///     .on_reject(|error| Response::new(format!("{}: {error}", error.reason())));
    /// # }
    /// ```
    #[must_use]
    pub fn on_reject<B, N>(self, reject: N) -> AuthLayer<A, N>
    where
        N: Fn(&AuthError) -> Response<B>,
    {
        let Settings { verifier, origin, offers, optional, failures, reject: _ } = &*self.settings;
        AuthLayer {
            settings: Arc::new(Settings {
                verifier: Arc::clone(verifier),
                origin: Arc::clone(origin),
                offers: Arc::clone(offers),
                optional: *optional,
                failures: failures.clone(),
                reject,
            }),
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Settings<A, R>)) -> Self
    where
        R: Clone,
    {
        change(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<A, R> Clone for AuthLayer<A, R> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl<A, R> fmt::Debug for AuthLayer<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("presentations", &self.settings.verifier.presentations)
            .field("optional", &self.settings.optional)
            .finish_non_exhaustive()
    }
}

impl<S, A: Authenticator, R> Layer<S> for AuthLayer<A, R> {
    type Service = Auth<S, A, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Auth::new(inner, Arc::clone(&self.settings))
    }
}
