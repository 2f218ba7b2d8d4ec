//! From an [`AuthError`] to a response: the only writer of refusals.
//!
//! Status, `WWW-Authenticate`, `Retry-After` and `Cache-Control: no-store` are stamped here after any body was made, so that a
//! custom body can lose none of them. Every refusal is logged here, once, with its reason and nothing that the caller sent.

pub(crate) mod cache_control;
pub(crate) mod challenge;
pub(crate) mod log;
mod problem_json;

use std::slice;
use std::sync::LazyLock;
use std::time::Duration;

use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
    WWW_AUTHENTICATE,
};
use http::{HeaderValue, Response};

pub use problem_json::problem_json;

use crate::error::{AuthError, AuthErrorKind};
use crate::scope::ScopeSet;
use challenge::{Challenge, DEFAULT_REALM, Offered};

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
    log::log(error);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

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
