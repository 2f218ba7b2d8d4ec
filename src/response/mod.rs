//! From an [`AuthError`] to a response: the only writer of refusals.
//!
//! Status, `WWW-Authenticate`, `Retry-After` and `Cache-Control: no-store` are stamped here after any body was made, so that a
//! custom body can lose none of them. Every refusal is logged here, once, with its reason and nothing that the caller sent.

pub(crate) mod cache_control;
pub(crate) mod challenge;

use std::future::Future;
use std::pin::Pin;
use std::slice;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response};
use pin_project_lite::pin_project;

use crate::clock::OncePerSecond;
use crate::error::{AuthError, AuthErrorKind, Reason};
use crate::scope::ScopeSet;
use challenge::{Challenge, DEFAULT_REALM, Offered};

/// The problem type of a spent quota.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Makes the body of a refusal: functions `Fn(&AuthError) -> Response<B>`, and [`EmptyBody`]. See
/// [`AuthLayer::on_reject`](crate::AuthLayer::on_reject).
pub trait Reject<B> {
    /// A response with a body and its `Content-Type`. Status, challenges, `Retry-After` and `Cache-Control` are set
    /// afterwards, whatever stands in it.
    fn reject(&self, error: &AuthError) -> Response<B>;
}

impl<F, B> Reject<B> for F
where
    F: Fn(&AuthError) -> Response<B>,
{
    fn reject(&self, error: &AuthError) -> Response<B> {
        self(error)
    }
}

/// Refusals without a body: the default.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct EmptyBody;

impl<B: Default> Reject<B> for EmptyBody {
    fn reject(&self, _error: &AuthError) -> Response<B> {
        Response::new(B::default())
    }
}

