//! What processes share in Redis.

mod connection;
#[cfg(feature = "rate-limit")]
mod rate_limits;
mod revocations;
#[cfg(feature = "jwt")]
mod single_use;

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
