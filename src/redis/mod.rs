//! What processes share in Redis.

pub(crate) mod connection;
#[cfg(feature = "rate-limit")]
pub(crate) mod rate_limits;
pub(crate) mod revocations;
#[cfg(feature = "jwt")]
pub(crate) mod single_use;

use std::fmt::Write as _;

pub use connection::Redis;
#[cfg(feature = "rate-limit")]
pub use rate_limits::RedisRateLimits;
pub use revocations::{RedisRevocations, RedisRevocationsStatus};
#[cfg(feature = "jwt")]
pub use single_use::RedisSingleUse;

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
