//! Ends the verdicts about a key that changes, in this process, whatever is cached.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use crate::authn::Lease;

/// Keys share a lease with some others: a change of one has those looked up again too, and no table grows with the keys.
const LEASES: usize = 1024;

pub(super) struct Leases {
    leases: Box<[Mutex<Arc<Lease>>]>,
    hasher: RandomState,
}

impl Leases {
    pub(super) fn new() -> Self {
        let leases = (0..LEASES).map(|_| Mutex::new(Arc::new(Lease::open()))).collect();
        Self { leases, hasher: RandomState::new() }
    }

    /// Under which a verdict about this key is given; taken before the store is asked.
    pub(super) fn of(&self, id: &str) -> Option<Arc<Lease>> {
        Some(Arc::clone(&self.place(id)?.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Ends all verdicts about this key when it is dropped: once the change is made, and also where nobody waits for that any more.
    pub(super) fn ending<'a>(&'a self, id: &'a str) -> Ending<'a> {
        Ending { leases: self, id }
    }

    fn end(&self, id: &str) {
        if let Some(place) = self.place(id) {
            let mut lease = place.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *lease, Arc::new(Lease::open())).end();
        }
    }

    fn place(&self, id: &str) -> Option<&Mutex<Arc<Lease>>> {
        let hash = usize::try_from(self.hasher.hash_one(id) & 0xFFFF_FFFF).unwrap_or_default();
        self.leases.get(hash.checked_rem(self.leases.len())?)
    }
}

pub(super) struct Ending<'a> {
    leases: &'a Leases,
    id: &'a str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.leases.end(self.id);
    }
}
