//! How many calls are under way, how many wait, and for how long.

use std::collections::HashSet;
use std::time::Duration;

use portcullis::{BreakerState, Reason};
use tokio::task::JoinHandle;

use super::{ACCEPTED, Answer, Script, retry_after, seconds, settle, unavailable};
use crate::support::{bearer, outcome, send};

const IN_FLIGHT: usize = 64;
const WAITING: usize = 1000;

const BUSY: Answer = unavailable(Reason::AuthorityBusy);

/// So many requests with tokens of their own, each in a task.
async fn crowd(script: &Script, name: &str, size: usize) -> Vec<JoinHandle<Answer>> {
    let mut requests = Vec::new();
    for index in 0..size {
        let (layer, token) = (script.layer.clone(), format!("{name}-{index}"));
        requests.push(tokio::spawn(async move { outcome(&send(&layer, bearer(&token)).await) }));
    }
    settle().await;
    requests
}

/// How many calls are under way, and how many wait.
fn counts(script: &Script) -> (usize, usize) {
    let status = script.opaque.status();
    (status.in_flight, status.waiting)
}

async fn all(requests: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for request in requests {
        answers.push(request.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn sixty_four_calls_are_under_way_a_thousand_wait_and_the_next_is_refused_at_once() {
    let script = Script::new(|builder| builder);
    script.http.hold();
    let requests = crowd(&script, "token", IN_FLIGHT + WAITING).await;
    assert_eq!((counts(&script), script.calls()), ((IN_FLIGHT, WAITING), IN_FLIGHT));

    for index in 0..3 {
        let refused = script.response(&format!("late-{index}")).await;
        assert_eq!((outcome(&refused), retry_after(&refused)), (BUSY, Some(1)));
    }
    // Who asks about a token of those is no further call.
    let joined = script.start("token-1063").await;
    assert!(!joined.is_finished());
    assert_eq!((counts(&script), script.calls()), ((IN_FLIGHT, WAITING), IN_FLIGHT));

    script.http.release();
    assert!(all(requests).await.iter().all(|answer| *answer == ACCEPTED));
    assert_eq!(joined.await.unwrap(), ACCEPTED);
    assert_eq!((counts(&script), script.calls()), ((0, 0), IN_FLIGHT + WAITING));
    assert_eq!(script.ask("late-0").await, ACCEPTED, "being busy is no verdict");
    let status = script.opaque.status();
    assert_eq!((status.failures, status.breaker), (0, BreakerState::Closed), "and no failure");
}

#[tokio::test]
async fn each_call_that_ends_lets_the_next_begin_in_the_order_of_the_line() {
    let script = Script::new(|builder| builder);
    script.http.hold();
    let requests = crowd(&script, "token", IN_FLIGHT + 10).await;
    for done in 1..=10 {
        script.http.let_pass(1);
        settle().await;
        assert_eq!((counts(&script), script.calls()), ((IN_FLIGHT, 10 - done), IN_FLIGHT + done));
    }
    // There is room again.
    let next = script.start("next").await;
    assert_eq!(counts(&script), (IN_FLIGHT, 1));
    for _ in 0..IN_FLIGHT {
        script.http.let_pass(1);
        settle().await;
    }
    assert!(all(requests).await.iter().all(|answer| *answer == ACCEPTED));
    assert!(!next.is_finished());
    script.http.release();
    assert_eq!(next.await.unwrap(), ACCEPTED);
}

/// Time is that of the runtime here, which passes as soon as everybody waits for it.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_a_call_may_take_and_as_long_in_line() {
    let script = Script::new(|builder| builder.timeout(seconds(2)));
    script.http.hold();
    let begin = tokio::time::Instant::now();
    let requests = crowd(&script, "token", IN_FLIGHT + WAITING).await;
    let reasons: HashSet<_> = all(requests).await.into_iter().collect();
    let took = begin.elapsed();
    assert!((seconds(2)..=seconds(4)).contains(&took), "{took:?}");
    let down = unavailable(Reason::AuthorityUnavailable);
    assert!(reasons.contains(&down), "{reasons:?}");
    assert!(reasons.is_subset(&[down, BUSY, unavailable(Reason::AuthorityPaused)].into()), "{reasons:?}");
    assert_eq!(counts(&script), (0, 0));
    assert_eq!(script.calls(), IN_FLIGHT);
    assert_eq!(script.opaque.status().breaker, BreakerState::Open);

    script.http.release();
    script.clock.advance(seconds(1));
    assert_eq!(script.ask("token-0").await, ACCEPTED);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_leaves_the_line_and_the_others_go_on() {
    let script = Script::new(|builder| builder.timeout(seconds(2)));
    script.http.hold();
    let first = crowd(&script, "first", IN_FLIGHT).await;
    let second = crowd(&script, "second", IN_FLIGHT).await;
    let third = crowd(&script, "third", 10).await;
    tokio::time::sleep(Duration::from_millis(1900)).await;
    script.http.let_pass(IN_FLIGHT);
    assert!(all(first).await.iter().all(|answer| *answer == ACCEPTED));
    assert_eq!(counts(&script), (IN_FLIGHT, 10));
    // For the line the time is over, for the calls that began late it is not.
    assert!(all(third).await.iter().all(|answer| *answer == BUSY));
    assert_eq!((counts(&script), script.calls()), ((IN_FLIGHT, 0), 2 * IN_FLIGHT));
    tokio::time::sleep(seconds(1)).await;
    script.http.release();
    assert!(all(second).await.iter().all(|answer| *answer == ACCEPTED));
    assert_eq!(script.opaque.status().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn callers_who_leave_take_no_call_along() {
    let script = Script::new(|builder| builder);
    script.http.hold();
    for request in crowd(&script, "token", IN_FLIGHT + 10).await {
        request.abort();
    }
    settle().await;
    assert_eq!(counts(&script), (IN_FLIGHT, 10));
    script.http.release();
    settle().await;
    assert_eq!((counts(&script), script.calls()), ((0, 0), IN_FLIGHT + 10));
    assert_eq!((script.ask("token-5").await, script.calls()), (ACCEPTED, IN_FLIGHT + 10));
}

/// Verdicts for one request alone are asked for by that request: its end is theirs.
#[tokio::test]
async fn callers_of_their_own_calls_take_them_along() {
    let script = Script::new(|builder| builder.reuse_for(Duration::ZERO));
    script.http.hold();
    for request in crowd(&script, "token", IN_FLIGHT + 10).await {
        request.abort();
    }
    settle().await;
    assert_eq!(counts(&script), (0, 0));
    script.http.release();
    assert_eq!(script.ask("token-5").await, ACCEPTED);
}
