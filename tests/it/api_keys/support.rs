//! What the tests of API keys share.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{
    ApiKeyAuthenticator, ApiKeyStore, ApiKeys, AuthLayer, Authenticator, IssuedApiKey, NewApiKey, ScopeSet,
};

use crate::support::{outcome, send};

pub const PREFIX: &str = "todo_live";

pub fn keys(store: impl ApiKeyStore) -> ApiKeys {
    ApiKeys::builder(PREFIX, store).build().unwrap()
}

pub fn layer(keys: &ApiKeys) -> AuthLayer<ApiKeyAuthenticator> {
    AuthLayer::new(ApiKeyAuthenticator::new(keys.clone()))
}

pub fn new_key() -> NewApiKey {
    NewApiKey::new("nightly build", "ann").scopes(ScopeSet::parse("todo:read").unwrap())
}

pub async fn issue(keys: &ApiKeys) -> IssuedApiKey {
    keys.issue(new_key()).await.unwrap()
}

pub fn with(name: &str, value: &str) -> Request<Full<Bytes>> {
    Request::builder().header(name, value).body(Full::default()).unwrap()
}

/// Sends a key in `X-API-Key`.
pub async fn send_key<A: Authenticator>(layer: &AuthLayer<A>, key: &str) -> Response<Full<Bytes>> {
    send(layer, with("x-api-key", key)).await
}

/// Status and reason of what a key is answered.
pub async fn answer<A: Authenticator>(layer: &AuthLayer<A>, key: &str) -> (StatusCode, Option<&'static str>) {
    let (status, reason) = outcome(&send_key(layer, key).await);
    (status, reason.map(portcullis::Reason::code))
}
