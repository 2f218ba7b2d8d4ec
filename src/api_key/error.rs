//! What can go wrong where keys are managed.

use super::record::ApiKeyState;
use crate::store::StoreError;

/// A key could not be issued or changed. Nothing was changed, but where the store failed, that is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The store failed.
    #[error("the store of API keys failed: {0}")]
    Store(#[from] StoreError),
    /// There is no key of this id.
    #[error("there is no API key of this id")]
    NotFound,
    /// It is not in a state in which this could be done.
    #[error("the API key is {0}")]
    State(ApiKeyState),
    /// Another key took its place already: of several who rotate one key at once, one wins.
    #[error("another API key has taken the place of this one")]
    Replaced,
    /// What a new key is to be makes no sense.
    #[error("`{field}` {problem}")]
    Invalid {
        /// The setter.
        field: &'static str,
        /// What is right.
        problem: &'static str,
    },
    /// The system has no random numbers.
    #[error("the system's random source failed")]
    Random,
}
