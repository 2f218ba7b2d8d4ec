//! Holding answers back.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// How long [`Gate::waiting`] waits: far longer than a request needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Holds answers of introspection back until it is opened or dropped. What they say is settled before they come here.
#[derive(Debug)]
#[must_use = "a gate that is dropped is open"]
pub struct Gate(Hold);

/// The server's side of a [`Gate`].
#[derive(Clone, Debug)]
pub(super) struct Hold(Arc<Sides>);

/// Apart from each other, so that who arrives does not wake all that wait.
#[derive(Debug)]
struct Sides {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    pub(super) fn closed() -> (Self, Hold) {
        let sides = Sides { open: watch::channel(false).0, waiting: watch::channel(0).0 };
        let hold = Hold(Arc::new(sides));
        (Self(hold.clone()), hold)
    }

    /// Waits until so many requests wait here, or more. One whose client gave up waits no longer.
    ///
    /// # Panics
    /// After half a minute.
    pub async fn waiting(&self, requests: usize) {
        let mut waiting = self.0.0.waiting.subscribe();
        let enough = waiting.wait_for(|waiting| *waiting >= requests);
        let in_time = tokio::time::timeout(PATIENCE, enough).await;
        in_time.expect("too few requests came to the gate").expect("the gate is still there");
    }

    /// How many requests wait here at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        *self.0.0.waiting.borrow()
    }

    /// Lets all go that wait, and all that come later.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.0.open.send_replace(true);
    }
}

impl Hold {
    pub(super) async fn pass(&self) {
        let mut open = self.0.open.subscribe();
        self.0.waiting.send_modify(|waiting| *waiting += 1);
        let _here = Here(&self.0);
        open.wait_for(|open| *open).await.expect("the gate is still there");
    }
}

/// One that waits, until it goes on or is given up.
struct Here<'g>(&'g Sides);

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
    }
}
