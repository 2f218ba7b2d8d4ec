//! The HTTP client on top of reqwest.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use super::{HttpClient, HttpError, HttpFuture, Limits};
use crate::error::ConfigError;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// [`HttpClient`] with a pool of connections, TLS by rustls with the platform's certificates, and no redirects.
#[derive(Clone, Debug)]
pub struct ReqwestClient(reqwest::Client);

impl ReqwestClient {
    /// A client with the platform's root certificates.
    ///
    /// # Errors
    /// Without the feature `tls-aws-lc`, if the process has no default TLS provider installed.
    pub fn new() -> Result<Self, ConfigError> {
        Self::build(reqwest::Client::builder())
    }

    /// A client that trusts these root certificates (PEM) besides the platform's: for an authority inside a company.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if the PEM cannot be read or holds no certificate.
    pub fn with_root_certificates(pem: &[u8]) -> Result<Self, ConfigError> {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|error| ConfigError::HttpClient(error.to_string()))?;
        if certificates.is_empty() {
            return Err(ConfigError::HttpClient("there is no certificate in the PEM".into()));
        }
        Self::build(reqwest::Client::builder().tls_certs_merge(certificates))
    }

    fn build(builder: reqwest::ClientBuilder) -> Result<Self, ConfigError> {
        // reqwest panics where no provider is known.
        #[cfg(not(feature = "tls-aws-lc"))]
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let problem = "install a TLS provider for the process, or turn on the feature `tls-aws-lc`";
            return Err(ConfigError::HttpClient(problem.into()));
        }
        builder
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .build()
            .map(Self)
            .map_err(|error| ConfigError::HttpClient(error.to_string()))
    }
}

impl HttpClient for ReqwestClient {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let client = self.0.clone();
        Box::pin(async move {
            let mut request = reqwest::Request::try_from(request).map_err(from_reqwest)?;
            *request.timeout_mut() = Some(limits.timeout);
            let mut response = client.execute(request).await.map_err(from_reqwest)?;
            let mut body = BytesMut::new();
            while let Some(chunk) = response.chunk().await.map_err(from_reqwest)? {
                if body.len().saturating_add(chunk.len()) > limits.max_body {
                    return Err(HttpError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            let mut answer = Response::new(body.freeze());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = std::mem::take(response.headers_mut());
            Ok(answer)
        })
    }
}

/// Without the URL: it stands in the log line already. The cause says what reqwest's own text leaves out.
fn from_reqwest(error: reqwest::Error) -> HttpError {
    if error.is_timeout() {
        return HttpError::Timeout;
    }
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    HttpError::Transport(cause.to_string())
}
