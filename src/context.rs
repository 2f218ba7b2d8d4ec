//! The request, as authenticators, keys of limits and guards see it.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use http::{Extensions, HeaderMap, Method, Uri};

use crate::client_addr::peer::peer_addr;
use crate::clock::timestamp::UnixTime;

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

    pub(crate) fn with_body(self, body: Option<&'a [u8]>) -> Self {
        Self { body, ..self }
    }

    /// Adds the oldest verdict that the route accepts, and the time of the wall clock if the layer goes by the system's.
    pub(crate) fn with_times(self, not_before: Option<SystemTime>, time: Option<UnixTime>) -> Self {
        #[cfg(not(feature = "jwt"))]
        let _ = time;
        Self {
            not_before,
            #[cfg(feature = "jwt")]
            time,
            ..self
        }
    }

    /// The time of the wall clock when the request arrived, if the layer goes by the system's clocks.
    #[cfg(feature = "jwt")]
    pub(crate) const fn time(&self) -> Option<UnixTime> {
        self.time
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

    /// The whole body, where the layer has read it: see [`AuthLayer::read_body`](crate::AuthLayer::read_body). Who needs one that is not there says so with
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
