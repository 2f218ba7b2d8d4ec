//! The reasons of rejections: a closed set, each with its kind.

use std::fmt;

use http::StatusCode;

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

            pub(super) const fn kind(self) -> AuthErrorKind {
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
