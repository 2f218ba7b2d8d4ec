//! Tokens that name random keys, at full speed, while the issuer is slow: few fetches, and good tokens do not wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::Algorithm;
use portcullis::test_util::{SigningKey, TokenBuilder};

use crate::harness::{Provider, Todo, audience};
use crate::{Answers, Plan};

const FLOODERS: usize = 64;

pub async fn run(plan: &Plan) -> bool {
    let Some(provider) = Provider::start().await else { return false };
    let todo = Arc::new(Todo::in_front_of(&provider));
    let good = provider.token("es256", "todo:read").await;
    todo.status("/api/ping", &good).await;
    provider.delay(2000).await;

    let calm = ask_steadily(&todo, &good, plan.flood).await;
    let before = provider.jwks_fetches().await;
    let end = Instant::now() + plan.flood;
    let mut flood = tokio::task::JoinSet::new();
    for flooder in 0..FLOODERS {
        let (todo, issuer) = (Arc::clone(&todo), provider.issuer.clone());
        flood.spawn(async move {
            let key = Arc::new(SigningKey::generate(Algorithm::ES256));
            let token = TokenBuilder::new(key, &issuer, &audience("es256"));
            let mut answers = Answers::default();
            let mut number = 0_u64;
            while Instant::now() < end {
                number += 1;
                // The signature is never looked at, so it need not be made.
                let token =
                    token.clone().header("kid", format!("{flooder}-{number}")).build_with_signature(&[1; 64]);
                let start = Instant::now();
                answers.add(todo.status("/api/ping", &token).await, start.elapsed());
            }
            answers
        });
    }
    let flooded = ask_steadily(&todo, &good, plan.flood).await;
    let fetches = provider.jwks_fetches().await - before;
    let mut refused = Answers::default();
    while let Some(part) = flood.join_next().await {
        refused.merge(part.unwrap());
    }
    println!("flood: {fetches} fetches in {:?}; flooders: {refused}", plan.flood);
    println!("flood: good tokens before: {calm}");
    println!("flood: good tokens meanwhile: {flooded}");
    let ratio = flooded.percentile(99).as_secs_f64() / calm.percentile(99).as_secs_f64();
    println!("flood: p99 of good tokens, flooded over calm: {ratio:.2}");
    assert!(fetches <= 4);
    assert!(calm.only(200) && flooded.only(200) && flooded.slowest() < Duration::from_secs(1));
    assert!(refused.statuses.keys().all(|status| [401, 503].contains(status)));
    true
}

/// One client that asks every other millisecond.
async fn ask_steadily(todo: &Todo, token: &str, time: Duration) -> Answers {
    let end = Instant::now() + time;
    let mut answers = Answers::default();
    while Instant::now() < end {
        let start = Instant::now();
        let status = todo.status("/api/ping", token).await;
        answers.add(status, start.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    answers
}
