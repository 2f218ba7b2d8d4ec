//! Revocations that processes share.

pub(crate) mod reader_task;
pub(crate) mod state;
pub(crate) mod stream_format;
pub(crate) mod stream_snapshot;
pub(crate) mod stream_sync;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::AbortHandle;

use super::connection::{Redis, store_error};
use crate::clock::{Clock, SystemClock};
use crate::revocation::memory::{MemoryRevocations, RevocationsEntry, RevocationsFull};
use crate::revocation::{Mark, Revocations};
use crate::store::StoreError;
use reader_task::Ending;
use state::{Debt, Shared};
use stream_sync::Session;

/// How long the server may take to enter a revocation.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A list of revocations for any number of processes: each has it in its memory, and what one enters all others know, usually
/// within milliseconds.
///
/// A stream in Redis carries it, which each process reads in a task and by a connection of its own, in the runtime in which it
/// [connected](Self::connect). Both end when the last clone is dropped. A process that is cut off goes on with what it
/// knows, says so once a second in the log and in its [status](Self::status), and reads on where it was, within a second once the server is back.
///
/// Every process remembers the whole list: a server that lost its data, or some, gets it back from any of them within seconds. An
/// entry stays as long as in a [`MemoryRevocations`]; how old it is the server's clock says, so those of the processes need not agree.
/// What is not guaranteed: that others know within any time. Until then, and where they are cut off, they accept
/// what was called back elsewhere. And if all processes end while the server is without its data, the list is gone.
///
/// Its user needs the commands `XADD`, `XREAD`, `XRANGE`, `XDEL`, `TIME`, `SET` and `DEL`, for the keys
/// `~NAMESPACE:revocations:1*`. All processes of a namespace give the same longest lifetime.
///
/// # Other writers
/// Whatever can write to Redis can call back: the stream is `NAMESPACE:revocations:1`, and an entry of it has the fields
/// - `mark`: [`Mark::as_bytes`] as 64 hexadecimal digits;
/// - `before`: what was issued before this time in milliseconds since the Unix epoch; without it all is called back;
/// - `stays`: how many milliseconds it counts after it was entered; without it for the reader's longest lifetime and five minutes.
///
/// Its id is made by the server:
/// ```text
/// XADD portcullis:revocations:1 * mark 3ed2…9c before 1800000000000
/// ```
/// What is no such entry is left out, with an error in the log. Readers delete entries an hour after they counted last; do not trim
/// the stream by its length.
///
/// # Security
/// Whoever can write there can refuse anybody. Whoever can delete there takes nothing from processes that run, which write it again
/// within a quarter of an hour; but one that starts before knows nothing of it.
///
/// ```no_run
/// use portcullis::{AuthLayer, Authenticator, Mark, Redis, RedisRevocations};
/// use std::time::{Duration, SystemTime};
/// # async fn serve(authenticator: impl Authenticator) -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::open("redis://127.0.0.1:6379")?.namespace("todo");
/// let revocations = RedisRevocations::connect(redis, Duration::from_secs(24 * 3600)).await?;
/// let auth = AuthLayer::new(authenticator).revocations(revocations.clone());
/// // Signed out everywhere, on all machines.
/// revocations.revoke_before(Mark::subject("https://id.example.com", "ann"), SystemTime::now()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisRevocations {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    reader: AbortHandle,
}

/// How well a process hears what others call back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisRevocationsStatus {
    /// Whether the stream is being read.
    pub connected: bool,
    /// How long ago the server was last heard of: two seconds at most while all is well. What was called back elsewhere since may be
    /// unknown here.
    pub silent_for: Duration,
    /// How many entries this process knows.
    pub entries: usize,
    /// Whether there were entries for which it has no room: these do not count here.
    pub full: bool,
    /// How often reading, or writing again what was lost, failed since it was connected.
    pub failures: u64,
}

