//! Why a store of keys or secrets could not be asked.

use super::bulkhead::Fault;
use crate::store::StoreError;

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    #[error("the store did not answer in time")]
    Timeout,
    #[error("the store answered too slowly")]
    Slow,
    #[error("{0}")]
    Store(StoreError),
}

impl Fault for StoreFault {
    const TIMEOUT: Self = Self::Timeout;
    const SLOW: Self = Self::Slow;

    fn is_general(&self) -> bool {
        !matches!(self, Self::Store(error) if error.is_of_one_row())
    }
}
