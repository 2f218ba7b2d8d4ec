//! The choice of an HTTP client for applications that bring none.

use std::sync::Arc;

use super::HttpClient;
#[cfg(feature = "reqwest")]
use super::reqwest::ReqwestClient;
use crate::error::ConfigError;

/// The client that is used unless the application brings its own.
pub(crate) fn default_client() -> Result<Arc<dyn HttpClient>, ConfigError> {
    #[cfg(feature = "reqwest")]
    return ReqwestClient::new().map(|client| -> Arc<dyn HttpClient> { Arc::new(client) });
    #[cfg(not(feature = "reqwest"))]
    Err(ConfigError::HttpClient("bring one with `http_client`, or turn on the feature `reqwest`".into()))
}
