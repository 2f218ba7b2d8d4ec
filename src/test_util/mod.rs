//! A kit for tests, of this crate and of applications that use it (feature `test-util`).
//!
//! [`FakeAuthorizationServer`] is a real server on loopback, with keys, introspection and revocation, and faults to switch on;
//! [`TokenBuilder`] makes tokens in which one setting makes one thing wrong; [`ManualClock`] moves time by hand;
//! [`ScriptedHttpClient`] answers without a network.
//!
//! Everything here panics where something fails: a test should stop there.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use portcullis::test_util::FakeAuthorizationServer;
//! use portcullis::{Authenticator, Credential, JwtAuthenticator, Presentation, RequestContext};
//!
//! let server = FakeAuthorizationServer::start().await;
//! let jwt = JwtAuthenticator::builder(server.issuer(), "https://api.example").build().unwrap();
//! let judge = async |token: String| {
//!     let request = http::Request::new(());
//!     let credential = Credential::new(&Presentation::BEARER, &token);
//!     jwt.authenticate(&credential, &RequestContext::new(&request)).verdict().await
//! };
//! assert!(judge(server.token().build()).await.is_ok());
//! assert!(judge(server.token().expires_in(-60).build()).await.is_err());
//! # }
//! ```
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::arithmetic_side_effects,
    reason = "a test kit fails loudly, as its documentation says"
)]

pub(crate) mod clock;
pub(crate) mod http_client;
pub(crate) mod key;
pub(crate) mod server;
pub(crate) mod token;

pub use clock::ManualClock;
pub use http_client::ScriptedHttpClient;
pub use key::SigningKey;
pub use server::FakeAuthorizationServer;
pub use server::fault::Fault;
pub use server::gate::Gate;
pub use server::recorded_request::Asked;
pub use server::state::Counts;
pub use token::TokenBuilder;
