//! The response future of authentication.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::failed_attempts::Attempt;
use super::pending::Waiting;
use super::shared::{Presented, Settings};
use crate::error::AuthError;
use crate::response::Reject;

pin_project! {
    /// The response future of [`Auth`](super::Auth).
    pub struct ResponseFuture<S, ReqBody, ResBody, A, R>
    where
        S: Service<Request<ReqBody>>,
    {
        settings: Arc<Settings<A, R>>,
        presented: Option<Presented>,
        #[pin]
        stage: Stage<S, ReqBody, S::Future, Response<ResBody>>,
    }
}

pin_project! {
    #[project = StageProj]
    pub(super) enum Stage<S, ReqBody, F, Refusal> {
        Refused { refusal: Option<Refusal> },
        Waiting { waiting: Box<Waiting<S, ReqBody>>, attempt: Attempt },
        Admitted { #[pin] future: F },
    }
}

impl<S, ReqBody, ResBody, A, R> ResponseFuture<S, ReqBody, ResBody, A, R>
where
    S: Service<Request<ReqBody>>,
{
    pub(super) fn new(
        settings: &Arc<Settings<A, R>>,
        presented: Option<Presented>,
        stage: Stage<S, ReqBody, S::Future, Response<ResBody>>,
    ) -> Self {
        Self { settings: Arc::clone(settings), presented, stage }
    }

    /// One that is refused before anything is waited for.
    pub(super) fn refused(
        settings: &Arc<Settings<A, R>>,
        presented: Option<Presented>,
        error: &AuthError,
        attempt: Attempt,
    ) -> Self
    where
        R: Reject<ResBody>,
    {
        let refusal = Some(settings.refuse(error, presented, attempt));
        Self::new(settings, presented, Stage::Refused { refusal })
    }
}

impl<S, ReqBody, ResBody, A, R> Future for ResponseFuture<S, ReqBody, ResBody, A, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: Reject<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.stage.as_mut().project() {
                StageProj::Admitted { future } => {
                    // Looked at where it is, since to move it costs more.
                    let mut answer = future.poll(cx);
                    if let Poll::Ready(Ok(response)) = &mut answer {
                        this.settings.hand_out(response, *this.presented);
                    }
                    return answer;
                }
                StageProj::Refused { refusal } => match refusal.take() {
                    Some(response) => return Poll::Ready(Ok(response)),
                    None => return Poll::Pending,
                },
                StageProj::Waiting { waiting, attempt } => {
                    let settings = &this.settings;
                    let (outcome, demand) = ready!(waiting.poll_outcome(cx));
                    let Some(mut request) = waiting.request.take() else { return Poll::Pending };
                    match settings.admit(outcome, demand.now, &mut request) {
                        Ok(()) => Stage::Admitted { future: waiting.service.call(request) },
                        Err(error) => Stage::Refused {
                            refusal: Some(settings.refuse(&error, *this.presented, *attempt)),
                        },
                    }
                }
            };
            this.stage.set(next);
        }
    }
}
