//! The guards of routes.

use std::sync::Arc;

use serde_json::Value;
use tower_layer::Layer;

use super::{Require, ScopePolicy};
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
    policy: Arc<ScopePolicy>,
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
        Self { policy: Arc::new(policy) }
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
        Self::new(Arc::unwrap_or_clone(self.policy).and_any_of(scopes))
    }

    /// Needs besides that the claim is there and that `holds` says so of its value.
    ///
    /// ```
    /// use portcullis::require_scopes;
    /// let guard = require_scopes(["admin"]).claim("tenant", |tenant| tenant == "acme");
    /// ```
    #[must_use]
    pub fn claim(self, name: &'static str, holds: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        Self::new(Arc::unwrap_or_clone(self.policy).and_claim(name, holds))
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Require::new(inner, Arc::clone(&self.policy))
    }
}
