//! One file imports everything from this crate, and uses the crate axum.

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis::extract::{Scoped, Scopes};
use portcullis::*;

use crate::stub::{Stub, ask, text};

struct Read;

impl Scopes for Read {
    const NEEDED: &'static [&'static str] = &["todo:read"];
}

async fn list(caller: Scoped<Read>) -> String {
    format!("todos of {}", caller.subject().unwrap_or("nobody"))
}

#[tokio::test]
async fn glob_import_next_to_axum_compiles_and_serves() {
    let app = Router::new().route("/todo", get(list)).layer(AuthLayer::new(Stub::new("stub")));
    let answer = ask(&app, "GET /todo", "ann~todo.read").await;
    assert_eq!((answer.status(), &*text(answer).await), (StatusCode::OK, "todos of ann"));
    assert_eq!(ask(&app, "GET /todo", "ann~todo.write").await.status(), StatusCode::FORBIDDEN);
}
