//! Which guards a verdict has met, so that its scopes need not be compared with theirs at every request.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The guards that a verdict has met, of those that have a bit.
#[derive(Debug, Default)]
pub(crate) struct Met(AtomicU64);

impl Met {
    pub(super) fn has(&self, bit: u64) -> bool {
        self.0.load(Ordering::Relaxed) & bit != 0
    }

    pub(super) fn add(&self, bit: u64) {
        self.0.fetch_or(bit, Ordering::Relaxed);
    }
}

/// A copy is made to be changed, so what was found out does not hold for it.
impl Clone for Met {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Tells a guard from all others of the process: the first 64 that are asked have a bit of their own, the rest none. A copy is
/// another guard.
#[derive(Debug, Default)]
pub(super) struct Mark(OnceLock<u64>);

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Mark {
    pub(super) fn bit(&self) -> u64 {
        // Shifted out in the end, and zero from then on.
        let shift = |bit: u64| Some(bit << 1);
        *self.0.get_or_init(|| {
            NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shift).unwrap_or_default()
        })
    }
}

impl Clone for Mark {
    fn clone(&self) -> Self {
        Self::default()
    }
}
