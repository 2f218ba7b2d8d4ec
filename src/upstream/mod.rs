//! Calls to other systems: bounded, interrupted while they fail, and detached from the requests that wait for them.

#[cfg(any(feature = "jwt", feature = "api-keys"))]
pub(crate) mod backoff;
#[cfg(any(feature = "jwt", feature = "api-keys"))]
pub(crate) mod bulkhead;
#[cfg(any(feature = "jwt", feature = "api-keys", all(feature = "redis", feature = "rate-limit")))]
pub(crate) mod circuit_breaker;
pub(crate) mod detached;
#[cfg(any(feature = "jwt", feature = "api-keys"))]
pub(crate) mod store_fault;
