//! The last step of a judgement: the token is marked as used.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::replay::{SingleUse, SingleUseToken, Spend};
use crate::authenticator::future::AuthFuture;
use crate::clock::{Clock, OncePerSecond, SystemClock};
use crate::error::{AuthError, Reason};
use crate::store::State;
use crate::upstream::bulkhead::Bulkhead;
use crate::upstream::store_fault::StoreFault;
use crate::verdict::Verdict;

/// For so long after its end a token is remembered: by then it is refused for its age, also by a clock that is set back by less
/// than half of this.
const KEPT: Duration = Duration::from_secs(60);

/// So long after its end a token may still be marked: one that came in time may have waited, for a body or for a store. The rest
/// of [`KEPT`] is for the marking itself, which may be in line and then take as long again.
const LATE: Duration = Duration::from_secs(30);

/// When to come again where there was no room for the token.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Has every token open one request.
pub(super) struct OnceOnly {
    store: Box<dyn SingleUse>,
    bulkhead: Bulkhead<StoreFault>,
    /// The application's, if it brought one.
    own_clock: Option<Arc<dyn Clock>>,
    log_limit: OncePerSecond,
}

/// A token that is right in all else.
pub(super) struct Unspent {
    pub(super) key: [u8; 32],
    pub(super) ends: SystemTime,
    pub(super) verdict: Verdict,
}

impl OnceOnly {
    pub(super) fn new(
        store: Box<dyn SingleUse>,
        bulkhead: Bulkhead<StoreFault>,
        own_clock: Option<Arc<dyn Clock>>,
    ) -> Self {
        Self { store, bulkhead, own_clock, log_limit: OncePerSecond::new() }
    }

    /// Marks the token as used, and gives its verdict if it was not before.
    pub(super) fn admit(self: &Arc<Self>, unspent: Unspent) -> AuthFuture {
        let Unspent { key, ends, verdict } = unspent;
        let now = self.own_clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now());
        if now.duration_since(ends).is_ok_and(|late| late > LATE) {
            return AuthFuture::ready(Err(Reason::TokenStale.into()));
        }
        let until = ends.checked_add(KEPT).unwrap_or(ends);
        let client = verdict.principal.client_id().unwrap_or_default();
        match self.store.spend(&SingleUseToken { key, client, until }).into_state() {
            State::Ready(said) => AuthFuture::ready({
                let said = self.bulkhead.said(said.map_err(StoreFault::Store));
                said.and_then(|spend| self.conclude(spend, verdict))
            }),
            State::Boxed(question) => {
                let once_only = Arc::clone(self);
                AuthFuture::boxed(async move {
                    let spend =
                        once_only.bulkhead.ask(async |_| question.await.map_err(StoreFault::Store)).await?;
                    once_only.conclude(spend, verdict)
                })
            }
        }
    }

    fn conclude(&self, spend: Spend, verdict: Verdict) -> Result<Verdict, AuthError> {
        match spend {
            Spend::Spent => Ok(verdict),
            Spend::AlreadySpent => Err(Reason::TokenReplayed.into()),
            Spend::Full => {
                if self.log_limit.allows() {
                    tracing::error!(
                        target: "portcullis",
                        "a token cannot be accepted, for the store of used tokens is full, or its client has used up its share"
                    );
                }
                Err(AuthError::from(Reason::ReplayStoreFull).with_retry_after(RETRY_AFTER))
            }
        }
    }
}
