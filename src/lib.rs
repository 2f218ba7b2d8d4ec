//! Tower layers for HTTP resource servers: authentication, authorization by scope and rate limits.
//!
//! ```no_run
//! use axum::{Router, handler::Handler, routing::get};
//! use portcullis::{
//!     AuthError, AuthLayer, Issuer, JwtAuthenticator, Principal, Quota, RateLimitLayer,
//!     require_scopes,
//! };
//!
//! # fn main() -> Result<(), portcullis::ConfigError> {
//! // The first token starts discovery; the keys are refreshed in the background.
//! let issuer = Issuer::discover("https://id.example.com");
//! let jwt = JwtAuthenticator::builder(issuer, "https://api.example.com").build()?;
//! let limit = RateLimitLayer::per_client(Quota::per_minute(600)?);
//!
//! let read = require_scopes(["todo:read"]);
//! let write = require_scopes(["todo:write"]);
//! let app: Router = Router::new()
//!     .route("/todo", get(list.layer(read)).post(create.layer(write)))
//!     // The first layer of the tuple runs first. CORS and tracing layers go outside of it.
//!     .layer((AuthLayer::new(jwt), limit));
//! # Ok(())
//! # }
//!
//! async fn list(caller: Principal) -> Result<String, AuthError> {
//!     Ok(format!("todos of {}", caller.require_subject()?))
//! }
//! # async fn create() {}
//! ```
//!
//! # Find your way
//! - **Authenticate** ([`authn`]): [`AuthLayer`] inserts a [`Principal`].
//!   - JWT access tokens: [`JwtAuthenticator`]
//!   - Introspection of opaque tokens: [`IntrospectionAuthenticator`], [`ClientAuth`]
//!   - API keys: [`ApiKeyAuthenticator`]; [`ApiKeys`] issues and revokes them ([`api_key`])
//!   - Signed requests: [`SignedRequestAuthenticator`], [`SigningClient`]
//!   - Your own credentials: [`Authenticator`], [`Verdict`], [`AuthFuture`]
//! - **Authorize** ([`authz`]): [`require_scopes`], [`RequireLayer`], [`ScopePolicy`]; in axum also
//!   the extractors [`Principal`] and [`extract::Scoped`] ([`extract`])
//! - **Limit** ([`rate_limit`]): [`RateLimitLayer`], [`Quota`], [`Quotas`];
//!   [`AuthLayer::limit_failures`] for failed attempts; [`TrustedProxies`] for client addresses
//! - **Revoke**: [`AuthLayer::revocations`], [`MemoryRevocations`], [`Mark`]
//! - **Keys of an issuer** ([`keys`]): [`Issuer`], [`KeySet`], [`RemoteKeySet`]
//! - **Stores**
//!   - API keys: [`MemoryApiKeyStore`], [`SqlStore`], [`ApiKeyStore`]
//!   - Secrets of clients: [`MemoryClientSecrets`], [`SqlClientSecrets`], [`ClientSecrets`]
//!   - Rate limits: [`MemoryRateLimits`], [`RedisRateLimits`], [`LeasedRateLimits`]
//!   - Revocations: [`MemoryRevocations`], [`RedisRevocations`]
//!   - Used tokens: [`MemorySingleUse`], [`RedisSingleUse`]
//! - **Respond** ([`response`]): [`AuthLayer::on_reject`], [`problem_json`], [`AuthError`],
//!   [`Reason`]
//! - **Test** ([`test_util`]): [`test_util::FakeAuthorizationServer`], [`test_util::ManualClock`]
//! - **Replace a part**: [`HttpClient`] ([`http_client`]), [`Clock`]
//!
//! The [`cookbook`] has step-by-step recipes.
//!
//! # The path of a request
//! 1. [`AuthLayer`] extracts the credential. Its [`Authenticator`] verifies it, and the layer
//!    inserts the [`Principal`] into the extensions of the request.
//! 2. The layer caches the result under a keyed digest of the credential. A revocation list is
//!    checked on every request.
//! 3. [`RateLimitLayer`] charges the quotas of the caller.
//! 4. [`RequireLayer`] checks scopes and claims. [`RequireLayer::verified_within`] sets the maximum
//!    age of the result that the route accepts.
//! 5. A rejection is a response, never an error of the service. The nearest [`AuthLayer`] sets its
//!    status, challenges and body.
//!
//! # In axum
//! - Layers run from the last to the first.
//! - Add guards to handlers with [`Handler::layer`][hl]. `get(list).layer(g).post(create)` leaves
//!   `create` without a guard. A guard on a whole method router returns 403 where 405 is correct.
//! - `Router::layer` also covers unknown paths, which then return 401. With `Router::route_layer`
//!   they return 404.
//! - CORS preflight requests have no credential. Add `CorsLayer` and `TraceLayer` after the
//!   `AuthLayer`, so that they run first.
//!
//! [hl]: https://docs.rs/axum/0.8/axum/handler/trait.Handler.html#method.layer
//!
//! # In bare hyper
//! Use the same layers in a `tower::ServiceBuilder` under
//! `hyper_util::service::TowerToHyperService`, as in `examples/hyper.rs`. The handler reads
//! `request.extensions().get::<Principal>()`.
//!
//! # What it does not do
//! - It issues no tokens and has no login.
//! - It does not decrypt tokens, and ignores keys that a token names (`jwk`, `jku`, `x5u`).
//! - It reads no tokens from the query or a form.
//! - It accepts no shared secrets for the tokens of an issuer.
//! - It rejects sender-constrained tokens (`cnf`).
//! - Without introspection or a revocation list, a signed token is valid until it expires.
//! - It does not encrypt connections. Use TLS, because anyone who reads a bearer token can use it.
//!
//! # Features
//! | feature | default | enables |
//! |---|---|---|
//! | `jwt` | yes | [`JwtAuthenticator`], [`Issuer`], [`SignedRequestAuthenticator`] |
//! | `introspection` | yes | [`IntrospectionAuthenticator`], [`ClientAuth`] |
//! | `api-keys` | yes | [`ApiKeys`], [`ApiKeyAuthenticator`], [`MemoryApiKeyStore`] |
//! | `sqlite` | | [`SqlStore`] in SQLite, built from C; Rust 1.94 or newer |
//! | `postgres` | | [`SqlStore`] in PostgreSQL; Rust 1.94 or newer |
//! | `rate-limit` | yes | [`RateLimitLayer`] |
//! | `redis` | | [`Redis`]: shared rate limits, revocations and used tokens |
//! | `metrics` | | counters of rate limits, for the crate `metrics` |
//! | `reqwest` | yes | [`ReqwestClient`]; without it, provide an [`HttpClient`] |
//! | `tls-aws-lc` | yes | a TLS provider; without it, install one for the process |
//! | `axum` | | extractors ([`extract`]), `OriginalUri`, `ConnectInfo` |
//! | `test-util` | | [`test_util`]: a fake authorization server, tokens, clocks |
//! | `full` | | all features except `test-util` |
//!
//! Without any feature only the layers and the traits remain, without a network stack.
#![warn(unreachable_pub, clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "api-keys")]
pub mod api_key;
mod authenticator;
pub mod authn;
pub mod authz;
mod client_addr;
mod clock;
mod context;
mod credential;
mod error;
#[cfg(feature = "axum")]
pub mod extract;
#[cfg(feature = "jwt")]
pub mod http_client;
#[cfg(feature = "jwt")]
mod jose;
#[cfg(feature = "jwt")]
pub mod keys;
mod principal;
#[cfg(feature = "rate-limit")]
pub mod rate_limit;
#[cfg(feature = "redis")]
mod redis;
pub mod response;
mod revocation;
mod scope;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
mod upstream;
mod verdict;

