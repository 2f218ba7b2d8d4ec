//! The service that limits.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use http::{Request, Response};
use tower_service::Service;

use super::future::{RateLimitFuture, Stage, Waiting};
use super::limiter::{Checked, Limit};

/// The service of [`RateLimitLayer`](super::RateLimitLayer).
#[derive(Clone)]
pub struct RateLimit<S> {
    inner: S,
    limit: Arc<Limit>,
    cost: NonZeroU32,
}

impl<S> RateLimit<S> {
    pub(super) const fn new(inner: S, limit: Arc<Limit>, cost: NonZeroU32) -> Self {
        Self { inner, limit, cost }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RateLimit<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RateLimitFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let limit = &self.limit;
        // Each arm makes the future where it is returned, since moving it costs as much as counting.
        match limit.check(&request, self.cost) {
            Checked::Judged(Ok(told)) => {
                RateLimitFuture { stage: Stage::admitted(told, limit, self.inner.call(request)) }
            }
            Checked::Judged(Err(refusal)) => RateLimitFuture { stage: Stage::refused(&refusal, limit) },
            Checked::Asking(caller, asking) => {
                // The service that said it was ready is the one that will be called; a fresh clone takes its place.
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                let (limit, cost, request) = (Arc::clone(limit), self.cost, Some(request));
                let waiting = Box::new(Waiting { service, request, limit, cost, caller, asking });
                RateLimitFuture { stage: Stage::Waiting { waiting } }
            }
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for RateLimit<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit").field("inner", &self.inner).finish_non_exhaustive()
    }
}
