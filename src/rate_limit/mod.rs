//! How often a caller may come.
//!
//! Limits are kept by who is calling, by the generic cell rate algorithm: a [`Quota`] comes back steadily, and a caller that has
//! been quiet may send a burst. The counts live in a bounded table in memory, or in a store that several processes share.

pub(crate) mod caller;
pub(crate) mod future;
pub(crate) mod gcra;
pub(crate) mod headers;
pub(crate) mod key;
pub(crate) mod layer;
pub(crate) mod limiter;
pub(crate) mod metrics;
pub(crate) mod plans;
pub(crate) mod quota;
pub(crate) mod quotas;
pub(crate) mod service;
pub(crate) mod store;
pub(crate) mod unnamed_clients;

pub use future::RateLimitFuture;
pub use headers::{LegacyNames, RateLimitHeaders, ResetUnit};
pub use key::RateKey;
pub use layer::RateLimitLayer;
pub use metrics::RateLimitStatus;
pub use quota::Quota;
pub use quotas::{NamedQuota, Quotas};
pub use service::RateLimit;
pub use store::leased::LeasedRateLimits;
pub use store::memory::MemoryRateLimits;
pub use store::{Charge, OnStoreFailure, RateLimitStore, Standing};
