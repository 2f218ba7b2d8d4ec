//! API keys: what they look like, what is kept of them, and where.

#[cfg(feature = "api-keys")]
pub(crate) mod base62;
pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod format;
pub(crate) mod invalidation;
pub(crate) mod keys;
pub(crate) mod last_used;
pub(crate) mod memory;
pub(crate) mod new_key;
pub(crate) mod record;
pub(crate) mod store;

pub use error::ApiKeyError;
pub use format::ApiKey;
pub use keys::{ApiKeys, ApiKeysBuilder, IssuedApiKey};
pub use memory::MemoryApiKeyStore;
pub use new_key::NewApiKey;
pub use record::{ApiKeyRecord, ApiKeyState, KeyDigest, StoredApiKey};
pub use store::{ApiKeyChange, ApiKeyCursor, ApiKeyPage, ApiKeyQuery, ApiKeyStore, ApiKeyUse, InvalidCursor};
