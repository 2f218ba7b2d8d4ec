//! When a token that an authority finds active may be used, and for how long its verdict.

use std::time::Duration;

use portcullis::Reason;
use serde_json::{Value, json};

use super::{ACCEPTED, Answer, Builder, NOW, Script, active, refused, seconds, unavailable};

/// What a member makes of a request at [`NOW`].
async fn judged_by(configure: impl FnOnce(Builder) -> Builder, name: &str, value: &str) -> Answer {
    let script = Script::new(configure);
    let body = active().to_string();
    script.says_raw(format!(r#"{},"{name}":{value}}}"#, body.strip_suffix('}').unwrap()));
    script.ask("token").await
}

async fn judged(name: &str, value: &str) -> Answer {
    judged_by(|builder| builder, name, value).await
}

/// So many milliseconds from [`NOW`] on, as an authority would write them: an integer if it is one.
fn at(millis: i64) -> String {
    let whole = i64::try_from(NOW).unwrap() * 1000 + millis;
    if whole % 1000 == 0 {
        (whole / 1000).to_string()
    } else {
        format!("{}.{:03}", whole / 1000, whole % 1000)
    }
}

#[tokio::test]
async fn a_token_ends_with_its_exp_and_the_leeway() {
    for (millis, good) in [(3_600_000, true), (1, true), (0, true), (-29_999, true), (-29_000, true)]
        .into_iter()
        .chain([(-30_000, false), (-30_001, false), (-3_600_000, false)])
    {
        let expected = if good { ACCEPTED } else { refused(Reason::TokenExpired) };
        assert_eq!(judged("exp", &at(millis)).await, expected, "{millis}");
    }
    let strict = |builder: Builder| builder.leeway(Duration::ZERO);
    assert_eq!(judged_by(strict, "exp", &at(1)).await, ACCEPTED);
    assert_eq!(judged_by(strict, "exp", &at(0)).await, refused(Reason::TokenExpired));
}

#[tokio::test]
async fn a_token_begins_with_its_nbf_and_was_issued_before() {
    for (name, reason) in [("nbf", Reason::TokenNotYetValid), ("iat", Reason::IssuedInFuture)] {
        for (millis, good) in [(-3_600_000, true), (0, true), (29_500, true), (30_000, true)]
            .into_iter()
            .chain([(30_001, false), (31_000, false), (3_600_000, false)])
        {
            let expected = if good { ACCEPTED } else { refused(reason) };
            assert_eq!(judged(name, &at(millis)).await, expected, "{name} {millis}");
        }
        let strict = |builder: Builder| builder.leeway(Duration::ZERO);
        assert_eq!(judged_by(strict, name, &at(0)).await, ACCEPTED);
        assert_eq!(judged_by(strict, name, &at(1)).await, refused(reason));
    }
}

#[tokio::test]
async fn times_are_numbers_of_any_form_or_nothing() {
    for name in ["exp", "nbf", "iat"] {
        assert_eq!(judged(name, "null").await, ACCEPTED, "{name}");
        assert_eq!(judged(name, "1.8e9").await, ACCEPTED, "{name}");
        for wrong in [&format!("\"{NOW}\""), "\"\"", "true", "[1800000000]", "{}", "1e400", "-", "0x10"] {
            assert_eq!(
                judged(name, wrong).await,
                unavailable(Reason::AuthorityUnavailable),
                "{name} {wrong}"
            );
        }
    }
    for (far, exp) in
        [("1e308", ACCEPTED), ("18446744073709551615", ACCEPTED), ("-1", EXPIRED), ("-1e308", EXPIRED)]
    {
        assert_eq!(judged("exp", far).await, exp, "{far}");
        let other = if exp == ACCEPTED { refused(Reason::TokenNotYetValid) } else { ACCEPTED };
        assert_eq!(judged("nbf", far).await, other, "{far}");
    }
}

const EXPIRED: Answer = refused(Reason::TokenExpired);

/// One whose verdict is used again until then, but not a moment longer.
async fn lasts(script: &Script, time: Duration) {
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 1));
    script.clock.advance(time - Duration::from_millis(1));
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 1));
    script.clock.advance(Duration::from_millis(1));
    script.ask("token").await;
    assert_eq!(script.calls(), 2);
}

fn expiring(millis: i64) -> Value {
    let mut answer = active();
    answer["exp"] = serde_json::from_str(&at(millis)).unwrap();
    answer
}

#[tokio::test]
async fn a_verdict_lasts_until_the_cap_or_the_end_of_the_token() {
    lasts(&Script::new(|builder| builder), seconds(30)).await;
    lasts(&Script::new(|builder| builder.reuse_for(seconds(90))), seconds(90)).await;
    for (millis, end) in [(5_000, 5_000), (12_500, 12_500), (60_000, 30_000)] {
        let script = Script::new(|builder| builder);
        script.says(&expiring(millis));
        lasts(&script, Duration::from_millis(end)).await;
    }
}

/// The tolerance is for clocks that differ, and no part of the token's life.
#[tokio::test]
async fn a_verdict_within_the_leeway_is_never_used_again() {
    let script = Script::new(|builder| builder);
    script.says(&expiring(-10_000));
    for calls in 1..4 {
        assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, calls));
    }
    script.says(&expiring(10_000));
    for _ in 0..3 {
        assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 4));
    }
}

#[tokio::test]
async fn a_refusal_is_used_again_for_a_short_time() {
    let inactive = refused(Reason::TokenInactive);
    for (configure, time) in [(None, seconds(10)), (Some(seconds(3)), seconds(3))] {
        let script = Script::new(|builder| match configure {
            Some(time) => builder.inactive_for(time),
            None => builder,
        });
        script.says(&json!({"active": false}));
        assert_eq!((script.ask("token").await, script.calls()), (inactive, 1));
        script.says(&active());
        script.clock.advance(time - Duration::from_millis(1));
        assert_eq!((script.ask("token").await, script.calls()), (inactive, 1));
        assert_eq!((script.ask("other").await, script.calls()), (ACCEPTED, 2));
        script.clock.advance(Duration::from_millis(1));
        assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 3));
    }
}

/// It says what was so when it was asked, not when it answered.
#[tokio::test]
async fn the_time_of_a_verdict_begins_with_the_question() {
    let script = Script::new(|builder| builder.slow_after(seconds(60)));
    script.http.hold();
    let late = script.start("token").await;
    script.clock.advance(seconds(20));
    script.http.release();
    assert_eq!(late.await.unwrap(), ACCEPTED);
    script.clock.advance(Duration::from_millis(9_999));
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 1));
    script.clock.advance(Duration::from_millis(1));
    assert_eq!((script.ask("token").await, script.calls()), (ACCEPTED, 2));
}
