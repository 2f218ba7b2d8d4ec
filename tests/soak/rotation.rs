//! Hard rotations of all keys under load: every answer to a good token is 200.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::RwLock;

use crate::harness::{Provider, Todo};
use crate::{Answers, Plan};

const CLIENTS: usize = 8;

pub async fn run(plan: &Plan) -> bool {
    let Some(provider) = Provider::start().await else { return false };
    let todo = Arc::new(Todo::in_front_of(&provider));
    // A request holds this for reading. A rotation holds it for writing, so that no token is old while it is on its way.
    let token = Arc::new(RwLock::new(provider.token("es256", "todo:read").await));
    let end = Instant::now() + plan.rotation;
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (todo, token) = (Arc::clone(&todo), Arc::clone(&token));
        load.spawn(async move {
            let mut answers = Answers::default();
            while Instant::now() < end {
                let token = token.read().await;
                let start = Instant::now();
                let status = todo.status("/api/ping", &token).await;
                answers.add(status, start.elapsed());
            }
            answers
        });
    }
    let mut first = Vec::new();
    for _ in 1..plan.rotations {
        tokio::time::sleep(plan.rotation / plan.rotations).await;
        let mut token = token.write().await;
        provider.rotate().await;
        *token = provider.token("es256", "todo:read").await;
        first.push(todo.status("/api/ping", &token).await);
    }
    let mut answers = Answers::default();
    while let Some(part) = load.join_next().await {
        answers.merge(part.unwrap());
    }
    println!(
        "rotation: {} hard rotations in {:?}, first answers {first:?}, {answers}",
        first.len(),
        plan.rotation
    );
    assert!(answers.only(200) && first.iter().all(|status| *status == 200) && !first.is_empty());
    true
}
