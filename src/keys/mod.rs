//! The keys of issuers: parsed strictly, fetched once for all, never waited for where they are known.

mod builder;
mod cache;
mod discovery;
mod documents;
mod fetch;
mod issuer;
mod lookup;
mod remote;
mod set;
mod snapshot;
mod throttle;
mod url;

#[cfg(feature = "introspection")]
pub(crate) use self::url::checked;
pub(crate) use self::url::shown;
pub use builder::RemoteKeySetBuilder;
#[cfg(feature = "introspection")]
pub(crate) use discovery::Discovery;
#[cfg(feature = "introspection")]
pub(crate) use documents::{Documents, FetchError};
pub use issuer::{Issuer, Keys};
pub(crate) use lookup::{Lack, Patience, Stop};
pub use remote::{KeysError, KeysStatus, RemoteKeySet};
pub(crate) use set::Find;
pub use set::KeySet;
