//! Tower layers that protect HTTP resource servers.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod authn;
pub mod authz;
#[cfg(feature = "axum")]
pub mod axum;
mod challenge;
mod credential;
mod error;
#[cfg(feature = "jwt")]
pub mod http_client;
#[cfg(feature = "jwt")]
mod jose;
#[cfg(feature = "jwt")]
pub mod keys;
mod peer;
mod principal;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
pub mod reject;
mod scope;
#[cfg(feature = "test-util")]
pub mod test_util;
mod time;

#[cfg(feature = "jwt")]
pub use authn::jwt::{JwtAuthenticator, JwtAuthenticatorBuilder};
pub use authn::{AuthFuture, AuthLayer, Authenticator, Match, RequestContext, Reuse, Verdict};
pub use authz::{RequireLayer, ScopePolicy, require_any_of, require_authenticated, require_scopes};
pub use challenge::Challenge;
pub use credential::{Credential, Presentation};
pub use error::{AuthError, AuthErrorKind, Blame, ConfigError, Reason};
#[cfg(feature = "jwt")]
pub use http_client::HttpClient;
#[cfg(feature = "reqwest")]
pub use http_client::ReqwestClient;
#[cfg(feature = "jwt")]
pub use jose::Algorithm;
#[cfg(feature = "jwt")]
pub use keys::{Issuer, KeySet, KeysError, KeysStatus, RemoteKeySet, RemoteKeySetBuilder};
pub use peer::PeerAddr;
pub use principal::{Principal, PrincipalBuilder, PrincipalId};
#[cfg(feature = "rate-limit")]
pub use rate_limit::{Quota, RateKey, RateLimitLayer};
pub use reject::{EmptyBody, ProblemJson, Reject, problem_json};
pub use scope::{InvalidScope, Scope, ScopeRule, ScopeSet, colon_hierarchy};
pub use time::{Clock, SystemClock};
