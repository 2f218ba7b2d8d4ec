//! The search for the key of a token, which may have to wait for a fetch.

use super::key_set::KeySet;
use super::refresh::Need;
use super::remote_key_set::RemoteKeySet;
use crate::error::{AuthError, Reason};

/// What a token needs that is not at hand, and where to wait for it.
#[derive(Debug)]
pub(crate) struct Lack {
    keys: RemoteKeySet,
    need: Need,
    patience: Patience,
}

/// How long a request has been waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Fetches that were sent before it arrived: they cannot speak about keys that it names.
    sent_before: Option<u64>,
    /// It has waited for fresh keys already.
    waited: bool,
}

/// Why there is no verdict, or not yet.
pub(crate) enum Stop {
    Refuse(Reason),
    Wait(Lack),
}

impl Patience {
    /// Of a request that has not waited yet.
    pub(crate) const NONE: Self = Self { sent_before: None, waited: false };
}

impl Lack {
    /// Waits until there may be better keys; `Ok` says that it is worth judging again, with that patience.
    pub(crate) async fn wait(self) -> Result<Patience, AuthError> {
        self.keys.cache.wait(self.need).await?;
        Ok(Patience { waited: self.patience.waited || self.need == Need::Fresh, ..self.patience })
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refuse(reason)
    }
}

impl From<Lack> for Stop {
    fn from(lack: Lack) -> Self {
        Self::Wait(lack)
    }
}

impl RemoteKeySet {
    /// Lets `judge` look at the keys at hand. It gives `None` if none of them fits, and so does this where that is final: the
    /// keys were asked for after the request arrived.
    pub(super) fn judge<T>(
        &self,
        patience: Patience,
        judge: impl FnOnce(&KeySet) -> Option<T>,
    ) -> Result<Option<T>, Lack> {
        // Before the keys are looked at: that may set off a refresh, which then speaks about this request too.
        let sent_before = patience.sent_before.unwrap_or_else(|| self.cache.sent());
        let patience = Patience { sent_before: Some(sent_before), ..patience };
        let lack = |need| Lack { keys: self.clone(), need, patience };
        let loaded = self.cache.current(patience.waited).map_err(lack)?;
        let Some(snapshot) = &*loaded else { return Err(lack(Need::Any)) };
        let judged = judge(&snapshot.keys);
        if judged.is_none() && snapshot.flight <= sent_before {
            return Err(lack(Need::Newer { than: snapshot.flight }));
        }
        Ok(judged)
    }
}
