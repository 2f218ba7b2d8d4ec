//! The keys of issuers: parsed strictly, fetched once for all, never waited for where they are known.

pub(crate) mod builder;
pub(crate) mod discovery;
pub(crate) mod fetch;
pub(crate) mod issuer;
pub(crate) mod key_set;
pub(crate) mod lookup;
pub(crate) mod metadata_client;
pub(crate) mod refresh;
pub(crate) mod remote_key_set;
pub(crate) mod snapshot;
pub(crate) mod token_bucket;
pub(crate) mod url;

pub use builder::RemoteKeySetBuilder;
pub use issuer::{Issuer, Keys};
pub use key_set::KeySet;
pub use remote_key_set::{KeysError, KeysStatus, RemoteKeySet};
