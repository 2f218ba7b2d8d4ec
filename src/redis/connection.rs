//! A connection that comes back.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "tls-aws-lc")]
use redis::TlsCertificates;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, ServerErrorKind,
};
use rustls::crypto::CryptoProvider;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::clock::{Clock as _, SystemClock};
use crate::error::ConfigError;
use crate::store::StoreError;

/// What our keys begin with, unless [`Redis::namespace`] says otherwise.
const NAMESPACE: &str = "portcullis";

/// How long it takes to reach a server, or to find that it is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// For an answer that nobody has given up before.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection on which nothing was heard for so long although something was asked is given up. The client itself does not:
/// where the other end is gone without a word it would wait until TCP gives up, after minutes.
const SILENCE: Duration = Duration::from_secs(1);

/// Longest time between two attempts to reach a server that is away: what comes back is noticed at once.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// A Redis server 6.2 or newer, or one that speaks like it, for what several processes share: `RedisRateLimits` (feature
/// `rate-limit`), [`RedisRevocations`](super::RedisRevocations) and `RedisSingleUse` (feature `jwt`).
///
/// Nothing is sent before it is needed. All clones share one connection, on which many questions are under way at once; where it is
/// lost another one is made, and what was under way on it fails. In a cluster each of our commands is about keys of one slot; the
/// client itself is made for a single server or a proxy before the cluster.
///
/// # Security
/// Whoever can write there decides who is limited and which revocations count. Give it a user and a password of its own, and
/// `rediss://` wherever the network is not yours. It holds digests of callers' names, no names and no credentials.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    namespace: Arc<str>,
    connection: Arc<Mutex<Option<Made>>>,
    /// Since when nothing was heard of what was asked.
    silent_since: Arc<Mutex<Option<Instant>>>,
}

/// A connection, and when it was begun.
struct Made {
    manager: ConnectionManager,
    at: Instant,
}

impl Redis {
    /// Names a server: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` with TLS, which comes with the feature
    /// `tls-aws-lc`; `redis+unix:///PATH`.
    ///
    /// With TLS the process needs a TLS provider: if none is installed when this is called, that of the feature is.
    ///
    /// # Errors
    /// If it is no such URL, or TLS cannot be used. The text does not repeat it.
    pub fn open(url: &str) -> Result<Self, ConfigError> {
        provide_tls(url)?;
        Client::open(url).map(Self::of).map_err(|_| no_url(url))
    }

