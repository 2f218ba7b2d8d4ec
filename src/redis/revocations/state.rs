//! What a list and its reader have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::stream_format;
use super::stream_format::Id;
use crate::clock::{Clock, OncePerSecond, SystemClock};
use crate::redis::connection::Redis;
use crate::revocation::memory::{MemoryRevocations, RevocationsFull, SLACK};
use crate::store::StoreError;

pub(super) struct Shared {
    pub(super) redis: Redis,
    pub(super) stream: String,
    pub(super) list: MemoryRevocations,
    /// How long an entry stays, if nothing else is said.
    pub(super) stays: Duration,
    state: Mutex<State>,
    /// Something is known here that the server may not have.
    owes: AtomicBool,
    /// Nobody has the list any more.
    over: AtomicBool,
    log_limit: OncePerSecond,
}

pub(super) struct State {
    pub(super) connected: bool,
    pub(super) heard: Instant,
    pub(super) full: bool,
    pub(super) failures: u64,
    /// The last entry of which it is known that it was there.
    pub(super) newest: Id,
}

impl Shared {
    pub(super) fn new(redis: Redis, longest_lifetime: Duration, list: MemoryRevocations) -> Self {
        let heard = SystemClock.instant();
        let state = State { connected: false, heard, full: false, failures: 0, newest: Id::default() };
        Self {
            stream: stream_format::stream_of(redis.name()),
            redis,
            list,
            stays: longest_lifetime.saturating_add(SLACK),
            state: Mutex::new(state),
            owes: AtomicBool::new(false),
            over: AtomicBool::new(false),
            log_limit: OncePerSecond::new(),
        }
    }

    /// The key that says whose turn it is to write what was lost.
    pub(super) fn turn(&self) -> String {
        format!("{}:turn", self.stream)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self, connected: bool) {
        self.state().connected = connected;
    }

    pub(super) fn heard(&self) {
        self.state().heard = SystemClock.instant();
    }

    pub(super) fn newest(&self) -> Id {
        self.state().newest
    }

    pub(super) fn read_all(&self, last: Id, full: bool) {
        let mut state = self.state();
        (state.newest, state.full) = (last, full);
    }

    pub(super) fn is_full(&self, error: &RevocationsFull) {
        self.state().full = true;
        self.complain(&StoreError::new(*error));
    }

    /// There is something that the server may not have.
    pub(super) fn owes(&self) {
        self.owes.store(true, Ordering::Release);
    }

    /// Whether there was, until now.
    pub(super) fn settle(&self) -> bool {
        self.owes.swap(false, Ordering::AcqRel)
    }

    pub(super) fn failed(&self, error: &StoreError) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        drop(state);
        self.complain(error);
    }

    pub(super) fn complain(&self, error: &StoreError) {
        if self.log_limit.allows() {
            tracing::error!(target: "portcullis", %error, "the list of revocations may not be the same everywhere");
        }
    }

    /// Nobody has the list any more.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// What the server may not have got, also where nobody waits any more to hear of it.
pub(super) struct Debt<'a>(&'a Shared);

impl<'a> Debt<'a> {
    pub(super) const fn new(shared: &'a Shared) -> Self {
        Self(shared)
    }

    pub(super) fn paid(self, id: &str) {
        let mut state = self.0.state();
        state.newest = Id::parse(id).unwrap_or_default().max(state.newest);
        drop(state);
        std::mem::forget(self);
    }
}

impl Drop for Debt<'_> {
    fn drop(&mut self) {
        self.0.owes();
    }
}
