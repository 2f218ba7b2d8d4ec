//! Token introspection (RFC 7662), with signed answers (RFC 9701), and revocation (RFC 7009).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;

use super::client::Refusal;
use super::introspection_response::{Answer, Signer};
use super::recorded_request::Asked;
use super::responses::{content, status};
use super::state::{State, lock};
use crate::test_util::SigningKey;

/// How many requests are kept for [`asked`](super::FakeAuthorizationServer::asked).
const MAX_ASKED: usize = 1000;

/// RFC 9701 §4.
const SIGNED: &str = "application/token-introspection+jwt";

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
