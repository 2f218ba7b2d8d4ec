//! An authority that fails is left alone for a while.

use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use portcullis::{BreakerState, Reason};

use super::{ACCEPTED, Answer, Script, active, refused, retry_after, seconds, settle, unavailable};
use crate::support::outcome;

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);
const PAUSED: Answer = unavailable(Reason::AuthorityPaused);

/// After five failures in a row.
async fn opened() -> Script {
    let script = Script::new(|builder| builder);
    script.fails(500);
    for _ in 0..5 {
        assert_eq!(state(&script), BreakerState::Closed);
        assert_eq!(script.ask("token").await, DOWN);
    }
    assert_eq!((state(&script), script.calls()), (BreakerState::Open, 5));
    script
}

fn state(script: &Script) -> BreakerState {
    script.opaque.status().breaker
}

/// What becomes of so many requests at once, with one token or one each.
async fn rush(script: &Script, same: bool) -> HashMap<Answer, usize> {
    let mut requests = Vec::new();
    for index in 0..100 {
        let token = if same { "rush".to_owned() } else { format!("rush-{index}") };
        requests.push(script.start(&token).await);
    }
    script.http.release();
    let mut answers = HashMap::new();
    for request in requests {
        *answers.entry(request.await.unwrap()).or_insert(0) += 1;
    }
    answers
}

/// Time is that of the runtime here, which passes as soon as everybody waits for it.
#[tokio::test(start_paused = true)]
async fn while_it_is_open_nobody_asks_and_everybody_is_told_at_once() {
    let script = opened().await;
    let begin = tokio::time::Instant::now();
    for index in 0..100 {
        let response = script.response(&format!("token-{index}")).await;
        assert_eq!((outcome(&response), retry_after(&response)), (PAUSED, Some(1)));
        assert!(!response.headers().contains_key("www-authenticate"));
    }
    assert_eq!((begin.elapsed(), script.calls()), (Duration::ZERO, 5));
    script.says(&active());
    script.clock.advance(Duration::from_millis(999));
    assert_eq!((script.ask("token").await, script.calls()), (PAUSED, 5));
    script.clock.advance(Duration::from_millis(1));
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 6));
}

#[tokio::test]
async fn what_is_known_already_serves_while_it_is_open() {
    let script = Script::new(|builder| builder);
    assert_eq!(script.ask("good").await, ACCEPTED);
    script.says(&serde_json::json!({"active": false}));
    assert_eq!(script.ask("bad").await, refused(Reason::TokenInactive));
    script.fails(500);
    for _ in 0..7 {
        script.ask("new").await;
    }
    assert_eq!((state(&script), script.calls()), (BreakerState::Open, 7));
    assert_eq!(script.ask("good").await, ACCEPTED);
    assert_eq!(script.ask("bad").await, refused(Reason::TokenInactive));
    script.clock.advance(seconds(30));
    assert_ne!(script.ask("good").await, ACCEPTED);
}

#[tokio::test]
async fn after_the_pause_a_rush_is_one_call() {
    for same in [false, true] {
        let script = opened().await;
        script.says(&active());
        script.clock.advance(seconds(1));
        assert_eq!(state(&script), BreakerState::HalfOpen);
        script.http.hold();
        let answers = rush(&script, same).await;
        let expected = if same { vec![(ACCEPTED, 100)] } else { vec![(ACCEPTED, 1), (PAUSED, 99)] };
        assert_eq!(answers, expected.into_iter().collect());
        assert_eq!((state(&script), script.calls()), (BreakerState::Closed, 6));
        assert_eq!(script.ask("after").await, ACCEPTED);
    }
}

#[tokio::test]
async fn a_rush_to_an_authority_that_is_still_down_is_one_call_for_each_pause() {
    let script = opened().await;
    for (round, pause) in [1, 2, 4, 4, 4].into_iter().enumerate() {
        let before = script.response("token").await;
        assert_eq!((outcome(&before), retry_after(&before)), (PAUSED, Some(pause)));
        script.clock.advance(seconds(pause) - Duration::from_millis(1));
        assert_eq!((script.ask("token").await, script.calls()), (PAUSED, 5 + round));
        script.clock.advance(Duration::from_millis(1));
        script.http.hold();
        let answers = rush(&script, false).await;
        assert_eq!(answers, [(DOWN, 1), (PAUSED, 99)].into());
        assert_eq!((state(&script), script.calls()), (BreakerState::Open, 6 + round));
    }
    // A success forgets how long it was away.
    script.says(&active());
    script.clock.advance(seconds(4));
    assert_eq!((script.ask("good").await, state(&script)), (ACCEPTED, BreakerState::Closed));
    script.fails(500);
    for _ in 0..5 {
        assert_eq!(script.ask("token").await, DOWN);
    }
    assert_eq!(retry_after(&script.response("token").await), Some(1));
}

#[tokio::test]
async fn a_probe_that_nobody_waits_for_is_followed_by_another_at_once() {
    let script = Script::new(|builder| builder.reuse_for(Duration::ZERO));
    script.fails(500);
    for _ in 0..5 {
        script.ask("token").await;
    }
    script.clock.advance(seconds(1));
    script.says(&active());
    script.http.hold();
    // Its caller goes away, and the call with him.
    let probe = script.start("probe").await;
    assert_eq!((state(&script), script.calls()), (BreakerState::HalfOpen, 6));
    probe.abort();
    settle().await;
    script.http.release();
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 7));
    assert_eq!(state(&script), BreakerState::Closed);
}

#[tokio::test]
async fn clones_share_it_and_other_authenticators_do_not() {
    let script = opened().await;
    assert_eq!(script.opaque.clone().status().breaker, BreakerState::Open);
    let other = Script::new(|builder| builder.http_client(script.http.clone()));
    assert_eq!(other.opaque.status().breaker, BreakerState::Closed);
    assert_eq!(outcome(&other.response("token").await).0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(script.calls(), 6);
}

/// Calls from before may still take all other places.
#[tokio::test]
async fn nobody_gets_in_line_behind_a_probe() {
    let script = Script::new(|builder| builder);
    script.fails(500);
    script.http.hold();
    let mut requests = Vec::new();
    for index in 0..70 {
        requests.push(script.start(&format!("token-{index}")).await);
    }
    for _ in 0..5 {
        script.http.let_pass(1);
        settle().await;
    }
    assert_eq!((state(&script), script.opaque.status().in_flight), (BreakerState::Open, 63));
    script.clock.advance(seconds(1));
    let probe = script.start("probe").await;
    assert_eq!((state(&script), script.opaque.status().in_flight), (BreakerState::HalfOpen, 64));
    let late = script.start("late").await;
    let told = late.is_finished();
    script.http.release();
    assert_eq!((late.await.unwrap(), told), (PAUSED, true));
    assert_eq!(probe.await.unwrap(), DOWN);
}
