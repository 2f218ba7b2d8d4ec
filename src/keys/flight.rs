//! One fetch under way, shared by all who wait for it.

use std::time::Instant;

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    Keys,
    Failed,
}

/// Waits for a landing; shared by cloning.
pub(super) type Landed = watch::Receiver<Option<Landing>>;

/// A fetch in a task of its own, so that no caller who goes away takes it along.
#[derive(Debug)]
pub(super) struct Flight {
    /// Counts up from one: who arrived when the count was lower arrived before this was sent.
    pub(super) number: u64,
    /// Sent before the keys ran out, so nobody needs to wait for it.
    pub(super) ahead: bool,
    /// By then it has landed, unless its runtime stands still.
    pub(super) due: Option<Instant>,
    pub(super) landed: Landed,
    pub(super) task: AbortHandle,
}

impl Flight {
    /// False once it has landed, and also if its task has vanished together with its runtime or nobody drives that any more.
    pub(super) fn is_under_way(&self, now: Instant) -> bool {
        !self.has_landed() && self.landed.has_changed().is_ok() && self.due.is_none_or(|due| now < due)
    }

    pub(super) fn has_landed(&self) -> bool {
        self.landed.borrow().is_some()
    }
}

impl Drop for Flight {
    /// No task outlives its owner. After landing there is nothing left to abort.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How it ended; `None` if its task has vanished.
pub(super) async fn landing(mut landed: Landed) -> Option<Landing> {
    landed.wait_for(Option::is_some).await.ok().and_then(|landing| *landing)
}
