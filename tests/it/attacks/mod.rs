//! Attacks that systems of this kind have fallen to. Each test names the row of the catalogue that it stands for.
//!
//! Every attack has a twin that passes and differs in one thing, so that none is refused for a reason of its own. Wherever keys
//! are remote, fetches are counted: an attack must not cause more of them than an honest token.

mod api_keys;
mod authority;
mod caches;
mod claims;
mod documents;
mod fetches;
mod form;
mod http;
mod identity;
pub(crate) mod jose;
mod keys;
mod kinds;
mod leaks;
mod limits;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ::http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use portcullis::test_util::{ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, AuthLayer, Issuer, JwtAuthenticator, JwtAuthenticatorBuilder, Reason, RemoteKeySet,
    RemoteKeySetBuilder,
};
use serde_json::{Value, json};
use tower::Service;

use crate::support::{AUDIENCE, ISSUER, bearer, key, outcome, send, token};

/// Status and reason.
type Answer = (StatusCode, Option<Reason>);

const PASSED: Answer = (StatusCode::OK, None);

const JWKS_URI: &str = "https://id.example/jwks";

const fn unauthorized(reason: Reason) -> Answer {
    (StatusCode::UNAUTHORIZED, Some(reason))
}

const fn bad_request(reason: Reason) -> Answer {
    (StatusCode::BAD_REQUEST, Some(reason))
}

const fn forbidden(reason: Reason) -> Answer {
    (StatusCode::FORBIDDEN, Some(reason))
}

const fn unavailable(reason: Reason) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, Some(reason))
}

/// A resource server. The keys of its issuer lie at a scripted address, so that every fetch is counted; none was made yet.
struct Target {
    key: Arc<SigningKey>,
    http: ScriptedHttpClient,
    layer: AuthLayer<JwtAuthenticator>,
}

impl Target {
    fn new(algorithm: Algorithm) -> Self {
        Self::with(algorithm, |jwt| jwt)
    }

    fn with(
        algorithm: Algorithm,
        change: impl FnOnce(JwtAuthenticatorBuilder) -> JwtAuthenticatorBuilder,
    ) -> Self {
        let (key, http) = (key(algorithm), ScriptedHttpClient::new());
        http.answer(JWKS_URI, jwks([key.jwk()]));
        let keys = RemoteKeySet::builder(JWKS_URI).http_client(http.clone()).build().unwrap();
        let jwt = change(JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE)).build().unwrap();
        Self { key, http, layer: AuthLayer::new(jwt) }
    }

    fn token(&self) -> TokenBuilder {
        token(&self.key)
    }

    async fn answer(&self, token: &str) -> Answer {
        answer(&self.layer, token).await
    }

    /// 401 for this reason, without any fetch.
    async fn refuses(&self, token: &str, reason: Reason) {
        let before = self.http.total();
        assert_eq!(self.answer(token).await, unauthorized(reason), "{token:.300}");
        assert_eq!(self.http.total(), before, "fetches because of {token:.300}");
    }

    /// 200, with one fetch in the whole life of this server, and that of its own keys.
    async fn accepts(&self, token: &str) {
        assert_eq!(self.answer(token).await, PASSED, "{token:.300}");
        assert_eq!((self.http.count(JWKS_URI), self.http.total()), (1, 1), "fetches because of {token:.300}");
    }
}

/// A layer whose issuer's keys are fetched.
fn remote(issuer: &str, keys: RemoteKeySetBuilder) -> AuthLayer<JwtAuthenticator> {
    let issuer = Issuer::new(issuer, keys.build().unwrap());
    AuthLayer::new(JwtAuthenticator::builder(issuer, AUDIENCE).build().unwrap())
}

async fn answer(layer: &AuthLayer<JwtAuthenticator>, token: &str) -> Answer {
    outcome(&send(layer, bearer(token)).await)
}

/// A request with these lines of header, and nothing else.
fn request(lines: &[(&str, &[u8])]) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

/// The service beneath the layers: answers 200, and nothing else.
fn handler()
-> impl Service<Request<Full<Bytes>>, Response = Response<Full<Bytes>>, Error = Infallible> + Clone {
    tower::service_fn(async |_| Ok(Response::new(Full::default())))
}

fn jwks(keys: impl IntoIterator<Item = Value>) -> String {
    json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// What a future has to say without being waited for.
pub(crate) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
