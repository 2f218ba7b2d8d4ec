//! Tower layers that protect HTTP resource servers: bearer tokens, API keys, scopes, rate limits, and one [`Principal`].
//!
//! ```no_run
//! use axum::{Router, handler::Handler, routing::get};
//! use portcullis::{
//!     AuthError, AuthLayer, Issuer, JwtAuthenticator, Principal, Quota, RateLimitLayer, require_scopes,
//! };
//!
//! # fn main() -> Result<(), portcullis::ConfigError> {
//! // The keys are found by discovery, fetched when first needed, refreshed beside the requests, kept through outages.
//! let issuer = Issuer::discover("https://id.example.com");
//! let auth = AuthLayer::new(JwtAuthenticator::builder(issuer, "https://api.example.com").build()?);
//!
//! let app: Router = Router::new()
//!     .route("/todo", get(list.layer(require_scopes(["todo:read"]))).post(create.layer(require_scopes(["todo:write"]))))
//!     .layer(RateLimitLayer::per_client(Quota::per_minute(600)?))
//!     .layer(auth); // runs first; CORS and tracing layers go outside of it
//! # Ok(())
//! # }
//!
//! async fn list(caller: Principal) -> Result<String, AuthError> {
//!     Ok(format!("todos of {}", caller.require_subject()?))
//! }
//! # async fn create() {}
//! ```
//!
//! # The parts
//! - [`AuthLayer`] finds the one credential of a request, has an [`Authenticator`] judge it, and inserts the [`Principal`] into
//!   the request's extensions, or refuses.
//! - [`JwtAuthenticator`] judges JWT access tokens (RFC 9068) with the keys of an [`Issuer`]. An authenticator of your own is
//!   one trait away, and stands beside others with [`Authenticator::or`].
//! - [`IntrospectionAuthenticator`] asks the issuer about opaque tokens (RFC 7662). [`RequireLayer::verified_within`] says on a
//!   route how old a verdict it accepts, down to one for which the issuer is asked now.
//! - [`ApiKeyAuthenticator`] judges the API keys that [`ApiKeys`] issues, rotates and revokes: told by their form, kept as digests in
//!   an [`ApiKeyStore`].
//! - [`SignedRequestAuthenticator`] judges tokens that a client makes and signs for each request, bound to that if you like, and
//!   good for one request only if you like.
//! - Verdicts that may be used again are kept by the layer, under a keyed digest; [`AuthLayer::revocations`] calls back what is
//!   still valid.
//! - [`require_scopes`] and its siblings guard routes; [`Principal::require`] guards inside of a handler.
//! - [`RateLimitLayer`] limits by client, by subject, or by a key of your own; [`AuthLayer::limit_failures`] turns away addresses
//!   that guess.
//! - [`Redis`] is what several processes share: their limits (`RedisRateLimits`), their revocations (`RedisRevocations`) and
//!   the tokens that were used (`RedisSingleUse`).
//! - A refusal is a response, never an error: status, challenge and log line are made in one place ([`response`]), and
//!   [`AuthLayer::on_reject`] makes the bodies, also for what is refused beneath.
//!
//! # In axum
//! Layers run from the last to the first. Hang guards on handlers ([`Handler::layer`][hl]): `get(list).layer(g).post(create)`
//! leaves `create` unguarded, and a guard on the whole method router answers 403 where 405 is right. `Router::layer` also covers
//! unknown paths, which are then a 401; `Router::route_layer` leaves them a 404. A preflight carries no credential: `CorsLayer`
//! goes outside, added after the `AuthLayer`, and so does `TraceLayer`.
//!
//! [hl]: https://docs.rs/axum/0.8/axum/handler/trait.Handler.html#method.layer
//!
//! # In bare hyper
//! The same layers in a `tower::ServiceBuilder` under `hyper_util::service::TowerToHyperService`; see `examples/hyper.rs`. The
//! handler reads `request.extensions().get::<Principal>()`.
//!
//! # What it does not do
//! It issues no tokens and logs nobody in. It does not decrypt tokens, follow keys that a token names (`jwk`, `jku`, `x5u`), read
//! tokens from the query or a form, or accept shared secrets for the tokens of an issuer. A signed token is good until it expires where nobody is
//! asked and nothing is on the list of revocations.
//! Tokens that are bound to a key of their sender (`cnf`) are refused, since nobody proves that key yet. TLS is yours: a
//! bearer token on a plain connection is everybody's.
//!
//! # Features
//! | feature | default | brings |
//! |---|---|---|
//! | `jwt` | yes | [`JwtAuthenticator`], [`Issuer`], [`KeySet`], [`RemoteKeySet`], [`SignedRequestAuthenticator`] |
//! | `introspection` | yes | [`IntrospectionAuthenticator`], [`ClientAuth`] |
//! | `api-keys` | yes | [`ApiKeys`], [`ApiKeyAuthenticator`], a store in memory |
//! | `sqlite` | | [`SqlStore`] in SQLite, which is built from C with it; Rust 1.94 or newer |
//! | `postgres` | | [`SqlStore`] in PostgreSQL; Rust 1.94 or newer |
//! | `rate-limit` | yes | [`RateLimitLayer`] |
//! | `redis` | | [`Redis`]: limits, revocations and used tokens that processes share |
//! | `metrics` | | counters of limits, for the facade of that name |
//! | `reqwest` | yes | the client that fetches keys; without it bring an [`HttpClient`] |
//! | `tls-aws-lc` | yes | that client's TLS provider; without it install one for the process |
//! | `axum` | | extractors ([`extract`]), `OriginalUri`, `ConnectInfo` |
//! | `test-util` | | [`test_util`]: a fake authorization server, tokens, clocks |
//! | `full` | | all but `test-util` |
//!
//! Without any feature there are the layers and the seam, and no network stack.
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
pub use authn::{Auth, AuthBody, AuthLayer, BodyAuth, BodyAuthLayer};
pub use authz::{RequireLayer, ScopePolicy, require_any_of, require_authenticated, require_scopes};
pub use client_addr::TrustedProxies;
pub use client_addr::peer::PeerAddr;
pub use clock::{Clock, SystemClock};
pub use context::RequestContext;
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
pub use principal::{Principal, PrincipalBuilder, PrincipalId};
#[cfg(feature = "rate-limit")]
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
pub use response::challenge::Challenge;
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

/// What you may want to do, step by step.
#[cfg(all(feature = "sqlite", any(doc, doctest)))]
#[doc = include_str!("../docs/cookbook.md")]
pub mod cookbook {}

/// The README's code is compiled like that of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
