//! The authority: asked within bounds, and how it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::client::{Exchange, Failure, Parameters};
use crate::clock::Clock;
use crate::clock::timestamp::Timestamp;
use crate::error::AuthError;
use crate::upstream::bulkhead::{Bulkhead, Fault, Status};
use crate::upstream::circuit_breaker::BreakerState;

pub(super) struct Authority {
    exchange: Exchange,
    bulkhead: Bulkhead<Failure>,
}

/// How an authority is, for health checks and dashboards: see
/// [`IntrospectionAuthenticator::status`](crate::IntrospectionAuthenticator::status).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IntrospectionStatus {
    /// Whether it is asked.
    pub breaker: BreakerState,
    /// Calls sent so far.
    pub calls: u64,
    /// Calls that failed, brought nothing that could be used, or took too long.
    pub failures: u64,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for one of those to end.
    pub waiting: usize,
    /// Verdicts that served beyond their time, because the authority was away.
    pub served_stale: u64,
    /// Why the last call failed; `None` if it did not.
    pub last_error: Option<String>,
}

/// What an authority said, and when it was asked.
pub(super) struct Said {
    pub(super) body: Bytes,
    pub(super) by: Url,
    pub(super) asked: Timestamp,
}

impl Authority {
    pub(super) fn new(exchange: Exchange, clock: Arc<dyn Clock>, slow_after: Duration) -> Self {
        let bulkhead =
            Bulkhead::new("a token could not be introspected", clock, exchange.limits.timeout, slow_after);
        Self { exchange, bulkhead }
    }

    /// Asks about a token and has `read` make something of the answer. What it cannot read counts as a failure too.
    pub(super) async fn ask<T>(
        &self,
        token: &str,
        parameters: Option<&Parameters>,
        read: impl AsyncFnOnce(Said) -> Result<T, Failure>,
    ) -> Result<T, AuthError> {
        let call = async |asked| {
            let (body, by) = self.exchange.ask(token, parameters, self.clock()).await?;
            read(Said { body, by, asked }).await
        };
        self.bulkhead.ask(call).await
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.bulkhead.clock
    }

    /// How long a call may take, the time in line included.
    pub(super) fn limit(&self) -> Duration {
        self.bulkhead.limit()
    }

    pub(super) fn status(&self, served_stale: u64) -> IntrospectionStatus {
        let Status { breaker, calls, failures, in_flight, waiting, last_error } = self.bulkhead.status();
        IntrospectionStatus { breaker, calls, failures, in_flight, waiting, served_stale, last_error }
    }
}

impl Fault for Failure {
    const TIMEOUT: Self = Self::Timeout;
    const SLOW: Self = Self::Slow;

    fn is_general(&self) -> bool {
        self.concerns_all()
    }
}