/// A refusal as `application/problem+json` (RFC 9457), for [`AuthLayer::on_reject`](crate::AuthLayer::on_reject): type
/// `about:blank`, the status phrase as title, a sentence as detail, and the code of the [`Reason`] as the extension member
/// `reason`. A quota that is spent has the type `quota-exceeded` of draft-ietf-httpapi-ratelimit-headers-11 §5.1, with the names of the
/// quotas as `violated-policies`.
///
/// ```
/// # use portcullis::{AuthLayer, Authenticator, problem_json};
/// # use bytes::Bytes;
/// # use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
/// # fn with_problems<A: Authenticator>(authenticator: A) {
/// let auth = AuthLayer::new(authenticator).on_reject(problem_json::<axum::body::Body>);
/// # }
/// # fn boxed<A: Authenticator>(authenticator: A) {
/// // A body that is not made of bytes is made of one that is:
/// let auth = AuthLayer::new(authenticator)
///     .on_reject(|error| problem_json(error).map(|body: Full<Bytes>| -> BoxBody<Bytes, _> { body.boxed() }));
/// # }
/// ```
pub fn problem_json<B: From<Bytes>>(error: &AuthError) -> Response<B> {
    let status = error.status();
    let mut problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": error.to_string(),
        "reason": error.reason().code(),
    });
    if error.reason() == Reason::QuotaExceeded
        && let Some(problem) = problem.as_object_mut()
    {
        let violated: Vec<&str> = error.violated_policies().collect();
        problem.insert("type".into(), QUOTA_EXCEEDED.into());
        problem.insert("title".into(), "Quota exceeded".into());
        problem.insert("violated-policies".into(), violated.into());
    }
    let mut response = Response::new(B::from(Bytes::from(problem.to_string())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// Marks a response that a layer has given its challenges and its body: layers further out leave it as it is.
#[derive(Clone, Copy, Debug)]
struct Rendered;

impl AuthError {
    /// The refusal as a response, for handlers outside of axum (in axum an `AuthError` is a response by itself). The layer above
    /// gives it its own challenges and body, as it does with any response that has an `AuthError` in its extensions. A layer in
    /// between that wants to hide a refusal takes it out of them.
    ///
    /// ```
    /// # use http::Response;
    /// # use portcullis::{AuthError, Principal};
    /// fn remove(caller: &Principal) -> Result<Response<String>, AuthError> {
    ///     caller.require("todo:write")?;
    ///     Ok(Response::new("gone".into()))
    /// }
    ///
    /// fn answer(caller: &Principal) -> Response<String> {
    ///     remove(caller).unwrap_or_else(|error| error.to_response())
    /// }
    /// ```
    #[must_use]
    pub fn to_response<B: Default>(&self) -> Response<B> {
        // Never a bare scheme (RFC 6750 §3), where no layer stands above.
        static BEARER: LazyLock<Offered> =
            LazyLock::new(|| Challenge::bearer().with("realm", DEFAULT_REALM).into());
        let challenges = slice::from_ref(&*BEARER);
        respond(self, Offer { challenges, presented: Some("Bearer") }, &EmptyBody)
    }
}

/// What a layer offers in its 401s, and which scheme the request used, if any.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) challenges: &'a [Offered],
    pub(crate) presented: Option<&'a str>,
}

/// A refusal of a layer: with its own challenges and body.
pub(crate) fn refuse<B>(error: &AuthError, offer: Offer<'_>, body: &impl Reject<B>) -> Response<B> {
    let mut response = respond(error, offer, body);
    response.extensions_mut().insert(Rendered);
    response
}

fn respond<B>(error: &AuthError, offer: Offer<'_>, body: &impl Reject<B>) -> Response<B> {
    log(error);
    let mut response = body.reject(error);
    stamp(&mut response, error, offer);
    response
}

/// Gives a refusal from beneath the challenges and the body of the layer above, the nearest one; other headers of the response
/// stay.
pub(crate) fn render_from_beneath<B>(response: &mut Response<B>, offer: Offer<'_>, body: &impl Reject<B>) {
    if response.extensions().get::<Rendered>().is_some() {
        return;
    }
    let Some(error) = response.extensions_mut().remove::<AuthError>() else { return };
    let (custom, content) = body.reject(&error).into_parts();
    // They describe a body that is about to go.
    for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    response.headers_mut().extend(custom.headers);
    response.extensions_mut().extend(custom.extensions);
    response.extensions_mut().insert(Rendered);
    *response.body_mut() = content;
    stamp(response, &error, offer);
}

fn stamp<B>(response: &mut Response<B>, error: &AuthError, offer: Offer<'_>) {
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    if !headers.is_empty() {
        headers.remove(WWW_AUTHENTICATE);
        headers.remove(RETRY_AFTER);
    }
    headers.insert(CACHE_CONTROL, const { HeaderValue::from_static("no-store") });
    for value in challenges(error, offer) {
        // One field line each: lists of challenges in one line are read wrongly by many (RFC 9110 §11.6.1).
        headers.append(WWW_AUTHENTICATE, value);
    }
    if let Some(after) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    response.extensions_mut().insert(error.clone());
}

/// The challenges of a 400, 401 or 403. Only the one of the scheme that was used tells what was wrong (RFC 6750 §3.1).
fn challenges(error: &AuthError, offer: Offer<'_>) -> impl Iterator<Item = HeaderValue> {
    let kind = error.kind();
    let (offered, told) = match kind {
        AuthErrorKind::MissingCredential => (offer.challenges, None),
        AuthErrorKind::InvalidRequest | AuthErrorKind::InvalidToken | AuthErrorKind::InsufficientScope => {
            (offer.challenges, kind.code())
        }
        _ => (&[][..], None),
    };
    // A request that is not well-formed concerns every scheme, and so does anything where there is but one.
    let all = offered.len() == 1 || kind == AuthErrorKind::InvalidRequest;
    let concerned = move |offered: &Offered| {
        let scheme = offered.challenge().scheme();
        all || offer.presented.is_some_and(|presented| scheme.eq_ignore_ascii_case(presented))
    };
    // RFC 6750 §3: scope-tokens only, even between quotes. One that an application made of data may be none.
    let scope = error.scope().filter(|scope| ScopeSet::parse(scope).is_ok());
    offered
        .iter()
        // A 403 is for a caller who is known already: offering other ways in would only confuse.
        .filter(move |offered| kind != AuthErrorKind::InsufficientScope || concerned(offered))
        .filter_map(move |offered| match told.filter(|_| concerned(offered)) {
            Some(code) => offered.with_error(code, error.reason(), scope),
            None => offered.plain(),
        })
}

/// RFC 9110 §10.2.3 delay-seconds: rounded up, so that whoever waits that long is not refused for the same reason again.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0)).max(1)
}

fn log(error: &AuthError) {
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

pin_project! {
    /// The response future of a guard or a limit: the inner service's, or a refusal that is ready.
    #[project = OrRefusedProj]
    #[must_use]
    pub enum OrRefused<F, B> {
        #[doc(hidden)]
        Inner { #[pin] future: F },
        #[doc(hidden)]
        Refused { response: Option<Response<B>> },
    }
}

impl<F, B: Default> OrRefused<F, B> {
    pub(crate) fn refused(error: &AuthError) -> Self {
        Self::Refused { response: Some(error.to_response()) }
    }
}

impl<F, B, E> Future for OrRefused<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            OrRefusedProj::Inner { future } => future.poll(cx),
            OrRefusedProj::Refused { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_and_never_zero() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn only_the_scheme_that_was_used_is_told_what_was_wrong() {
        let offered = ["Bearer", "ApiKey"].map(|scheme| Challenge::new(scheme).with("realm", "r").into());
        let told = |reason: Reason, presented| {
            challenges(&AuthError::from(reason), Offer { challenges: &offered, presented })
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(told(Reason::CredentialMissing, None), [r#"Bearer realm="r""#, r#"ApiKey realm="r""#]);
        let expired = told(Reason::TokenExpired, Some("bearer"));
        assert!(expired[0].contains("invalid_token") && !expired[1].contains("error"), "{expired:?}");
        assert_eq!(told(Reason::ScopeInsufficient, Some("apikey")).len(), 1);
        assert!(told(Reason::KeysUnavailable, Some("bearer")).is_empty());
    }
}
