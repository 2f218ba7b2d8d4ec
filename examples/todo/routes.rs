//! The service itself: all routes, and what everybody has to do.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use axum::extract::{Path, State};
use axum::handler::Handler as _;
use axum::routing::{get, put};
use axum::{Json, Router};
use http::StatusCode;
use portcullis::{
    AuthError, AuthLayer, Principal, PrincipalId, RateLimitLayer, RedisRevocations, problem_json,
    require_scopes,
};
use serde_json::{Value, json};

use crate::protection::Protection;

/// Bytes of a body to which a client may bind a token.
const MAX_BODY: usize = 64 * 1024;

/// All routes, with what guards each.
pub fn app(protection: Protection, limit: RateLimitLayer, revoked: Option<RedisRevocations>) -> Router {
    let mut auth = AuthLayer::new(protection.authenticator).on_reject(problem_json);
    if let Some(list) = revoked {
        auth = auth.revocations(list);
    }
    let mut may_delete = require_scopes(["todo:write"]);
    if protection.can_ask {
        // What is gone is gone: whoever knows is asked about this very request.
        may_delete = may_delete.verified_within(Duration::ZERO);
    }
    let protected = Router::new()
        .route("/api/ping", get(ping))
        .route("/whoami", get(whoami))
        // Each guard hangs on its handler, so that it covers exactly that.
        .route(
            "/api/todo",
            get(list.layer(require_scopes(["todo:read"]))).post(create.layer(require_scopes(["todo:write"]))),
        )
        .route(
            "/api/todo/{id}",
            put(change.layer(require_scopes(["todo:write"]))).delete(remove.layer(may_delete)),
        )
        .route_layer(limit)
        // The last layer runs first.
        .route_layer(auth.clone().read_body(MAX_BODY));
    let public = Router::new().route("/public", get(greet)).route_layer(auth.optional().read_body(MAX_BODY));
    Router::new().route("/ping", get(ping)).merge(public).merge(protected).with_state(Todos::default())
}

async fn ping() -> &'static str {
    "pong\n"
}

async fn greet(caller: Option<Principal>) -> String {
    let name = caller.as_ref().and_then(Principal::subject).unwrap_or("visitor");
    format!("hello, {name}\n")
}

async fn whoami(caller: Principal) -> Json<Value> {
    let expires_at = caller.expires_at().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Json(json!({
        "subject": caller.subject(),
        "client_id": caller.client_id(),
        "scopes": caller.scopes().iter().collect::<Vec<_>>(),
        "method": caller.method(),
        "issuer": caller.issuer(),
        "expires_at": expires_at.map(|since| since.as_secs()),
    }))
}

async fn list(State(todos): State<Todos>, caller: Principal) -> Result<Json<Value>, AuthError> {
    todos.of(&caller, |own| {
        Json(own.iter().map(|(id, text)| json!({"id": id, "text": text})).collect::<Vec<_>>().into())
    })
}

async fn create(
    State(todos): State<Todos>,
    caller: Principal,
    text: String,
) -> Result<(StatusCode, Json<Value>), AuthError> {
    todos.of(&caller, |own| {
        let id = own.keys().next_back().map_or(1, |last| last.saturating_add(1));
        own.insert(id, text.clone());
        (StatusCode::CREATED, Json(json!({"id": id, "text": text})))
    })
}

async fn change(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    caller: Principal,
    text: String,
) -> Result<StatusCode, AuthError> {
    todos.of(&caller, |own| match own.get_mut(&id) {
        Some(entry) => {
            *entry = text;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    })
}

async fn remove(
    State(todos): State<Todos>,
    Path(id): Path<u64>,
    caller: Principal,
) -> Result<StatusCode, AuthError> {
    todos.of(&caller, |own| own.remove(&id).map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT))
}

/// What everybody has to do, apart for each caller.
#[derive(Clone, Default)]
struct Todos(Arc<Mutex<HashMap<PrincipalId, BTreeMap<u64, String>>>>);

impl Todos {
    fn of<T>(
        &self,
        caller: &Principal,
        work: impl FnOnce(&mut BTreeMap<u64, String>) -> T,
    ) -> Result<T, AuthError> {
        // A credential that names nobody owns nothing.
        let owner = caller.require_id()?;
        let mut todos = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(work(todos.entry(owner).or_default()))
    }
}