impl RedisRevocations {
    /// Reads the whole list, up to 100,000 entries, and follows it from then on. `longest_lifetime`: as for [`MemoryRevocations::new`].
    ///
    /// # Errors
    /// If the server is away or the list does not fit: nothing should be served without it. Known within seconds; for each question within one.
    pub async fn connect(redis: Redis, longest_lifetime: Duration) -> Result<Self, StoreError> {
        Self::connect_to(redis, longest_lifetime, MemoryRevocations::new(longest_lifetime)).await
    }

    /// The same for so many entries, of some 200 bytes each.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with_capacity(
        redis: Redis,
        longest_lifetime: Duration,
        entries: usize,
    ) -> Result<Self, StoreError> {
        let list = MemoryRevocations::new(longest_lifetime).capacity(entries);
        Self::connect_to(redis, longest_lifetime, list).await
    }

    async fn connect_to(
        redis: Redis,
        longest_lifetime: Duration,
        list: MemoryRevocations,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new(redis, longest_lifetime, list));
        let session = Session::open(Arc::clone(&shared), None).await?;
        if shared.state().full {
            return Err(StoreError::new(RevocationsFull));
        }
        shared.connected(true);
        let reading = reader_task::read(session, Ending(Arc::clone(&shared)));
        let reader = tokio::spawn(reading).abort_handle();
        Ok(Self { owner: Arc::new(Owner { shared, reader }) })
    }

    /// Calls back all credentials with this mark, whenever they were issued. Counts here from the next request on, whatever becomes of
    /// it, and elsewhere as soon as it is heard of.
    ///
    /// # Errors
    /// If the server did not take it within two seconds, or did not say so: do it again. Meanwhile this process writes it as soon as
    /// it can, for as long as it runs. Also if there is no room for it here.
    pub async fn revoke(&self, mark: Mark) -> Result<(), StoreError> {
        self.enter(mark, None).await
    }

    /// Calls back the credentials with this mark that were issued before `time`, and those that do not say when; otherwise as
    /// [`revoke`](Self::revoke), and as [`MemoryRevocations::revoke_before`]. The time counts in whole milliseconds, rounded up.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_before(&self, mark: Mark, time: SystemTime) -> Result<(), StoreError> {
        self.enter(mark, Some(time)).await
    }

    /// How well this process hears what others call back.
    #[must_use]
    pub fn status(&self) -> RedisRevocationsStatus {
        let shared = &self.owner.shared;
        let entries = shared.list.len();
        let state = shared.state();
        RedisRevocationsStatus {
            connected: state.connected,
            silent_for: SystemClock.instant().saturating_duration_since(state.heard),
            entries,
            full: state.full,
            failures: state.failures,
        }
    }

    async fn enter(&self, mark: Mark, before: Option<SystemTime>) -> Result<(), StoreError> {
        let shared = &self.owner.shared;
        let here = match before {
            Some(time) => shared.list.revoke_before(mark, time),
            None => shared.list.revoke(mark),
        };
        let ahead = before.and_then(|before| before.duration_since(SystemClock.now()).ok());
        let stays = shared.stays.saturating_add(ahead.unwrap_or_default());
        let debt = Debt::new(shared);
        let command = stream_format::enter(&shared.stream, &RevocationsEntry { mark, before, stays });
        let id: String = shared.redis.ask(&command, TIMEOUT).await?.map_err(store_error)?;
        debt.paid(&id);
        here.map_err(|full| {
            shared.is_full(&full);
            StoreError::new(full)
        })
    }
}

impl Revocations for RedisRevocations {
    fn is_revoked(&self, mark: &Mark, issued_at: Option<SystemTime>) -> bool {
        self.owner.shared.list.is_revoked(mark, issued_at)
    }
}

impl Drop for Owner {
    /// No task outlives its owner.
    fn drop(&mut self) {
        self.shared.end();
        self.reader.abort();
    }
}

impl fmt::Debug for RedisRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocations").field("redis", &self.owner.shared.redis).finish_non_exhaustive()
    }
}
