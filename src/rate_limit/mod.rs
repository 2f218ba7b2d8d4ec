//! How often a caller may come.
//!
//! Limits are kept by who is calling, in a bounded table in memory, by the generic cell rate algorithm: a [`Quota`] refills
//! steadily, and a caller that has been quiet may send a burst.

mod gcra;
mod key;
mod layer;
mod limit;
mod quota;
mod service;
mod store;

pub use key::RateKey;
pub use layer::RateLimitLayer;
pub use quota::Quota;
pub use service::RateLimit;
