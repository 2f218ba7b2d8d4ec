//! What is changed through the same keys counts at once, whatever is cached or under way.

use portcullis::{ApiKeyAuthenticator, ApiKeyError, ApiKeyState, AuthLayer};

use super::probe::Trouble;
use super::scene::{Answer, OK, Scene, at, millis, refused, seconds, settle, unavailable};
use super::support::{answer, layer};

/// All that ends a key, and how that is answered.
const CHANGES: [(&str, Answer); 4] = [
    ("revoke", refused("api_key_revoked")),
    ("disable", refused("api_key_disabled")),
    ("expire", refused("api_key_expired")),
    ("rotate", refused("api_key_expired")),
];

async fn make(scene: &Scene, change: &str, id: &str) {
    let keys = &scene.keys;
    match change {
        "revoke" => drop(keys.revoke(id).await.unwrap()),
        "disable" => drop(keys.disable(id).await.unwrap()),
        "expire" => drop(keys.expire(id, portcullis::Clock::now(&scene.clock)).await.unwrap()),
        _ => drop(keys.rotate(id, seconds(0)).await.unwrap()),
    }
}

#[tokio::test]
async fn a_change_counts_at_once_in_every_layer_of_the_same_keys() {
    for (change, expected) in CHANGES {
        let scene = Scene::new();
        let (issued, other) = (scene.issue().await, scene.issue().await);
        let layers = [
            scene.layer.clone(),
            scene.layer.clone().realm("another"),
            layer(&scene.keys),
            AuthLayer::new(ApiKeyAuthenticator::builder(scene.keys.clone()).build().unwrap()),
        ];
        for layer in &layers {
            assert_eq!(answer(layer, issued.key.expose()).await, OK);
            assert_eq!(answer(layer, other.key.expose()).await, OK);
        }
        let finds = scene.finds();
        make(&scene, change, &issued.record.id).await;
        for layer in &layers {
            assert_eq!(answer(layer, issued.key.expose()).await, expected, "{change}");
            assert_eq!(answer(layer, other.key.expose()).await, OK, "{change}");
        }
        assert!(scene.finds() > finds);
    }
}

#[tokio::test]
async fn who_comes_after_a_change_is_not_answered_by_a_look_up_from_before_it() {
    for (change, expected) in CHANGES {
        let scene = Scene::new();
        let issued = scene.issue().await;
        let gate = scene.store.hold("find");
        let before = scene.start(issued.key.expose()).await;
        let joined = scene.start(issued.key.expose()).await;
        assert_eq!(scene.finds(), 1, "the store has told what it knew");
        make(&scene, change, &issued.record.id).await;
        let finds = scene.finds();
        let after = [scene.start(issued.key.expose()).await, scene.start(issued.key.expose()).await];
        assert_eq!(scene.finds(), finds, "they wait for the same look-up");
        drop(gate);
        // Who asked first came before the change. Who joined may have, and is judged anew to be sure.
        assert_eq!(before.await.unwrap(), OK, "{change}");
        assert!([OK, expected].contains(&joined.await.unwrap()));
        for request in after {
            assert_eq!(request.await.unwrap(), expected, "{change}");
        }
        assert_eq!(scene.answer(issued.key.expose()).await, expected, "{change}");
    }
}

#[tokio::test]
async fn without_a_change_all_who_wait_are_content_with_one_look_up() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    let gate = scene.store.hold("find");
    let mut requests = Vec::new();
    for _ in 0..5 {
        requests.push(scene.start(issued.key.expose()).await);
    }
    drop(gate);
    for request in requests {
        assert_eq!(request.await.unwrap(), OK);
    }
    assert_eq!(scene.finds(), 1);
}

/// The change is made, and nobody is left to hear of it.
#[tokio::test]
async fn a_change_that_nobody_waits_for_any_more_ends_the_verdict_all_the_same() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    let gate = scene.store.hold("change");
    let (keys, id) = (scene.keys.clone(), issued.record.id.clone());
    let revoke = tokio::spawn(async move { keys.revoke(&id).await });
    settle().await;
    assert!(scene.store.stored(&issued.record.id).await.record.revoked_at.is_some());
    assert_eq!(scene.answer(issued.key.expose()).await, OK, "it has not returned yet");
    revoke.abort();
    assert!(revoke.await.unwrap_err().is_cancelled());
    drop(gate);
    settle().await;
    assert_eq!(scene.answer(issued.key.expose()).await, refused("api_key_revoked"));
}

