//! A store that counts what it is asked, and fails, hangs or holds its answers back as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use portcullis::api_key::{ApiKeyChange, ApiKeyQuery, ApiKeyUse, StoredApiKey};
use portcullis::{ApiKeyRecord, ApiKeyStore, MemoryApiKeyStore, StoreError, StoreFuture};
use tokio::sync::{oneshot, watch};

/// What a store does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Fails,
    Hangs,
    Panics,
}

/// Keys in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct Probe(Arc<Inside>);

#[derive(Default)]
struct Inside {
    memory: MemoryApiKeyStore,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    trouble: Mutex<Option<Trouble>>,
    gates: Mutex<BTreeMap<&'static str, VecDeque<oneshot::Receiver<()>>>>,
    closed: watch::Sender<bool>,
    inside: AtomicUsize,
    most: AtomicUsize,
    written: Mutex<Vec<Vec<ApiKeyUse>>>,
}

impl Probe {
    pub fn calls(&self, method: &str) -> usize {
        self.0.calls.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    pub fn total(&self) -> usize {
        self.0.calls.lock().unwrap().values().sum()
    }

    pub fn set(&self, trouble: impl Into<Option<Trouble>>) {
        *self.0.trouble.lock().unwrap() = trouble.into();
    }

    /// The next call of this method that has no gate yet waits until this one is opened or dropped. What it does and says is
    /// settled before; but nothing is written of uses until then.
    #[must_use]
    pub fn hold(&self, method: &'static str) -> oneshot::Sender<()> {
        let (open, gate) = oneshot::channel();
        self.0.gates.lock().unwrap().entry(method).or_default().push_back(gate);
        open
    }

    /// Holds all look-ups back, until it is opened again.
    pub fn close(&self, closed: bool) {
        self.0.closed.send_replace(closed);
    }

    /// How many look-ups there were at once, at most.
    pub fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// The uses that were written, call by call.
    pub fn written(&self) -> Vec<Vec<ApiKeyUse>> {
        self.0.written.lock().unwrap().clone()
    }

    /// How many hold this store.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Keeps a key as it is, whatever the rules for new ones say.
    pub async fn put(&self, key: &StoredApiKey) {
        assert!(self.0.memory.insert(key).await.unwrap());
    }

    pub async fn stored(&self, id: &str) -> StoredApiKey {
        self.0.memory.find(id).await.unwrap().unwrap()
    }

    pub async fn len(&self) -> usize {
        self.0.memory.list(&ApiKeyQuery::new().limit(1000)).await.unwrap().len()
    }

    async fn called(&self, method: &'static str) -> Result<Option<oneshot::Receiver<()>>, StoreError> {
        *self.0.calls.lock().unwrap().entry(method).or_default() += 1;
        let trouble = *self.0.trouble.lock().unwrap();
        // Whoever calls at the same time gets as far as this.
        tokio::task::yield_now().await;
        match trouble {
            None => Ok(self.0.gates.lock().unwrap().get_mut(method).and_then(VecDeque::pop_front)),
            Some(Trouble::Fails) => Err(StoreError::new("the disk is full")),
            Some(Trouble::Hangs) => std::future::pending().await,
            Some(Trouble::Panics) => panic!("on purpose"),
        }
    }
}

async fn pass(gate: Option<oneshot::Receiver<()>>) {
    if let Some(gate) = gate {
        let _ = gate.await;
    }
}

impl ApiKeyStore for Probe {
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(async move {
            let inside = self.0.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.0.most.fetch_max(inside, Ordering::SeqCst);
            let _leaves = Leaves(&self.0.inside);
            let gate = self.called("find").await?;
            let found = self.0.memory.find(id).await;
            pass(gate).await;
            self.0.closed.subscribe().wait_for(|closed| !closed).await.unwrap();
            found
        })
    }

    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let gate = self.called("insert").await?;
            let inserted = self.0.memory.insert(key).await;
            pass(gate).await;
            inserted
        })
    }

    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        Box::pin(async move {
            let gate = self.called("list").await?;
            let records = self.0.memory.list(query).await;
            pass(gate).await;
            records
        })
    }

    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(async move {
            let gate = self.called("change").await?;
            let changed = self.0.memory.change(id, change).await;
            pass(gate).await;
            changed
        })
    }

    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let gate = self.called("replace").await?;
            let replaced = self.0.memory.replace(id, by, ends).await;
            pass(gate).await;
            replaced
        })
    }

    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            pass(self.called("record_uses").await?).await;
            self.0.written.lock().unwrap().push(uses.to_vec());
            self.0.memory.record_uses(uses).await
        })
    }
}

struct Leaves<'a>(&'a AtomicUsize);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
