//! The window around the present, to the millisecond.

use std::time::Duration;

use portcullis::{Clock as _, Reason};
use serde_json::json;

use super::{ACCEPTED, NOW, Scene, Token, refused};

#[tokio::test]
async fn iat_is_within_thirty_seconds_of_the_present() {
    let scene = Scene::new();
    for (iat, expected) in [
        (json!(NOW), ACCEPTED),
        (json!(NOW - 30), ACCEPTED),
        (json!(NOW + 30), ACCEPTED),
        (json!(NOW as f64 + 29.999), ACCEPTED),
        (json!(NOW - 31), refused(Reason::TokenStale)),
        (json!(NOW as f64 - 30.001), refused(Reason::TokenStale)),
        (json!(NOW + 31), refused(Reason::IssuedInFuture)),
        (json!(NOW as f64 + 30.001), refused(Reason::IssuedInFuture)),
        (json!(NOW * 1000), refused(Reason::IssuedInFuture)),
        (json!(0), refused(Reason::TokenStale)),
    ] {
        assert_eq!(scene.ask(&Token::new().claim("iat", iat.clone())).await, expected, "{iat}");
    }
}

#[tokio::test]
async fn a_token_grows_old() {
    let scene = Scene::new();
    let token = scene.token();
    for _ in 0..2 {
        assert_eq!(scene.ask(&token).await, ACCEPTED);
        scene.clock.advance(Duration::from_secs(15));
    }
    assert_eq!(scene.ask(&token).await, ACCEPTED, "30 seconds to the dot");
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(scene.ask(&token).await, refused(Reason::TokenStale));
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
}

#[tokio::test]
async fn the_clock_on_the_wall_counts_and_not_how_long_the_server_ran() {
    let scene = Scene::new();
    let token = scene.token();
    let now = scene.clock.now();
    for (seconds, expected) in [(31, refused(Reason::TokenStale)), (30, ACCEPTED)] {
        scene.clock.set_wall(now + Duration::from_secs(seconds));
        assert_eq!(scene.ask(&token).await, expected);
        scene.clock.set_wall(now - Duration::from_secs(seconds));
        let ahead = if seconds == 31 { refused(Reason::IssuedInFuture) } else { ACCEPTED };
        assert_eq!(scene.ask(&token).await, ahead);
    }
}

#[tokio::test]
async fn the_window_is_as_wide_as_the_server_says() {
    for window in [1, 300] {
        let scene = Scene::with(|builder| builder.window(Duration::from_secs(window)));
        for (iat, expected) in [
            (NOW - window, ACCEPTED),
            (NOW + window, ACCEPTED),
            (NOW - window - 1, refused(Reason::TokenStale)),
            (NOW + window + 1, refused(Reason::IssuedInFuture)),
        ] {
            assert_eq!(scene.ask(&Token::new().claim("iat", iat)).await, expected, "{window} {iat}");
        }
    }
}

#[tokio::test]
async fn exp_and_nbf_are_judged_where_they_are() {
    let scene = Scene::new();
    for (name, time, expected) in [
        ("exp", NOW + 1, ACCEPTED),
        ("exp", NOW, refused(Reason::TokenExpired)),
        ("exp", NOW + 1_000_000, ACCEPTED),
        ("nbf", NOW + 30, ACCEPTED),
        ("nbf", NOW + 31, refused(Reason::TokenNotYetValid)),
    ] {
        assert_eq!(scene.ask(&scene.token().claim(name, time)).await, expected, "{name} {time}");
    }
    // A late end does not keep alive what is too old.
    let old = scene.token().claim("exp", NOW + 1_000_000);
    scene.clock.advance(Duration::from_secs(31));
    assert_eq!(scene.ask(&old).await, refused(Reason::TokenStale));
}
