//! Why a request was refused.

pub(crate) mod excerpt;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::clock::UnixTime;
use excerpt::Excerpt;

/// What kind of refusal it is; decides the status and the `error` code of the challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthErrorKind {
    /// 401 without `error`: nothing was presented that this layer reads (RFC 6750 §3.1, third-last paragraph).
    MissingCredential,
    /// 400 `invalid_request`: the request is not well-formed as far as credentials go.
    InvalidRequest,
    /// 413: the body to which a credential is bound is larger than is read.
    ContentTooLarge,
    /// 401 `invalid_token`: a credential was judged and refused.
    InvalidToken,
    /// 403 `insufficient_scope`: the caller is known and may not do this.
    InsufficientScope,
    /// 429: too often.
    QuotaExceeded,
    /// 503: we could not judge; no verdict about the credential.
    Unavailable,
    /// 500: the application was put together wrongly.
    Misconfigured,
}

impl AuthErrorKind {
    /// The status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::MissingCredential | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
            Self::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The `error` code of the challenge (RFC 6750 §3.1), where there is one.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::InvalidRequest => Some("invalid_request"),
            Self::InvalidToken => Some("invalid_token"),
            Self::InsufficientScope => Some("insufficient_scope"),
            _ => None,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::Unavailable => Blame::Upstream,
            Self::Misconfigured => Blame::Us,
            _ => Blame::Client,
        }
    }
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The caller's.
    Client,
    /// An authority's, or the way to it.
    Upstream,
    /// The application's.
    Us,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $kind:ident, $code:literal, $text:literal;)*) => {
        /// The exact reason of a refusal, from a closed set: fit for log fields and metric labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = concat!("`", $code, "`: ", $text, ".")] $(#[$doc])* $name,)*
            /// A reason of an application's own authenticator.
            Custom(&'static str),
        }

        impl Reason {
            /// The code: short, in snake case, stable.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                    Self::Custom(code) => code,
                }
            }

            /// A sentence for the caller, without anything that the caller sent.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Custom(_) => "the credential was refused",
                }
            }

            const fn kind(self) -> AuthErrorKind {
                match self {
                    $(Self::$name => AuthErrorKind::$kind,)*
                    Self::Custom(_) => AuthErrorKind::InvalidToken,
                }
            }
        }
    };
}

