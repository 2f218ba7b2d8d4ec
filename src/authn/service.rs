//! The service that authenticates.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::{fmt, mem};

use http::{Request, Response};
use tower_service::Service;

use super::body::Reader;
use super::failed_attempts::Attempt;
use super::pending::{Later, Waiting, needs_body};
use super::response_future::{ResponseFuture, Stage};
use super::shared::Settings;
use crate::authenticator::Authenticator;
use crate::context::RequestContext;
use crate::credential::parse::extract;
use crate::error::Reason;
use crate::principal::freshness::Demand;
use crate::principal::origin::{Judged, Origin as _};
use crate::response::{EmptyBody, Reject};

/// The service of [`AuthLayer`](super::AuthLayer).
pub struct Auth<S, A, R = EmptyBody> {
    inner: S,
    settings: Arc<Settings<A, R>>,
}

impl<S, A, R> Auth<S, A, R> {
    pub(super) const fn new(inner: S, settings: Arc<Settings<A, R>>) -> Self {
        Self { inner, settings }
    }
}

impl<S, A, R, ReqBody, ResBody> Service<Request<ReqBody>> for Auth<S, A, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    A: Authenticator,
    R: Reject<ResBody>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, ResBody, A, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        self.answer(request, None)
    }
}

impl<S, A: Authenticator, R> Auth<S, A, R> {
    /// Answers a request. `reader`: reads its body, where the layer is of that form.
    pub(super) fn answer<ReqBody, ResBody>(
        &mut self,
        mut request: Request<ReqBody>,
        reader: Option<Reader<ReqBody>>,
    ) -> ResponseFuture<S, ReqBody, ResBody, A, R>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
        R: Reject<ResBody>,
    {
        let Self { inner, settings } = self;
        let verifier = &settings.verifier;
        let found = match extract(request.headers(), &verifier.presentations).transpose() {
            Some(found) => found,
            None if settings.optional => {
                Settings::<A, R>::admit_anonymous(&mut request);
                return ResponseFuture::new(settings, None, Stage::Admitted { future: inner.call(request) });
            }
            None => {
                return ResponseFuture::refused(
                    settings,
                    None,
                    &Reason::CredentialMissing.into(),
                    Attempt::default(),
                );
            }
        };
        let attempt = match settings.failures.look(&request) {
            Ok(attempt) => attempt,
            Err(error) => return ResponseFuture::refused(settings, None, &error, Attempt::default()),
        };
        let (presented, demand, judged) = match found {
            Ok(found) => {
                let demand = Demand { now: verifier.now(), oldest: None };
                (Some(found.place), demand, verifier.judge(found, &RequestContext::new(&request), demand))
            }
            Err(reason) => return ResponseFuture::refused(settings, None, &reason.into(), attempt),
        };
        match (judged, reader) {
            (Judged::Ready(Err(error)), None) => {
                ResponseFuture::refused(settings, presented, &error, attempt)
            }
            (Judged::Ready(outcome), Some(reader)) if needs_body(&outcome) => {
                let origin = Arc::clone(&settings.origin);
                let waiting = Waiting::for_body(take_ready(inner), request, origin, demand, reader);
                ResponseFuture::new(settings, presented, Stage::Waiting { waiting, attempt })
            }
            (Judged::Ready(outcome), _) => match settings.admit(outcome, demand.now, &mut request) {
                Ok(()) => {
                    let future = inner.call(request);
                    ResponseFuture::new(settings, presented, Stage::Admitted { future })
                }
                Err(error) => ResponseFuture::refused(settings, presented, &error, attempt),
            },
            (Judged::Waiting(verdict), reader) => {
                let verdict = settings.failures.follow(attempt, verdict);
                let later = Later { origin: Arc::clone(&settings.origin), demand, verdict };
                let waiting = Waiting::new(take_ready(inner), request, later).with_reader(reader);
                ResponseFuture::new(settings, presented, Stage::Waiting { waiting, attempt })
            }
        }
    }
}

/// The service that said it was ready is the one that will be called; a fresh clone takes its place.
fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

impl<S: Clone, A, R> Clone for Auth<S, A, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), settings: Arc::clone(&self.settings) }
    }
}

impl<S: fmt::Debug, A, R> fmt::Debug for Auth<S, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("inner", &self.inner).finish_non_exhaustive()
    }
}
