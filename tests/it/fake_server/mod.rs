//! The fake authorization server itself: what tests of introspection lean on.

mod answers;
mod clients;
mod faults;
mod revocation;
mod scripted;
mod signed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use portcullis::test_util::FakeAuthorizationServer;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;

/// The id and the secret of the client, encoded by hand.
const BASIC: &str = "resource-server:s3%3Acr%25et+%2B%2F%3D";

/// A server, and a client that asks it.
struct Scene {
    server: FakeAuthorizationServer,
    http: Client,
}

/// Status, content type and body.
type Answer = (StatusCode, String, String);

impl Scene {
    async fn start() -> Self {
        Self::with(FakeAuthorizationServer::start().await)
    }

    fn with(server: FakeAuthorizationServer) -> Self {
        Self { server, http: Client::builder().no_proxy().build().unwrap() }
    }

    /// A form, already encoded, from nobody.
    fn post(&self, url: &str, form: &str) -> RequestBuilder {
        let request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded");
        request.body(form.to_owned())
    }

    /// A question about this token, of which nothing needs encoding, from the client.
    fn question(&self, token: &str) -> RequestBuilder {
        let request = self.post(&self.server.introspection_endpoint(), &format!("token={token}"));
        request.header("authorization", basic(BASIC))
    }

    /// What a token introspects as.
    async fn introspect(&self, token: &str) -> Value {
        let (status, content_type, body) = send(self.question(token)).await;
        assert_eq!((status, content_type.as_str()), (StatusCode::OK, "application/json"), "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn is_active(&self, token: &str) -> bool {
        let answer = self.introspect(token).await;
        let active = answer["active"].as_bool().unwrap();
        assert!(active || answer == serde_json::json!({"active": false}), "{answer}");
        active
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let content_type = response.headers().get("content-type").map_or("", |value| value.to_str().unwrap());
    let (status, content_type) = (response.status(), content_type.to_owned());
    (status, content_type, response.text().await.unwrap())
}
