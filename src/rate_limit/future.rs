//! The future of a request that is counted: nothing in it is boxed but what has to wait for a store elsewhere.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::caller::Caller;
use super::limiter::{Limit, Refusal, Told};
use super::store::Standing;
use crate::store::StoreFuture;

pin_project! {
    /// The response future of [`RateLimit`](super::RateLimit).
    pub struct RateLimitFuture<S, ReqBody, ResBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        pub(super) stage: Stage<S, ReqBody, S::Future, Response<ResBody>>,
    }
}

pin_project! {
    #[project = StageProj]
    pub(super) enum Stage<S, ReqBody, F, Refusal> {
        Refused { refusal: Option<Refusal> },
        Waiting { waiting: Box<Waiting<S, ReqBody>> },
        Admitted { #[pin] future: F, told: Option<(Arc<Limit>, Told)> },
    }
}

/// A request that waits for the store.
pub(super) struct Waiting<S, ReqBody> {
    pub(super) service: S,
    pub(super) request: Option<Request<ReqBody>>,
    pub(super) limit: Arc<Limit>,
    pub(super) cost: NonZeroU32,
    pub(super) caller: Caller,
    pub(super) asking: StoreFuture<'static, Standing>,
}

impl<S, ReqBody, F, B: Default> Stage<S, ReqBody, F, Response<B>> {
    pub(super) fn admitted(told: Option<Told>, limit: &Arc<Limit>, future: F) -> Self {
        Self::Admitted { future, told: told.map(|told| (Arc::clone(limit), told)) }
    }

    pub(super) fn refused(refusal: &Refusal, limit: &Limit) -> Self {
        let mut response = refusal.error.to_response();
        if let Some(told) = &refusal.told {
            limit.tell(told, &mut response);
        }
        Self::Refused { refusal: Some(response) }
    }
}

impl<S, ReqBody, ResBody> Future for RateLimitFuture<S, ReqBody, ResBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProj::Admitted { future, told } => {
                    let mut answer = future.poll(cx);
                    if let (Poll::Ready(Ok(response)), Some((limit, told))) = (&mut answer, &*told) {
                        limit.tell(told, response);
                    }
                    return answer;
                }
                StageProj::Refused { refusal } => match refusal.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    None => return Poll::Pending,
                },
                StageProj::Waiting { waiting } => {
                    let said = ready!(waiting.asking.as_mut().poll(cx));
                    let limit = Arc::clone(&waiting.limit);
                    let Some(request) = waiting.request.take() else { return Poll::Pending };
                    match limit.conclude(waiting.caller, waiting.cost, said) {
                        Ok(told) => Stage::admitted(told, &limit, waiting.service.call(request)),
                        Err(refusal) => Stage::refused(&refusal, &limit),
                    }
                }
            };
            this.stage.set(next);
        }
    }
}
