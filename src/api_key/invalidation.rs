//! Ends the verdicts about a key that changes, in this process, whatever is cached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::principal::validity::Lease;

/// So many leases are not worth a look for those that nobody holds any more.
const FEW: usize = 1024;

/// The leases of keys about which there is a verdict, or one under way: whoever has such a thing holds its lease, so there are no
/// more of them than that.
#[derive(Default)]
pub(super) struct Leases {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    leases: HashMap<Box<str>, Weak<Lease>>,
    /// How many there may be before they are looked over.
    sweep_at: usize,
}

impl Leases {
    /// Under which a verdict about this key is given; taken before the store is asked.
    pub(super) fn of(&self, id: &str) -> Arc<Lease> {
        let mut held = self.held();
        if let Some(lease) = held.leases.get(id).and_then(Weak::upgrade) {
            return lease;
        }
        held.sweep();
        let lease = Arc::new(Lease::open());
        held.leases.insert(id.into(), Arc::downgrade(&lease));
        lease
    }

    /// Ends all verdicts about this key when it is dropped: once the change is made, or has failed, which may be the same.
    pub(super) fn ending<'a>(&'a self, id: &'a str) -> Ending<'a> {
        Ending { leases: self, id }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Drops what nobody holds, each time that they have doubled.
    fn sweep(&mut self) {
        if self.leases.len() >= self.sweep_at {
            self.leases.retain(|_, lease| lease.strong_count() > 0);
            self.sweep_at = self.leases.len().saturating_mul(2).max(FEW);
        }
    }
}

pub(super) struct Ending<'a> {
    leases: &'a Leases,
    id: &'a str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let lease = self.leases.held().leases.remove(self.id);
        if let Some(lease) = lease.and_then(|lease| lease.upgrade()) {
            lease.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_what_was_said_of_that_key_alone() {
        let leases = Leases::default();
        let (one, same, other) = (leases.of("one"), leases.of("one"), leases.of("other"));
        drop(leases.ending("one"));
        assert!(one.has_ended() && same.has_ended() && !other.has_ended());
        assert!(!leases.of("one").has_ended(), "what is said from now on holds");
    }

    #[test]
    fn what_nobody_holds_is_dropped() {
        let leases = Leases::default();
        let kept: Vec<_> = (0..100).map(|id| leases.of(&format!("kept {id}"))).collect();
        for id in 0..100_000 {
            let _ = leases.of(&format!("{id}"));
        }
        assert!(leases.held().leases.len() <= FEW + 100);
        drop(leases.ending("kept 7"));
        assert!(kept[7].has_ended() && !kept[8].has_ended());
    }
}
