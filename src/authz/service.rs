//! The service of a guard.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tower_service::Service;

use super::ScopePolicy;
use crate::authn::Anonymous;
use crate::error::{AuthError, Reason};
use crate::principal::Principal;
use crate::reject::OrRefused;

/// The service of [`RequireLayer`](super::RequireLayer).
#[derive(Clone, Debug)]
pub struct Require<S> {
    inner: S,
    policy: Arc<ScopePolicy>,
}

impl<S> Require<S> {
    pub(super) const fn new(inner: S, policy: Arc<ScopePolicy>) -> Self {
        Self { inner, policy }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Require<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = OrRefused<S::Future, ResBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match authenticated(request.extensions()).and_then(|principal| self.policy.judge(principal)) {
            Ok(()) => OrRefused::Inner { future: self.inner.call(request) },
            Err(error) => OrRefused::refused(&error),
        }
    }
}

/// The principal of a request; 401 if the caller passed as anonymous, 500 if nobody looked.
pub(crate) fn authenticated(extensions: &Extensions) -> Result<&Principal, AuthError> {
    extensions.get::<Principal>().ok_or_else(|| {
        let anonymous = extensions.get::<Anonymous>().is_some();
        if anonymous { Reason::CredentialMissing } else { Reason::LayerMissing }.into()
    })
}
