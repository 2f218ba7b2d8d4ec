//! What stores of keys and secrets have in common.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// What a store does, in the end.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a store says, at once where it knows already: a look-up in memory costs no box and no wait.
#[must_use]
pub struct StoreAnswer<T>(State<T>);

pub(crate) enum State<T> {
    Ready(Result<T, StoreError>),
    Boxed(StoreFuture<'static, T>),
}

impl<T> StoreAnswer<T> {
    /// Known already.
    pub const fn ready(result: Result<T, StoreError>) -> Self {
        Self(State::Ready(result))
    }

    /// Must be asked for. The future owns what it needs, and does nothing before it is polled: who asks bounds how many are under
    /// way, and gives up one that takes too long.
    pub fn boxed(future: impl Future<Output = Result<T, StoreError>> + Send + 'static) -> Self {
        Self(State::Boxed(Box::pin(future)))
    }

    /// The answer, wherever it has to come from.
    ///
    /// # Errors
    /// If the store could not be asked.
    pub async fn answer(self) -> Result<T, StoreError> {
        match self.0 {
            State::Ready(result) => result,
            State::Boxed(future) => future.await,
        }
    }

    #[cfg(any(feature = "jwt", feature = "rate-limit"))]
    pub(crate) fn into_state(self) -> State<T> {
        self.0
    }
}

impl<T> fmt::Debug for StoreAnswer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Ready(_) => "StoreAnswer::Ready",
            State::Boxed(_) => "StoreAnswer::Boxed",
        })
    }
}

/// A store could not be asked, or what it holds cannot be read. Nobody's credential was judged: such requests are a 503.
#[derive(Clone)]
pub struct StoreError {
    error: Arc<dyn Error + Send + Sync>,
    #[cfg_attr(
        not(any(feature = "jwt", feature = "api-keys")),
        expect(dead_code, reason = "nobody here asks a store")
    )]
    of_one_row: bool,
}

impl StoreError {
    /// From what went wrong, or from a text that says so.
    ///
    /// # Security
    /// It is logged: it must hold no secret.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { error: error.into().into(), of_one_row: false }
    }

    /// What the store holds of one key or client cannot be read, or the store refuses the value
    /// that it is asked about. Unlike other failures it says nothing about the next question, so
    /// that nobody can have the store taken for broken by asking for that one.
    ///
    /// # Security
    /// As [`new`](Self::new).
    pub fn unreadable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { of_one_row: true, ..Self::new(error) }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn is<E: Error + 'static>(&self) -> bool {
        self.error.is::<E>()
    }

    #[cfg(any(feature = "jwt", feature = "api-keys"))]
    pub(crate) const fn is_of_one_row(&self) -> bool {
        self.of_one_row
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreError").field(&self.error).finish()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}
