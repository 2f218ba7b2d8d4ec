//! From a credential to a [`Principal`].
//!
//! [`AuthLayer`] reads the one credential of a request, has an [`Authenticator`] judge it, and inserts the [`Principal`] or
//! refuses. Authenticators are joined with [`Authenticator::or`].

#[cfg(feature = "api-keys")]
pub(crate) mod api_key;
mod body;
mod body_layer;
#[cfg(any(feature = "jwt", feature = "api-keys"))]
mod bulkhead;
mod cache;
mod calls;
mod extract;
mod failures;
mod future;
#[cfg(feature = "introspection")]
pub(crate) mod introspection;
#[cfg(feature = "jwt")]
pub(crate) mod jwt;
mod layer;
mod memory;
mod or;
pub(crate) mod revocations;
mod service;
mod settings;
mod shared_caches;
#[cfg(feature = "jwt")]
pub(crate) mod signed_request;
#[cfg(any(feature = "jwt", feature = "api-keys"))]
mod store_fault;
mod terms;
mod verifier;
mod waiting;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{Extensions, HeaderMap, Method, Uri};

pub use body::AuthBody;
pub use body_layer::{BodyAuth, BodyAuthLayer};
pub use future::{AuthFuture, ResponseFuture};
#[cfg(feature = "introspection")]
pub(crate) use introspection::Confirmed;
pub use layer::AuthLayer;
pub(crate) use layer::DEFAULT_REALM;
pub use or::Or;
pub use revocations::{Mark, MemoryRevocations, Revocations, RevocationsFull};
pub use service::Auth;
pub(crate) use terms::{Lease, Terms};
pub(crate) use verifier::{Demand, Judged, Oldest, Origin};
pub(crate) use waiting::{Later, Waiting};

use crate::challenge::Challenge;
use crate::credential::{Credential, Presentation};
use crate::peer::peer_addr;
use crate::principal::Principal;
#[cfg(feature = "jwt")]
use crate::time::UnixTime;
use crate::time::{Clock, Timestamp};
use revocations::Marks;
use terms::Grace;

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

    /// Puts another authenticator beside this one. The order does not matter where only one recognises a credential.
    fn or<B: Authenticator>(self, other: B) -> Or<Self, B>
    where
        Self: Sized,
    {
        Or::new(self, other)
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

/// What an authenticator found out.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// Who it is.
    pub principal: Principal,
    /// Whether the same credential may be accepted again without asking.
    pub reuse: Reuse,
    lease: Option<Arc<Lease>>,
    grace: Option<Arc<Grace>>,
    /// When an authority was asked, where that is known by the layer's own stopwatch.
    asked: Option<Instant>,
}

impl Verdict {
    /// A verdict for this request alone.
    #[must_use]
    pub const fn once(principal: Principal) -> Self {
        Self::new(principal, Reuse::Never)
    }

    /// A verdict that holds for the same credential until a time. Right only where the judgement depends on nothing but the
    /// credential: not on the method, the path, or a proof that belongs to one request.
    #[must_use]
    pub const fn until(principal: Principal, time: SystemTime) -> Self {
        Self::new(principal, Reuse::Until(time))
    }

    const fn new(principal: Principal, reuse: Reuse) -> Self {
        Self { principal, reuse, lease: None, grace: None, asked: None }
    }

    /// Ends it with the key that it depends on.
    #[cfg(any(feature = "jwt", feature = "api-keys"))]
    fn under(mut self, lease: Option<Arc<Lease>>) -> Self {
        self.lease = lease;
        self
    }

    /// Lets it serve beyond its time while the authority is away.
    #[cfg(any(feature = "introspection", feature = "api-keys"))]
    fn with_grace(mut self, grace: Option<Arc<Grace>>) -> Self {
        self.grace = grace;
        self
    }

    #[cfg(any(feature = "introspection", feature = "api-keys"))]
    fn asked_at(mut self, asked: Instant) -> Self {
        self.asked = Some(asked);
        self
    }

