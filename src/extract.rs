//! Extractors for axum.
//!
//! A refusal of an extractor, or an [`AuthError`] that a handler returns, passes through the layer's
//! [`on_reject`](crate::AuthLayer::on_reject) like any other.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::body::Body;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;

use crate::authz::service::authenticated;
use crate::error::{AuthError, AuthErrorKind};
use crate::principal::Principal;

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        self.to_response::<Body>()
    }
}

/// 401 if the caller is anonymous, 500 if no layer covers the route.
impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthError> {
        authenticated(&parts.extensions).cloned()
    }
}

/// `None` if the caller is anonymous, 500 if no layer covers the route.
impl<S: Sync> OptionalFromRequestParts<S> for Principal {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, AuthError> {
        match authenticated(&parts.extensions) {
            Ok(principal) => Ok(Some(principal.clone())),
            Err(error) if error.kind() == AuthErrorKind::MissingCredential => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The scopes of a [`Scoped`] extractor.
pub trait Scopes {
    /// All of these are needed; an empty list lets nobody pass.
    const NEEDED: &'static [&'static str];
}

/// A [`Principal`] that was granted the scopes of `G`: whoever holds one has passed the check.
///
/// ```
/// use portcullis::extract::{Scoped, Scopes};
///
/// struct Write;
/// impl Scopes for Write {
///     const NEEDED: &'static [&'static str] = &["todo:write"];
/// }
///
/// async fn create(caller: Scoped<Write>) -> String {
///     format!("created by {:?}", caller.id())
/// }
/// ```
pub struct Scoped<G> {
    principal: Principal,
    scopes: PhantomData<fn() -> G>,
}

impl<G> Scoped<G> {
    /// The principal.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        self.principal
    }
}

impl<G> Deref for Scoped<G> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<G> Clone for Scoped<G> {
    fn clone(&self) -> Self {
        Self { principal: self.principal.clone(), scopes: PhantomData }
    }
}

impl<G> fmt::Debug for Scoped<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scoped").field(&self.principal).finish()
    }
}

impl<G: Scopes, S: Sync> FromRequestParts<S> for Scoped<G> {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AuthError> {
        let principal = authenticated(&parts.extensions)?;
        if G::NEEDED.is_empty() || !G::NEEDED.iter().all(|scope| principal.has(scope)) {
            return Err(AuthError::insufficient_scope(G::NEEDED.join(" ")));
        }
        Ok(Self { principal: principal.clone(), scopes: PhantomData })
    }
}
