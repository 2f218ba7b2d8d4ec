//! The future of a verdict: ready at once wherever possible.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::AuthError;
use crate::verdict::Verdict;

/// A verdict that is ready, or a boxed future that has to wait for one.
///
/// The layer looks before it awaits: a ready verdict is passed on within the same call, without a box.
#[must_use]
pub struct AuthFuture(pub(crate) State);

pub(crate) enum State {
    Ready(Result<Verdict, AuthError>),
    Boxed(BoxedVerdict),
    Shared(Duration, BoxedVerdict),
}

pub(crate) type BoxedVerdict = Pin<Box<dyn Future<Output = Result<Verdict, AuthError>> + Send>>;

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
