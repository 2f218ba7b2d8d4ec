//! Builds principals.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "rate-limit")]
use std::sync::OnceLock;
use std::time::SystemTime;

use bytes::Bytes;

use super::Principal;
use super::claims_text::Texts;
use super::record::Facts;
use super::validity::Terms;
use crate::clock::timestamp::UnixTime;
use crate::clock::{Clock as _, SystemClock};
use crate::scope::ScopeSet;

impl Principal {
    /// Starts a principal, for an [`Authenticator`](crate::Authenticator) of your own. `method` names that authenticator.
    pub fn builder<'a>(method: &'static str) -> PrincipalBuilder<'a> {
        PrincipalBuilder {
            method,
            issuer: None,
            subject: Cow::Borrowed(""),
            client_id: Cow::Borrowed(""),
            plan: Cow::Borrowed(""),
            api_key_id: Cow::Borrowed(""),
            scopes: ScopeSet::default(),
            expires_at: None,
            verified_at: None,
            by_authority: false,
            client_is_identity: true,
            claims: Bytes::new(),
        }
    }
}

/// Builds a [`Principal`]; see [`Principal::builder`].
#[must_use]
pub struct PrincipalBuilder<'a> {
    method: &'static str,
    issuer: Option<Arc<str>>,
    subject: Cow<'a, str>,
    client_id: Cow<'a, str>,
    plan: Cow<'a, str>,
    api_key_id: Cow<'a, str>,
    scopes: ScopeSet,
    expires_at: Option<UnixTime>,
    verified_at: Option<UnixTime>,
    by_authority: bool,
    client_is_identity: bool,
    claims: Bytes,
}

impl<'a> PrincipalBuilder<'a> {
    /// Sets the issuer.
    pub fn issuer(mut self, issuer: impl Into<Arc<str>>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the subject. An empty one counts as none.
    pub fn subject(mut self, subject: impl Into<Cow<'a, str>>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets the client. An empty one counts as none.
    pub fn client_id(mut self, client_id: impl Into<Cow<'a, str>>) -> Self {
        self.client_id = client_id.into();
        self
    }

    /// Sets whether the client is the identity where there is no subject.
    #[cfg(feature = "jwt")]
    pub(crate) const fn client_is_identity(mut self, is_identity: bool) -> Self {
        self.client_is_identity = is_identity;
        self
    }

    /// Sets the plan: a name for the quotas that the caller gets. An empty one counts as none.
    pub fn plan(mut self, plan: impl Into<Cow<'a, str>>) -> Self {
        self.plan = plan.into();
        self
    }

    #[cfg(feature = "api-keys")]
    pub(crate) fn api_key_id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.api_key_id = id.into();
        self
    }

    /// Sets the grant.
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets when the credential ends.
    pub fn expires_at(self, time: SystemTime) -> Self {
        self.ends_at(time.into())
    }

    pub(crate) const fn ends_at(mut self, time: UnixTime) -> Self {
        self.expires_at = Some(time);
        self
    }

    /// Sets when an authority was asked about the credential: when the question was sent, not when the answer came.
    ///
    /// Routes that ask for a fresh verdict ([`verified_within`](crate::RequireLayer::verified_within)) go by it. Leave it out where
    /// the credential is judged without asking anybody: such routes then refuse it, since what an authority may have called back is
    /// not known.
    pub fn verified_at(mut self, time: SystemTime) -> Self {
        self.by_authority = true;
        self.judged_at(time.into())
    }

    pub(crate) const fn judged_at(mut self, time: UnixTime) -> Self {
        self.verified_at = Some(time);
        self
    }

    /// Sets the claims: a JSON object, for [`Principal::claims`].
    pub fn claims(mut self, json: impl Into<String>) -> Self {
        self.claims = json.into().into();
        self
    }

    /// Sets the claims, which are UTF-8. Names that are parts of them are not copied.
    #[cfg(feature = "jwt")]
    pub(crate) fn document(mut self, json: Bytes) -> Self {
        self.claims = json;
        self
    }

    /// The principal.
    #[must_use]
    pub fn build(self) -> Principal {
        let names = [&*self.subject, &self.client_id, &self.plan, &self.api_key_id];
        let texts = Texts::new(names, self.claims);
        let facts = Facts {
            #[cfg(feature = "rate-limit")]
            counted: OnceLock::new(),
            terms: Terms::default(),
            scopes: self.scopes,
            texts,
            method: self.method,
            issuer: self.issuer,
            expires_at: self.expires_at,
            verified_at: self.verified_at.unwrap_or_else(|| SystemClock.now().into()),
            by_authority: self.by_authority,
            client_is_identity: self.client_is_identity,
        };
        Principal::from_facts(Arc::new(facts))
    }
}

impl fmt::Debug for PrincipalBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalBuilder").field("method", &self.method).finish_non_exhaustive()
    }
}
