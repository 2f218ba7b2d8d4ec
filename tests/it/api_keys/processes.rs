//! Two processes on one store.

use super::scene::{OK, Scene, millis, refused, seconds};

const ZERO: std::time::Duration = seconds(0);

#[tokio::test]
async fn another_process_notices_a_revocation_when_its_verdict_is_over_and_not_before() {
    let here = Scene::new();
    let there = here.another();
    let (issued, other) = (here.issue().await, here.issue().await);
    for scene in [&here, &there] {
        assert_eq!(scene.answer(issued.key.expose()).await, OK);
        assert_eq!(scene.answer(other.key.expose()).await, OK);
    }
    here.keys.revoke(&issued.record.id).await.unwrap();
    assert_eq!(here.answer(issued.key.expose()).await, refused("api_key_revoked"));
    here.clock.advance(millis(9_999));
    assert_eq!(there.answer(issued.key.expose()).await, OK, "within the cap");
    here.clock.advance(millis(1));
    assert_eq!(there.answer(issued.key.expose()).await, refused("api_key_revoked"));
    assert_eq!(there.answer(other.key.expose()).await, OK);
}

#[tokio::test]
async fn a_route_that_asks_for_a_fresh_verdict_notices_at_once() {
    let here = Scene::new();
    let there = here.another();
    let (issued, other) = (here.issue().await, here.issue().await);
    for key in [&issued, &other] {
        assert_eq!(there.within(ZERO, key.key.expose()).await, OK);
    }
    here.clock.advance(millis(1));
    here.keys.revoke(&issued.record.id).await.unwrap();
    assert_eq!(there.answer(issued.key.expose()).await, OK, "a route that does not ask for that");
    assert_eq!(there.within(seconds(5), issued.key.expose()).await, OK, "nor for one that is so fresh");
    assert_eq!(there.within(ZERO, issued.key.expose()).await, refused("api_key_revoked"));
    assert_eq!(there.within(ZERO, other.key.expose()).await, OK);
    // What was found out holds for the other routes too.
    assert_eq!(there.answer(issued.key.expose()).await, refused("api_key_revoked"));
}

#[tokio::test]
async fn each_of_these_requests_reaches_the_store() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (OK, 1));
    for finds in 2..5 {
        scene.clock.advance(millis(1));
        assert_eq!((scene.within(ZERO, issued.key.expose()).await, scene.finds()), (OK, finds));
    }
    assert_eq!((scene.within(seconds(1), issued.key.expose()).await, scene.finds()), (OK, 4));
    scene.clock.advance(millis(1001));
    assert_eq!((scene.within(seconds(1), issued.key.expose()).await, scene.finds()), (OK, 5));
    assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (OK, 5));
}

#[tokio::test]
async fn a_key_that_was_issued_here_opens_there_at_once() {
    let here = Scene::new();
    let there = here.another();
    let issued = here.issue().await;
    assert_eq!(there.answer(issued.key.expose()).await, OK);
    let new = here.keys.rotate(&issued.record.id, seconds(60)).await.unwrap();
    assert_eq!(there.answer(new.key.expose()).await, OK);
    assert_eq!(there.answer(issued.key.expose()).await, OK, "in its grace");
}

#[tokio::test]
async fn two_processes_that_rotate_one_key_get_one_key() {
    let here = Scene::new();
    let there = here.another();
    let issued = here.issue().await;
    let id = &issued.record.id;
    let both = tokio::join!(here.keys.rotate(id, seconds(60)), there.keys.rotate(id, seconds(60)));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
    assert_eq!(here.store.len().await, 2);
}

#[tokio::test]
async fn how_long_a_verdict_is_used_can_be_set() {
    for (cap, expected, finds) in [(0, refused("api_key_revoked"), 2), (60, OK, 1)] {
        let here = Scene::with(|builder| builder.reuse_for(seconds(cap)));
        let issued = here.issue().await;
        assert_eq!(here.answer(issued.key.expose()).await, OK);
        here.another().keys.revoke(&issued.record.id).await.unwrap();
        here.clock.advance(millis(cap * 999));
        assert_eq!((here.answer(issued.key.expose()).await, here.finds()), (expected, finds));
        here.clock.advance(millis(cap));
        assert_eq!(here.answer(issued.key.expose()).await, refused("api_key_revoked"));
    }
}
