//! Bindings to the body, as a layer asks that has read it: no test from outside can hand a body over.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;

use super::SignedRequestAuthenticator;
use super::builder::SignedRequestAuthenticatorBuilder;
use super::client_store::{ClientSecrets, MemoryClientSecrets};
use super::replay::memory::MemorySingleUse;
use super::secret::{ClientSecret, SigningClient};
use crate::authenticator::Authenticator;
use crate::authenticator::future::AuthFuture;
use crate::context::RequestContext;
use crate::credential::Credential;
use crate::credential::location::Presentation;
use crate::error::Reason;
use crate::jose::base64url::encode;
use crate::scope::ScopeSet;
use crate::store::StoreAnswer;
use crate::test_util::clock::ManualClock;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"3d844edf-8d35-48ac-975b-e847b4f122b0";
const OTHER_SECRET: &[u8] = b"f1e5a1d2-0b2c-4c55-8fd0-0a8a3b2d4c6e";

fn tag(secret: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text)
}

/// A token of `app`, bound to a body by a secret.
fn token(bound: Option<(&[u8], &[u8])>, more: &str) -> String {
    let pay = bound.map(|(secret, body)| format!(r#","pay":"{}""#, STANDARD.encode(tag(secret, body))));
    let claims = format!(r#"{{"iss":"app","iat":{NOW}{}{more}}}"#, pay.unwrap_or_default());
    let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims));
    format!("{message}.{}", encode(tag(SECRET, message.as_bytes())))
}

/// Clients in a store that takes its time.
struct Slow(MemoryClientSecrets);

impl ClientSecrets for Slow {
    fn find(&self, client: &str) -> StoreAnswer<Option<Arc<SigningClient>>> {
        let answer = self.0.find(client);
        StoreAnswer::boxed(async {
            tokio::task::yield_now().await;
            answer.answer().await
        })
    }
}

type Builder = SignedRequestAuthenticatorBuilder;

fn servers(configure: impl Fn(Builder) -> Builder) -> [SignedRequestAuthenticator; 2] {
    let secrets = [SECRET, OTHER_SECRET].map(|secret| ClientSecret::new(secret).unwrap());
    let clients = || {
        MemoryClientSecrets::from_iter([("app", SigningClient::new(secrets.clone(), ScopeSet::default()))])
    };
    [SignedRequestAuthenticator::builder(clients()), SignedRequestAuthenticator::builder(Slow(clients()))]
        .map(|builder| configure(builder.clock(ManualClock::at(NOW))).build().unwrap())
}

async fn judge(server: &SignedRequestAuthenticator, token: &str, body: Option<&[u8]>) -> Result<(), Reason> {
    let request = Request::post("/a").body(()).unwrap();
    let context = RequestContext::new(&request);
    let context = context.with_body(body);
    let future: AuthFuture = server.authenticate(&Credential::new(&Presentation::BEARER, token), &context);
    future.verdict().await.map(drop).map_err(|error| error.reason())
}

#[tokio::test]
async fn a_token_that_is_bound_to_one_body_opens_for_no_other() {
    for server in servers(|builder| builder) {
        for (bound, sent, expected) in [
            (&b"x"[..], &b"x"[..], Ok(())),
            (b"", b"", Ok(())),
            (b"\xff\0", b"\xff\0", Ok(())),
            (b"x", b"y", Err(Reason::BindingMismatch)),
            (b"x", b"", Err(Reason::BindingMismatch)),
            (b"", b"x", Err(Reason::BindingMismatch)),
            (b"x", b"x\n", Err(Reason::BindingMismatch)),
        ] {
            let answer = judge(&server, &token(Some((SECRET, bound)), ""), Some(sent)).await;
            assert_eq!(answer, expected, "{bound:?} {sent:?}");
        }
        let by_another = token(Some((OTHER_SECRET, b"x")), "");
        assert_eq!(judge(&server, &by_another, Some(b"x")).await, Err(Reason::BindingMismatch));
    }
}

#[tokio::test]
async fn a_body_that_is_not_bound_is_refused_where_that_is_required_an_empty_one_too() {
    for (required, expected) in [(false, Ok(())), (true, Err(Reason::BindingMissing))] {
        for server in servers(|builder| if required { builder.require_body_binding() } else { builder }) {
            for body in [&b""[..], b"x"] {
                assert_eq!(judge(&server, &token(None, ""), Some(body)).await, expected);
                assert_eq!(judge(&server, &token(Some((SECRET, body)), ""), Some(body)).await, Ok(()));
            }
        }
    }
}

/// A layer asks, reads the body, and asks again: the token is used up by the second time alone.
#[tokio::test]
async fn a_token_that_lacks_its_body_is_not_used_up() {
    let store = MemorySingleUse::new(20);
    for (number, server) in servers(|builder| builder.single_use_in(store.clone())).iter().enumerate() {
        let token = token(Some((SECRET, b"x")), &format!(r#","jti":"{number}""#));
        for (body, expected) in [
            (None, Err(Reason::BodyNeeded)),
            (Some(&b"y"[..]), Err(Reason::BindingMismatch)),
            (None, Err(Reason::BodyNeeded)),
            (Some(b"x"), Ok(())),
            (Some(b"x"), Err(Reason::TokenReplayed)),
            (None, Err(Reason::BodyNeeded)),
        ] {
            assert_eq!(judge(server, &token, body).await, expected);
        }
        assert_eq!(store.len(), number + 1);
    }
}
