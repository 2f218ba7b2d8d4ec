//! The tests of portcullis against its public interface; one binary, so that it is linked once.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod api_keys;
mod attacks;
mod auth_layer;
mod authorities;
mod authz;
mod axum;
mod bodies;
mod client_secrets;
mod config_errors;
mod corpus;
mod differential;
mod dispatch;
mod failures;
mod fake_server;
mod glewlwyd;
mod glob_import;
mod harness;
mod hyper;
mod identity;
mod introspected;
mod introspection;
mod key_stores;
mod keys;
mod leased;
mod log;
mod postgres;
mod properties;
mod provider;
mod rate_limit;
mod readiness;
mod real_clients;
mod redis;
mod reject;
mod remembered;
mod shared;
mod signed_requests;
mod sql;
mod stub;
mod support;
mod todo_failures;
mod vectors;
mod verdicts;
mod with_clients;
