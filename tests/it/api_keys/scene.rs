//! A server with API keys, whose time moves by hand.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::api_key::ApiKeysBuilder;
use portcullis::test_util::ManualClock;
use portcullis::{
    ApiKeyAuthenticator, ApiKeyAuthenticatorBuilder, ApiKeys, AuthLayer, Authenticator, IssuedApiKey,
    Principal, require_authenticated,
};
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _};

use super::probe::Probe;
use super::support::{PREFIX, answer, issue, with};
use crate::support::outcome;

/// Status and code of the reason.
pub type Answer = (StatusCode, Option<&'static str>);

pub const OK: Answer = (StatusCode::OK, None);

/// The moment at which every scene begins, in seconds since the Unix epoch.
pub const NOW: u64 = 1_800_000_000;

pub const fn refused(code: &'static str) -> Answer {
    (StatusCode::UNAUTHORIZED, Some(code))
}

pub const fn unavailable(code: &'static str) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, Some(code))
}

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So long after the scene began.
pub fn at(after: Duration) -> SystemTime {
    UNIX_EPOCH + seconds(NOW) + after
}

pub struct Scene {
    pub store: Probe,
    pub clock: ManualClock,
    pub keys: ApiKeys,
    pub layer: AuthLayer<ApiKeyAuthenticator>,
}

impl Scene {
    pub fn new() -> Self {
        Self::with(|authenticator| authenticator)
    }

    pub fn with(configure: impl FnOnce(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder) -> Self {
        Self::of(Probe::default(), ManualClock::at(NOW), |keys| keys, configure)
    }

    /// With these peppers, over a store that may hold keys already.
    pub fn peppered(store: &Probe, peppers: &[&str]) -> Self {
        let add = |keys: ApiKeysBuilder, name: &&str| keys.pepper(name, secret(name));
        let keys = |keys| peppers.iter().fold(keys, add);
        Self::of(store.clone(), ManualClock::at(NOW), keys, |authenticator| authenticator)
    }

    /// Another process on the same store.
    pub fn another(&self) -> Self {
        Self::of(self.store.clone(), self.clock.clone(), |keys| keys, |authenticator| authenticator)
    }

    pub fn of(
        store: Probe,
        clock: ManualClock,
        configure_keys: impl FnOnce(ApiKeysBuilder) -> ApiKeysBuilder,
        configure: impl FnOnce(ApiKeyAuthenticatorBuilder) -> ApiKeyAuthenticatorBuilder,
    ) -> Self {
        let keys = ApiKeys::builder(PREFIX, store.clone()).clock(clock.clone());
        let keys = configure_keys(keys).build().unwrap();
        let authenticator = configure(ApiKeyAuthenticator::builder(keys.clone())).build().unwrap();
        Self { store, clock, keys, layer: AuthLayer::new(authenticator) }
    }

    pub async fn issue(&self) -> IssuedApiKey {
        issue(&self.keys).await
    }

    pub async fn answer(&self, key: &str) -> Answer {
        answer(&self.layer, key).await
    }

    /// On a route that asks for a verdict of that age.
    pub async fn within(&self, age: Duration, key: &str) -> Answer {
        let response = guarded(&self.layer, age, with("x-api-key", key)).await;
        let (status, reason) = outcome(&response);
        (status, reason.map(portcullis::Reason::code))
    }

    /// A request in a task of its own, which runs until it waits or is answered.
    pub async fn start(&self, key: &str) -> JoinHandle<Answer> {
        let (layer, key) = (self.layer.clone(), key.to_owned());
        let request = tokio::spawn(async move { answer(&layer, &key).await });
        settle().await;
        request
    }

    pub fn finds(&self) -> usize {
        self.store.calls("find")
    }
}

/// Sends a request to a route that asks for a verdict of that age.
pub async fn guarded<A: Authenticator>(
    layer: &AuthLayer<A>,
    age: Duration,
    request: Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let handler = tower::service_fn(async |request: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::default());
        response.extensions_mut().insert(request.extensions().get::<Principal>().unwrap().clone());
        Ok::<_, Infallible>(response)
    });
    layer.layer(require_authenticated().verified_within(age).layer(handler)).oneshot(request).await.unwrap()
}

/// A pepper, by its name.
pub fn secret(name: &str) -> String {
    format!("{name}-secret-of-the-pepper-").repeat(4)
}

/// Lets every task of a current-thread runtime run until it waits for something from outside.
pub async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
