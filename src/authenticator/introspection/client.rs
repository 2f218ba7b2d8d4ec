//! One question to an introspection endpoint and its answer, over HTTP.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::client_auth::{ClientAuth, Unauthenticated};
use crate::clock::Clock;
use crate::error::Reason;
use crate::http_client::{HttpClient, HttpError, Limits};
use crate::keys::discovery::Discovery;
use crate::keys::metadata_client::FetchError;
use crate::keys::url::shown;

const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const JSON: &str = "application/json";
const SIGNED: &str = "application/token-introspection+jwt";

/// Facts about the request that are sent with the token.
pub(super) type Parameters = Vec<(String, String)>;

/// Everything that a question needs but the token.
pub(super) struct Exchange {
    pub(super) endpoint: Endpoint,
    pub(super) issuer: Arc<str>,
    pub(super) client: ClientAuth,
    pub(super) http: Arc<dyn HttpClient>,
    pub(super) limits: Limits,
    /// RFC 9701 answers, and no others.
    pub(super) signed: bool,
    pub(super) type_hint: bool,
}

/// Where the authority is asked.
pub(super) enum Endpoint {
    Given(Url),
    Discovered(Arc<Discovery>),
}

/// Why there is no answer that can be used. Ours or the authority's fault, never the caller's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Discovery(#[from] FetchError),
    #[error(transparent)]
    Client(#[from] Unauthenticated),
    #[error("`{url}` cannot be asked")]
    Request { url: String },
    #[error("`{url}` {error}")]
    Http { url: String, error: HttpError },
    #[error("`{url}` refused this server's own credentials with status {status}")]
    OurCredentials { url: String, status: StatusCode },
    #[error("`{url}` answered with status {status}")]
    Status { url: String, status: StatusCode },
    #[error("`{url}` did not answer with the content type `{expected}`")]
    ContentType { url: String, expected: &'static str },
    #[error("`{url}` did not answer with JSON")]
    NoJson { url: String },
    #[error("`{url}` did not answer with an introspection response (RFC 7662 §2.2)")]
    NoAnswer { url: String },
    #[error("`{url}`: the signed answer is refused: {reason}")]
    Signature { url: String, reason: Reason },
    #[error("the authority did not answer in time")]
    Timeout,
    #[error("the authority answered too slowly")]
    Slow,
    #[error("the keys for signed answers could not be fetched")]
    Keys,
}

impl Failure {
    /// Whether it says something about the authority. What may be due to one odd token must not stop it from being asked about
    /// the others, or anybody could stop that.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Status { status, .. } => !matches!(status.as_u16(), 400 | 413 | 414 | 422 | 431),
            Self::Http { error, .. } => *error != HttpError::TooLarge,
            Self::NoAnswer { .. } | Self::Signature { .. } => false,
            _ => true,
        }
    }

    /// Whether the endpoint may have moved.
    fn is_of_place(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_redirection() || matches!(status.as_u16(), 404 | 405 | 410)
            }
            Self::Http { error, .. } => matches!(error, HttpError::Transport(_) | HttpError::Timeout),
            Self::Discovery(_) => true,
            _ => false,
        }
    }
}

/// What a question is made of; facts about the request do not replace it.
const RESERVED: [&str; 6] =
    ["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

impl Exchange {
    /// The body of the answer, and where it came from.
    pub(super) async fn ask(
        &self,
        token: &str,
        parameters: Option<&Parameters>,
        clock: &dyn Clock,
    ) -> Result<(Bytes, Url), Failure> {
        match &self.endpoint {
            Endpoint::Given(url) => self.ask_at(url, token, parameters, clock.now()).await,
            Endpoint::Discovered(discovery) => {
                let metadata = discovery.metadata(clock.instant()).await?;
                let asked = match metadata.introspection_endpoint() {
                    Ok(url) => self.ask_at(url, token, parameters, clock.now()).await,
                    Err(error) => Err(error.into()),
                };
                if asked.as_ref().is_err_and(Failure::is_of_place) {
                    discovery.forget(&metadata);
                }
                asked
            }
        }
    }

    async fn ask_at(
        &self,
        url: &Url,
        token: &str,
        parameters: Option<&Parameters>,
        now: SystemTime,
    ) -> Result<(Bytes, Url), Failure> {
        let request = self.question(url, token, parameters, now)?;
        let http = |error| Failure::Http { url: shown(url.as_str()), error };
        let answer = self.http.send(request, self.limits).await.map_err(http)?;
        // A client of the application's own may not know its limits.
        if answer.body().len() > self.limits.max_body {
            return Err(http(HttpError::TooLarge));
        }
        let (shown, status) = (shown(url.as_str()), answer.status());
        match status {
            // A redirect is a status like any other that is not 200: it is never followed.
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(Failure::OurCredentials { url: shown, status });
            }
            _ => return Err(Failure::Status { url: shown, status }),
        }
        let expected = if self.signed { SIGNED } else { JSON };
        if is_of_type(&answer, expected) {
            Ok((answer.into_body(), url.clone()))
        } else {
            Err(Failure::ContentType { url: shown, expected })
        }
    }

    fn question(
        &self,
        url: &Url,
        token: &str,
        parameters: Option<&Parameters>,
        now: SystemTime,
    ) -> Result<Request<Bytes>, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, FORM);
        headers.insert(ACCEPT, HeaderValue::from_static(if self.signed { SIGNED } else { JSON }));
        let facts = parameters.into_iter().flatten().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
        // Of a size that need not grow, escapes included: what it leaves behind when growing is not wiped.
        let texts =
            facts.clone().map(|(name, value)| name.len().saturating_add(value.len()).saturating_add(2));
        let bytes = texts.fold(token.len(), usize::saturating_add).saturating_mul(3).saturating_add(8192);
        let mut form = Serializer::new(String::with_capacity(bytes));
        form.append_pair("token", token);
        if self.type_hint {
            form.append_pair("token_type_hint", "access_token");
        }
        form.extend_pairs(facts);
        self.client.apply(&mut form, &mut headers, &self.issuer, now)?;
        let body = Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() =
            url.as_str().parse().map_err(|_| Failure::Request { url: shown(url.as_str()) })?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Compares the media type without case and parameters.
fn is_of_type(answer: &Response<Bytes>, expected: &str) -> bool {
    let mut types = answer.headers().get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let media_type = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_have_parameters_and_no_case() {
        let of = |value: &str| {
            is_of_type(&Response::builder().header(CONTENT_TYPE, value).body(Bytes::new()).unwrap(), JSON)
        };
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/json;x"] {
            assert!(of(good), "{good}");
        }
        for bad in ["", "text/html", "application/jsonx", "application/jwt", "text/json", "json"] {
            assert!(!of(bad), "{bad}");
        }
    }
}
