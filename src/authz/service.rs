//! The service of a guard.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Extensions, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ScopePolicy;
use crate::authn::pending::{Later, Waiting};
use crate::context::{Anonymous, RequestContext};
use crate::error::{AuthError, Reason};
use crate::principal::Principal;
use crate::principal::freshness::{Demand, Oldest};
use crate::principal::origin::{Admission, Judged, Outcome};

/// What a guard demands.
#[derive(Clone, Debug)]
pub(super) struct Demands {
    pub(super) policy: ScopePolicy,
    pub(super) verified_within: Option<Duration>,
}

/// The service of [`RequireLayer`](super::RequireLayer).
#[derive(Clone, Debug)]
pub struct Require<S> {
    inner: S,
    demands: Arc<Demands>,
}

impl<S> Require<S> {
    pub(super) const fn new(inner: S, demands: Arc<Demands>) -> Self {
        Self { inner, demands }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Require<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = RequireFuture<S, ReqBody, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // Each arm makes the future where it is returned: moving it costs as much as comparing scopes.
        match self.demands.judge(&mut request) {
            Ok(None) => RequireFuture { stage: Stage::Admitted { future: self.inner.call(request) } },
            Ok(Some(later)) => {
                // The service that said it was ready is the one that will be called; a fresh clone takes its place.
                let clone = self.inner.clone();
                let service = mem::replace(&mut self.inner, clone);
                let demands = Arc::clone(&self.demands);
                RequireFuture {
                    stage: Stage::Waiting { waiting: Waiting::new(service, request, later), demands },
                }
            }
            Err(error) => RequireFuture { stage: Stage::refused(&error) },
        }
    }
}

pin_project! {
    /// The response future of [`Require`]: the inner service's, a refusal that is ready, or a wait for a fresh verdict.
    #[must_use]
    pub struct RequireFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        stage: Stage<S, ReqBody, ResBody, S::Future>,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<S, ReqBody, ResBody, F> {
        Waiting { waiting: Box<Waiting<S, ReqBody>>, demands: Arc<Demands> },
        Admitted { #[pin] future: F },
        Refused { response: Option<Response<ResBody>> },
    }
}

impl<S, ReqBody, ResBody: Default, F> Stage<S, ReqBody, ResBody, F> {
    fn refused(error: &AuthError) -> Self {
        Self::Refused { response: Some(error.to_response()) }
    }
}

impl<S, ReqBody, ResBody> Future for RequireFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProj::Admitted { future } => return future.poll(cx),
                StageProj::Refused { response } => match response.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    None => return Poll::Pending,
                },
                StageProj::Waiting { waiting, demands } => {
                    let (outcome, demand) = ready!(waiting.poll_outcome(cx));
                    let Some(mut request) = waiting.request.take() else { return Poll::Pending };
                    match demands.settle(outcome, demand, &mut request) {
                        Ok(()) => Stage::Admitted { future: waiting.service.call(request) },
                        Err(error) => Stage::refused(&error),
                    }
                }
            };
            this.stage.set(next);
        }
    }
}

impl Demands {
    pub(super) const fn new(policy: ScopePolicy) -> Self {
        Self { policy, verified_within: None }
    }

    /// Whether the request may pass, may not, or must wait for a fresh verdict.
    fn judge<B>(&self, request: &mut Request<B>) -> Result<Option<Later>, AuthError> {
        let principal = authenticated(request.extensions())?;
        let Some(age) = self.verified_within else {
            return self.policy.judge(principal).map(|()| None);
        };
        let Admission { origin, arrival } = principal.admission().ok_or(Reason::LayerMissing)?;
        let now = origin.now();
        let oldest = Oldest::within(age, *arrival, now);
        if principal.facts().is_since(oldest) {
            return self.policy.judge(principal).map(|()| None);
        }
        let demand = Demand { now, oldest: Some(oldest) };
        match origin.judge_again(&RequestContext::new(request), demand) {
            Judged::Ready(outcome) => self.settle(outcome, demand, request).map(|()| None),
            Judged::Waiting(verdict) => Ok(Some(Later { origin: Arc::clone(origin), demand, verdict })),
        }
    }

    /// Puts the fresh verdict in place of the old one, if it is one.
    fn settle<B>(&self, outcome: Outcome, demand: Demand, request: &mut Request<B>) -> Result<(), AuthError> {
        let facts = outcome?;
        if !facts.terms.asked_since(demand.oldest.and_then(|oldest| oldest.instant)) {
            return Err(AuthError::authority_missing());
        }
        let before = authenticated(request.extensions())?;
        if !facts.is_same_party(before.facts()) {
            // Something above this guard has put another credential into the request.
            return Err(Reason::CredentialRemoved.into());
        }
        let admission = before.admission().ok_or(Reason::LayerMissing)?.clone();
        let principal = Principal::admitted(facts, admission);
        self.policy.judge(&principal)?;
        request.extensions_mut().insert(principal);
        Ok(())
    }
}

/// The principal of a request; 401 if the caller passed as anonymous, 500 if nobody looked.
pub(crate) fn authenticated(extensions: &Extensions) -> Result<&Principal, AuthError> {
    extensions.get::<Principal>().ok_or_else(|| {
        let anonymous = extensions.get::<Anonymous>().is_some();
        if anonymous { Reason::CredentialMissing } else { Reason::LayerMissing }.into()
    })
}
