//! Problem details (RFC 9457).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use crate::error::{AuthError, Reason};

/// The problem type of a spent quota.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

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
