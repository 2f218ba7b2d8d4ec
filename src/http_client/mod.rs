//! The way out: how the crate asks other servers.

pub(crate) mod default_client;
#[cfg(feature = "reqwest")]
pub(crate) mod reqwest;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

#[cfg(feature = "reqwest")]
pub use reqwest::ReqwestClient;

/// Sends one HTTP request and gives back the whole answer.
///
/// # Security
/// An implementation must not follow redirects, must verify the server's certificate, and must give up once the answer's body
/// is longer than [`Limits::max_body`] or later than [`Limits::timeout`]; the caller enforces the time as well.
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends the request.
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture;
}

/// A boxed future of an answer.
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send>>;

/// The bounds of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// From sending to the last byte.
    pub timeout: Duration,
    /// Bytes of the answer's body.
    pub max_body: usize,
}

impl Limits {
    /// Bounds for an exchange.
    #[must_use]
    pub const fn new(timeout: Duration, max_body: usize) -> Self {
        Self { timeout, max_body }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// No connection, or it broke.
    #[error("cannot be reached: {0}")]
    Transport(String),
    /// Too late.
    #[error("did not answer in time")]
    Timeout,
    /// The body is longer than the limit.
    #[error("the answer is too large")]
    TooLarge,
}
