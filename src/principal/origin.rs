//! The layer that admitted a principal, as guards and limits beneath it see it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::freshness::Demand;
use super::record::Facts;
use crate::clock::timestamp::Timestamp;
use crate::context::RequestContext;
use crate::error::AuthError;
use crate::scope::Rule;

/// Who let it in, and when that began.
#[derive(Clone)]
pub(crate) struct Admission {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) arrival: Timestamp,
}

/// What became of a credential.
pub(crate) type Outcome = Result<Arc<Facts>, AuthError>;

/// A verdict that is ready, or has to be waited for.
pub(crate) enum Judged {
    Ready(Outcome),
    Waiting(JudgedLater),
}

pub(crate) type JudgedLater = Pin<Box<dyn Future<Output = Landing> + Send>>;

/// What became of a verdict that was waited for.
pub(crate) enum Landing {
    Judged(Outcome),
    /// The call vanished with its runtime, or was of no use here: judge again.
    Vanished,
}

/// The layer that admitted a principal, as guards beneath it see it.
pub(crate) trait Origin: Send + Sync {
    fn rule(&self) -> Option<&Rule>;

    fn now(&self) -> Timestamp;

    /// Judges the credential of the request once more.
    fn judge_again(&self, context: &RequestContext<'_>, demand: Demand) -> Judged;
}
