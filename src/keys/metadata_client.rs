//! Documents of authorization servers, asked for within bounds.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, Response, StatusCode};

use super::key_set::SetError;
use super::url::shown;
use crate::error::ConfigError;
use crate::http_client::{HttpClient, HttpError, Limits};

/// How documents are asked for.
#[derive(Clone)]
pub(crate) struct Documents {
    pub(crate) http: Arc<dyn HttpClient>,
    pub(crate) limits: Limits,
    pub(crate) allow_http: bool,
}

/// Why a document is not here, or of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("`{url}` {error}")]
    Http { url: String, error: HttpError },
    #[error("`{url}` answered with status {status}")]
    Status { url: String, status: StatusCode },
    #[error("`{url}`: {error}")]
    Set { url: String, error: SetError },
    #[error("`{url}` is not the metadata of an issuer")]
    Metadata { url: String },
    #[error("`{url}` is the metadata of another issuer")]
    OtherIssuer { url: String },
    #[error("the metadata of `{issuer}` names no `{member}`")]
    NotNamed { issuer: String, member: &'static str },
    #[error(transparent)]
    Url(ConfigError),
    #[error("it did not arrive in time")]
    Timeout,
    #[error("the HTTP client panicked")]
    Panic,
}

impl Documents {
    pub(super) async fn get(&self, url: &str) -> Result<Response<Bytes>, FetchError> {
        let request = Request::get(url)
            .header(ACCEPT, "application/json, application/jwk-set+json")
            .body(Bytes::new())
            .map_err(|_| {
                FetchError::Url(ConfigError::Url { url: shown(url), problem: "it cannot be requested" })
            })?;
        let http = |error| FetchError::Http { url: shown(url), error };
        let answer = self.http.send(request, self.limits).await.map_err(http)?;
        // A client of the application's own may not know its limits.
        if answer.body().len() > self.limits.max_body {
            return Err(http(HttpError::TooLarge));
        }
        // A redirect is a status like any other that is not 200: it is never followed.
        if answer.status() == StatusCode::OK {
            Ok(answer)
        } else {
            Err(FetchError::Status { url: shown(url), status: answer.status() })
        }
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("limits", &self.limits).finish_non_exhaustive()
    }
}
