//! What many tests need.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::test_util::{FakeAuthorizationServer, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, AuthError, AuthLayer, Authenticator, Credential, Issuer, JwtAuthenticator, KeySet,
    Presentation, Principal, Reason, RequestContext,
};
use tower::{Layer as _, ServiceExt as _};

pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "https://api.example";

/// An issuer with fixed keys: no network at all.
pub fn issuer_of(keys: &[&Arc<SigningKey>]) -> Issuer {
    let jwks: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Issuer::new(ISSUER, KeySet::parse(serde_json::json!({ "keys": jwks }).to_string()).unwrap())
}

pub fn key(algorithm: Algorithm) -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(algorithm))
}

/// A valid token of [`ISSUER`] for [`AUDIENCE`].
pub fn token(key: &Arc<SigningKey>) -> TokenBuilder {
    TokenBuilder::new(Arc::clone(key), ISSUER, AUDIENCE)
}

/// An authenticator with fixed keys and default rules.
pub fn jwt(keys: &[&Arc<SigningKey>]) -> JwtAuthenticator {
    JwtAuthenticator::builder(issuer_of(keys), AUDIENCE).build().unwrap()
}

/// An authenticator that discovers the keys of a fake server.
pub fn jwt_of(server: &FakeAuthorizationServer) -> JwtAuthenticator {
    JwtAuthenticator::builder(server.issuer(), AUDIENCE).build().unwrap()
}

/// What an authenticator says about a bearer token, without any layer.
pub async fn judge(authenticator: &impl Authenticator, token: &str) -> Result<Principal, Reason> {
    let request = Request::new(());
    let credential = Credential::new(&Presentation::BEARER, token);
    let verdict = authenticator.authenticate(&credential, &RequestContext::new(&request)).verdict().await;
    verdict.map(|verdict| verdict.principal).map_err(|error| error.reason())
}

pub fn bearer(token: &str) -> Request<Full<Bytes>> {
    Request::builder().header("authorization", format!("Bearer {token}")).body(Full::default()).unwrap()
}

/// Sends a request through the layer to a service that answers 200 and puts the principal into the response's extensions.
pub async fn send<A: Authenticator>(
    layer: &AuthLayer<A>,
    request: Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let inner = tower::service_fn(|request: Request<Full<Bytes>>| async move {
        let mut response = Response::new(Full::default());
        if let Some(principal) = request.extensions().get::<Principal>() {
            response.extensions_mut().insert(principal.clone());
        }
        Ok::<_, std::convert::Infallible>(response)
    });
    layer.layer(inner).oneshot(request).await.unwrap()
}

/// Status and reason of an answer; no reason for one that was not refused.
pub fn outcome<B>(response: &Response<B>) -> (StatusCode, Option<Reason>) {
    (response.status(), response.extensions().get::<AuthError>().map(AuthError::reason))
}
