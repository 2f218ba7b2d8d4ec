//! Requests that wait, and the application's own calls.

use http::Request;
use portcullis::{Authenticator as _, Credential, Presentation, Reason, RequestContext};

use super::{ACCEPTED, Scene, es256, refused, seconds, settle, unavailable};
use crate::support::token;

#[tokio::test]
async fn a_first_caller_who_goes_away_does_not_take_the_fetch_along() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    scene.http.hold();
    let first = scene.start(&token(&key)).await;
    let second = scene.start(&token(&key)).await;
    assert_eq!(scene.fetches(), 1);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    scene.http.release();
    assert_eq!(second.await.unwrap(), ACCEPTED);
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_fetch_lands_although_everybody_went_away() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    scene.http.hold();
    let only = scene.start(&token(&key)).await;
    only.abort();
    assert!(only.await.is_err());
    scene.http.release();
    settle().await;
    assert_eq!((scene.status().keys, scene.fetches()), (1, 1));
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 1);
}

/// Asks with the same token so often at once that `count` requests wait.
async fn crowd(scene: &Scene, token: &str, count: usize) -> Vec<tokio::task::JoinHandle<super::Answer>> {
    let requests = (0..count)
        .map(|_| {
            let (layer, token) = (scene.layer.clone(), token.to_owned());
            tokio::spawn(async move {
                crate::support::outcome(&crate::support::send(&layer, crate::support::bearer(&token)).await)
            })
        })
        .collect();
    settle().await;
    requests
}

#[tokio::test]
async fn a_thousand_requests_wait_and_no_more() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    scene.http.hold();
    let token = token(&key);
    let mut waiting = crowd(&scene, &token.build(), 1000).await;
    for _ in 0..3 {
        let response = scene.response(&token).await;
        assert_eq!(crate::support::outcome(&response), unavailable(Reason::WaitersExceeded));
        assert_eq!(super::retry_after(&response), Some(1));
    }
    // Who goes away leaves the place to another.
    waiting.pop().unwrap().abort();
    settle().await;
    waiting.push(scene.start(&token).await);
    assert_eq!(scene.ask(&token).await, unavailable(Reason::WaitersExceeded));
    scene.http.release();
    for request in waiting {
        assert_eq!(request.await.unwrap(), ACCEPTED);
    }
    assert_eq!(scene.fetches(), 1);
    // All places are free again.
    scene.http.hold();
    let stranger = token.clone().header("kid", "other");
    let waiting = crowd(&scene, &stranger.build(), 1000).await;
    assert_eq!(scene.ask(&stranger).await, unavailable(Reason::WaitersExceeded));
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    scene.http.release();
    for request in waiting {
        assert_eq!(request.await.unwrap(), refused(Reason::KeyUnknown));
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_with_known_keys_is_served_whole_when_the_keys_ran_out() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    scene.http.hold();
    scene.clock.advance(seconds(3600));
    for request in crowd(&scene, &token(&key).build(), 1100).await {
        // There are keys to judge with: a full waiting room is no reason to refuse.
        assert_eq!(request.await.unwrap(), ACCEPTED);
    }
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn a_fetch_that_fails_before_a_request_begins_to_wait_does_not_refuse_a_known_key() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    scene.http.break_down();
    scene.clock.advance(seconds(3600));
    let (request, token) = (Request::new(()), token(&key).build());
    let credential = Credential::new(&Presentation::BEARER, &token);
    // Both are told to wait, and the first has waited in vain before the second begins.
    let first = scene.jwt.authenticate(&credential, &RequestContext::new(&request));
    let second = scene.jwt.authenticate(&credential, &RequestContext::new(&request));
    assert!(first.verdict().await.is_ok());
    assert!(second.verdict().await.is_ok());
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn what_came_before_a_request_begins_to_wait_is_not_fetched_again() {
    for warm in [false, true] {
        let (known, new) = (es256(), es256());
        let scene = Scene::new(|builder| builder);
        scene.http.publish(&[&known]);
        if warm {
            scene.keys.warm_up().await.unwrap();
        }
        scene.http.publish(&[&known, &new]);
        let (request, token) = (Request::new(()), token(&new).build());
        let credential = Credential::new(&Presentation::BEARER, &token);
        let verdicts: Vec<_> =
            (0..4).map(|_| scene.jwt.authenticate(&credential, &RequestContext::new(&request))).collect();
        for verdict in verdicts {
            assert!(verdict.verdict().await.is_ok());
        }
        assert_eq!(scene.fetches(), if warm { 2 } else { 1 });
    }
}

#[tokio::test]
async fn refresh_waits_for_a_fetch_that_was_sent_after_the_call() {
    let (old, new) = (es256(), es256());
    let scene = Scene::with(&[&old]).await;
    scene.http.hold();
    let earlier = scene.start(&token(&es256())).await;
    scene.http.publish(&[&new]);
    let keys = scene.keys.clone();
    let refresh = tokio::spawn(async move { keys.refresh().await });
    settle().await;
    assert_eq!(scene.fetches(), 2, "one at a time");
    scene.http.release();
    refresh.await.unwrap().unwrap();
    // The earlier request was judged by the second fetch too, or by its own.
    assert_eq!(earlier.await.unwrap(), refused(Reason::KeyUnknown));
    assert_eq!(scene.fetches(), 3);
    assert_eq!(scene.ask(&token(&old)).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.ask(&token(&new)).await, ACCEPTED);
}

#[tokio::test]
async fn refresh_tells_why_it_failed_and_keeps_the_old_keys() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    scene.http.break_down();
    let error = scene.keys.refresh().await.unwrap_err().to_string();
    assert!(error.contains("500") && error.contains(super::JWKS), "{error}");
    assert_eq!(scene.status().last_error, Some(error));
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    // No pause holds the application back.
    scene.http.publish(&[&key]);
    scene.keys.refresh().await.unwrap();
    assert_eq!((scene.status().last_error, scene.fetches()), (None, 3));
}

#[tokio::test]
async fn warm_up_fetches_once_whoever_calls() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    scene.http.hold();
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let keys = scene.keys.clone();
            tokio::spawn(async move { keys.warm_up().await })
        })
        .collect();
    settle().await;
    scene.http.release();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(scene.fetches(), 1);
    scene.keys.warm_up().await.unwrap();
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn clones_share_their_keys() {
    let key = es256();
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&key]);
    assert_eq!(scene.status().fetches, 0);
    scene.keys.clone().warm_up().await.unwrap();
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!((scene.status().fetches, scene.fetches()), (1, 1));
}
