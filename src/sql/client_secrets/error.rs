//! What can go wrong where the secrets of clients are managed.

use crate::store::StoreError;

/// The secrets of a client could not be changed. Nothing was changed, but where the store failed, that is not known.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientSecretsError {
    /// The store failed, or a secret in it does not open.
    #[error("the store of client secrets failed")]
    Store(#[from] StoreError),
    /// There is no such client, or it has no such secret.
    #[error("there is no such client, or it has no secret of this id")]
    NotFound,
    /// The client has as many secrets as are tried for one token.
    #[error("the client has eight secrets already")]
    Full,
    /// What a client is to be makes no sense.
    #[error("`{field}` {problem}")]
    Invalid {
        /// The argument.
        field: &'static str,
        /// What is right.
        problem: &'static str,
    },
    /// The system has no random numbers.
    #[error("the system's random source failed")]
    Random,
}
