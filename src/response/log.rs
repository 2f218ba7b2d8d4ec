//! The log line of a rejection.

use crate::clock::OncePerSecond;
use crate::error::{AuthError, Reason};

/// Logs the reason and nothing that the caller sent.
pub(crate) fn log(error: &AuthError) {
    static MISCONFIGURED: OncePerSecond = OncePerSecond::new();
    let (reason, status) = (error.reason().code(), error.status().as_u16());
    match error.reason() {
        Reason::TypeJwtRefused => tracing::debug!(
            target: "portcullis", reason, status,
            "refused only for its `typ`: if this issuer does not send `at+jwt`, build the authenticator with `accept_typ_jwt()`"
        ),
        Reason::LayerMissing if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "a guard, limit or extractor runs where no `AuthLayer` has judged the request: put the layer around this route"
        ),
        Reason::AudienceMissing => tracing::debug!(
            target: "portcullis", reason, status,
            "refused because the authority names no audience: if it answers for the tokens of this server alone, build the introspection with `accept_missing_audience()`"
        ),
        Reason::SubjectMissing => tracing::debug!(
            target: "portcullis", reason, status,
            "refused because the credential names no subject: if the issuer leaves `sub` out for clients alone, build the authenticator with `subjectless_is_client(true)`, so that `require_id` returns the client's identity"
        ),
        Reason::JwtUnexpected => tracing::debug!(
            target: "portcullis", reason, status,
            "a JWT came where only opaque tokens are judged: put a `JwtAuthenticator` beside the introspection, or build that with `introspect_jwts()`"
        ),
        Reason::AuthorityMissing if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "a route asks for `verified_within`, and the credential's authenticator has no authority to ask: build the `JwtAuthenticator` with `with_introspection`, or take the guard away"
        ),
        Reason::CredentialRemoved if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "a route asks for `verified_within`, and something between the `AuthLayer` and the guard has taken the credential out of the request"
        ),
        Reason::BodyNeeded if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "a credential is bound to the request's body, and this `AuthLayer` does not read bodies: make it with `read_body`"
        ),
        Reason::CostTooHigh if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "a `RateLimitLayer` has a cost that is higher than the burst of one of its quotas"
        ),
        Reason::AddressMissing if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "requests are counted by address, and the server tells none: insert `PeerAddr`, or in axum serve with `into_make_service_with_connect_info::<SocketAddr>()`"
        ),
        Reason::PepperMissing if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status,
            "an API key was digested with a pepper that is not there: build the `ApiKeys` with it, behind the current one"
        ),
        Reason::RuntimeMissing if MISCONFIGURED.allows() => tracing::error!(
            target: "portcullis", reason, status, "keys cannot be fetched outside of a tokio runtime"
        ),
        _ => tracing::debug!(target: "portcullis", reason, status, "refused"),
    }
}
