//! Tokens that open one request and no second one.

pub(crate) mod memory;

use std::fmt;
use std::time::SystemTime;

use crate::store::StoreAnswer;

/// Knows which tokens were used: see
/// [`single_use_in`](crate::SignedRequestAuthenticatorBuilder::single_use_in).
///
/// Asked once for each request that is right in all else, so only clients that are known can fill it.
pub trait SingleUse: Send + Sync + 'static {
    /// Marks a token as used, unless it is already: as one step, so that of all who do it at the same time, in whatever process,
    /// one gets [`Spend::Spent`] and all others get [`Spend::AlreadySpent`].
    ///
    /// The mark stays until `token.until` at least. A store that is full says so, and never forgets one before its time to make
    /// room for another.
    ///
    /// Where it takes I/O, at most 64 questions are under way at once, 1,000 wait, and each is given up after a
    /// [`timeout`](crate::SignedRequestAuthenticatorBuilder::timeout); the request is then refused with 503, whether its token was
    /// marked or not.
    fn spend(&self, token: &SingleUseToken<'_>) -> StoreAnswer<Spend>;
}

/// A token that is about to be used.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct SingleUseToken<'a> {
    /// Tells it from all others: a SHA-256 of the client's name together with the `jti`, or with all that was signed.
    pub key: [u8; 32],
    /// The client that signed it, for a store that gives each client a share.
    pub client: &'a str,
    /// By then it is refused for its age, by clocks that differ by less than half a minute too.
    pub until: SystemTime,
}

impl<'a> SingleUseToken<'a> {
    /// A token as an authenticator would name it, for the tests of a store.
    #[must_use]
    pub const fn new(key: [u8; 32], client: &'a str, until: SystemTime) -> Self {
        Self { key, client, until }
    }
}

/// Shows until when, never who.
impl fmt::Debug for SingleUseToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleUseToken").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Whether a token was marked as used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// It was, now.
    Spent,
    /// It had been before.
    AlreadySpent,
    /// It was not, for want of room.
    Full,
}
