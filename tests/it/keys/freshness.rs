//! How old keys may be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Response;
use portcullis::Reason;
use portcullis::test_util::SigningKey;
use tokio::time::Instant;

use super::{ACCEPTED, JWKS, Scene, document, es256, refused, seconds, settle, unavailable};
use crate::support::token;

const HOUR: Duration = seconds(3600);

#[tokio::test]
async fn keys_are_refreshed_beside_the_requests_after_four_fifths_of_their_time() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    scene.http.hold();
    scene.clock.advance(seconds(479));
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    settle().await;
    assert_eq!(scene.fetches(), 1);

    scene.clock.advance(seconds(2));
    for _ in 0..5 {
        // Answered although the refresh is not: nobody waits for it, and there is only one.
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        settle().await;
        assert_eq!(scene.fetches(), 2);
    }
    scene.http.release();
    settle().await;
    assert_eq!(scene.status().age, Some(Duration::ZERO));
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    settle().await;
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn the_server_says_for_how_long_within_bounds() {
    let key = es256();
    for (cache_control, setting, refreshed_after) in [
        (None, None, seconds(480)),
        (Some("public"), None, seconds(480)),
        (Some("max-age=banana"), None, seconds(480)),
        (Some("max-age=300"), None, seconds(240)),
        (Some("public, max-age=300, must-revalidate"), None, seconds(240)),
        (Some("max-age=5"), None, seconds(48)),
        (Some("max-age=0"), None, seconds(48)),
        (Some("no-store"), None, seconds(48)),
        (Some("max-age=300, no-cache"), None, seconds(48)),
        (Some("max-age=31536000"), None, 24 * HOUR * 4 / 5),
        (Some("max-age=5"), Some(seconds(1000)), seconds(800)),
        (None, Some(seconds(10)), seconds(8)),
    ] {
        let scene = Scene::new(|builder| match setting {
            Some(time) => builder.fresh_for(time),
            None => builder,
        });
        let mut response = Response::builder();
        if let Some(value) = cache_control {
            response = response.header("cache-control", value);
        }
        let body = Bytes::from(document(&[&key]));
        scene.http.script.answer_with(JWKS, response.body(body).unwrap());
        scene.keys.warm_up().await.unwrap();
        for (step, fetches) in [(refreshed_after - seconds(1), 1), (seconds(2), 2)] {
            scene.clock.advance(step);
            assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
            settle().await;
            assert_eq!(scene.fetches(), fetches, "{cache_control:?} {setting:?}");
        }
    }
}

#[tokio::test]
async fn keys_that_ran_out_while_nobody_came_are_fetched_before_anybody_is_judged() {
    let (old, new) = (es256(), es256());
    let scene = Scene::with(&[&old]).await;
    scene.http.publish(&[&new]);
    scene.clock.advance(seconds(601));
    // The issuer has taken the key back meanwhile.
    assert_eq!(scene.ask(&token(&old)).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.fetches(), 2);
    assert_eq!(scene.ask(&token(&new)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_issuer_delays_a_known_key_by_half_a_second_at_most() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    scene.http.hold();
    scene.clock.advance(HOUR);
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        assert!(start.elapsed() <= Duration::from_millis(501), "{:?}", start.elapsed());
        assert!(start.elapsed() >= Duration::from_millis(499), "it does wait for fresh keys");
    }
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn keys_that_run_out_during_their_refresh_delay_nobody() {
    let key = es256();
    let scene = Scene::new(|builder| builder.fresh_for(seconds(10)));
    scene.http.publish(&[&key]);
    scene.keys.warm_up().await.unwrap();
    scene.http.hold();
    scene.clock.advance(seconds(9));
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    settle().await;
    assert_eq!(scene.fetches(), 2);
    scene.clock.advance(seconds(2));
    let start = Instant::now();
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn any_fetch_that_was_sent_in_time_delays_nobody() {
    let key = es256();
    let scene = Scene::new(|builder| builder.fresh_for(seconds(10)));
    scene.http.publish(&[&key]);
    scene.keys.warm_up().await.unwrap();
    scene.http.hold();
    scene.clock.advance(seconds(7));
    let stranger = scene.start(&token(&es256())).await;
    assert_eq!(scene.fetches(), 2);
    scene.clock.advance(seconds(4));
    let start = Instant::now();
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!(start.elapsed(), Duration::ZERO);
    scene.http.release();
    assert_eq!(stranger.await.unwrap(), refused(Reason::KeyUnknown));
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn stale_keys_serve_for_a_day_while_they_cannot_be_fetched() {
    for (setting, stale_for) in
        [(None, 24 * HOUR), (Some(seconds(90)), seconds(90)), (Some(Duration::ZERO), Duration::ZERO)]
    {
        let key = es256();
        let scene = Scene::new(|builder| match setting {
            Some(time) => builder.stale_for(time),
            None => builder,
        });
        scene.http.publish(&[&key]);
        scene.keys.warm_up().await.unwrap();
        scene.http.break_down();
        scene.clock.advance(seconds(600) + stale_for - seconds(1));
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        settle().await;
        assert_eq!(scene.fetches(), 2);
        scene.clock.advance(seconds(2));
        assert_eq!(scene.ask(&token(&key)).await, unavailable(Reason::KeysUnavailable));
        assert_eq!(scene.fetches(), 3);
        // Whether they may be used is what a health check wants to know.
        assert_eq!(scene.status().keys, 0);
        scene.http.publish(&[&key]);
        scene.clock.advance(seconds(3));
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        assert_eq!((scene.fetches(), scene.status().keys), (4, 1));
    }
}

#[tokio::test]
async fn the_clock_on_the_wall_does_not_age_keys() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    for wall in [UNIX_EPOCH, SystemTime::now() + 10_000 * HOUR] {
        scene.clock.set_wall(wall);
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        assert_eq!((scene.fetches(), scene.status().age), (1, Some(Duration::ZERO)));
    }
}

#[tokio::test]
async fn the_generation_moves_when_a_key_is_removed_or_altered() {
    let (one, two) = (es256(), es256());
    let altered = std::sync::Arc::new(SigningKey::generate(portcullis::Algorithm::ES256).with_kid(one.kid()));
    let scene = Scene::with(&[&one]).await;
    for (step, keys, generation) in [
        ("the same", vec![&one], 0),
        ("one more", vec![&one, &two], 0),
        ("in another order", vec![&two, &one], 0),
        ("one less", vec![&one], 1),
        ("one more again", vec![&one, &two], 1),
        ("altered under its name", vec![&altered, &two], 2),
        ("two less, one more", vec![&one], 3),
    ] {
        scene.http.publish(&keys);
        scene.keys.refresh().await.unwrap();
        assert_eq!(scene.status().generation, generation, "{step}");
        assert_eq!(scene.status().keys, keys.len());
    }
    // Failures change nothing.
    scene.http.break_down();
    assert!(scene.keys.refresh().await.is_err());
    assert_eq!((scene.status().generation, scene.status().keys), (3, 1));
}

#[tokio::test]
async fn a_key_that_was_removed_stops_verifying_with_the_refresh() {
    let (one, two) = (es256(), es256());
    let scene = Scene::with(&[&one, &two]).await;
    assert_eq!(scene.ask(&token(&one)).await, ACCEPTED);
    scene.http.publish(&[&two]);
    scene.keys.refresh().await.unwrap();
    assert_eq!(scene.ask(&token(&one)).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.ask(&token(&two)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 3);
}
