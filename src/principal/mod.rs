//! The authenticated party: plain data that every layer uses.

pub(crate) mod builder;
pub(crate) mod claims_text;
#[cfg(feature = "introspection")]
pub(crate) mod confirmation;
pub(crate) mod freshness;
pub(crate) mod id;
pub(crate) mod origin;
#[cfg(feature = "rate-limit")]
pub(crate) mod rate_limit_memo;
pub(crate) mod record;
pub(crate) mod validity;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

pub use builder::PrincipalBuilder;
#[cfg(feature = "introspection")]
use confirmation::Confirmed;
pub use id::PrincipalId;
use origin::Admission;
use record::Facts;
use validity::Terms;

use crate::error::{AuthError, Reason};
use crate::scope::ScopeSet;

/// Who is calling: the one thing that an [`AuthLayer`](crate::AuthLayer) puts into the request's extensions.
///
/// Cloning is cheap. Whoever holds one that came out of the extensions knows that the credential was verified: only the layer
/// inserts it, and it removes any that was there before.
#[derive(Clone)]
pub struct Principal {
    facts: Arc<Facts>,
    admission: Option<Admission>,
}

impl Principal {
    /// A key for data that belongs to this caller: the issuer (or the authenticator, where there is
    /// no issuer) and the subject.
    ///
    /// The client is the identity of a credential without subject only where the client acts for
    /// itself. This is so for API keys, signed requests and the principals of your own
    /// authenticators; for introspection responses that name a `client_id` and no user; and for
    /// other responses and JWTs if their builder's `subjectless_is_client` says so.
    ///
    /// Equal subjects of two issuers differ, and so do a subject and a client of one name. `None` if the credential names
    /// nobody: such callers must not share anything, so there is no key to share.
    #[must_use]
    pub fn id(&self) -> Option<PrincipalId> {
        let facts = &*self.facts;
        let client = self.client_id().filter(|_| facts.client_is_identity);
        PrincipalId::new(facts.issuer.as_ref(), facts.method, self.subject(), client)
    }

    /// The key for data of this caller, for handlers that keep some.
    ///
    /// # Errors
    /// 403 with the reason `subject_missing` if there is no [`id`](Self::id). The log line names
    /// `subjectless_is_client`.
    pub fn require_id(&self) -> Result<PrincipalId, AuthError> {
        self.id().ok_or_else(|| AuthError::from(Reason::SubjectMissing))
    }

