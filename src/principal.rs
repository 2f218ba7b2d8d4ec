//! The authenticated party.

mod texts;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
#[cfg(feature = "rate-limit")]
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::de::DeserializeOwned;

#[cfg(feature = "introspection")]
use crate::authn::Confirmed;
use crate::authn::{Oldest, Origin, Terms};
use crate::error::{AuthError, Reason};
#[cfg(feature = "rate-limit")]
use crate::rate_limit::Counted;
use crate::scope::ScopeSet;
use crate::time::{Clock, SystemClock, Timestamp, UnixTime};
use texts::Texts;

/// Who is calling: the one thing that an [`AuthLayer`](crate::AuthLayer) puts into the request's extensions.
///
/// Cloning is cheap. Whoever holds one that came out of the extensions knows that the credential was verified: only the layer
/// inserts it, and it removes any that was there before.
#[derive(Clone)]
pub struct Principal {
    facts: Arc<Facts>,
    admission: Option<Admission>,
}

/// Who let it in, and when that began.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) arrival: Timestamp,
}

/// The cached facts about a principal, with the conditions under which they may be used again.
#[derive(Clone)]
pub(crate) struct Facts {
    /// Who counts its requests, as the first limit that asked found out.
    #[cfg(feature = "rate-limit")]
    pub(crate) counted: OnceLock<Counted>,
    pub(crate) terms: Terms,
    scopes: ScopeSet,
    texts: Texts,
    method: &'static str,
    issuer: Option<Arc<str>>,
    expires_at: Option<UnixTime>,
    verified_at: UnixTime,
    /// That was when an authority was asked.
    by_authority: bool,
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
}

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
            claims: Bytes::new(),
        }
    }

    /// A key for data that belongs to this caller: the issuer (or the authenticator, where there is no issuer) and the subject,
    /// or the client if there is no subject.
    ///
    /// Equal subjects of two issuers differ, and so do a subject and a client of one name. `None` if the credential names
    /// nobody: such callers must not share anything, so there is no key to share.
    #[must_use]
    pub fn id(&self) -> Option<PrincipalId> {
        let (kind, name) = match (self.subject(), self.client_id()) {
            (Some(subject), _) => (IdKind::Subject, subject),
            (None, Some(client)) => (IdKind::Client, client),
            (None, None) => return None,
        };
        let authority = match &self.facts.issuer {
            Some(issuer) => Authority::Issuer(Arc::clone(issuer)),
            None => Authority::Method(self.facts.method),
        };
        Some(PrincipalId { authority, kind, name: name.into() })
    }

    /// The key for data of this caller, for handlers that keep some.
    ///
    /// # Errors
    /// 403 with the reason `subject_missing` if the credential names neither a subject nor a client.
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

    /// The OAuth client: `client_id`, or `azp` where the issuer sends that.
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

    /// An authority was asked about it, whose word on scopes and on the end is the last where it says any.
    #[cfg(feature = "introspection")]
    pub(crate) fn confirmed(mut self, said: Confirmed) -> Self {
        let facts = Arc::make_mut(&mut self.facts);
        facts.verified_at = said.asked.wall().into();
        facts.by_authority = true;
        if let Some(scopes) = said.scopes {
            facts.scopes = scopes;
        }
        if let Some(exp) = said.exp {
            let exp = UnixTime::from(exp);
            facts.expires_at = facts.expires_at.map(|end| end.min(exp)).or(Some(exp));
        }
        self
    }

    /// Whether both name the same party.
    pub(crate) fn is_same_party(&self, other: &Self) -> bool {
        let (one, two) = (&*self.facts, &*other.facts);
        let (texts, others) = (&one.texts, &two.texts);
        let names = texts.subject() == others.subject() && texts.client() == others.client();
        names && one.issuer == two.issuer
    }

    /// Sets the terms on which it is remembered. Whoever just made it holds the only copy, so nothing is copied.
    pub(crate) fn on(mut self, terms: Terms) -> Self {
        match Arc::get_mut(&mut self.facts) {
            Some(facts) => facts.terms = terms,
            None => Arc::make_mut(&mut self.facts).terms = terms,
        }
        self
    }

    pub(crate) fn admitted(mut self, by: Admission) -> Self {
        self.admission = Some(by);
        self
    }

    pub(crate) const fn admission(&self) -> Option<&Admission> {
        self.admission.as_ref()
    }

    pub(crate) const fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    pub(crate) const fn from_facts(facts: Arc<Facts>) -> Self {
        Self { facts, admission: None }
    }

    /// When the authority was asked, on the stopwatch; `now` is when the authenticator was.
    pub(crate) fn asked_at(&self, now: Timestamp) -> Option<Instant> {
        if !self.facts.by_authority {
            return None;
        }
        let before = now.wall().duration_since(self.facts.verified_at.into()).unwrap_or_default();
        // The two clocks are not read in the same instant.
        if before < Duration::from_millis(1) {
            Some(now.instant())
        } else {
            now.instant().checked_sub(before)
        }
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

/// Tells one caller from another: see [`Principal::id`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalId {
    authority: Authority,
    kind: IdKind,
    name: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Authority {
    Issuer(Arc<str>),
    Method(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum IdKind {
    Subject,
    Client,
}

impl PrincipalId {
    /// The subject or the client, whichever the credential named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Shows whose word it is, never who: a name is personal data.
impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalId").field("authority", &self.authority).finish_non_exhaustive()
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
        };
        Principal { facts: Arc::new(facts), admission: None }
    }
}

impl fmt::Debug for PrincipalBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalBuilder").field("method", &self.method).finish_non_exhaustive()
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
