//! The tests of portcullis against its public interface; one binary, so that it is linked once.

#![allow(missing_docs, unused_crate_dependencies)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(
    clippy::as_conversions,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod harness;
mod provider;
mod attacks;
mod support;

mod auth_layer;
mod authz;
mod axum;
mod dispatch;
mod hyper;
mod rate_limit;
mod readiness;
mod reject;
mod stub;
mod corpus;
mod differential;
mod properties;
mod support;
mod vectors;