    /// As [`open`](Self::open), for a server whose certificate is by one of these authorities (PEM), and by no other.
    ///
    /// # Errors
    /// As [`open`](Self::open), and if the PEM cannot be read or the URL does not ask for TLS.
    #[cfg(feature = "tls-aws-lc")]
    pub fn open_with_root_certificates(url: &str, pem: &[u8]) -> Result<Self, ConfigError> {
        provide_tls(url)?;
        if !asks_for_tls(url) {
            return Err(wrong("root certificates are of use with `rediss://` alone"));
        }
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.to_vec()) };
        let client = Client::build_with_tls(url, certificates);
        client.map(Self::of).map_err(|_| wrong("the URL or the certificates cannot be read"))
    }

    fn of(client: Client) -> Self {
        let (connection, silent_since) = (Arc::default(), Arc::default());
        Self { client, namespace: NAMESPACE.into(), connection, silent_since }
    }

    /// Sets what all keys begin with; `portcullis` by default. Services with the same callers and other quotas need another.
    #[must_use]
    pub fn namespace(self, namespace: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), ..self }
    }

    pub(super) fn name(&self) -> &str {
        &self.namespace
    }

    /// The connection, made or not: it is when the first question is sent.
    pub(super) fn connection(&self) -> Result<ConnectionManager, StoreError> {
        let mut connection = self.lock();
        if let Some(known) = &*connection {
            return Ok(known.manager.clone());
        }
        let runtime = needs_runtime()?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_min_delay(RETRY_AFTER.div_f32(8.0))
            .set_max_delay(RETRY_AFTER);
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config);
        let manager = manager.map_err(store_error)?;
        let mut connecting = manager.clone();
        // It gets on by being waited for, and who asks may give up before it is there.
        let ping = async move { ::redis::cmd("PING").query_async::<()>(&mut connecting).await };
        runtime.spawn(within(CONNECT_TIMEOUT, ping));
        *connection = Some(Made { manager: manager.clone(), at: SystemClock.instant() });
        Ok(manager)
    }

    /// Makes another connection with the next question: the other end of this one may be gone without a word. One that was begun a
    /// moment ago stays: it may be on its way still, and with a new one each time a server that is slow would never be reached.
    pub(super) fn reconnect(&self) {
        let now = SystemClock.instant();
        self.lock().take_if(|made| now.saturating_duration_since(made.at) >= CONNECT_TIMEOUT);
    }

    /// A connection that nobody else uses, for questions that are answered when something happens.
    pub(super) async fn own_connection(&self) -> Result<MultiplexedConnection, StoreError> {
        needs_runtime()?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        within(CONNECT_TIMEOUT, connecting).await.map_err(store_error)
    }

    /// What it answers within this time, by the connection that all share; or the error that it answers.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
        limit: Duration,
    ) -> Result<RedisResult<T>, StoreError> {
        self.give_up_silence();
        let mut connection = self.connection()?;
        self.silence().get_or_insert(SystemClock.instant());
        let answer = within(limit, command.query_async(&mut connection)).await;
        match &answer {
            Err(error) if is_late(error) => self.give_up_silence(),
            // The server that is asked for became another one, and this connection is to the old.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly) => self.reconnect(),
            _ => *self.silence() = None,
        }
        Ok(answer)
    }

    /// Whoever gave up waiting did not say so: the next question finds out.
    fn give_up_silence(&self) {
        let mut since = self.silence();
        let silent = since.map(|since| SystemClock.instant().saturating_duration_since(since));
        if silent.is_some_and(|silent| silent >= SILENCE) {
            *since = None;
            self.reconnect();
        }
    }

    fn silence(&self) -> MutexGuard<'_, Option<Instant>> {
        self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Made>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn needs_runtime() -> Result<Handle, StoreError> {
    Handle::try_current().map_err(|_| StoreError::new("Redis cannot be asked outside of a tokio runtime"))
}

fn asks_for_tls(url: &str) -> bool {
    url.starts_with("rediss:") || url.starts_with("valkeys:")
}

/// The client panics where none is known.
fn provide_tls(url: &str) -> Result<(), ConfigError> {
    if !asks_for_tls(url) || CryptoProvider::get_default().is_some() {
        return Ok(());
    }
    #[cfg(feature = "tls-aws-lc")]
    {
        // Somebody else may have been faster, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Ok(())
    }
    #[cfg(not(feature = "tls-aws-lc"))]
    Err(wrong("install a TLS provider for the process, or turn on the feature `tls-aws-lc`"))
}

fn no_url(url: &str) -> ConfigError {
    if asks_for_tls(url) && cfg!(not(feature = "tls-aws-lc")) {
        return wrong("TLS comes with the feature `tls-aws-lc`");
    }
    wrong("is no URL of a Redis server")
}

const fn wrong(problem: &'static str) -> ConfigError {
    ConfigError::Setting { setting: "Redis", value: None, problem }
}

/// What it is about to give, or an error by then.
pub(super) async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = RedisResult<T>>,
) -> RedisResult<T> {
    let late = |_| Err(RedisError::from((ErrorKind::Io, LATE)));
    timeout(limit, asking).await.unwrap_or_else(late)
}

const LATE: &str = "no answer in time";

fn is_late(error: &RedisError) -> bool {
    error.is_timeout() || (error.kind() == ErrorKind::Io && error.to_string().starts_with(LATE))
}

/// The text alone is kept: it says what the server said, and nothing of the URL.
pub(super) fn store_error(error: RedisError) -> StoreError {
    StoreError::new(format!("Redis: {error}"))
}

/// Shows neither server nor password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