#[cfg(feature = "api-keys")]
#[doc(inline)]
pub use api_key::{
    ApiKey, ApiKeyError, ApiKeyQuery, ApiKeyRecord, ApiKeyState, ApiKeyStore, ApiKeys, IssuedApiKey,
    MemoryApiKeyStore, NewApiKey,
};
#[cfg(feature = "api-keys")]
pub use authenticator::api_key::{ApiKeyAuthenticator, ApiKeyAuthenticatorBuilder, ApiKeyClaims};
#[cfg(feature = "introspection")]
pub use authenticator::introspection::{
    ClientAuth, IntrospectionAuthenticator, IntrospectionAuthenticatorBuilder, IntrospectionStatus,
};
#[cfg(feature = "jwt")]
pub use authenticator::jwt::{JwtAuthenticator, JwtAuthenticatorBuilder};
#[cfg(feature = "jwt")]
pub use authenticator::signed_request::{
    ClientSecret, ClientSecrets, MemoryClientSecrets, MemorySingleUse, SignedRequestAuthenticator,
    SignedRequestAuthenticatorBuilder, SigningClient, SingleUse, SingleUseToken, Spend,
};
pub use authenticator::{AuthFuture, Authenticator, Match, Or};
#[doc(inline)]
pub use authn::{Auth, AuthBody, AuthLayer, BodyAuth, BodyAuthLayer};
#[doc(inline)]
pub use authz::{RequireLayer, ScopePolicy, require_any_of, require_authenticated, require_scopes};
pub use client_addr::TrustedProxies;
pub use client_addr::peer::PeerAddr;
pub use clock::{Clock, SystemClock};
pub use context::RequestContext;
pub use credential::{Credential, Presentation};
pub use error::{AuthError, AuthErrorKind, Blame, ConfigError, Reason};
#[cfg(feature = "jwt")]
#[doc(inline)]
pub use http_client::HttpClient;
#[cfg(feature = "reqwest")]
#[doc(inline)]
pub use http_client::ReqwestClient;
#[cfg(feature = "jwt")]
pub use jose::Algorithm;
#[cfg(feature = "jwt")]
#[doc(inline)]
pub use keys::{Issuer, KeySet, KeysError, KeysStatus, RemoteKeySet, RemoteKeySetBuilder};
pub use principal::{Principal, PrincipalBuilder, PrincipalId};
#[cfg(feature = "rate-limit")]
#[doc(inline)]
pub use rate_limit::{
    Charge, LeasedRateLimits, LegacyNames, MemoryRateLimits, NamedQuota, OnStoreFailure, Quota, Quotas,
    RateKey, RateLimitHeaders, RateLimitLayer, RateLimitStatus, RateLimitStore, ResetUnit, Standing,
};
#[cfg(all(feature = "redis", feature = "rate-limit"))]
pub use redis::RedisRateLimits;
#[cfg(all(feature = "redis", feature = "jwt"))]
pub use redis::RedisSingleUse;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisRevocations, RedisRevocationsStatus};
#[doc(inline)]
pub use response::challenge::Challenge;
#[doc(inline)]
pub use response::{EmptyBody, Reject, problem_json};
pub use revocation::{Mark, MemoryRevocations, Revocations, RevocationsFull};
pub use scope::{InvalidScope, Scope, ScopeSet, colon_hierarchy};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sql::SqlStore;
#[cfg(all(feature = "jwt", any(feature = "sqlite", feature = "postgres")))]
pub use sql::{
    ClientSecretRecord, ClientSecretsError, IssuedClientSecret, SealingKeys, SigningClientRecord,
    SqlClientSecrets,
};
pub use store::{StoreAnswer, StoreError, StoreFuture};
#[cfg(any(feature = "jwt", feature = "api-keys"))]
pub use upstream::circuit_breaker::BreakerState;
pub use verdict::{Reuse, Verdict};

/// Step-by-step recipes.
#[cfg(all(feature = "sqlite", any(doc, doctest)))]
#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}

// The documentation tests compile the code of these pages too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/features.md")]
struct Features;
