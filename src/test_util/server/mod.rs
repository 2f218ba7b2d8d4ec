//! An authorization server that does what a test tells it.

pub(crate) mod client;
pub(crate) mod endpoints;
pub(crate) mod fault;
pub(crate) mod gate;
pub(crate) mod introspection;
pub(crate) mod introspection_response;
pub(crate) mod jwt;
pub(crate) mod recorded_request;
pub(crate) mod responses;
pub(crate) mod settings;
pub(crate) mod state;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::client::Clients;
use self::endpoints::{AUDIENCE, jwks, metadata, token};
use self::fault::Fault;
use self::introspection::{introspect, revoke};
use self::responses::status;

use self::state::{Counts, Introspection, State, lock};
use super::{SigningKey, TokenBuilder};
use crate::jose::algorithm::Algorithm;
use crate::keys::issuer::Issuer;
use crate::keys::remote_key_set::RemoteKeySet;

/// An authorization server on loopback: discovery (RFC 8414 and OpenID Connect), a JWK Set, a token endpoint for client
/// credentials, introspection (RFC 7662, RFC 9701) and revocation (RFC 7009). Faults are switched on and off while it runs, and
/// what it is asked is counted. It stops when dropped.
#[derive(Debug)]
pub struct FakeAuthorizationServer {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Dropped or set to false, it stops the listener and all connections.
    running: watch::Sender<bool>,
}

impl FakeAuthorizationServer {
    /// The audience of the tokens that [`token`](Self::token) starts.
    pub const AUDIENCE: &str = AUDIENCE;

    /// A server at a free port, with one ES256 key.
    pub async fn start() -> Self {
        Self::start_with([SigningKey::generate(Algorithm::ES256)]).await
    }

    /// A server at a free port, with these keys. Tokens are signed with the first.
    pub async fn start_with(keys: impl IntoIterator<Item = SigningKey>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = State {
            issuer: format!("http://{address}"),
            keys: keys.into_iter().map(Arc::new).collect(),
            fault: None,
            delay: Duration::ZERO,
            cache_control: None,
            metadata: Map::new(),
            clients: Clients::default(),
            introspection: Introspection::default(),
            counts: Counts::default(),
        };
        let server = Self { address, state: Arc::new(Mutex::new(state)), running: watch::channel(true).0 };
        server.serve(listener);
        server
    }

    /// Stops listening and cuts all connections: from now on connections are refused.
    pub async fn stop(&self) {
        self.running.send_replace(false);
        // The listener is gone once nobody watches any more.
        self.running.closed().await;
    }

    /// Listens again, at the same port.
    pub async fn restart(&self) {
        let mut tries = 0;
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) if tries < 100 => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("the port is not free again: {error}"),
            }
            tries += 1;
        };
        self.running.send_replace(true);
        self.serve(listener);
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer_id(&self) -> String {
        self.state().issuer.clone()
    }

    /// The address of the JWK Set.
    #[must_use]
    pub fn jwks_uri(&self) -> String {
        format!("http://{}/jwks", self.address)
    }

    /// The issuer, found by discovery over plain http.
    #[must_use]
    pub fn issuer(&self) -> Issuer {
        let keys =
            RemoteKeySet::discover(self.issuer_id()).allow_http().build().expect("a loopback URL is fine");
        Issuer::new(self.issuer_id(), keys)
    }

    /// Starts a token for the audience `https://api.example`, signed with the first key.
    pub fn token(&self) -> TokenBuilder {
        let state = self.state();
        TokenBuilder::new(Arc::clone(state.keys.first().expect("a key")), &state.issuer, Self::AUDIENCE)
    }

    /// The keys it has now.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<SigningKey>> {
        self.state().keys.clone()
    }

    /// Replaces all keys at once: a hard rotation.
    pub fn set_keys(&self, keys: impl IntoIterator<Item = SigningKey>) {
        self.state().keys = keys.into_iter().map(Arc::new).collect();
    }

    /// Replaces all keys by new ones of the same algorithms.
    pub fn rotate(&self) {
        let algorithms: Vec<Algorithm> = self.state().keys.iter().map(|key| key.algorithm()).collect();
        self.set_keys(algorithms.into_iter().map(SigningKey::generate));
    }

    /// Switches a fault of the JWK Set endpoint on, or off.
    pub fn set_fault(&self, fault: impl Into<Option<Fault>>) {
        self.state().fault = fault.into();
    }

    /// Delays the answers of the JWK Set endpoint.
    pub fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Sets the `Cache-Control` of the JWK Set.
    pub fn set_cache_control(&self, value: &str) {
        self.state().cache_control = Some(value.into());
    }

    /// Lets the metadata name another issuer.
    pub fn set_issuer_id(&self, issuer: impl Into<String>) {
        self.state().issuer = issuer.into();
    }

    /// Sets a member of the metadata to another value; null leaves it out.
    pub fn set_metadata(&self, name: &str, value: impl Into<Value>) {
        self.state().metadata.insert(name.into(), value.into());
    }

    /// How often it was asked.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn serve(&self, listener: TcpListener) {
        let (state, mut running, address) = (Arc::clone(&self.state), self.running.subscribe(), self.address);
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        Err(_) => continue,
                    },
                    _ = running.wait_for(|running| !running) => return,
                };
                let (state, mut running) = (Arc::clone(&state), running.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&state), address, request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    tokio::select! {
                        _ = connection.serve_connection(TokioIo::new(stream), service) => {}
                        _ = running.wait_for(|running| !running) => {}
                    }
                });
            }
        });
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/jwks" => jwks(&state).await,
        "/token" if request.method() == Method::POST => token(&state, request).await,
        "/introspect" if request.method() == Method::POST => introspect(&state, address, request).await,
        "/revoke" if request.method() == Method::POST => revoke(&state, address, request).await,
        path if path.starts_with("/.well-known/") || path.ends_with("/.well-known/openid-configuration") => {
            metadata(&state, address)
        }
        _ => status(StatusCode::NOT_FOUND),
    })
}
