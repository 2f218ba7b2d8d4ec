//! From a credential to a [`Principal`](crate::Principal).
//!
//! [`AuthLayer`] reads the one credential of a request, has an [`Authenticator`](crate::Authenticator) judge it, and inserts the principal or
//! refuses. Authenticators are joined with [`Authenticator::or`](crate::Authenticator::or).

pub(crate) mod body;
pub(crate) mod failed_attempts;
pub(crate) mod layer;
pub(crate) mod pending;
pub(crate) mod response_future;
pub(crate) mod service;
pub(crate) mod shared;

pub use body::AuthBody;
pub use body::layer::{BodyAuth, BodyAuthLayer};
pub use layer::AuthLayer;
pub use response_future::ResponseFuture;
pub use service::Auth;
