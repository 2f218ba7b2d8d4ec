//! The facts that verdicts and principals share.

use std::sync::Arc;
#[cfg(feature = "rate-limit")]
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use super::claims_text::Texts;
#[cfg(feature = "introspection")]
use super::confirmation::Confirmed;
use super::freshness::Oldest;
#[cfg(feature = "rate-limit")]
use super::rate_limit_memo::Counted;
use super::validity::Terms;
use crate::clock::timestamp::{Timestamp, UnixTime};
use crate::revocation::{Mark, Marks};
use crate::scope::ScopeSet;

/// The cached facts about a principal, with the conditions under which they may be used again.
#[derive(Clone)]
pub(crate) struct Facts {
    /// Who counts its requests, as the first limit that asked found out.
    #[cfg(feature = "rate-limit")]
    pub(crate) counted: OnceLock<Counted>,
    pub(crate) terms: Terms,
    pub(super) scopes: ScopeSet,
    pub(super) texts: Texts,
    pub(super) method: &'static str,
    pub(super) issuer: Option<Arc<str>>,
    pub(super) expires_at: Option<UnixTime>,
    pub(super) verified_at: UnixTime,
    /// That was when an authority was asked.
    pub(super) by_authority: bool,
    /// Whether the client is the identity where there is no subject.
    pub(super) client_is_identity: bool,
}

/// For so long a machine may have slept without an authority being asked again.
const SLEPT: Duration = Duration::from_secs(1);

impl Facts {
    /// Whether an authority was asked that late: by the stopwatch, and by the wall's clock too, for the stopwatch stands still
    /// while a machine sleeps.
    pub(crate) fn is_since(&self, oldest: Oldest) -> bool {
        let wall = SystemTime::from(self.verified_at).checked_add(SLEPT).is_none_or(|at| at >= oldest.wall);
        wall && self.terms.asked_since(oldest.instant)
    }

    pub(crate) fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at.map(SystemTime::from)
    }

    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        let marks = self.terms.marks.as_ref().map_or(0, |marks| marks.bytes());
        let texts = [self.texts.bytes(), self.scopes.bytes()];
        let counts = const { size_of::<usize>() * 2 };
        let bytes = texts.iter().fold(counts.saturating_add(marks), |sum, text| sum.saturating_add(*text));
        u64::try_from(size_of::<Self>().saturating_add(bytes)).unwrap_or(u64::MAX)
    }

    /// Whether both name the same party.
    pub(crate) fn is_same_party(&self, other: &Self) -> bool {
        let (texts, others) = (&self.texts, &other.texts);
        let names = texts.subject() == others.subject() && texts.client() == others.client();
        names && self.issuer == other.issuer
    }

    /// By what the credential can be revoked; `token`: by its own value.
    pub(crate) fn marks(&self, token: Mark) -> Marks {
        let authority = self.issuer.as_deref().unwrap_or(self.method);
        Marks::new(token, authority, self.texts.subject(), self.texts.client(), self.texts.claims())
    }

    /// An authority was asked about it, whose word on scopes and on the end is the last where it says any.
    #[cfg(feature = "introspection")]
    pub(super) fn confirm(&mut self, said: Confirmed) {
        self.verified_at = said.asked.unix();
        self.by_authority = true;
        if let Some(scopes) = said.scopes {
            self.scopes = scopes;
        }
        if let Some(exp) = said.exp {
            let exp = UnixTime::from(exp);
            self.expires_at = self.expires_at.map(|end| end.min(exp)).or(Some(exp));
        }
    }

    /// When the authority was asked, on the stopwatch; `now` is when the authenticator was.
    pub(crate) fn asked_at(&self, now: Timestamp) -> Option<Instant> {
        if !self.by_authority {
            return None;
        }
        let before = now.wall().duration_since(self.verified_at.into()).unwrap_or_default();
        // The two clocks are not read in the same instant.
        if before < Duration::from_millis(1) {
            Some(now.instant())
        } else {
            now.instant().checked_sub(before)
        }
    }
}
