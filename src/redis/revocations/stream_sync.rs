//! One connection by which the stream is read, and what is done there.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Value, cmd, pipe};

use super::state::Shared;
use super::stream_format;
use super::stream_format::{Entry, Id, Revocation};
use super::stream_snapshot::There;
use crate::clock::{Clock, SystemClock};
use crate::redis::connection::{store_error, within};
use crate::revocation::Mark;
use crate::revocation::memory::RevocationsEntry;
use crate::store::StoreError;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How long the server waits for news before it says that there are none.
const BLOCK: Duration = Duration::from_secs(1);

/// Entries that are read or written at once: some 100 KiB.
const PAGE: usize = 500;

/// How often it is seen to that the server still has what it had.
const LOOK: Duration = Duration::from_secs(1);

/// How often the whole stream is read and compared with what is known here: who else deletes or trims entries is not noticed otherwise.
const COMPARE: Duration = Duration::from_secs(900);

/// What is owed and cannot be written is tried again after this time.
const OWED: Duration = Duration::from_secs(5);

/// So long one process alone writes what was lost, unless it is through before.
const TURN: Duration = Duration::from_secs(5);

/// An entry that counts no longer stays so much longer: the clock that says so may be wrong.
const MARGIN: Duration = Duration::from_secs(3600);

pub(super) struct Session {
    connection: MultiplexedConnection,
    shared: Arc<Shared>,
    /// What was read last.
    last: Id,
    server: ServerClock,
    looked: Option<Instant>,
    compared: Option<Instant>,
    /// Not compared again before.
    rest: Option<Instant>,
}

/// What the server's clock said, and when.
#[derive(Clone, Copy)]
struct ServerClock {
    said: Duration,
    at: Instant,
}

impl ServerClock {
    fn now(self) -> Duration {
        self.said.saturating_add(SystemClock.instant().saturating_duration_since(self.at))
    }
}

impl Session {
    /// Connects, to read on after what was read `last`; from the beginning if nothing was.
    pub(super) async fn open(shared: Arc<Shared>, last: Option<Id>) -> Result<Self, StoreError> {
        let connection = shared.redis.own_connection().await?;
        let server = ServerClock { said: Duration::ZERO, at: SystemClock.instant() };
        let compared = last.map(|_| server.at);
        let last = last.unwrap_or_default();
        let mut session = Self { connection, shared, last, server, looked: None, compared, rest: None };
        session.ask_for_the_time().await?;
        session.keep_complete().await?;
        Ok(session)
    }

    pub(super) const fn last(&self) -> Id {
        self.last
    }

    /// Reads as long as that goes well.
    pub(super) async fn follow(&mut self) -> StoreError {
        loop {
            let page = async {
                self.keep_complete().await?;
                self.read(Some(BLOCK)).await
            };
            match page.await {
                Ok(page) => page.into_iter().for_each(|entry| drop(self.take(&entry))),
                Err(error) => return error,
            }
        }
    }

    /// Sees to it, now and then, that all is here that is there, and all there that is here.
    async fn keep_complete(&mut self) -> Result<(), StoreError> {
        let now = SystemClock.instant();
        let due = |since: Option<Instant>, after| {
            since.is_none_or(|since| now.saturating_duration_since(since) >= after)
        };
        let mut compare = due(self.compared, COMPARE);
        if due(self.looked, LOOK) {
            self.looked = Some(now);
            compare |= self.was_lost().await?;
        }
        if self.rest.is_some_and(|rest| now < rest) {
            return Ok(());
        }
        if self.shared.settle() || compare {
            // Should it not come to its end, what was owed still is.
            let all = self.compare().await;
            if all.is_err() {
                self.shared.owes();
            }
            self.compared = Some(now);
            all?;
        }
        Ok(())
    }

    /// Whether the entry that is known as the last one is gone: then so may be all others. An id alone would not tell, for
    /// whoever writes into a server that has lost its data writes later ones.
    async fn was_lost(&mut self) -> Result<bool, StoreError> {
        let newest = self.last.max(self.shared.newest());
        if newest == Id::default() {
            return Ok(false);
        }
        let (id, mut look) = (newest.to_string(), cmd("XRANGE"));
        look.arg(&self.shared.stream).arg(&id).arg(&id);
        let found: Vec<Value> = self.ask(&look).await.map_err(store_error)?;
        Ok(found.is_empty())
    }

    /// Reads the whole stream, and writes what is known here and missing there. One process at a time does, or each would
    /// write what all remember.
    async fn compare(&mut self) -> Result<(), StoreError> {
        self.ask_for_the_time().await?;
        let mut is_our_turn = false;
        loop {
            let there = self.read_all().await?;
            let missing: Vec<_> =
                self.shared.list.entries().into_iter().filter(|ours| !there.has(ours)).collect();
            if !missing.is_empty() {
                self.shared.complain(&StoreError::new("Redis lacks revocations that are known here"));
            }
            if missing.is_empty() || is_our_turn {
                let written = self.write(&missing).await;
                if is_our_turn {
                    let _: Option<i64> = self.dare(cmd("DEL").arg(self.shared.turn())).await?;
                }
                return written;
            }
            let mut turn = cmd("SET");
            turn.arg(self.shared.turn()).arg("").arg("NX").arg("PX").arg(millis(TURN));
            is_our_turn = self.dare::<Option<String>>(&turn).await?.flatten().is_some();
            if !is_our_turn {
                self.shared.owes();
                self.rest_for(LOOK);
                return Ok(());
            }
        }
    }

