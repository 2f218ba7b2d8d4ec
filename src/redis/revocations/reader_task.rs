//! Reads what others call back, as long as there is somebody to whom it matters.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::state::Shared;
use super::stream_format::Id;
use super::stream_sync::Session;
use crate::store::StoreError;

/// How long it is waited before another connection is made: at most so long that a server that is back is read within a second.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_millis(400);

/// Never ends by itself.
pub(super) async fn read(mut session: Session, ending: Ending) {
    let shared = &ending.0;
    loop {
        shared.connected(true);
        let error = session.follow().await;
        shared.connected(false);
        shared.failed(&error);
        let last = session.last();
        drop(session);
        session = open_again(shared, last).await;
    }
}

async fn open_again(shared: &Arc<Shared>, last: Id) -> Session {
    let mut retry = FIRST_RETRY;
    loop {
        sleep(retry).await;
        match Session::open(Arc::clone(shared), Some(last)).await {
            Ok(session) => return session,
            Err(error) => shared.failed(&error),
        }
        retry = retry.saturating_mul(2).min(LAST_RETRY);
    }
}

/// Also where the runtime ends that it runs in, even before it runs, and somebody still has the list.
pub(super) struct Ending(pub(super) Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.0.is_over() {
            self.0.connected(false);
            self.0.failed(&StoreError::new("the runtime has ended in which revocations are read"));
        }
    }
}
