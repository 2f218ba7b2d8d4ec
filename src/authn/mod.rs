//! From a credential to a [`Principal`](crate::Principal).
//!
//! [`AuthLayer`] reads the one credential of a request, has an [`Authenticator`](crate::Authenticator) judge it, and inserts the principal or
//! refuses. Authenticators are joined with [`Authenticator::or`](crate::Authenticator::or).

#[cfg(feature = "api-keys")]
pub(crate) mod api_key;
mod body;
mod body_layer;
#[cfg(any(feature = "jwt", feature = "api-keys"))]
mod bulkhead;
mod failures;
mod future;
#[cfg(feature = "introspection")]
pub(crate) mod introspection;
#[cfg(feature = "jwt")]
pub(crate) mod jwt;
mod layer;
mod service;
mod settings;
mod shared_caches;
#[cfg(feature = "jwt")]
pub(crate) mod signed_request;
#[cfg(any(feature = "jwt", feature = "api-keys"))]
mod store_fault;
mod waiting;

pub use body::AuthBody;
pub use body_layer::{BodyAuth, BodyAuthLayer};
pub use future::ResponseFuture;
pub use layer::AuthLayer;
pub use service::Auth;
pub(crate) use waiting::{Later, Waiting};

pub(crate) use crate::authenticator::{AuthFuture, Authenticator, Match};
pub(crate) use crate::context::RequestContext;
pub(crate) use crate::principal::validity as terms;
pub(crate) use crate::principal::validity::Lease;
pub(crate) use crate::revocation as revocations;
pub(crate) use crate::verdict::Verdict;
