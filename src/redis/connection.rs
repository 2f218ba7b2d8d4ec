//! A connection that comes back.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, RedisError};

use crate::error::ConfigError;
use crate::store::StoreError;
use crate::time::{Clock as _, SystemClock};

/// What our keys begin with, unless [`Redis::namespace`] says otherwise.
const NAMESPACE: &str = "portcullis";

/// How long it takes to reach a server, or to find that it is away.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// For an answer that nobody has given up before.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time between two attempts to reach a server that is away: what comes back is noticed at once.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// A Redis server 6.2 or newer, or one that speaks like it, for what several processes share: [`RedisRateLimits`](super::RedisRateLimits).
///
/// Nothing is sent before it is needed. All clones share one connection, on which many questions are under way at once; where it is
/// lost another one is made. In a cluster each of our commands is about keys of one slot; the client itself is made for a
/// single server or a proxy before the cluster.
///
/// # Security
/// Whoever can write there decides who is limited and which revocations count. Give it a user and a password of its own, and
/// `rediss://` wherever the network is not yours. It holds digests of callers' names, no names and no credentials.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    namespace: Arc<str>,
    connection: Arc<Mutex<Option<Made>>>,
}

/// A connection, and when it was begun.
struct Made {
    manager: ConnectionManager,
    at: Instant,
}

impl Redis {
    /// Names a server: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://…` with TLS, which is in the feature
    /// `tls-aws-lc`; `redis+unix:///PATH`.
    ///
    /// # Errors
    /// If it is no such URL. The text does not repeat it.
    pub fn open(url: &str) -> Result<Self, ConfigError> {
        let wrong = |_| ConfigError::Setting { setting: "redis", problem: "is no URL of a Redis server" };
        let client = Client::open(url).map_err(wrong)?;
        Ok(Self { client, namespace: NAMESPACE.into(), connection: Arc::default() })
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
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return Err(StoreError::new("Redis cannot be asked outside of a tokio runtime"));
        };
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_min_delay(RETRY_AFTER.div_f32(8.0))
            .set_max_delay(RETRY_AFTER);
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config);
        let manager = manager.map_err(store_error)?;
        let mut connecting = manager.clone();
        // It gets on by being waited for, and who asks may give up before it is there.
        runtime.spawn(async move { ::redis::cmd("PING").query_async::<()>(&mut connecting).await });
        *connection = Some(Made { manager: manager.clone(), at: SystemClock.instant() });
        Ok(manager)
    }

    /// Makes another connection with the next question: the other end of this one may be gone without a word. One that was begun a
    /// moment ago stays: it may be on its way still, and with a new one each time a server that is slow would never be reached.
    #[cfg(feature = "rate-limit")]
    pub(super) fn reconnect(&self) {
        let now = SystemClock.instant();
        self.lock().take_if(|made| now.saturating_duration_since(made.at) >= CONNECT_TIMEOUT);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Made>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
