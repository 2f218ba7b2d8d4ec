//! What a limit found out about a principal.

use std::num::NonZeroU32;

/// Who spends which quotas, as one limit found out. A verdict that is used again keeps it, so that it need not be found out
/// again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Of the limit.
    pub(crate) number: u32,
    /// The bits of the caller's key.
    pub(crate) key: [u64; 2],
    /// The place of the caller's plan.
    pub(crate) plan: Option<NonZeroU32>,
}
