//! Token introspection (RFC 7662), with signed answers (RFC 9701), and revocation (RFC 7009).

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::Value;

use super::answer::{Answer, Signer};
use super::asked::Asked;
use super::client::Refusal;
use super::fault::{Fault, content, status};
use super::gate::{Gate, Hold};
use super::{FakeAuthorizationServer, State, lock};
use crate::jose::base64url::encode;
use crate::test_util::key::SigningKey;
use crate::test_util::token::TokenBuilder;

/// How many requests are kept for [`FakeAuthorizationServer::asked`].
const MAX_ASKED: usize = 1000;

/// RFC 9701 §4.
const SIGNED: &str = "application/token-introspection+jwt";

/// What the endpoint knows, and how it behaves.
#[derive(Debug, Default)]
pub(super) struct Introspection {
    answers: HashMap<String, Answer>,
    signer: Option<Signer>,
    fault: Option<Fault>,
    delay: Duration,
    hold: Option<Hold>,
    asked: VecDeque<Asked>,
}

impl FakeAuthorizationServer {
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

pub(super) async fn introspect(
    state: &Mutex<State>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let asked = Asked::read(request).await;
    let (fault, delay, hold, verdict) = {
        let mut state = lock(state);
        state.counts.introspection += 1;
        let verdict = state.verdict(&asked, &format!("http://{address}/introspect"));
        let endpoint = &mut state.introspection;
        if endpoint.asked.len() == MAX_ASKED {
            endpoint.asked.pop_front();
        }
        endpoint.asked.push_back(asked);
        (endpoint.fault.clone(), endpoint.delay, endpoint.hold.clone(), verdict)
    };
    // Signatures take their time: not under the lock.
    let response = verdict.map_or_else(Refusal::response, Verdict::response);
    if let Some(hold) = hold {
        hold.pass().await;
    }
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match fault {
        Some(fault) => fault.answer().await,
        None => response,
    }
}

/// Success also for a token that nobody knows (RFC 7009 §2.2). Any token is revoked, whoever it was issued to.
pub(super) async fn revoke(
    state: &Mutex<State>,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let asked = Asked::read(request).await;
    let mut state = lock(state);
    state.counts.revocation += 1;
    match state.token(&asked, &format!("http://{address}/revoke")) {
        Ok(token) => {
            state.introspection.answers.insert(token, Answer::inactive());
            status(StatusCode::OK)
        }
        Err(refusal) => refusal.response(),
    }
}

/// All that an answer is made of, as it was when the request came.
struct Verdict {
    token: String,
    /// What was said about the token; else it is judged as a JWT.
    answer: Option<Answer>,
    keys: Vec<Arc<SigningKey>>,
    issuer: String,
    signer: Option<Signer>,
}

impl State {
    fn verdict(&mut self, asked: &Asked, endpoint: &str) -> Result<Verdict, Refusal> {
        let token = self.token(asked, endpoint)?;
        let answer = self.introspection.answers.get(&token).cloned();
        let signer = self.introspection.signer.clone().filter(|_| accepts_signed(&asked.headers));
        Ok(Verdict { token, answer, keys: self.keys.clone(), issuer: self.issuer.clone(), signer })
    }

    /// The token that a client asks about.
    fn token(&mut self, asked: &Asked, endpoint: &str) -> Result<String, Refusal> {
        self.clients.authenticate(asked, [&self.issuer, endpoint])?;
        let token = asked.field("token").filter(|token| !token.is_empty());
        token.map(str::to_owned).ok_or(Refusal::Request)
    }
}

impl Verdict {
    fn response(self) -> Response<Full<Bytes>> {
        let answer = self.answer.unwrap_or_else(|| Answer::of_jwt(&self.token, &self.keys));
        let body = answer.body();
        let key = self.keys.first().map(Arc::clone);
        match (self.signer, key) {
            (Some(signer), Some(key)) => content(SIGNED, signer.sign(&self.issuer, key, &body)),
            _ => content("application/json", body),
        }
    }
}

fn accepts_signed(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges = accepted.flat_map(|value| value.split(','));
    ranges.filter_map(|range| range.split(';').next()).any(|range| range.trim().eq_ignore_ascii_case(SIGNED))
}