    /// Adds that the authority was asked, and what it said.
    #[cfg(feature = "introspection")]
    fn confirmed(mut self, said: Confirmed, reusable: bool) -> Result<Self, crate::AuthError> {
        // Where a client acts for itself many servers name it as the subject, in the one place or the other.
        let ours = self.principal.subject().or(self.principal.client_id());
        if said.subject.as_deref().is_some_and(|subject| ours != Some(subject)) {
            return Err(crate::Reason::SubjectMismatch.into());
        }
        self.reuse = match (self.reuse, said.exp) {
            (Reuse::Until(time), Some(exp)) if reusable => Reuse::Until(time.min(exp)),
            (reuse, None) if reusable => reuse,
            _ => Reuse::Never,
        };
        self.asked = Some(said.asked.instant());
        self.principal = self.principal.confirmed(said);
        Ok(self)
    }

    /// The principal, with the terms on which it may be used again. `token`: how it is revoked by its own value, in layers that
    /// have a list.
    fn into_principal(self, now: Timestamp, token: Option<Mark>) -> Principal {
        let lasts = match self.reuse {
            Reuse::Never => None,
            Reuse::Until(time) => Some(Timestamp::at(time.into(), now)),
        };
        let terms = Terms {
            asked: self.asked.or_else(|| self.principal.asked_at(now)),
            lasts,
            lease: self.lease,
            grace: self.grace,
            marks: token.map(|token| Box::new(Marks::of(token, &self.principal))),
        };
        self.principal.on(terms)
    }
}

/// Whether a verdict may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// For this request alone.
    Never,
    /// For the same credential until then.
    Until(SystemTime),
}

/// The request, as far as judging a credential may need it.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
    body: Option<&'a [u8]>,
    not_before: Option<SystemTime>,
    /// The time on the wall, where the layer goes by the machine's clocks: read once for a request.
    #[cfg(feature = "jwt")]
    time: Option<UnixTime>,
}

impl<'a> RequestContext<'a> {
    /// The context of a request: layers make it, and the tests of an authenticator.
    #[must_use]
    pub fn new<B>(request: &'a http::Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
            body: None,
            not_before: None,
            #[cfg(feature = "jwt")]
            time: None,
        }
    }

    fn with_body(self, body: Option<&'a [u8]>) -> Self {
        Self { body, ..self }
    }

    /// The oldest verdict that the route accepts: set where a guard with
    /// [`verified_within`](crate::RequireLayer::verified_within) asks again. The authority must then be asked, or have been asked
    /// since; what is judged locally does not count. Who has no authority says so with
    /// [`AuthError::authority_missing`](crate::AuthError::authority_missing).
    #[must_use]
    pub const fn not_before(&self) -> Option<SystemTime> {
        self.not_before
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The URI that the client asked for: axum's `OriginalUri` where there is one (inside `Router::nest` the request itself
    /// has a shortened path), else the request's.
    #[must_use]
    pub fn original_uri(&self) -> &'a Uri {
        #[cfg(feature = "axum")]
        if let Some(axum::extract::OriginalUri(uri)) = self.extensions.get() {
            return uri;
        }
        self.uri
    }

    /// The header fields.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The whole body, where the layer has read it: see [`AuthLayer::read_body`]. Who needs one that is not there says so with
    /// [`AuthError::body_needed`](crate::AuthError::body_needed), when all else is right; then it is read, and the credential judged
    /// again.
    #[must_use]
    pub const fn body(&self) -> Option<&'a [u8]> {
        self.body
    }

    /// Whether an optional layer let the request pass without a credential.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn is_anonymous(&self) -> bool {
        self.extensions.get::<Anonymous>().is_some()
    }

    /// The address of the connection's other end, where the server told it: see [`PeerAddr`](crate::PeerAddr).
    #[must_use]
    pub fn peer_addr(&self) -> Option<IpAddr> {
        peer_addr(self.extensions)
    }
}

/// Shows neither header fields nor the query: credentials stand in both.
impl fmt::Debug for RequestContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("method", self.method)
            .field("path", &self.original_uri().path())
            .finish_non_exhaustive()
    }
}

/// Marks a request that passed an optional layer without a credential, so that what is beneath can tell "nobody" from "no
/// layer".
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anonymous;
