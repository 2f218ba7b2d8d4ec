//! The settings of introspection and revocation, and who may use them.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use serde_json::Value;

use super::FakeAuthorizationServer;
use super::client;
use super::fault::Fault;
use super::gate::Gate;
use super::introspection_response::{Answer, Signer};
use super::recorded_request::Asked;
use crate::test_util::key::encode;
use crate::test_util::{SigningKey, TokenBuilder};

impl FakeAuthorizationServer {
    /// The client that may introspect and revoke.
    pub const CLIENT_ID: &str = client::CLIENT_ID;

    /// Its secret, for `client_secret_basic` and `client_secret_post`. Encoded as RFC 6749 §2.3.1 asks, it is another text.
    pub const CLIENT_SECRET: &str = client::CLIENT_SECRET;

    /// A bearer token that may introspect and revoke too.
    pub const CLIENT_TOKEN: &str = client::CLIENT_TOKEN;

    /// Lets that client authenticate with assertions by this key too (`private_key_jwt`): `iss` and `sub` name the client, `aud`
    /// the issuer or the endpoint, `exp` lies ahead, and each `jti` comes once.
    pub fn trust_client_key(&self, key: &SigningKey) {
        self.state().clients.keys.push(key.public());
    }

    /// The address of token introspection. It answers the client [`CLIENT_ID`](Self::CLIENT_ID) alone; a JWT is active if a
    /// present key of the server signed it, until its `exp`. Other claims are not judged.
    #[must_use]
    pub fn introspection_endpoint(&self) -> String {
        format!("http://{}/introspect", self.address)
    }

    /// The address of revocation, for the same client.
    #[must_use]
    pub fn revocation_endpoint(&self) -> String {
        format!("http://{}/revoke", self.address)
    }

    /// A new opaque token that introspects as the claims of this JWT, active until its `exp`.
    ///
    /// Header, key and [`raw_claims`](TokenBuilder::raw_claims) have no part in it.
    #[must_use]
    pub fn opaque_token(&self, token: TokenBuilder) -> String {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).expect("random bytes");
        let opaque = encode(bytes);
        self.answer(&opaque, Answer::active(token.into_claims()));
        opaque
    }

    /// Answers this for a token of any kind, also past its `exp`.
    pub fn set_answer(&self, token: &str, answer: impl Into<Value>) {
        self.answer(token, Answer::fixed(answer.into().to_string()));
    }

    /// Answers these bytes for a token of any kind, as `application/json`.
    pub fn set_raw_answer(&self, token: &str, body: impl Into<String>) {
        self.answer(token, Answer::fixed(body.into()));
    }

    /// Makes a token inactive: one of any kind, known or not.
    pub fn revoke(&self, token: &str) {
        self.answer(token, Answer::inactive());
    }

    /// Signs answers with the first key (RFC 9701) where the request accepts that, or signs none.
    pub fn sign_answers(&self, sign: bool) {
        self.state().introspection.signer = sign.then(|| Signer(Arc::new(|answer| answer.build())));
    }

    /// Signs answers, with one thing wrong: gives the token back that is the answer, made of the one that would be right.
    ///
    /// An answer that was not written as `serde_json` writes it comes as [`raw_claims`](TokenBuilder::raw_claims).
    pub fn sign_answers_with(&self, sign: impl Fn(TokenBuilder) -> String + Send + Sync + 'static) {
        self.state().introspection.signer = Some(Signer(Arc::new(sign)));
    }

    /// Switches a fault of introspection on, or off. Whoever asks meets it, client or not.
    pub fn set_introspection_fault(&self, fault: impl Into<Option<Fault>>) {
        self.state().introspection.fault = fault.into();
    }

    /// Delays the answers of introspection. They say what was so when the request came.
    pub fn set_introspection_delay(&self, delay: Duration) {
        self.state().introspection.delay = delay;
    }

    /// Holds the answers to all introspection requests back that come from now on, until the gate is opened or dropped. They say
    /// what was so when the request came. A later gate takes the place of this one for what comes later.
    pub fn hold_introspection(&self) -> Gate {
        let (gate, hold) = Gate::closed();
        self.state().introspection.hold = Some(hold);
        gate
    }

    /// The last thousand requests for introspection, the latest at the end; also those that were refused or met a fault.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().introspection.asked.iter().cloned().collect()
    }

    fn answer(&self, token: &str, answer: Answer) {
        self.state().introspection.answers.insert(token.into(), answer);
    }
}
