//! The form of the layer that reads bodies.

use std::error::Error;
use std::fmt;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{AuthBody, Reader};
use crate::authenticator::Authenticator;
use crate::authn::layer::AuthLayer;
use crate::authn::response_future::ResponseFuture;
use crate::authn::service::Auth;
use crate::response::{EmptyBody, Reject};

/// An [`AuthLayer`] that reads the body of a request to which a credential is bound: see [`AuthLayer::read_body`].
///
/// A body is read when the credential was judged good in all else, and never otherwise; then the request goes on with what was
/// read. So the service beneath sees an [`AuthBody`] in place of the body: what is generic over bodies, as routers are, does not
/// notice.
pub struct BodyAuthLayer<A, R = EmptyBody> {
    layer: AuthLayer<A, R>,
    limit: usize,
}

impl<A, R> AuthLayer<A, R> {
    /// Makes a layer that reads the body of a request, up to `limit` bytes, where the credential is bound to it, as those of a
    /// [`SignedRequestAuthenticator`](crate::SignedRequestAuthenticator) may be. A longer one is answered 413; other requests pass
    /// with their body unread. The last setting to make: the service beneath sees an [`AuthBody`](crate::AuthBody).
    ///
    /// How long a caller may take to send it is the server's to limit.
    #[must_use]
    pub fn read_body(self, limit: usize) -> BodyAuthLayer<A, R> {
        BodyAuthLayer::new(self, limit)
    }
}

impl<A, R> BodyAuthLayer<A, R> {
    pub(super) const fn new(layer: AuthLayer<A, R>, limit: usize) -> Self {
        Self { layer, limit }
    }
}

impl<S, A: Authenticator, R> Layer<S> for BodyAuthLayer<A, R> {
    type Service = BodyAuth<S, A, R>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyAuth { auth: self.layer.layer(inner), limit: self.limit }
    }
}

impl<A, R> Clone for BodyAuthLayer<A, R> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone(), limit: self.limit }
    }
}

impl<A, R> fmt::Debug for BodyAuthLayer<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyAuthLayer").field("layer", &self.layer).field("limit", &self.limit).finish()
    }
}

/// The service of [`BodyAuthLayer`].
pub struct BodyAuth<S, A, R = EmptyBody> {
    auth: Auth<S, A, R>,
    limit: usize,
}

impl<S, A, R, B, ResBody> Service<Request<B>> for BodyAuth<S, A, R>
where
    S: Service<Request<AuthBody<B>>, Response = Response<ResBody>> + Clone,
    A: Authenticator,
    R: Reject<ResBody>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S, AuthBody<B>, ResBody, A, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<AuthBody<B>>>::poll_ready(&mut self.auth, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.auth.answer(request.map(AuthBody::unread), Some(Reader::up_to(self.limit)))
    }
}

impl<S: Clone, A, R> Clone for BodyAuth<S, A, R> {
    fn clone(&self) -> Self {
        Self { auth: self.auth.clone(), limit: self.limit }
    }
}

impl<S: fmt::Debug, A, R> fmt::Debug for BodyAuth<S, A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyAuth").field("auth", &self.auth).field("limit", &self.limit).finish()
    }
}
