//! API keys: what they look like, what is kept of them, and where.

mod record;
mod store;

pub use record::{ApiKeyRecord, ApiKeyState, KeyDigest, StoredApiKey};
pub use store::{ApiKeyChange, ApiKeyCursor, ApiKeyQuery, ApiKeyStore, ApiKeyUse};
