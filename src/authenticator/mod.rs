//! The trait of all that authenticate credentials, and those of this crate.

#[cfg(feature = "api-keys")]
pub(crate) mod api_key;
pub(crate) mod future;
#[cfg(feature = "introspection")]
pub(crate) mod introspection;
#[cfg(feature = "jwt")]
pub(crate) mod jwt;
pub(crate) mod or;
#[cfg(feature = "jwt")]
pub(crate) mod signed_request;

use std::sync::Arc;

pub use future::AuthFuture;

use crate::clock::Clock;
use crate::context::RequestContext;
use crate::credential::Credential;
use crate::credential::location::Presentation;
use crate::response::challenge::Challenge;
use crate::revocation::Mark;

/// Judges credentials.
///
/// The contract: `recognizes` looks at the form alone; `authenticate` says who it is, or why not. There is no second guess:
/// a credential that one authenticator recognises is judged by that one and no other.
pub trait Authenticator: Send + Sync + 'static {
    /// Whether the credential has the form of those that this authenticator judges. Syntax only, never I/O. Asked only where
    /// several authenticators stand side by side, and also about what stands in a place that this one does not read: what it is certain
    /// of is barred there.
    fn recognizes(&self, credential: &Credential<'_>) -> Match;

    /// Judges the credential: at once, or in a boxed future that holds copies of what it needs.
    ///
    /// Refuse with `invalid_token` only what was judged; say [`AuthError::unavailable`](crate::AuthError::unavailable) when
    /// that was not possible.
    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture;

    /// Where credentials of this kind stand. Asked once, when the layer is built.
    fn presentations(&self) -> Vec<Presentation> {
        vec![Presentation::BEARER]
    }

    /// What a 401 offers: by default a challenge for each scheme of the presentations. Asked once, when the layer is built; the
    /// layer adds its realm.
    fn challenges(&self) -> Vec<Challenge> {
        self.presentations().iter().map(|presentation| Challenge::new(presentation.scheme_name())).collect()
    }

    /// The clock by which it tells the time, if it is not the machine's: the layer goes by the same one. Asked once, when the
    /// layer is built.
    fn clock(&self) -> Option<Arc<dyn Clock>> {
        None
    }

    /// Returns the mark by which a revocation list revokes this credential by its own text: by
    /// default that of the text as it stands. Called in layers that have a list, before the
    /// credential is verified.
    ///
    /// An authenticator that reads one credential in several spellings returns the mark of the
    /// credential itself for all of them: an API key has one mark in its header and within HTTP
    /// Basic credentials.
    ///
    /// # Security
    /// [`Mark::token`] hashes the text, so that no copy of it is needed. An authenticator that
    /// decodes the text first wipes what it decoded.
    fn token_mark(&self, credential: &Credential<'_>) -> Mark {
        Mark::token(credential.expose())
    }

    /// Puts another authenticator beside this one. The order does not matter where only one recognises a credential.
    fn or<B: Authenticator>(self, other: B) -> Or<Self, B>
    where
        Self: Sized,
    {
        Or { left: Side::new(self), right: Side::new(other) }
    }
}

/// Authenticators that are chosen when the program starts, from its configuration: `Box<dyn Authenticator>` has
/// [`or`](Authenticator::or) too.
impl<A: Authenticator + ?Sized> Authenticator for Box<A> {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        (**self).recognizes(credential)
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        (**self).authenticate(credential, context)
    }

    fn presentations(&self) -> Vec<Presentation> {
        (**self).presentations()
    }

    fn challenges(&self) -> Vec<Challenge> {
        (**self).challenges()
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        (**self).clock()
    }

    fn token_mark(&self, credential: &Credential<'_>) -> Mark {
        (**self).token_mark(credential)
    }
}

/// How surely an authenticator recognises a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// Not one of its kind.
    No,
    /// Could be: taken if nobody is more certain.
    Generic,
    /// Not to be judged here, and by nobody who is not certain of it: one of this kind that is meant for somebody else, such as the API
    /// key of another environment.
    Barred,
    /// Certainly: a prefix or a form that no other kind has.
    Specific,
}

/// Judges a credential by whichever of two authenticators recognises it better; see [`Authenticator::or`].
///
/// If both are equally sure, the left one judges. If neither recognises it, it is refused. One that does not read the place
/// where the credential stood never judges it; if that one is certain of it, only another does who is certain too: an API key that is sent as a bearer
/// token is not for the authorization server to see.
#[derive(Clone, Debug)]
pub struct Or<A, B> {
    left: Side<A>,
    right: Side<B>,
}

#[derive(Clone, Debug)]
struct Side<A> {
    authenticator: A,
    presentations: Vec<Presentation>,
}

impl<A: Authenticator> Side<A> {
    fn new(authenticator: A) -> Self {
        let presentations = authenticator.presentations();
        Self { authenticator, presentations }
    }
}