#[tokio::test]
async fn a_revocation_that_failed_is_told_and_takes_nobody_along() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    assert!(matches!(scene.keys.revoke(&issued.record.id).await, Err(ApiKeyError::Store(_))));
    // Nobody knows whether it was made: that has to be asked.
    assert_eq!(scene.answer(issued.key.expose()).await, unavailable("authority_unavailable"));
    scene.store.set(None);
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.keys.revoke(&issued.record.id).await.unwrap();
    assert_eq!(scene.answer(issued.key.expose()).await, refused("api_key_revoked"));
}

#[tokio::test]
async fn a_key_that_is_enabled_again_opens_at_once_unless_its_refusal_is_remembered() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    let id = &issued.record.id;
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.keys.disable(id).await.unwrap();
    scene.keys.enable(id).await.unwrap();
    assert_eq!(scene.answer(issued.key.expose()).await, OK);

    scene.keys.disable(id).await.unwrap();
    assert_eq!(scene.answer(issued.key.expose()).await, refused("api_key_disabled"));
    scene.keys.enable(id).await.unwrap();
    scene.clock.advance(seconds(10));
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
}

#[tokio::test]
async fn a_key_can_be_given_more_time() {
    let scene = Scene::new();
    let issued = scene.keys.issue(super::support::new_key().expires_at(at(seconds(5)))).await.unwrap();
    let left = scene.issue().await;
    scene.keys.expire(&left.record.id, at(seconds(5))).await.unwrap();
    scene.keys.expire(&issued.record.id, at(seconds(60))).await.unwrap();
    scene.clock.advance(millis(59_999));
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    assert_eq!(scene.answer(left.key.expose()).await, refused("api_key_expired"));
    scene.clock.advance(millis(1));
    assert_eq!(scene.answer(issued.key.expose()).await, refused("api_key_expired"));
}

#[tokio::test]
async fn what_is_revoked_stays_revoked() {
    let scene = Scene::new();
    let (issued, other) = (scene.issue().await, scene.issue().await);
    let keys = &scene.keys;
    for (id, revoked) in [(&issued.record.id, true), (&other.record.id, false)] {
        if revoked {
            keys.revoke(id).await.unwrap();
        }
        let outcomes = [
            keys.disable(id).await.map(drop),
            keys.enable(id).await.map(drop),
            keys.expire(id, at(seconds(60))).await.map(drop),
            keys.rotate(id, seconds(0)).await.map(drop),
        ];
        for outcome in outcomes {
            match outcome {
                Ok(()) => assert!(!revoked),
                Err(error) => {
                    assert!(
                        revoked && matches!(error, ApiKeyError::State(ApiKeyState::Revoked)),
                        "{error:?}"
                    );
                }
            }
        }
    }
    scene.clock.advance(seconds(5));
    let again = keys.revoke(&issued.record.id).await.unwrap();
    assert_eq!(again.revoked_at, Some(at(seconds(0))), "it was then");
    assert_eq!(scene.answer(issued.key.expose()).await, refused("api_key_revoked"));
}

#[tokio::test]
async fn of_a_key_that_there_is_not_that_is_said() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    for (id, known) in [("0123456789ab", false), ("", false), (issued.record.id.as_str(), true)] {
        let outcomes = [
            scene.keys.find(id).await.map(drop),
            scene.keys.disable(id).await.map(drop),
            scene.keys.enable(id).await.map(drop),
            scene.keys.expire(id, at(seconds(60))).await.map(drop),
            scene.keys.rotate(id, seconds(60)).await.map(drop),
            scene.keys.revoke(id).await.map(drop),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.is_ok(), known, "{id}");
            assert!(known || matches!(outcome, Err(ApiKeyError::NotFound)), "{outcome:?}");
        }
    }
}