    /// The subject (`sub`): a user, or the client itself where a client acts for itself.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.facts.texts.subject()
    }

    /// The subject, for handlers that cannot do without.
    ///
    /// # Errors
    /// 403 with the reason `subject_missing` if the credential has none.
    pub fn require_subject(&self) -> Result<&str, AuthError> {
        self.subject().ok_or_else(|| AuthError::from(Reason::SubjectMissing))
    }

    /// The OAuth client, from the first of the claims `client_id`, `azp`, `cid` and `appid`, or of
    /// those that the builder's `client_claims` names.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.facts.texts.client()
    }

    /// The name for the quotas that it gets, where the credential has one: the plan of an API key
    /// ([`NewApiKey::plan`](crate::NewApiKey::plan)), or of a client that signs its requests.
    #[must_use]
    pub fn plan(&self) -> Option<&str> {
        self.facts.texts.plan()
    }

    /// The id of the API key that it came with.
    #[must_use]
    pub fn api_key_id(&self) -> Option<&str> {
        self.facts.texts.api_key()
    }

    /// What the credential grants.
    #[must_use]
    pub fn scopes(&self) -> &ScopeSet {
        &self.facts.scopes
    }

    /// Whether the grant covers `scope` under the layer's rule.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        let scopes = &self.facts.scopes;
        let covers = |by: &Admission| by.origin.rule().is_some_and(|rule| scopes.is_covered(scope, rule));
        scopes.contains(scope) || self.admission.as_ref().is_some_and(covers)
    }

    /// Demands a scope inside a handler, where the data decides which one.
    ///
    /// # Errors
    /// 403 `insufficient_scope` if the grant does not cover it.
    pub fn require(&self, scope: &str) -> Result<(), AuthError> {
        if self.has(scope) { Ok(()) } else { Err(AuthError::insufficient_scope(scope)) }
    }

    /// How the caller was authenticated: `jwt`, `introspection`, `api-key`, `signed-request`, or the name that an authenticator
    /// of your own gave.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.facts.method
    }

    /// The issuer (`iss`), exactly as it was configured.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.facts.issuer.as_deref()
    }

    /// When the credential ends, without leeway.
    #[must_use]
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.facts.expires_at()
    }

    /// When the credential was judged: for one judged locally the time of that, for one judged by an authority the time at
    /// which it was asked.
    #[must_use]
    pub fn verified_at(&self) -> SystemTime {
        self.facts.verified_at.into()
    }

    /// The verified claims as a type of your own. Parses them at every call.
    ///
    /// # Errors
    /// 403 with the reason `claims_mismatch` if they do not have that shape.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, AuthError> {
        serde_json::from_slice(self.facts.texts.claims().unwrap_or(b"{}"))
            .map_err(|_| AuthError::from(Reason::ClaimsMismatch))
    }

    /// An authority was asked about it.
    #[cfg(feature = "introspection")]
    pub(crate) fn confirmed(mut self, said: Confirmed) -> Self {
        Arc::make_mut(&mut self.facts).confirm(said);
        self
    }

    /// The facts, with the terms on which they may be used again. An authenticator that just made them holds the only copy.
    pub(crate) fn into_facts(mut self, terms: Terms) -> Arc<Facts> {
        Arc::make_mut(&mut self.facts).terms = terms;
        self.facts
    }

    /// A principal that a layer lets in.
    pub(crate) const fn admitted(facts: Arc<Facts>, by: Admission) -> Self {
        Self { facts, admission: Some(by) }
    }

    pub(crate) const fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    pub(crate) const fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    const fn from_facts(facts: Arc<Facts>) -> Self {
        Self { facts, admission: None }
    }
}

/// Shows how, never who: claims are personal data.
impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("method", &self.facts.method)
            .field("issuer", &self.facts.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_of_two_authorities_are_two_callers() {
        let of = |issuer: &str| Principal::builder("jwt").issuer(issuer).subject("ann").build().id();
        assert_eq!(of("https://a"), of("https://a"));
        assert_ne!(of("https://a"), of("https://b"));
        let client = Principal::builder("jwt").issuer("https://a").client_id("ann").build().id();
        assert_ne!(of("https://a"), client);
        assert_ne!(client, Principal::builder("api-key").client_id("ann").build().id());
    }

    #[test]
    fn names_are_kept_apart() {
        for (subject, client) in [("ann", "app"), ("ann", ""), ("", "app"), ("", ""), ("é", "ü")] {
            let principal = Principal::builder("x").subject(subject).client_id(client).build();
            assert_eq!(principal.subject().unwrap_or_default(), subject);
            assert_eq!(principal.client_id().unwrap_or_default(), client);
            assert_eq!(principal.subject().is_none(), subject.is_empty());
            assert_eq!((principal.plan(), principal.api_key_id()), (None, None));
            let planned = Principal::builder("x").subject(subject).client_id(client).plan("gold").build();
            assert_eq!((planned.subject(), planned.plan()), (principal.subject(), Some("gold")));
        }
    }

    #[test]
    fn who_names_nobody_has_no_key() {
        assert!(Principal::builder("x").subject("").build().id().is_none());
    }

    #[test]
    fn debug_shows_no_claims() {
        let principal = Principal::builder("jwt").subject("ann").claims(r#"{"email":"a@b"}"#).build();
        let text = format!("{principal:?} {:?}", Principal::builder("x").subject("ann"));
        assert!(!text.contains("ann") && !text.contains("a@b"), "{text}");
    }
}
