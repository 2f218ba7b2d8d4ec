//! The official clients of the scheme that `SignedRequestAuthenticator` speaks.

use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis::{
    AuthLayer, ClientSecret, MemoryClientSecrets, Principal, ScopeSet, SealingKeys,
    SignedRequestAuthenticator, SigningClient, SqlStore,
};
use serde_json::{Value, json};

use super::serve;
use crate::real_clients::{notify_node, notify_python};

const SERVICE: &str = "2fd5ac4c-0bb9-4b1d-9cf8-6ea1f1b29b5f";
const SECRET: &str = "3d844edf-8d35-48ac-975b-e847b4f122b0";
const OTHER_SECRET: &str = "f1e5a1d2-0b2c-4c55-8fd0-0a8a3b2d4c6e";

/// A service as theirs is, as far as the clients can tell.
fn routes() -> Router {
    Router::new()
        .route(
            "/v2/notifications/{id}",
            get(async |caller: Principal| Json(json!({"id": caller.client_id()}))),
        )
        .route("/v2/notifications", get(async || Json(json!({"notifications": []}))))
        .route("/v2/notifications/email", post(async |Json(body): Json<Value>| Json(json!({"sent": body}))))
}

fn key(service: &str, secret: &str) -> String {
    format!("some name-{service}-{secret}")
}

/// Each call of both clients, with its status.
async fn statuses(base: &str, key: &str) -> Option<Vec<u64>> {
    let (python, node) = (notify_python(base, key).await?, notify_node(base, key).await?);
    let calls = [python, node].into_iter().flat_map(|report| {
        let status = |call: &str| report[call]["status"].as_u64().unwrap_or_else(|| panic!("{report}"));
        ["get", "list", "post"].map(status)
    });
    Some(calls.collect())
}

async fn accepted_and_refused(base: &str) -> Option<()> {
    assert_eq!(statuses(base, &key(SERVICE, SECRET)).await?, [200; 6]);
    assert_eq!(statuses(base, &key(SERVICE, OTHER_SECRET)).await?, [401; 6], "another secret");
    let stranger = "00000000-0000-4000-8000-000000000000";
    assert_eq!(statuses(base, &key(stranger, SECRET)).await?, [401; 6], "another client");
    Some(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_requests_pass_and_those_of_others_do_not() {
    let client = SigningClient::new([ClientSecret::new(SECRET).unwrap()], ScopeSet::default());
    let secrets = MemoryClientSecrets::from_iter([(SERVICE, client)]);
    let auth = AuthLayer::new(SignedRequestAuthenticator::new(secrets));
    // Both forms of the layer: these clients bind nothing to the body, so nothing of it is read.
    for app in [routes().layer(auth.clone()), routes().layer(auth.read_body(1024))] {
        if accepted_and_refused(&serve(app).await).await.is_none() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_secrets_may_lie_in_a_database() {
    let store = SqlStore::connect("sqlite::memory:").await.unwrap();
    let secrets = store.client_secrets(SealingKeys::new("2026", [7; 32]).unwrap());
    secrets.put(SERVICE, &ScopeSet::default(), None).await.unwrap();
    secrets.add(SERVICE, &ClientSecret::new(SECRET).unwrap()).await.unwrap();
    let auth = AuthLayer::new(SignedRequestAuthenticator::new(secrets));
    let _ = accepted_and_refused(&serve(routes().layer(auth)).await).await;
}
