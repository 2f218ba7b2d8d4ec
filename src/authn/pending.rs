//! A request that waits, in a layer or in a guard: for its verdict, or for the body to which its credential is bound.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;

use super::body::{Reader, Reading};
use crate::context::RequestContext;
use crate::error::{AuthError, Reason};
use crate::principal::freshness::Demand;
use crate::principal::origin::{Judged, JudgedLater, Landing, Origin, Outcome};
use crate::upstream::detached::MAX_VANISHED;
use crate::verdict::single_flight::RETRY_AFTER;

/// A request that waits, with the service that was ready for it.
pub(crate) struct Waiting<S, B> {
    pub(crate) request: Option<Request<B>>,
    pub(crate) service: S,
    origin: Arc<dyn Origin>,
    demand: Demand,
    awaited: Awaited<B>,
    reader: Option<Reader<B>>,
    body: Option<Bytes>,
    vanished: u32,
}

enum Awaited<B> {
    Verdict(JudgedLater),
    Body(Reading<B>),
    /// Judged already, and found to need the body.
    Nothing,
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
        Box::new(Self {
            request: Some(request),
            service,
            origin,
            demand,
            awaited: Awaited::Verdict(verdict),
            reader: None,
            body: None,
            vanished: 0,
        })
    }

    /// One that waits for its body.
    pub(super) fn for_body(
        service: S,
        request: Request<B>,
        origin: Arc<dyn Origin>,
        demand: Demand,
        reader: Reader<B>,
    ) -> Box<Self> {
        let awaited = Awaited::Body(reader.read(request));
        Box::new(Self {
            request: None,
            service,
            origin,
            demand,
            awaited,
            reader: None,
            body: None,
            vanished: 0,
        })
    }

    /// Lets it read the body, if that turns out to be needed.
    pub(super) fn with_reader(mut self: Box<Self>, reader: Option<Reader<B>>) -> Box<Self> {
        self.reader = reader;
        self
    }

    /// What was found out. Where a call vanishes with its runtime the request is judged again, some times; and once the body is
    /// there to which its credential is bound.
    pub(crate) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<(Outcome, Demand)> {
        loop {
            let judged = match &mut self.awaited {
                Awaited::Verdict(verdict) => match ready!(verdict.as_mut().poll(cx)) {
                    Landing::Judged(outcome) => Judged::Ready(outcome),
                    Landing::Vanished => {
                        self.vanished = self.vanished.saturating_add(1);
                        self.judge_again()
                    }
                },
                Awaited::Body(reading) => {
                    let (request, body) = ready!(reading.as_mut().poll(cx));
                    self.request = Some(request);
                    match body {
                        Ok(body) => {
                            self.body = Some(body);
                            self.judge_again()
                        }
                        Err(error) => Judged::Ready(Err(error)),
                    }
                }
                Awaited::Nothing => return Poll::Pending,
            };
            self.awaited = match judged {
                Judged::Waiting(verdict) => Awaited::Verdict(verdict),
                Judged::Ready(outcome) => match self.read(&outcome) {
                    Some(reading) => Awaited::Body(reading),
                    None => {
                        self.awaited = Awaited::Nothing;
                        return Poll::Ready((outcome, self.demand));
                    }
                },
            };
        }
    }

    /// Begins to read the body, if that is all that is missing, and once.
    fn read(&mut self, outcome: &Outcome) -> Option<Reading<B>> {
        if !needs_body(outcome) || self.request.is_none() {
            return None;
        }
        let reader = self.reader.take()?;
        Some(reader.read(self.request.take()?))
    }

    fn judge_again(&self) -> Judged {
        match &self.request {
            Some(request) if self.vanished < MAX_VANISHED => {
                let context = RequestContext::new(request).with_body(self.body.as_deref());
                self.origin.judge_again(&context, self.demand)
            }
            _ => Judged::Ready(Err(AuthError::unavailable(RETRY_AFTER))),
        }
    }
}

/// Whether a credential is good in all else, and bound to a body that nobody has read.
pub(super) fn needs_body(outcome: &Outcome) -> bool {
    outcome.as_ref().is_err_and(|error| error.reason() == Reason::BodyNeeded)
}
