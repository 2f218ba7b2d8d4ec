//! Rows 25 to 64 as far as they are about an authority that is asked about tokens.

mod answers;
mod waiting;

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use portcullis::test_util::{FakeAuthorizationServer, ScriptedHttpClient};
use portcullis::{
    Algorithm, AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator,
    IntrospectionAuthenticatorBuilder, Reason,
};
use serde_json::{Value, json};

use super::{Answer, unavailable};
use crate::support::{AUDIENCE, bearer, issuer_of, key, outcome, send};

const ENDPOINT: &str = "https://id.example/introspect";

const CLOSED: Answer = unavailable(Reason::AuthorityUnavailable);

type Opaque = IntrospectionAuthenticator;
type Builder = IntrospectionAuthenticatorBuilder;

/// Asks an authority that says this about the token `good`, and of any other that it is not active.
fn asking_about(good: Value, change: impl FnOnce(Builder) -> Builder) -> (Opaque, ScriptedHttpClient) {
    let http = ScriptedHttpClient::new();
    http.answer_by(ENDPOINT, move |question| {
        let mut form = url::form_urlencoded::parse(question.body());
        let token = form.find(|(name, _)| name == "token").unwrap().1;
        Ok(json_answer(if token == "good" { good.to_string() } else { json!({"active": false}).to_string() }))
    });
    let builder = IntrospectionAuthenticator::builder(
        issuer_of(&[&key(Algorithm::ES256)]),
        ClientAuth::basic("a", "b"),
    );
    let opaque = change(builder.endpoint(ENDPOINT).http_client(http.clone()).audience(AUDIENCE));
    (opaque.build().unwrap(), http)
}

fn asking() -> (Opaque, ScriptedHttpClient) {
    asking_about(active(), |builder| builder)
}

fn active() -> Value {
    json!({"active": true, "aud": AUDIENCE, "sub": "ann", "scope": "todo:read"})
}

fn json_answer(body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().header(CONTENT_TYPE, "application/json").body(body.into()).unwrap()
}

async fn ask<A: Authenticator>(layer: &AuthLayer<A>, token: &str) -> Answer {
    outcome(&send(layer, bearer(token)).await)
}

/// A resource server of a fake one, over a socket.
fn over_a_socket(server: &FakeAuthorizationServer) -> Builder {
    let client =
        ClientAuth::basic(FakeAuthorizationServer::CLIENT_ID, FakeAuthorizationServer::CLIENT_SECRET);
    IntrospectionAuthenticator::builder(server.issuer(), client).audience(AUDIENCE)
}
