//! A request that waits for its verdict, in a layer or in a guard.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::Request;

use super::RequestContext;
use super::calls::{Outcome, RETRY_AFTER};
use super::verifier::{Demand, Judged, JudgedLater, Landing, Origin};
use crate::error::AuthError;
use crate::flight::MAX_VANISHED;

/// A request that waits, with the service that was ready for it.
pub(crate) struct Waiting<S, B> {
    pub(crate) request: Option<Request<B>>,
    pub(crate) service: S,
    origin: Arc<dyn Origin>,
    demand: Demand,
    verdict: JudgedLater,
    vanished: u32,
}

/// A verdict that must be waited for, and who gives it to whom.
pub(crate) struct Later {
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) demand: Demand,
    pub(crate) verdict: JudgedLater,
}

impl<S, B> Waiting<S, B> {
    pub(crate) fn new(service: S, request: Request<B>, later: Later) -> Box<Self> {
        let Later { origin, demand, verdict } = later;
        Box::new(Self { request: Some(request), service, origin, demand, verdict, vanished: 0 })
    }

    /// What was found out. Where a call vanishes with its runtime the request is judged again, some times.
    pub(crate) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<(Outcome, Demand)> {
        loop {
            let outcome = match ready!(self.verdict.as_mut().poll(cx)) {
                Landing::Judged(outcome) => outcome,
                Landing::Vanished => match self.judge_again() {
                    Judged::Ready(outcome) => outcome,
                    Judged::Waiting(verdict) => {
                        self.verdict = verdict;
                        continue;
                    }
                },
            };
            return Poll::Ready((outcome, self.demand));
        }
    }

    fn judge_again(&mut self) -> Judged {
        self.vanished = self.vanished.saturating_add(1);
        match &self.request {
            Some(request) if self.vanished < MAX_VANISHED => {
                self.origin.judge_again(&RequestContext::new(request), self.demand)
            }
            _ => Judged::Ready(Err(AuthError::unavailable(RETRY_AFTER))),
        }
    }
}
