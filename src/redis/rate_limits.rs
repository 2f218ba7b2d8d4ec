//! Counts that processes share.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Script, ScriptInvocation};
use tokio::time::timeout;

use super::connection::{Redis, store_error};
use crate::clock::{Clock, SystemClock};
use crate::rate_limit::store::{Charge, RateLimitStore, Standing};
use crate::store::{StoreAnswer, StoreError};
use crate::upstream::circuit_breaker::{Breaker, Role};

/// How long a request may wait for the answer.
const DEADLINE: Duration = Duration::from_millis(50);

/// For so long nobody asks a server that failed several times in a row: requests would wait for nothing.
const PAUSE: Duration = Duration::from_millis(250);

/// Counts in Redis, for any number of processes: the same algorithm as in memory, as a script that the server runs on its own
/// clock, in one round trip for all quotas of a request.
///
/// A request waits for the answer at most for a [deadline](Self::deadline). After that, and while the server is away, it is the
/// [layer](crate::RateLimitLayer::on_store_failure) that decides; after five failures in a row nobody asks for a quarter of a second.
/// What was asked and not heard of may have been spent.
///
/// The script is loaded when the server does not know it, so again after a restart. What was spent is there as long as it
/// matters: a key ends when its quota is whole again. A server that restarts without its data forgets what was spent, and so does
/// one that drops keys for want of memory (`maxmemory-policy`).
///
/// Clones are the same store.
///
/// ```
/// use portcullis::{Quota, RateLimitLayer, Redis, RedisRateLimits};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let redis = Redis::open("redis://127.0.0.1:6379")?.namespace("todo");
/// let limit = RateLimitLayer::per_client(Quota::per_minute(600)?).store(RedisRateLimits::new(redis));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisRateLimits {
    redis: Redis,
    deadline: Duration,
    breaker: Arc<Mutex<Breaker>>,
}

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("gcra.lua")));

impl RedisRateLimits {
    /// Counts in this server.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        let breaker = Arc::new(Mutex::new(Breaker::pausing(|_| PAUSE)));
        Self { redis, deadline: DEADLINE, breaker }
    }

    /// Sets how long a request may wait; 50 ms by default.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// All keys of a caller are in one slot of a cluster, by what stands in braces.
    fn question(&self, charge: &Charge<'_>) -> ScriptInvocation<'static> {
        let mut question = SCRIPT.prepare_invoke();
        let (namespace, caller) = (self.redis.name(), charge.key.to_bytes());
        let caller = u128::from_be_bytes(caller);
        question.arg(charge.cost).arg(charge.up_to);
        for named in charge.quotas {
            let quota = named.quota();
            question.key(format!("{namespace}:limit:{{{caller:032x}}}:{}", named.name()));
            question.arg(quota.interval.get()).arg(quota.capacity());
        }
        question
    }

    fn health(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(self, question: ScriptInvocation<'static>) -> Result<Standing, StoreError> {
        let asking = Asking::begin(&self)?;
        let mut connection = self.redis.connection()?;
        let answer = timeout(self.deadline, question.invoke_async(&mut connection)).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(store_error),
            Err(_) => Err(StoreError::new("Redis: no answer in time")),
        };
        asking.end(answer.is_ok());
        let (granted, backlogs): (u32, Vec<u64>) = answer?;
        Ok(Standing::new(granted, backlogs.into_iter().map(Duration::from_nanos)))
    }
}

impl RateLimitStore for RedisRateLimits {
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing> {
        if self.health().pause(SystemClock.instant()).is_some() {
            return StoreAnswer::ready(Err(paused()));
        }
        StoreAnswer::boxed(self.clone().ask(self.question(charge)))
    }
}

/// A question from its sending to its end, which may be that nobody waits for it any more.
struct Asking<'a> {
    limits: &'a RedisRateLimits,
    role: Role,
    ended: bool,
}

impl<'a> Asking<'a> {
    fn begin(limits: &'a RedisRateLimits) -> Result<Self, StoreError> {
        let admitted = limits.health().admit(SystemClock.instant(), limits.deadline);
        let role = admitted.map_err(|_| paused())?;
        Ok(Self { limits, role, ended: false })
    }

    fn end(mut self, well: bool) {
        self.ended = true;
        if well {
            return self.limits.health().succeeded();
        }
        self.limits.health().failed(self.role, SystemClock.instant());
        if self.role == Role::Probe {
            self.limits.redis.reconnect();
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.limits.health().abandoned(self.role, SystemClock.instant());
        }
    }
}

fn paused() -> StoreError {
    StoreError::new("Redis failed several times and is not asked for a moment")
}

impl fmt::Debug for RedisRateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimits")
            .field("redis", &self.redis)
            .field("deadline", &self.deadline)
            .finish()
    }
}
