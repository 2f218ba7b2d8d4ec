//! What a [`Principal`] may do.
//!
//! Guards hang on the handler or on the route, never on a path string: what was matched is what is guarded.

pub(crate) mod layer;
pub(crate) mod service;

use std::fmt;
use std::sync::Arc;

pub use layer::{RequireLayer, require_any_of, require_authenticated, require_scopes};
pub use service::{Require, RequireFuture};

use serde_json::Value;

use crate::error::{AuthError, Reason};
use crate::principal::Principal;
use crate::scope::Scope;

/// What a route needs: any one of several alternatives, each a list of scopes of which all must be granted, and predicates on
/// claims that must all hold.
///
/// A policy without alternatives denies everybody.
#[derive(Clone, Default)]
pub struct ScopePolicy {
    alternatives: Vec<Vec<Scope>>,
    claims: Vec<ClaimRule>,
}

#[derive(Clone)]
struct ClaimRule {
    name: &'static str,
    holds: Arc<dyn Fn(&Value) -> bool + Send + Sync>,
}

impl ScopePolicy {
    /// A policy that nobody meets: the start for [`or_all_of`](Self::or_all_of).
    #[must_use]
    pub const fn deny() -> Self {
        Self { alternatives: Vec::new(), claims: Vec::new() }
    }

    /// A policy that every authenticated caller meets.
    #[must_use]
    pub fn authenticated() -> Self {
        Self { alternatives: vec![Vec::new()], claims: Vec::new() }
    }

    /// All of these scopes are needed. An empty list denies everybody: it is far more likely a mistake than a wish.
    #[must_use]
    pub fn all_of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        Self::deny().or_all_of(scopes)
    }

    /// Adds an alternative: all of these scopes suffice as well. An empty list adds nothing.
    #[must_use]
    pub fn or_all_of(mut self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        if !scopes.is_empty() {
            self.alternatives.push(scopes);
        }
        self
    }

    /// Needs besides at least one of these scopes. An empty list denies everybody.
    #[must_use]
    pub fn and_any_of(self, scopes: impl IntoIterator<Item = Scope>) -> Self {
        let scopes: Vec<Scope> = scopes.into_iter().collect();
        let alternatives = self
            .alternatives
            .iter()
            .flat_map(|all| {
                scopes.iter().map(move |one| all.iter().chain(std::iter::once(one)).cloned().collect())
            })
            .collect();
        Self { alternatives, ..self }
    }

    /// Needs besides that the claim `name` is there and `holds` says so of its value. Claims are parsed for it at every
    /// request; scopes are cheaper.
    #[must_use]
    pub fn and_claim(
        mut self,
        name: &'static str,
        holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.claims.push(ClaimRule { name, holds: Arc::new(holds) });
        self
    }

    /// Judges a caller.
    ///
    /// # Errors
    /// 403: `insufficient_scope` with all scopes of the first alternative, so that a client can ask for them at once.
    pub fn judge(&self, principal: &Principal) -> Result<(), AuthError> {
        let met = |all: &Vec<Scope>| all.iter().all(|scope| principal.has(scope.as_str()));
        if !self.alternatives.iter().any(met) {
            return Err(self.insufficient());
        }
        if self.claims.is_empty() {
            return Ok(());
        }
        let claims: serde_json::Map<String, Value> = principal.claims()?;
        let holds = |rule: &ClaimRule| claims.get(rule.name).is_some_and(|value| (rule.holds)(value));
        if self.claims.iter().all(holds) { Ok(()) } else { Err(Reason::ClaimInsufficient.into()) }
    }

    fn insufficient(&self) -> AuthError {
        match self.alternatives.first() {
            Some(scopes) => {
                let needed: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
                AuthError::insufficient_scope(needed.join(" "))
            }
            None => Reason::ScopeInsufficient.into(),
        }
    }
}

impl fmt::Debug for ScopePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let claims: Vec<&str> = self.claims.iter().map(|rule| rule.name).collect();
        f.debug_struct("ScopePolicy")
            .field("alternatives", &self.alternatives)
            .field("claims", &claims)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::ScopeSet;

    fn caller(scopes: &str) -> Principal {
        Principal::builder("test")
            .scopes(ScopeSet::parse(scopes).unwrap())
            .claims(r#"{"tenant":"acme","mfa":true}"#)
            .build()
    }

    fn scopes<const N: usize>(names: [&'static str; N]) -> [Scope; N] {
        names.map(Scope::from_static)
    }

    #[test]
    fn nothing_asked_is_nothing_allowed() {
        assert!(ScopePolicy::deny().judge(&caller("a")).is_err());
        assert!(ScopePolicy::all_of([]).judge(&caller("a")).is_err());
        assert!(ScopePolicy::authenticated().and_any_of([]).judge(&caller("a")).is_err());
        assert!(ScopePolicy::authenticated().judge(&caller("")).is_ok());
    }

    #[test]
    fn any_of_all_of() {
        let policy =
            ScopePolicy::all_of(scopes(["a"])).and_any_of(scopes(["x", "y"])).or_all_of(scopes(["root"]));
        for (granted, allowed) in [("a x", true), ("y a", true), ("root", true), ("a", false), ("x y", false)]
        {
            assert_eq!(policy.judge(&caller(granted)).is_ok(), allowed, "{granted}");
        }
        assert_eq!(policy.judge(&caller("a")).unwrap_err().scope(), Some("a x"));
    }

    #[test]
    fn claims_must_be_there_and_hold() {
        let tenant = |wanted: &'static str| {
            ScopePolicy::authenticated().and_claim("tenant", move |value| value == wanted)
        };
        assert!(tenant("acme").judge(&caller("")).is_ok());
        assert_eq!(tenant("other").judge(&caller("")).unwrap_err().reason(), Reason::ClaimInsufficient);
        assert!(ScopePolicy::authenticated().and_claim("absent", |_| true).judge(&caller("")).is_err());
    }
}
