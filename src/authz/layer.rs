//! The guards of routes.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tower_layer::Layer;

use super::ScopePolicy;
use super::service::{Demands, Require};
use crate::scope::Scope;

/// Lets a request pass if its [`Principal`](crate::Principal) meets a [`ScopePolicy`].
///
/// Refuses with 403 and all scopes that are needed; with 401 where an optional layer let the caller pass as anonymous; with 500
/// where no [`AuthLayer`](crate::AuthLayer) covers the route.
///
/// # Security
/// In axum, hang guards on the handler: `get(list.layer(guard)).post(create.layer(other))`. A guard on a method router covers
/// only the methods that were added before it, and answers 403 where 405 is right.
#[derive(Clone, Debug)]
pub struct RequireLayer {
    demands: Arc<Demands>,
}

/// Needs all of these scopes.
///
/// ```
/// use portcullis::require_scopes;
/// let guard = require_scopes(["todo:read", "todo:write"]);
/// ```
///
/// A list without scopes does not compile: it would guard nothing.
///
/// ```compile_fail
/// let guard = portcullis::require_scopes([]);
/// ```
///
/// # Panics
/// If one is not a scope-token. For scopes from configuration build a [`ScopePolicy`] from parsed [`Scope`]s.
#[must_use]
#[track_caller]
pub fn require_scopes<const N: usize>(scopes: [&'static str; N]) -> RequireLayer {
    const { assert!(N > 0, "a guard needs at least one scope; see require_authenticated") };
    RequireLayer::new(ScopePolicy::all_of(scopes.map(Scope::from_static)))
}

/// Needs at least one of these scopes.
///
/// # Panics
/// If one is not a scope-token.
#[must_use]
#[track_caller]
pub fn require_any_of<const N: usize>(scopes: [&'static str; N]) -> RequireLayer {
    require_authenticated().any_of(scopes)
}

/// Needs an authenticated caller, with whatever scopes: for routes under an optional layer.
#[must_use]
pub fn require_authenticated() -> RequireLayer {
    RequireLayer::new(ScopePolicy::authenticated())
}

impl RequireLayer {
    /// A guard with a policy of your own.
    #[must_use]
    pub fn new(policy: ScopePolicy) -> Self {
        Self { demands: Arc::new(Demands::new(policy)) }
    }

    /// Needs besides a verdict for which the authority was asked at most this long before the request arrived; with zero it
    /// is asked for this request.
    ///
    /// What counts is when the authority was *asked*: what it says was true then, however late the answer comes. If the verdict
    /// at hand is older the authority is asked again, once for all who wait for the same, and what it says replaces the verdict
    /// for other routes too. Authorities are introspection, for opaque tokens and for JWTs whose authenticator has
    /// `with_introspection`, and whatever an authenticator of your own asks. Where there is none the answer is 500, and a log
    /// line says what is missing.
    ///
    /// ```
    /// use portcullis::require_scopes;
    /// use std::time::Duration;
    /// // A token that was called back is refused at once:
    /// let delete = require_scopes(["todo:write"]).verified_within(Duration::ZERO);
    /// // At most a minute later:
    /// let update = require_scopes(["todo:write"]).verified_within(Duration::from_secs(60));
    /// ```
    #[must_use]
    pub fn verified_within(self, age: Duration) -> Self {
        self.change(|demands| demands.verified_within = Some(age))
    }

    /// Needs besides at least one of these scopes.
    ///
    /// # Panics
    /// If one is not a scope-token.
    #[must_use]
    #[track_caller]
    pub fn any_of<const N: usize>(self, scopes: [&'static str; N]) -> Self {
        const { assert!(N > 0, "a guard needs at least one scope") };
        let scopes = scopes.map(Scope::from_static);
        self.change(|demands| demands.policy = mem::take(&mut demands.policy).and_any_of(scopes))
    }

    /// Needs besides that the claim is there and that `holds` says so of its value.
    ///
    /// ```
    /// use portcullis::require_scopes;
    /// let guard = require_scopes(["admin"]).claim("tenant", |tenant| tenant == "acme");
    /// ```
    #[must_use]
    pub fn claim(self, name: &'static str, holds: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        self.change(|demands| demands.policy = mem::take(&mut demands.policy).and_claim(name, holds))
    }

    fn change(self, change: impl FnOnce(&mut Demands)) -> Self {
        let mut demands = Arc::unwrap_or_clone(self.demands);
        change(&mut demands);
        Self { demands: Arc::new(demands) }
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Require::new(inner, Arc::clone(&self.demands))
    }
}
