//! Introspection at real authorization servers, through a resource server on a socket.

mod glewlwyd;
mod provider;
mod revocation;
mod trouble;

use std::time::Duration;

use ::axum::handler::Handler as _;
use ::axum::routing::get;
use ::axum::{Json, Router};
use portcullis::{
    Algorithm, AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator,
    IntrospectionAuthenticatorBuilder, Issuer, Principal, RemoteKeySet, require_scopes,
};
use serde_json::{Value, json};

use crate::harness::{Client, Provider, audience, plain_client};

/// A resource server: `/any` takes a verdict that may be used again, `/now` has the authority asked for each request. Both need
/// `todo:read` and tell who called.
struct Api {
    url: String,
    http: reqwest::Client,
}

impl Api {
    async fn behind(authenticator: impl Authenticator) -> Self {
        Self::with(AuthLayer::new(authenticator)).await
    }

    async fn with<A: Authenticator>(auth: AuthLayer<A>) -> Self {
        let read = || require_scopes(["todo:read"]);
        let app = Router::new()
            .route("/any", get(whoami.layer(read())))
            .route("/now", get(whoami.layer(read().verified_within(Duration::ZERO))))
            .layer(auth);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { ::axum::serve(listener, app).await });
        Self { url, http: plain_client() }
    }

    async fn get(&self, path: &str, token: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.unwrap()
    }

    async fn status(&self, path: &str, token: &str) -> u16 {
        self.get(path, token).await.status().as_u16()
    }

    /// Who called; the call must have passed.
    async fn caller(&self, path: &str, token: &str) -> Value {
        let answer = self.get(path, token).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// 503, with the time to come again, and without a word against the token.
    async fn cannot_judge(&self, path: &str, token: &str, why: &str) {
        let answer = self.get(path, token).await;
        assert_eq!(answer.status(), 503, "{why}: {path}");
        let retry_after = answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
        assert!((1..=4).contains(&retry_after), "{why}: {retry_after}");
        assert!(!answer.headers().contains_key("www-authenticate"), "{why}");
    }
}

async fn whoami(caller: Principal) -> Json<Value> {
    Json(json!({
        "method": caller.method(),
        "issuer": caller.issuer(),
        "subject": caller.subject(),
        "client": caller.client_id(),
        "scopes": caller.scopes().iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

/// An issuer that is found by its metadata, over plain http.
fn issuer(id: &str) -> Issuer {
    Issuer::new(id, RemoteKeySet::discover(id).allow_http().build().unwrap())
}

fn basic(client: &Client) -> ClientAuth {
    ClientAuth::basic(&client.id, &client.secret)
}

/// Asks the provider as this one of its resource servers, about tokens for its resource `opaque`.
fn asking(provider: &Provider, name: &str) -> IntrospectionAuthenticatorBuilder {
    let client = provider.resource_server(name);
    let auth = match &client.private_key {
        Some(pem) => ClientAuth::private_key_jwt(&client.id, Algorithm::ES256, pem).unwrap(),
        None if name == "post" => ClientAuth::post(&client.id, &client.secret),
        None => basic(&client),
    };
    IntrospectionAuthenticator::builder(issuer(&provider.issuer), auth).audience(audience("opaque"))
}
