//! API keys: what they look like, what is kept of them, and where.

mod digest;
mod error;
mod format;
mod keys;
mod leases;
mod memory;
mod new;
mod record;
mod store;
mod uses;

pub use error::ApiKeyError;
pub use format::ApiKey;
pub(crate) use format::{MAX_KEY_LEN, is_key};
pub use keys::{ApiKeys, ApiKeysBuilder, IssuedApiKey};
pub use memory::MemoryApiKeyStore;
pub use new::NewApiKey;
pub use record::{ApiKeyRecord, ApiKeyState, KeyDigest, StoredApiKey};
pub use store::{ApiKeyChange, ApiKeyCursor, ApiKeyPage, ApiKeyQuery, ApiKeyStore, ApiKeyUse, InvalidCursor};
