//! What an authenticator found out about a credential, and whether that may be used again.

pub(crate) mod cache;
pub(crate) mod single_flight;
pub(crate) mod state;
pub(crate) mod verifier;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::clock::timestamp::Timestamp;
#[cfg(feature = "introspection")]
use crate::error::{AuthError, Reason};
use crate::principal::Principal;
#[cfg(feature = "introspection")]
use crate::principal::confirmation::Confirmed;
use crate::principal::record::Facts;
use crate::principal::validity::{Grace, Lease, Terms};
use crate::revocation::Mark;

/// What an authenticator found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// Who it is.
    pub principal: Principal,
    /// Whether the same credential may be accepted again without asking.
    pub reuse: Reuse,
    lease: Option<Arc<Lease>>,
    grace: Option<Arc<Grace>>,
    /// When an authority was asked, where that is known by the layer's own stopwatch.
    asked: Option<Instant>,
}

impl Verdict {
    /// A verdict for this request alone.
    #[must_use]
    pub const fn once(principal: Principal) -> Self {
        Self::new(principal, Reuse::Never)
    }

    /// A verdict that holds for the same credential until a time. Right only where the judgement depends on nothing but the
    /// credential: not on the method, the path, or a proof that belongs to one request.
    #[must_use]
    pub const fn until(principal: Principal, time: SystemTime) -> Self {
        Self::new(principal, Reuse::Until(time))
    }

    const fn new(principal: Principal, reuse: Reuse) -> Self {
        Self { principal, reuse, lease: None, grace: None, asked: None }
    }

    /// Ends it with the key that it depends on.
    #[cfg(any(feature = "jwt", feature = "api-keys"))]
    pub(crate) fn under(mut self, lease: Option<Arc<Lease>>) -> Self {
        self.lease = lease;
        self
    }

    /// Lets it serve beyond its time while the authority is away.
    #[cfg(any(feature = "introspection", feature = "api-keys"))]
    pub(crate) fn with_grace(mut self, grace: Option<Arc<Grace>>) -> Self {
        self.grace = grace;
        self
    }

    #[cfg(any(feature = "introspection", feature = "api-keys"))]
    pub(crate) fn asked_at(mut self, asked: Instant) -> Self {
        self.asked = Some(asked);
        self
    }

    /// Adds that the authority was asked, and what it said.
    #[cfg(feature = "introspection")]
    pub(crate) fn confirmed(mut self, said: Confirmed, reusable: bool) -> Result<Self, AuthError> {
        // Where a client acts for itself many servers name it as the subject, in the one place or the other.
        let ours = self.principal.subject().or(self.principal.client_id());
        if said.subject.as_deref().is_some_and(|subject| ours != Some(subject)) {
            return Err(Reason::SubjectMismatch.into());
        }
        self.reuse = match (self.reuse, said.exp) {
            (Reuse::Until(time), Some(exp)) if reusable => Reuse::Until(time.min(exp)),
            (reuse, None) if reusable => reuse,
            _ => Reuse::Never,
        };
        self.asked = Some(said.asked.instant());
        self.principal = self.principal.confirmed(said);
        Ok(self)
    }

    /// The facts, with the terms on which they may be used again. `token`: how it is revoked by its own value, in layers that
    /// have a list.
    pub(crate) fn into_facts(self, now: Timestamp, token: Option<Mark>) -> Arc<Facts> {
        let lasts = match self.reuse {
            Reuse::Never => None,
            Reuse::Until(time) => Some(Timestamp::at(time.into(), now)),
        };
        let terms = Terms {
            asked: self.asked.or_else(|| self.principal.facts().asked_at(now)),
            lasts,
            lease: self.lease,
            grace: self.grace,
            marks: token.map(|token| Box::new(self.principal.facts().marks(token))),
        };
        self.principal.into_facts(terms)
    }
}

/// Whether a verdict may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// For this request alone.
    Never,
    /// For the same credential until then.
    Until(SystemTime),
}
