//! Verdicts that serve beyond their time while the authority is away: only where that is wanted, and within bounds.

use std::time::Duration;

use portcullis::{BreakerState, Mark, MemoryRevocations, Reason, RequireLayer, require_scopes};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use super::{ACCEPTED, Answer, NOW, Script, active, handler, principal, refused, seconds, unavailable};
use crate::support::{bearer, outcome};

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

/// One that has accepted `token` just now, and whose authority went away then.
async fn abandoned(script: Script) -> Script {
    assert_eq!(script.ask("token").await, ACCEPTED);
    script.fails(500);
    script
}

async fn lenient() -> Script {
    abandoned(Script::new(|builder| builder.serve_stale(seconds(60)))).await
}

fn served(script: &Script) -> u64 {
    script.opaque.status().served_stale
}

async fn guarded(script: &Script, guard: &RequireLayer) -> Answer {
    let service = script.layer.layer(guard.layer(handler()));
    outcome(&service.oneshot(bearer("token")).await.unwrap())
}

#[tokio::test]
async fn by_default_a_verdict_ends_with_its_time() {
    let script = abandoned(Script::new(|builder| builder)).await;
    script.clock.advance(Duration::from_millis(29_999));
    assert_eq!(script.ask("token").await, ACCEPTED);
    script.clock.advance(Duration::from_millis(1));
    assert_eq!(script.ask("token").await, DOWN);
    assert_eq!(served(&script), 0);
}

#[tokio::test]
async fn a_verdict_serves_for_so_much_longer_and_that_is_counted() {
    let script = lenient().await;
    script.clock.advance(Duration::from_millis(29_999));
    assert_eq!((script.ask("token").await, served(&script)), (ACCEPTED, 0));
    for (advance, count) in [(1, 1), (30_000, 2), (29_999, 3)] {
        script.clock.advance(Duration::from_millis(advance));
        assert_eq!((script.ask("token").await, served(&script)), (ACCEPTED, count));
    }
    // No longer, and for nobody who was not known before.
    script.clock.advance(Duration::from_millis(1));
    assert_eq!((script.ask("token").await, served(&script)), (DOWN, 3));
    assert_eq!((script.ask("other").await, served(&script)), (DOWN, 3));
}

#[tokio::test]
async fn it_serves_while_nobody_asks_too() {
    let script = lenient().await;
    script.clock.advance(seconds(30));
    for count in 1..=20 {
        let response = script.response("token").await;
        assert_eq!((outcome(&response), served(&script)), (ACCEPTED, count));
        assert_eq!(principal(&response).subject(), Some("ann"));
        assert_eq!(principal(&response).verified_at(), std::time::UNIX_EPOCH + seconds(NOW), "its true age");
    }
    assert_eq!((script.opaque.status().breaker, script.calls()), (BreakerState::Open, 6));
}

#[tokio::test]
async fn the_authority_counts_as_soon_as_it_is_back() {
    let script = lenient().await;
    script.clock.advance(seconds(30));
    assert_eq!((script.ask("token").await, served(&script)), (ACCEPTED, 1));
    script.says(&json!({"active": false}));
    assert_eq!(script.ask("token").await, refused(Reason::TokenInactive));
    // What it has refused is no longer there to be served.
    script.fails(500);
    script.clock.advance(seconds(10));
    assert_eq!((script.ask("token").await, served(&script)), (DOWN, 1));
}

#[tokio::test]
async fn a_token_that_has_ended_is_never_served() {
    for (exp, advance, expected) in [
        (NOW + 45, 44_999, ACCEPTED),
        (NOW + 45, 45_000, DOWN),
        (NOW + 10, 10_000, DOWN),
        (NOW + 10, 40_000, DOWN),
    ] {
        let script = Script::new(|builder| builder.serve_stale(seconds(60)));
        let mut answer = active();
        answer["exp"] = exp.into();
        script.says(&answer);
        let script = abandoned(script).await;
        script.clock.advance(Duration::from_millis(advance));
        assert_eq!(script.ask("token").await, expected, "{exp} {advance}");
    }
}

#[tokio::test]
async fn routes_that_ask_for_a_fresh_verdict_get_no_stale_one() {
    let plain = require_scopes(["todo:read"]);
    for (age, expected) in
        [(Duration::ZERO, DOWN), (seconds(1), DOWN), (seconds(39), DOWN), (seconds(40), ACCEPTED)]
    {
        let script = lenient().await;
        script.clock.advance(seconds(40));
        let strict = plain.clone().verified_within(age);
        assert_eq!(guarded(&script, &strict).await, expected, "{age:?}");
        assert_eq!(guarded(&script, &plain).await, ACCEPTED, "{age:?}");
        script.says(&active());
        assert_eq!(guarded(&script, &strict).await, ACCEPTED, "{age:?}");
    }
}

#[tokio::test]
async fn what_was_called_back_is_never_served() {
    for mark in [Mark::token("token"), Mark::subject(crate::support::ISSUER, "ann")] {
        let list = MemoryRevocations::new(seconds(3600));
        let mut script = Script::new(|builder| builder.serve_stale(seconds(60)));
        script.layer = script.layer.revocations(list.clone());
        let script = abandoned(script).await;
        script.clock.advance(seconds(40));
        assert_eq!((script.ask("token").await, served(&script)), (ACCEPTED, 1));
        list.revoke(mark).unwrap();
        assert_ne!(script.ask("token").await, ACCEPTED);
        assert_eq!(served(&script), 1);
    }
}

#[tokio::test]
async fn verdicts_for_one_request_are_never_served_again() {
    let script = Script::new(|builder| builder.serve_stale(seconds(60)).reuse_for(Duration::ZERO));
    assert_eq!(abandoned(script).await.ask("token").await, DOWN);
    let script = Script::new(|builder| builder.serve_stale(seconds(60)).with_context(|_| Vec::new()));
    assert_eq!(abandoned(script).await.ask("token").await, DOWN);
}