    async fn read_all(&mut self) -> Result<There, StoreError> {
        let (mut there, mut over, mut full) = (There::default(), Vec::new(), false);
        self.last = Id::default();
        loop {
            let page = self.read(None).await?;
            for entry in &page {
                match self.take(entry) {
                    Ok(Some(copy)) => there.add(copy),
                    Ok(None) => {}
                    Err(Full) => full = true,
                }
                if self.is_long_over(entry) {
                    over.push(entry.id);
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
        self.shared.read_all(self.last, full);
        for ids in over.chunks(PAGE) {
            let mut delete = cmd("XDEL");
            delete.arg(&self.shared.stream);
            for id in ids {
                delete.arg(id.to_string());
            }
            let _: Option<i64> = self.dare(&delete).await?;
        }
        Ok(there)
    }

    /// Entries after the last one, some at a time.
    async fn read(&mut self, wait: Option<Duration>) -> Result<Vec<Entry>, StoreError> {
        let mut command = cmd("XREAD");
        command.arg("COUNT").arg(PAGE);
        if let Some(wait) = wait {
            command.arg("BLOCK").arg(millis(wait));
        }
        command.arg("STREAMS").arg(&self.shared.stream).arg(self.last.to_string());
        let limit = TIMEOUT.saturating_add(wait.unwrap_or_default());
        let answer = within(limit, command.query_async(&mut self.connection)).await.map_err(store_error)?;
        let page = stream_format::read(answer)
            .ok_or_else(|| StoreError::new("Redis: an answer that cannot be read"))?;
        self.shared.heard();
        if let Some(entry) = page.last() {
            self.last = entry.id;
        }
        Ok(page)
    }

    /// Copies an entry, if it can be read and still counts.
    fn take(&self, entry: &Entry) -> Result<Option<RevocationsEntry>, Full> {
        let Some(says) = &entry.says else {
            self.shared.complain(&StoreError::new(format!("Redis: entry {} is no revocation", entry.id)));
            return Ok(None);
        };
        let stays = self.stays(entry.id, says, self.shared.stays, SystemClock.now());
        let copy = RevocationsEntry { mark: says.mark, before: says.before, stays };
        match self.shared.list.copy(&copy) {
            Ok(()) => Ok(Some(copy)),
            Err(error) => {
                self.shared.is_full(&error);
                Err(Full)
            }
        }
    }

    /// How long it has yet to stay. Its age goes by the server's clock alone, so that no other matters.
    fn stays(&self, id: Id, says: &Revocation, usual: Duration, now: SystemTime) -> Duration {
        let age = self.server.now().saturating_sub(Duration::from_millis(id.millis));
        let left = says.stays.unwrap_or(usual).saturating_sub(age);
        // What is issued before a time to come is valid that much longer.
        let from_then = says.before.and_then(|before| before.checked_add(usual)?.duration_since(now).ok());
        left.max(from_then.unwrap_or_default())
    }

    fn is_long_over(&self, entry: &Entry) -> bool {
        let usual = self.shared.stays.saturating_add(MARGIN);
        let nothing = Revocation { mark: Mark::from_bytes([0; 32]), before: None, stays: None };
        let says = entry.says.unwrap_or(nothing);
        let says = Revocation { stays: says.stays.map(|stays| stays.saturating_add(MARGIN)), ..says };
        let now = UNIX_EPOCH.checked_add(self.server.now());
        now.is_some_and(|now| self.stays(entry.id, &says, usual, now).is_zero())
    }

    async fn write(&mut self, missing: &[RevocationsEntry]) -> Result<(), StoreError> {
        for page in missing.chunks(PAGE) {
            let mut pipeline = pipe();
            for entry in page {
                pipeline.add_command(stream_format::enter(&self.shared.stream, entry));
            }
            let written = self.ask_all(&pipeline).await;
            self.forgive(written)?;
        }
        Ok(())
    }

    async fn ask_for_the_time(&mut self) -> Result<(), StoreError> {
        let (seconds, micros): (u64, u64) = self.ask(&cmd("TIME")).await.map_err(store_error)?;
        let said = Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros));
        self.server = ServerClock { said, at: SystemClock.instant() };
        Ok(())
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        within(TIMEOUT, command.query_async(&mut self.connection)).await
    }

    async fn ask_all(&mut self, pipeline: &Pipeline) -> RedisResult<()> {
        within(TIMEOUT, pipeline.exec_async(&mut self.connection)).await
    }

    /// What only concerns what is written: where the server refuses it, reading goes on.
    async fn dare<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<Option<T>, StoreError> {
        let answer = self.ask(command).await;
        self.forgive(answer)
    }

    fn forgive<T>(&mut self, answer: RedisResult<T>) -> Result<Option<T>, StoreError> {
        match answer {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if is_refusal(&error) => {
                self.shared.failed(&store_error(error));
                self.shared.owes();
                self.rest_for(OWED);
                Ok(None)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    fn rest_for(&mut self, rest: Duration) {
        self.rest = SystemClock.instant().checked_add(rest).max(self.rest);
    }
}

/// The copy here has no room for it.
struct Full;

fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
