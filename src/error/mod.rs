//! Why a request was refused.

pub(crate) mod excerpt;
pub(crate) mod reason;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

pub use reason::{AuthErrorKind, Blame, Reason};

use crate::clock::timestamp::UnixTime;
use excerpt::Excerpt;

/// A refusal, on its way to becoming a response.
///
/// It stays in the extensions of that response, so that outer layers (logging, metrics, [`on_reject`]) can tell why. Holds
/// nothing that the caller sent, but for a scope that a handler made of it.
///
/// [`on_reject`]: crate::AuthLayer::on_reject
#[derive(Clone, Debug)]
pub struct AuthError {
    reason: Reason,
    retry_after: Option<Duration>,
    /// [`UnixTime::MIN`] if the layer must not cache it.
    reusable_until: UnixTime,
    more: Option<Arc<More>>,
}

/// What few refusals have: elsewhere, so that all others are small. They are handed from place to place.
#[derive(Clone, Debug, Default)]
struct More {
    scope: Option<Arc<str>>,
    violated: Box<[Arc<str>]>,
}

impl AuthError {
    /// A refusal of an authenticator of your own: the credential was judged and is not valid. `code` names the reason in
    /// snake case.
    #[must_use]
    pub const fn invalid_token(code: &'static str) -> Self {
        Self::of(Reason::Custom(code))
    }

    /// The authority that judges could not be asked: 503, after which the caller may come again.
    #[must_use]
    pub const fn unavailable(retry_after: Duration) -> Self {
        Self::of(Reason::AuthorityUnavailable).with_retry_after(retry_after)
    }

    /// The route asks for a fresh verdict ([`RequestContext::not_before`](crate::RequestContext::not_before)), and this
    /// authenticator has no authority to ask: 500.
    #[must_use]
    pub const fn authority_missing() -> Self {
        Self::of(Reason::AuthorityMissing)
    }

    /// The credential is bound to the request's body, which is not there
    /// ([`RequestContext::body`](crate::RequestContext::body)), and is good in all else. A layer that reads bodies
    /// ([`AuthLayer::read_body`](crate::AuthLayer::read_body)) reads it and asks again; of another one this is a 500.
    #[must_use]
    pub const fn body_needed() -> Self {
        Self::of(Reason::BodyNeeded)
    }

    /// Lets the layer refuse the same credential until then without asking again: for refusals that depend on nothing but the
    /// credential. Counts for kind [`InvalidToken`](AuthErrorKind::InvalidToken) alone.
    #[must_use]
    pub fn until(mut self, time: SystemTime) -> Self {
        self.reusable_until = time.into();
        self
    }

    pub(crate) fn reusable_until(&self) -> Option<UnixTime> {
        Some(self.reusable_until).filter(|until| *until > UnixTime::MIN)
    }

    /// The caller is known, and lacks scopes: `needed` is the space-divided list of all that are needed.
    #[must_use]
    pub fn insufficient_scope(needed: impl Into<Arc<str>>) -> Self {
        Self::of(Reason::ScopeInsufficient).with(|more| more.scope = Some(needed.into()))
    }

    const fn of(reason: Reason) -> Self {
        Self { reason, retry_after: None, reusable_until: UnixTime::MIN, more: None }
    }

    fn with(mut self, change: impl FnOnce(&mut More)) -> Self {
        change(Arc::make_mut(self.more.get_or_insert_default()));
        self
    }

    #[cfg(feature = "rate-limit")]
    pub(crate) fn quota_exceeded(wait: Duration, violated: Vec<Arc<str>>) -> Self {
        let error = Self::of(Reason::QuotaExceeded).with_retry_after(wait);
        error.with(|more| more.violated = violated.into())
    }

    /// The names of the quotas that had no room for the request.
    pub fn violated_policies(&self) -> impl Iterator<Item = &str> {
        self.more.iter().flat_map(|more| &more.violated).map(|name| &**name)
    }

    pub(crate) const fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// The kind of refusal.
    #[must_use]
    pub const fn kind(&self) -> AuthErrorKind {
        self.reason.kind()
    }

    /// The exact reason.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.kind().status()
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        self.kind().blame()
    }

    /// The scopes that the route needs, divided by spaces, if that is what was lacking.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        self.more.as_ref()?.scope.as_deref()
    }

    /// After how long the caller may try again, if that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<Reason> for AuthError {
    fn from(reason: Reason) -> Self {
        Self::of(reason)
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.description())
    }
}

impl std::error::Error for AuthError {}

/// The layers cannot be built this way. Found when the application starts, never while it serves.
///
/// The text names the wrong value: escaped, at most 64 characters of it, and never a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL cannot be used.
    #[error("`{}` cannot be used: {problem}", Excerpt(.url))]
    Url {
        /// The URL, as it was given.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A setting is outside of what makes sense.
    #[error("`{setting}`{}: {problem}", IsValue(.value.as_deref()))]
    Setting {
        /// The name of the setter.
        setting: &'static str,
        /// The value, as it was given. `None` if no single value is wrong, if it is empty, or if it may hold
        /// a secret.
        value: Option<String>,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An address or network cannot be used.
    #[error("`{}`: {problem}", Excerpt(.network))]
    Network {
        /// The address or network, as it was given.
        network: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A document of keys cannot be used.
    #[error("the key set cannot be used: {0}")]
    Keys(String),
    /// There is no way to make HTTP requests.
    #[error("no HTTP client: {0}")]
    HttpClient(String),
}

/// The part of a sentence that names the value of a setting.
struct IsValue<'a>(Option<&'a str>);

impl fmt::Display for IsValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, " is `{}`", Excerpt(value)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_value_is_named_escaped_and_bounded() {
        let problem = "must be greater than zero";
        let long = "0".repeat(100);
        for (value, text) in [
            (None, "`timeout`: must be greater than zero".to_owned()),
            (Some("0ns"), "`timeout` is `0ns`: must be greater than zero".to_owned()),
            (Some("0\n"), "`timeout` is `0\\n`: must be greater than zero".to_owned()),
            (Some(&long), format!("`timeout` is `{}…`: must be greater than zero", &long[..64])),
        ] {
            let value = value.map(ToOwned::to_owned);
            assert_eq!(ConfigError::Setting { setting: "timeout", value, problem }.to_string(), text);
        }
        let url = ConfigError::Url { url: "http://a\n".to_owned(), problem: "it is not an absolute URL" };
        assert_eq!(url.to_string(), "`http://a\\n` cannot be used: it is not an absolute URL");
        let network = ConfigError::Network { network: long, problem: "is not an address or network" };
        assert_eq!(network.to_string(), format!("`{}…`: is not an address or network", "0".repeat(64)));
    }

    #[test]
    fn every_kind_has_a_status_that_fits_its_blame() {
        for reason in [Reason::CredentialMissing, Reason::TokenExpired, Reason::QuotaExceeded] {
            assert_eq!(AuthError::from(reason).blame(), Blame::Client);
            assert!(AuthError::from(reason).status().is_client_error());
        }
        assert_eq!(AuthError::from(Reason::KeysUnavailable).blame(), Blame::Upstream);
        assert_eq!(AuthError::from(Reason::LayerMissing).status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
