//! The futures of authentication: ready at once wherever possible.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::Verdict;
use super::failures::Attempt;
use super::settings::{Presented, Settings};
use super::waiting::Waiting;
use crate::error::AuthError;
use crate::reject::Reject;

/// A verdict that is ready, or a boxed future that has to wait for one.
///
/// The layer looks before it awaits: a ready verdict is passed on within the same call, without a box.
#[must_use]
pub struct AuthFuture(pub(super) State);

pub(super) enum State {
    Ready(Result<Verdict, AuthError>),
    Boxed(BoxedVerdict),
    Shared(Duration, BoxedVerdict),
}

pub(super) type BoxedVerdict = Pin<Box<dyn Future<Output = Result<Verdict, AuthError>> + Send>>;

impl AuthFuture {
    /// Judged already.
    pub const fn ready(result: Result<Verdict, AuthError>) -> Self {
        Self(State::Ready(result))
    }

    /// Must wait. The future owns what it needs: [`Credential::to_secret`](crate::Credential::to_secret) copies the secret.
    pub fn boxed(future: impl Future<Output = Result<Verdict, AuthError>> + Send + 'static) -> Self {
        Self(State::Boxed(Box::pin(future)))
    }

    /// Must wait, and may do so once for all who present the same credential meanwhile: right only where the verdict depends
    /// on nothing but the credential. The layer runs it in a task of its own, so that no caller who goes away takes it along,
    /// and gives it up after `limit`.
    ///
    /// In a layer without a verdict cache it is as [`boxed`](Self::boxed), and has no time limit but its own.
    pub fn shared(
        limit: Duration,
        future: impl Future<Output = Result<Verdict, AuthError>> + Send + 'static,
    ) -> Self {
        Self(State::Shared(limit, Box::pin(future)))
    }

    /// The verdict, wherever it has to come from.
    ///
    /// # Errors
    /// If the credential is refused.
    pub async fn verdict(self) -> Result<Verdict, AuthError> {
        match self.0 {
            State::Ready(result) => result,
            State::Boxed(future) | State::Shared(_, future) => future.await,
        }
    }
}

impl fmt::Debug for AuthFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "AuthFuture::Ready",
            State::Boxed(_) => "AuthFuture::Boxed",
            State::Shared(..) => "AuthFuture::Shared",
        })
    }
}

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
