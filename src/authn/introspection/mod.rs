//! Tokens that their issuer is asked about (RFC 7662).

mod assertion;
#[cfg_attr(not(test), expect(dead_code, reason = "there is no authenticator yet that applies it"))]
mod client_auth;

pub use client_auth::ClientAuth;
