//! When keys were last used: collected here, written together, never while a request waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::record::KeyDigest;
use super::store::{ApiKeyStore, ApiKeyUse};
use crate::clock::OncePerSecond;
use crate::store::StoreError;

/// How long uses are collected before they are written.
const INTERVAL: Duration = Duration::from_secs(5);

/// Keys whose use is not written yet, at most. Only keys of the store get here, and what finds no room is lost for now, not for
/// good: a key in use comes again.
const MAX_PENDING: usize = 100_000;

/// How long a batch may take to be written; then it is tried again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Keys whose use is written at once: so small that nobody who changes a key waits for it.
const BATCH: usize = 500;

pub(super) struct Uses {
    store: Arc<dyn ApiKeyStore>,
    pending: Mutex<Pending>,
    /// One batch at a time, so that whoever flushes waits for what is being written.
    turn: tokio::sync::Mutex<()>,
    log_limit: OncePerSecond,
}

#[derive(Default)]
struct Pending {
    uses: HashMap<String, Noted>,
    writer: Option<AbortHandle>,
}

struct Noted {
    at: SystemTime,
    digest: Option<(KeyDigest, KeyDigest)>,
}

impl Uses {
    pub(super) fn new(store: Arc<dyn ApiKeyStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            pending: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            log_limit: OncePerSecond::new(),
        })
    }

    /// Notes a use. `digest`: what the key's is, and what it should be by now.
    pub(super) fn note(self: &Arc<Self>, id: &str, at: SystemTime, digest: Option<(KeyDigest, KeyDigest)>) {
        let mut pending = self.pending();
        pending.note(id, at, digest);
        if pending.writer.as_ref().is_none_or(AbortHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            pending.writer = Some(runtime.spawn(write_until_done(Arc::downgrade(self))).abort_handle());
        }
    }

    /// Writes all that was noted. What cannot be written is kept for the next time.
    pub(super) async fn write(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let mut taken = Taken { uses: self, taken: std::mem::take(&mut self.pending().uses) };
        loop {
            let batch = taken.batch();
            if batch.is_empty() {
                return Ok(());
            }
            let late = |_| Err(StoreError::new("the store did not answer in time"));
            timeout(TIMEOUT, self.store.record_uses(&batch)).await.unwrap_or_else(late)?;
            batch.iter().for_each(|used| drop(taken.taken.remove(&used.id)));
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    fn note(&mut self, id: &str, at: SystemTime, digest: Option<(KeyDigest, KeyDigest)>) {
        if let Some(noted) = self.uses.get_mut(id) {
            noted.at = noted.at.max(at);
            noted.digest = digest.or(noted.digest.take());
        } else if self.uses.len() < MAX_PENDING {
            self.uses.insert(id.to_owned(), Noted { at, digest });
        }
    }
}

/// Writes now and then, as long as there is something to write and somebody to whom it matters.
async fn write_until_done(uses: Weak<Uses>) {
    loop {
        sleep(INTERVAL).await;
        let Some(uses) = uses.upgrade() else { return };
        if let Err(error) = uses.write().await
            && uses.log_limit.allows()
        {
            tracing::error!(target: "portcullis", %error, "the last use of API keys could not be written");
        }
        let mut pending = uses.pending();
        if pending.uses.is_empty() {
            pending.writer = None;
            return;
        }
    }
}

/// What is being written; goes back where that fails or is given up.
struct Taken<'a> {
    uses: &'a Uses,
    taken: HashMap<String, Noted>,
}

impl Taken<'_> {
    fn batch(&self) -> Vec<ApiKeyUse> {
        let of = |(id, noted): (&String, &Noted)| ApiKeyUse {
            id: id.clone(),
            at: noted.at,
            digest: noted.digest.clone(),
        };
        self.taken.iter().take(BATCH).map(of).collect()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if !self.taken.is_empty() {
            let mut pending = self.uses.pending();
            self.taken.drain().for_each(|(id, noted)| pending.note(&id, noted.at, noted.digest));
        }
    }
}

impl Drop for Uses {
    /// No task outlives its owner.
    fn drop(&mut self) {
        if let Some(writer) = self.pending().writer.take() {
            writer.abort();
        }
    }
}
