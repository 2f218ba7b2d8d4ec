//! Used tokens that processes share.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, RedisError, cmd};

use super::connection::{Redis, store_error};
use super::hex;
use crate::authenticator::signed_request::replay::{SingleUse, SingleUseToken, Spend};
use crate::clock::{Clock, SystemClock};
use crate::store::{StoreAnswer, StoreError};

/// So much longer than it must a mark stays: by so much a machine's clock may be ahead of another's.
const SLACK: Duration = Duration::from_secs(60);

/// How long the server may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How often the server is asked whether it drops what it holds: a setting that can be changed while it runs.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Used tokens in Redis, for any number of processes: of all to whom one token is presented, one accepts it.
///
/// Each token is one key, `NAMESPACE:used:` and its hash in hexadecimal digits, set if it was not there (`SET … NX PX`): one
/// round trip. It leaves by itself, a minute after the time until which it must stay.
/// That time goes by the clock of the machine that marks it: where one clock is ahead of another by more than that minute and the
/// half that tokens are remembered for anyway, a token may be forgotten while the other machine would accept it again.
///
/// A server that may drop keys for want of memory (`maxmemory` with a `maxmemory-policy` other than `noeviction`) is not used: it
/// would forget tokens that are still good. It is asked for that at first, after each failure, and every minute (`INFO memory`), so
/// its user needs the commands `INFO` and `SET`, and for the keys `~NAMESPACE:used:*`. With `noeviction` a server that is full
/// refuses the mark, and the request gets a 503 ([`Spend::Full`]), as it does where
/// the server is away: no token is accepted without its mark. The first question after a connection was lost fails too. No client has a
/// share here: whoever is known can fill the server, so give clients limits.
///
/// # Security
/// What a token is worth twice hangs on what the server remembers. A server that restarts without its data (`appendonly` or
/// snapshots) or fails over to a replica that has not heard of the last marks forgets them: tokens that were used within about the last minute
/// can be used once more. Whoever can write there can refuse any token that it knows, and whoever can delete can
/// have one used again.
///
/// Clones are the same store.
///
/// ```no_run
/// use portcullis::{MemoryClientSecrets, Redis, RedisSingleUse, SignedRequestAuthenticator};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let redis = Redis::open("redis://127.0.0.1:6379")?.namespace("todo");
/// let clients = MemoryClientSecrets::new();
/// let signed =
///     SignedRequestAuthenticator::builder(clients).single_use_in(RedisSingleUse::new(redis)).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisSingleUse {
    redis: Redis,
    /// When it was last found that the server drops nothing.
    found_safe: Arc<Mutex<Option<Instant>>>,
}

impl RedisSingleUse {
    /// Remembers in this server.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self { redis, found_safe: Arc::default() }
    }

    async fn ask(self, mark: Cmd) -> Result<Spend, StoreError> {
        let said = self.mark(mark).await;
        if said.is_err() {
            // It may be another one when it is back.
            *self.found_safe() = None;
        }
        said
    }

    async fn mark(&self, mark: Cmd) -> Result<Spend, StoreError> {
        self.look_whether_it_drops_keys().await?;
        match self.redis.ask::<Option<String>>(&mark, TIMEOUT).await? {
            Ok(Some(_)) => Ok(Spend::Spent),
            Ok(None) => Ok(Spend::AlreadySpent),
            Err(error) if is_full(&error) => Ok(Spend::Full),
            Err(error) => Err(store_error(error)),
        }
    }

    async fn look_whether_it_drops_keys(&self) -> Result<(), StoreError> {
        let now = SystemClock.instant();
        let looked = *self.found_safe();
        if looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK_AGAIN) {
            return Ok(());
        }
        let information = self.redis.ask::<String>(cmd("INFO").arg("memory"), TIMEOUT).await?;
        drops_nothing(&information.map_err(store_error)?)?;
        *self.found_safe() = Some(now);
        Ok(())
    }

    fn found_safe(&self) -> MutexGuard<'_, Option<Instant>> {
        self.found_safe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SingleUse for RedisSingleUse {
    fn spend(&self, token: &SingleUseToken<'_>) -> StoreAnswer<Spend> {
        let left = token.until.duration_since(SystemClock.now()).unwrap_or_default();
        let stays = u64::try_from(left.saturating_add(SLACK).as_millis()).unwrap_or(u64::MAX);
        let mut mark = cmd("SET");
        mark.arg(format!("{}:used:{}", self.redis.name(), hex(&token.key)));
        mark.arg("").arg("NX").arg("PX").arg(stays);
        StoreAnswer::boxed(self.clone().ask(mark))
    }
}

fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// From what it tells of its memory. One that does not tell is not trusted with what must not be forgotten.
fn drops_nothing(information: &str) -> Result<(), StoreError> {
    let told = |name: &str| {
        information
            .lines()
            .find_map(|line| line.split_once(':').filter(|(told, _)| *told == name))
            .map(|(_, to)| to)
    };
    match (told("maxmemory").map(str::trim), told("maxmemory_policy").map(str::trim)) {
        (Some("0"), _) | (_, Some("noeviction")) => Ok(()),
        (_, Some(_)) => Err(StoreError::new(
            "Redis: its maxmemory-policy lets it forget used tokens, which needs noeviction",
        )),
        _ => Err(StoreError::new("Redis: it does not tell its maxmemory-policy, which must be noeviction")),
    }
}

impl fmt::Debug for RedisSingleUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSingleUse").field("redis", &self.redis).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_may_forget_or_does_not_tell_is_not_used() {
        for (told, safe) in [
            ("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n", true),
            ("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", true),
            ("maxmemory:1000\r\nmaxmemory_policy:noeviction\r\n", true),
            ("maxmemory:1000\r\nmaxmemory_policy:volatile-ttl\r\n", false),
            ("maxmemory_human:0\r\nmaxmemory_policy:allkeys-lru\r\n", false),
            ("maxmemory:1000\r\n", false),
            ("", false),
        ] {
            assert_eq!(drops_nothing(told).is_ok(), safe, "{told}");
        }
    }
}
