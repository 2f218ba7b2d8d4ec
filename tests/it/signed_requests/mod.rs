//! Tokens that clients sign for each request: what is refused, what they are bound to, and that each opens one request only.

mod binding;
mod clients;
mod clocks;
mod confusion;
mod dispatch;
mod freshness;
mod leaks;
mod mutations;
mod refusals;
mod replays;
mod room;
mod stores;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use portcullis::test_util::ManualClock;
use portcullis::{
    AuthLayer, Authenticator, ClientSecret, Clock as _, MemoryClientSecrets, Reason, ScopeSet,
    SignedRequestAuthenticator, SignedRequestAuthenticatorBuilder, SigningClient,
};
use serde_json::{Map, Value, json};

use crate::support::{bearer, outcome, send};

/// The moment at which every test begins, in seconds since the Unix epoch.
const NOW: u64 = 1_800_000_000;

const SECRET: &str = "3d844edf-8d35-48ac-975b-e847b4f122b0";
const OTHER_SECRET: &str = "f1e5a1d2-0b2c-4c55-8fd0-0a8a3b2d4c6e";

/// Status and reason of an answer.
type Answer = (StatusCode, Option<Reason>);

const ACCEPTED: Answer = (StatusCode::OK, None);

const fn refused(reason: Reason) -> Answer {
    (StatusCode::UNAUTHORIZED, Some(reason))
}

const fn unavailable(reason: Reason) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, Some(reason))
}

const fn misconfigured(reason: Reason) -> Answer {
    (StatusCode::INTERNAL_SERVER_ERROR, Some(reason))
}

type Builder = SignedRequestAuthenticatorBuilder;

/// A server that knows the client `app`, at a time that stands still.
struct Scene {
    clock: ManualClock,
    clients: MemoryClientSecrets,
    layer: AuthLayer<SignedRequestAuthenticator>,
}

impl Scene {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(configure: impl FnOnce(Builder) -> Builder) -> Self {
        let (clock, clients) = (ManualClock::at(NOW), MemoryClientSecrets::new());
        clients.put("app", client([SECRET]));
        let builder = SignedRequestAuthenticator::builder(clients.clone()).clock(clock.clone());
        Self { clock, clients, layer: AuthLayer::new(configure(builder).build().unwrap()) }
    }

    /// A token that is made now.
    fn token(&self) -> Token {
        Token::new().claim("iat", seconds_of(&self.clock))
    }

    async fn ask(&self, token: &Token) -> Answer {
        outcome(&send(&self.layer, bearer(&token.build())).await)
    }
}

fn seconds_of(clock: &ManualClock) -> u64 {
    clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Signs with these, and may read.
fn client<const N: usize>(secrets: [&str; N]) -> SigningClient {
    let secrets = secrets.map(|secret| ClientSecret::new(secret).unwrap());
    SigningClient::new(secrets, ScopeSet::parse("todo:read").unwrap())
}

/// What a client sends, right or wrong in one respect.
#[derive(Clone)]
struct Token {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    secret: Vec<u8>,
    hash: hmac::Algorithm,
}

impl Token {
    /// As the client `app` makes it at the moment at which tests begin.
    fn new() -> Self {
        let members = |value: Value| value.as_object().unwrap().clone();
        Self {
            header: members(json!({"typ": "JWT", "alg": "HS256"})),
            claims: members(json!({"iss": "app", "iat": NOW})),
            secret: SECRET.into(),
            hash: hmac::HMAC_SHA256,
        }
    }

    fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Of another client, with that one's secret.
    fn of(self, client: &str, secret: &str) -> Self {
        self.claim("iss", client).signed_by(secret)
    }

    fn signed_by(self, secret: impl AsRef<[u8]>) -> Self {
        Self { secret: secret.as_ref().into(), ..self }
    }

    /// Bound to `METHOD PATH`.
    fn bound_to(self, line: &str) -> Self {
        let tag = self.tag(line);
        self.claim("req", tag)
    }

    /// Bound to a body.
    fn around(self, body: &str) -> Self {
        let tag = self.tag(body);
        self.claim("pay", tag)
    }

    /// As it stands in `req` and `pay`.
    fn tag(&self, text: &str) -> String {
        STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret), text.as_bytes()))
    }

    fn message(&self) -> String {
        let part = |members: &Map<String, Value>| encode(Value::Object(members.clone()).to_string());
        format!("{}.{}", part(&self.header), part(&self.claims))
    }

    fn build(&self) -> String {
        self.sign(&self.message())
    }

    fn sign(&self, message: &str) -> String {
        let tag = hmac::sign(&hmac::Key::new(self.hash, &self.secret), message.as_bytes());
        format!("{message}.{}", encode(tag))
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A request of this line, with a token.
fn request(line: &str, token: &str) -> Request<Full<Bytes>> {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = bearer(token);
    *request.method_mut() = method.parse().unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    request
}

async fn answer<A: Authenticator>(layer: &AuthLayer<A>, request: Request<Full<Bytes>>) -> Answer {
    outcome(&send(layer, request).await)
}

/// Lets every task of a current-thread runtime run until it waits for something from outside.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}