reasons! {
    CredentialMissing: MissingCredential, "credential_missing", "no credential was presented";
    SchemeUnsupported: MissingCredential, "scheme_unsupported", "the authentication scheme is not supported here";

    AuthorizationMalformed: InvalidRequest, "authorization_malformed", "the credentials are not well-formed";
    CredentialTooLong: InvalidRequest, "credential_too_long", "the credentials are too long";
    SeveralCredentials: InvalidRequest, "several_credentials", "more than one credential was presented";

    BodyUnreadable: InvalidRequest, "body_unreadable", "the request's body could not be read";
    BodyTooLarge: ContentTooLarge, "body_too_large", "the request's body is larger than is accepted with this credential";

    CredentialUnrecognized: InvalidToken, "credential_unrecognized", "the credential is of no kind that is accepted here";
    /// Its kind is known, and read from other places only.
    CredentialMisplaced: InvalidToken, "credential_misplaced", "a credential of this kind is not accepted in this place";
    TokenTooLong: InvalidToken, "token_too_long", "the token is too long";
    TokenMalformed: InvalidToken, "token_malformed", "the token is not a signed JWT in compact form";
    TokenEncrypted: InvalidToken, "token_encrypted", "encrypted tokens are not accepted";
    HeaderMalformed: InvalidToken, "header_malformed", "the token's header is not well-formed";
    HeaderTooLong: InvalidToken, "header_too_long", "the token's header is too long";
    ClaimsMalformed: InvalidToken, "claims_malformed", "the token's claims are not well-formed";
    MemberDuplicated: InvalidToken, "member_duplicated", "the token repeats a member";
    NestingTooDeep: InvalidToken, "nesting_too_deep", "the token's JSON is nested too deeply";
    CriticalHeader: InvalidToken, "critical_header", "the token demands header extensions that are not supported";
    CompressedToken: InvalidToken, "compressed_token", "compressed tokens are not accepted";
    NestedToken: InvalidToken, "nested_token", "nested tokens are not accepted";
    AlgorithmRefused: InvalidToken, "algorithm_refused", "the token's algorithm is not accepted";
    TypeRefused: InvalidToken, "type_refused", "the token is of a type that is not accepted";
    /// The token would pass with `accept_typ_jwt()`.
    TypeJwtRefused: InvalidToken, "type_jwt_refused", "the token does not say that it is an access token (typ at+jwt)";
    NotAnAccessToken: InvalidToken, "not_an_access_token", "the token is of another kind than an access token";
    ClaimMissing: InvalidToken, "claim_missing", "the token lacks a required claim";
    IssuerRefused: InvalidToken, "issuer_refused", "the token's issuer is not accepted";
    /// The authority does not say for whom the token is. It would pass with `accept_missing_audience()`.
    AudienceMissing: InvalidToken, "audience_missing", "it is not known for whom the token is meant";
    AudienceRefused: InvalidToken, "audience_refused", "the token is meant for another audience";
    TokenExpired: InvalidToken, "token_expired", "the token has expired";
    TokenNotYetValid: InvalidToken, "token_not_yet_valid", "the token is not valid yet";
    IssuedInFuture: InvalidToken, "issued_in_future", "the token was issued in the future";
    LifetimeTooLong: InvalidToken, "lifetime_too_long", "the token lives too long";
    ScopeMalformed: InvalidToken, "scope_malformed", "the token's scopes are not well-formed";
    TokenInactive: InvalidToken, "token_inactive", "the token is not active";
    TokenRevoked: InvalidToken, "token_revoked", "the token was revoked";
    SubjectMismatch: InvalidToken, "subject_mismatch", "the authority names another subject than the token";
    ApiKeyMalformed: InvalidToken, "api_key_malformed", "the credential is not an API key of this service";
    /// There is no such key, or its text is another.
    ApiKeyUnknown: InvalidToken, "api_key_unknown", "the API key is not known";
    ApiKeyRevoked: InvalidToken, "api_key_revoked", "the API key was revoked";
    ApiKeyDisabled: InvalidToken, "api_key_disabled", "the API key is disabled";
    ApiKeyExpired: InvalidToken, "api_key_expired", "the API key has expired";
    ApiKeyNotYetValid: InvalidToken, "api_key_not_yet_valid", "the API key is not valid yet";
    /// A JWT, and nobody here judges JWTs. An introspection authenticator does with `introspect_jwts()`.
    JwtUnexpected: InvalidToken, "jwt_unexpected", "signed tokens are not accepted here";
    SenderConstrained: InvalidToken, "sender_constrained", "the token is bound to a key of its sender, which was not proven";
    KeyUnknown: InvalidToken, "key_unknown", "no key of the issuer fits the token";
    KeyMismatch: InvalidToken, "key_mismatch", "the token's algorithm does not fit the issuer's key";
    SignatureMalformed: InvalidToken, "signature_malformed", "the token's signature is not well-formed";
    SignatureInvalid: InvalidToken, "signature_invalid", "the token's signature is not valid";
    /// Whether there is no such client, or it has another secret, is not told.
    ClientUnknown: InvalidToken, "client_unknown", "no client that is known here signed the token";
    TokenStale: InvalidToken, "token_stale", "the token was made too long ago";
    BindingMissing: InvalidToken, "binding_missing", "the token is not bound to its request";
    BindingMismatch: InvalidToken, "binding_mismatch", "the token is bound to another request";
    TokenReplayed: InvalidToken, "token_replayed", "the token was used before";

    ScopeInsufficient: InsufficientScope, "scope_insufficient", "the credential does not grant what this needs";
    ClaimInsufficient: InsufficientScope, "claim_insufficient", "the credential lacks a claim that this needs";
    SubjectMissing: InsufficientScope, "subject_missing", "the credential names no subject";
    ClaimsMismatch: InsufficientScope, "claims_mismatch", "the credential's claims do not have the expected shape";

    QuotaExceeded: QuotaExceeded, "quota_exceeded", "too many requests";
    /// The address has presented too many credentials that were refused.
    FailuresExceeded: QuotaExceeded, "failures_exceeded", "too many credentials were refused";

    KeysUnavailable: Unavailable, "keys_unavailable", "the issuer's keys could not be fetched";
    KeysThrottled: Unavailable, "keys_throttled", "the issuer's keys may not be fetched again so soon";
    WaitersExceeded: Unavailable, "waiters_exceeded", "too many requests are waiting for the issuer's keys";
    AuthorityBusy: Unavailable, "authority_busy", "too many requests are waiting for the authority";
    AuthorityPaused: Unavailable, "authority_paused", "the authority that judges credentials failed several times and is not asked for a moment";
    AuthorityUnavailable: Unavailable, "authority_unavailable", "the authority that judges credentials cannot be reached";
    LimitsUnavailable: Unavailable, "limits_unavailable", "it is not known how often this caller has come";
    ReplayStoreFull: Unavailable, "replay_store_full", "no more tokens can be accepted for a moment";

    /// The route asks for a verdict of the authority (`verified_within`), and the authenticator has none.
    AuthorityMissing: Misconfigured, "authority_missing", "this route needs an authority that can be asked";
    /// A credential is bound to the request's body, and the layer does not read bodies.
    BodyNeeded: Misconfigured, "body_needed", "this route needs a layer that reads bodies";
    /// A key of the store was digested with a pepper that the application does not name any more.
    PepperMissing: Misconfigured, "pepper_missing", "the API key cannot be judged here";
    /// Something between the layer and a guard took the credential out of the request, so that it cannot be judged again.
    CredentialRemoved: Misconfigured, "credential_removed", "the credential is gone before it could be judged again";
    /// A request on this route costs more than its caller may ever spend at once.
    CostTooHigh: Misconfigured, "cost_too_high", "this route can never be used under its quota";
    /// The layer counts by address, and the server does not tell any: see [`PeerAddr`](crate::PeerAddr).
    AddressMissing: Misconfigured, "address_missing", "it is not known where the request comes from";
    LayerMissing: Misconfigured, "layer_missing", "this route is not covered by authentication";
    RuntimeMissing: Misconfigured, "runtime_missing", "authentication runs outside of its runtime";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

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
