//! What makes a breaker open: failures in a row, or slowness, and nothing that is about one request.

use std::time::Duration;

use portcullis::{BreakerState, Reason};
use tracing_subscriber::filter::LevelFilter;

use super::{ACCEPTED, Answer, Script, active, refused, seconds, unavailable};
use crate::log::Log;

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);
const PAUSED: Answer = unavailable(Reason::AuthorityPaused);

fn state(script: &Script) -> BreakerState {
    script.opaque.status().breaker
}

#[tokio::test]
async fn a_success_between_starts_the_count_anew() {
    let script = Script::new(|builder| builder);
    for round in 0..5 {
        script.fails(500);
        for _ in 0..4 {
            assert_eq!(script.ask("token").await, DOWN);
        }
        assert_eq!(state(&script), BreakerState::Closed);
        script.says(&active());
        assert_eq!(script.ask(&format!("good-{round}")).await, ACCEPTED);
    }
    assert_eq!(script.calls(), 25);
    // A refusal is a success as well: the authority has said what there is to say.
    script.says(&serde_json::json!({"active": false}));
    script.fails(500);
    for round in 0..2 {
        script.fails(500);
        for _ in 0..4 {
            assert_eq!(script.ask("token").await, DOWN);
        }
        script.says(&serde_json::json!({"active": false}));
        assert_eq!(script.ask(&format!("bad-{round}")).await, refused(Reason::TokenInactive));
    }
    assert_eq!(state(&script), BreakerState::Closed);
}

/// So many calls that take so long, one after the other; all succeed.
async fn slowly(script: &Script, calls: usize, time: Duration) {
    for _ in 0..calls {
        script.http.hold();
        let request = script.start(&format!("slow-{}", script.calls())).await;
        script.clock.advance(time);
        script.http.release();
        assert_eq!(request.await.unwrap(), ACCEPTED);
    }
}

#[tokio::test]
async fn five_slow_answers_in_a_row_open_it_too() {
    let script = Script::new(|builder| builder);
    slowly(&script, 10, Duration::from_millis(1999)).await;
    assert_eq!(state(&script), BreakerState::Closed);
    slowly(&script, 4, seconds(2)).await;
    assert_eq!(state(&script), BreakerState::Closed);
    slowly(&script, 1, Duration::from_millis(1998)).await;
    slowly(&script, 5, seconds(2)).await;
    assert_eq!(state(&script), BreakerState::Open);
    assert_eq!(script.ask("token").await, PAUSED);

    let patient = Script::new(|builder| builder.slow_after(seconds(9)));
    slowly(&patient, 10, seconds(8)).await;
    assert_eq!(state(&patient), BreakerState::Closed);
}

/// Whoever sends garbage must not cut all others off.
#[tokio::test]
async fn answers_about_one_request_alone_do_not_open_it() {
    for status in [400, 413, 414, 422, 431] {
        let script = Script::new(|builder| builder);
        script.fails(status);
        for index in 0..20 {
            assert_eq!(script.ask(&format!("odd-{index}")).await, DOWN, "{status}");
        }
        assert_eq!((state(&script), script.calls()), (BreakerState::Closed, 20), "{status}");
    }
    for status in [302, 401, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504] {
        let script = Script::new(|builder| builder);
        script.fails(status);
        for index in 0..20 {
            script.ask(&format!("odd-{index}")).await;
        }
        assert_eq!((state(&script), script.calls()), (BreakerState::Open, 5), "{status}");
    }
    let script = Script::new(|builder| builder);
    script.says_raw("garbage");
    for _ in 0..20 {
        script.ask("odd").await;
    }
    assert_eq!((state(&script), script.calls()), (BreakerState::Open, 5));
}

#[tokio::test]
async fn the_operator_is_told_that_an_authority_is_left_alone_for_its_slowness() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let script = Script::new(|builder| builder);
    slowly(&script, 5, seconds(2)).await;
    assert_eq!(state(&script), BreakerState::Open);
    let (lines, status) = (log.take(), script.opaque.status());
    assert!(lines.contains("ERROR portcullis: a token could not be introspected"), "{lines:?}");
    assert!(status.last_error.is_some() && status.failures == 5, "{status:?}");
}
