//! Work under way, shared by all who wait for it: detached from them, so that nobody who goes away takes it along.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::{AuthError, Reason};

/// Work that takes so much longer than it may has a runtime that stands still: nobody waits for it any longer.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// Work may vanish with its runtime this often before a request gives up.
pub(crate) const MAX_VANISHED: u32 = 3;

/// Waits for what the work gives; shared by cloning.
pub(crate) type Landed<T> = watch::Receiver<Option<T>>;

/// Work in a task of its own.
#[derive(Debug)]
pub(crate) struct Flight<T> {
    /// By then it has landed, unless its runtime stands still.
    due: Option<Instant>,
    landed: Landed<T>,
    task: AbortHandle,
}

impl<T: Send + Sync + 'static> Flight<T> {
    /// Sends off `work`, which gives nothing if nobody is there any more to whom it matters. `crashed` speaks for work that
    /// panics: it must not look like a runtime that ended, after which the next one is sent at once.
    pub(crate) fn launch(
        runtime: &Handle,
        due: Option<Instant>,
        work: impl Future<Output = Option<T>> + Send + 'static,
        crashed: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Self {
        let (land, landed) = watch::channel(None);
        let mut ending = Ending { land, crashed: Some(crashed) };
        let task = runtime.spawn(async move {
            let gives = work.await;
            ending.land(gives);
        });
        Self { due, landed, task: task.abort_handle() }
    }

    /// False once it has landed, and also if its task has vanished together with its runtime or nobody drives that any more.
    pub(crate) fn is_under_way(&self, now: Instant) -> bool {
        !self.has_landed() && self.landed.has_changed().is_ok() && self.due.is_none_or(|due| now < due)
    }

    pub(crate) fn has_landed(&self) -> bool {
        self.landed.borrow().is_some()
    }

    pub(crate) fn landed(&self) -> Landed<T> {
        self.landed.clone()
    }
}

impl<T> Drop for Flight<T> {
    /// No task outlives its owner. After landing there is nothing left to abort.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Work and timers need one.
pub(crate) fn runtime() -> Result<Handle, AuthError> {
    Handle::try_current().map_err(|_| AuthError::from(Reason::RuntimeMissing))
}

/// What it gave; `None` if its task has vanished.
pub(crate) async fn landing<T: Clone>(mut landed: Landed<T>) -> Option<T> {
    landed.wait_for(Option::is_some).await.ok().and_then(|landing| landing.clone())
}

/// Brings work to its end, however that comes.
struct Ending<T, C: FnOnce() -> Option<T>> {
    land: watch::Sender<Option<T>>,
    crashed: Option<C>,
}

impl<T, C: FnOnce() -> Option<T>> Ending<T, C> {
    fn land(&mut self, gives: Option<T>) {
        self.crashed = None;
        if gives.is_some() {
            self.land.send_replace(gives);
        }
    }
}

impl<T, C: FnOnce() -> Option<T>> Drop for Ending<T, C> {
    fn drop(&mut self) {
        if let Some(crashed) = self.crashed.take().filter(|_| std::thread::panicking()) {
            self.land(crashed());
        }
    }
}
