//! How often a caller may come.
//!
//! Limits are kept by who is calling, by the generic cell rate algorithm: a [`Quota`] comes back steadily, and a caller that has
//! been quiet may send a burst. The counts live in a bounded table in memory, or in a store that several processes share.

mod events;
mod future;
mod gcra;
mod headers;
mod key;
mod layer;
mod leased;
mod limit;
mod memory;
mod plans;
mod quota;
mod quotas;
mod service;
mod slice;
mod store;
mod who;

pub use events::RateLimitStatus;
pub use future::RateLimitFuture;
pub use headers::{LegacyNames, RateLimitHeaders, ResetUnit};
pub use key::RateKey;
pub use layer::RateLimitLayer;
pub use leased::LeasedRateLimits;
pub use memory::MemoryRateLimits;
pub use quota::Quota;
pub use quotas::{NamedQuota, Quotas};
pub use service::RateLimit;
pub use store::{Charge, OnStoreFailure, RateLimitStore, Standing};
