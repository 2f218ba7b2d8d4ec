//! What goes wrong at an endpoint.

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;

use super::responses::{content, status, with};

/// What goes wrong at an endpoint: that of the JWK Set or that of introspection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// Answers with this status.
    Status(StatusCode),
    /// Answers with this status and this `Retry-After`.
    RetryAfter(StatusCode, String),
    /// Answers 200 with this body, as `application/json`.
    Body(String),
    /// Answers 200 with a body of this many bytes, as `application/json`.
    Oversize(usize),
    /// Answers 200 with this body, as this content type.
    Answer {
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// Redirects to this URL.
    Redirect(String),
    /// Takes the request and never answers.
    Hang,
}

impl Fault {
    /// The answer, if it ever comes.
    pub(super) async fn answer(self) -> Response<Full<Bytes>> {
        match self {
            Self::Status(code) => status(code),
            Self::RetryAfter(code, value) => with(status(code), RETRY_AFTER, &value),
            Self::Body(body) => content("application/json", body),
            Self::Oversize(len) => content("application/json", " ".repeat(len)),
            Self::Answer { content_type, body } => content(&content_type, body),
            Self::Redirect(url) => with(status(StatusCode::FOUND), LOCATION, &url),
            Self::Hang => std::future::pending().await,
        }
    }
}
