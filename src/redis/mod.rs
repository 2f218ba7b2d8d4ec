//! What processes share in Redis.

mod connection;
#[cfg(feature = "rate-limit")]
mod rate_limits;

pub use connection::Redis;
#[cfg(feature = "rate-limit")]
pub use rate_limits::RedisRateLimits;
