//! What can go wrong where keys are managed.

use super::record::ApiKeyState;
use crate::store::StoreError;

/// A key could not be issued or changed. Nothing was changed, but where the store failed, that is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The store failed.
    #[error("the store of API keys failed")]
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

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn store_error_is_the_source_and_not_in_the_text() {
        let error = ApiKeyError::from(StoreError::new("the disk is full"));
        assert_eq!(error.to_string(), "the store of API keys failed");
        assert_eq!(error.source().unwrap().to_string(), "the disk is full");
        assert!(ApiKeyError::NotFound.source().is_none());
    }
}
