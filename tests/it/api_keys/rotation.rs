//! One key takes the place of another.

use portcullis::{ApiKeyError, ApiKeyState, IssuedApiKey, ScopeSet};
use serde_json::json;
use tokio::task::JoinSet;

use super::probe::Trouble;
use super::scene::{OK, Scene, at, millis, refused, seconds, settle};
use super::support::new_key;

async fn rotate_at_once(scene: &Scene, id: &str, times: usize) -> (Vec<IssuedApiKey>, Vec<ApiKeyError>) {
    let mut set = JoinSet::new();
    for _ in 0..times {
        let (keys, id) = (scene.keys.clone(), id.to_owned());
        set.spawn(async move { keys.rotate(&id, seconds(60)).await });
    }
    let (mut winners, mut losers) = (Vec::new(), Vec::new());
    for outcome in set.join_all().await {
        match outcome {
            Ok(issued) => winners.push(issued),
            Err(error) => losers.push(error),
        }
    }
    (winners, losers)
}

async fn one_wins(times: usize) {
    let scene = Scene::new();
    let old = scene.issue().await;
    let mut id = old.record.id.clone();
    for _ in 0..10 {
        let before = scene.store.len().await;
        let (winners, losers) = rotate_at_once(&scene, &id, times).await;
        assert_eq!((winners.len(), losers.len()), (1, times - 1));
        assert!(losers.iter().all(|error| matches!(error, ApiKeyError::Replaced)), "{losers:?}");
        assert_eq!(scene.store.len().await, before + 1, "exactly one more");
        let replaced = scene.keys.find(&id).await.unwrap();
        assert_eq!(replaced.replaced_by.as_ref(), Some(&winners[0].record.id));
        assert_eq!(scene.answer(winners[0].key.expose()).await, OK);
        assert_eq!(scene.answer(old.key.expose()).await, OK, "in its grace");
        id.clone_from(&winners[0].record.id);
    }
}

#[tokio::test]
async fn of_two_who_rotate_a_key_at_once_one_gets_a_key() {
    one_wins(2).await;
}

/// In one thread all have looked at the old key before the first of them replaces it.
#[tokio::test]
async fn of_fifty_who_rotate_a_key_at_once_one_gets_a_key() {
    one_wins(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_in_several_threads_one_gets_a_key() {
    one_wins(50).await;
}

#[tokio::test]
async fn the_new_key_is_like_the_old_one_and_lives_no_longer() {
    let scene = Scene::new();
    let like = new_key()
        .client_id("ci")
        .plan("gold")
        .metadata("team", json!("ops"))
        .scopes(ScopeSet::parse("a b").unwrap())
        .expires_at(at(seconds(1000)));
    let old = scene.keys.issue(like).await.unwrap();
    scene.clock.advance(seconds(400));
    let new = scene.keys.rotate(&old.record.id, seconds(60)).await.unwrap();
    let (one, two) = (&old.record, &new.record);
    assert_eq!((&one.label, &one.owner, &one.client_id), (&two.label, &two.owner, &two.client_id));
    assert_eq!((&one.scopes, &one.plan, &one.metadata), (&two.scopes, &two.plan, &two.metadata));
    assert_eq!((two.created_at, two.expires_at), (at(seconds(400)), Some(at(seconds(1000)))));
    assert!(one.id != two.id && one.hint.starts_with("todo_live_..."));
    assert_ne!(old.key.expose(), new.key.expose());
    assert_eq!(scene.keys.find(&two.id).await.unwrap(), *two);
}

#[tokio::test]
async fn both_are_good_in_the_grace_and_one_after_it() {
    for grace in [millis(1), seconds(5), seconds(3600)] {
        let scene = Scene::new();
        let old = scene.issue().await;
        assert_eq!(scene.answer(old.key.expose()).await, OK);
        let new = scene.keys.rotate(&old.record.id, grace).await.unwrap();
        scene.clock.advance(grace - millis(1));
        assert_eq!(scene.answer(old.key.expose()).await, OK, "{grace:?}");
        assert_eq!(scene.answer(new.key.expose()).await, OK);
        scene.clock.advance(millis(1));
        assert_eq!(scene.answer(old.key.expose()).await, refused("api_key_expired"), "{grace:?}");
        assert_eq!(scene.answer(new.key.expose()).await, OK);
    }
}

#[tokio::test]
async fn without_grace_the_old_one_ends_at_once_although_it_is_cached() {
    let scene = Scene::new();
    let old = scene.issue().await;
    assert_eq!(scene.answer(old.key.expose()).await, OK);
    let new = scene.keys.rotate(&old.record.id, seconds(0)).await.unwrap();
    assert_eq!(scene.answer(old.key.expose()).await, refused("api_key_expired"));
    assert_eq!(scene.answer(new.key.expose()).await, OK);
}

#[tokio::test]
async fn no_grace_prolongs_a_key() {
    let scene = Scene::new();
    let old = scene.keys.issue(new_key().expires_at(at(seconds(5)))).await.unwrap();
    scene.keys.rotate(&old.record.id, seconds(60)).await.unwrap();
    assert_eq!(scene.keys.find(&old.record.id).await.unwrap().expires_at, Some(at(seconds(5))));
    let forever = scene.issue().await;
    let error = scene.keys.rotate(&forever.record.id, std::time::Duration::MAX).await.unwrap_err();
    assert!(matches!(error, ApiKeyError::Invalid { field: "grace", .. }), "{error:?}");
    assert_eq!(scene.store.len().await, 3);
}

#[tokio::test]
async fn only_an_active_key_is_rotated_and_only_once() {
    for (change, state) in [
        ("none", None),
        ("revoke", Some(ApiKeyState::Revoked)),
        ("disable", Some(ApiKeyState::Disabled)),
        ("expire", Some(ApiKeyState::Expired)),
        ("not yet", Some(ApiKeyState::NotYetValid)),
    ] {
        let scene = Scene::new();
        let new = if change == "not yet" { new_key().not_before(at(seconds(60))) } else { new_key() };
        let issued = scene.keys.issue(new).await.unwrap();
        let id = &issued.record.id;
        match change {
            "revoke" => drop(scene.keys.revoke(id).await.unwrap()),
            "disable" => drop(scene.keys.disable(id).await.unwrap()),
            "expire" => drop(scene.keys.expire(id, at(seconds(0))).await.unwrap()),
            _ => {}
        }
        match (scene.keys.rotate(id, seconds(60)).await, state) {
            (Ok(_), None) => assert_eq!(scene.store.len().await, 2),
            (Err(ApiKeyError::State(found)), Some(expected)) => {
                assert_eq!((found, scene.store.len().await), (expected, 1));
                assert!(scene.keys.find(id).await.unwrap().replaced_by.is_none());
            }
            (outcome, _) => panic!("{change}: {outcome:?}"),
        }
        if state.is_none() {
            // Also in its grace, and after it.
            for wait in [0, 60] {
                scene.clock.advance(seconds(wait));
                let again = scene.keys.rotate(id, seconds(60)).await;
                assert!(matches!(again, Err(ApiKeyError::Replaced)), "{again:?}");
            }
            assert_eq!(scene.store.len().await, 2);
        }
    }
}

#[tokio::test]
async fn a_key_that_is_ended_while_it_is_rotated_has_no_successor() {
    for (revoke, expected) in [(true, ApiKeyState::Revoked), (false, ApiKeyState::Disabled)] {
        let scene = Scene::new();
        let old = scene.issue().await;
        let gate = scene.store.hold("find");
        let (keys, id) = (scene.keys.clone(), old.record.id.clone());
        let rotate = tokio::spawn(async move { keys.rotate(&id, seconds(60)).await });
        settle().await;
        let ended = if revoke {
            scene.keys.revoke(&old.record.id).await
        } else {
            scene.keys.disable(&old.record.id).await
        };
        ended.unwrap();
        drop(gate);
        let outcome = rotate.await.unwrap();
        assert!(matches!(&outcome, Err(ApiKeyError::State(state)) if *state == expected), "{outcome:?}");
        assert_eq!(scene.store.len().await, 1);
    }
}

#[tokio::test]
async fn a_rotation_that_failed_leaves_the_old_key_as_it_was() {
    let scene = Scene::new();
    let old = scene.issue().await;
    assert_eq!(scene.answer(old.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    let failed = scene.keys.rotate(&old.record.id, seconds(0)).await;
    assert!(matches!(failed, Err(ApiKeyError::Store(_))), "{failed:?}");
    scene.store.set(None);
    assert_eq!((scene.answer(old.key.expose()).await, scene.store.len().await), (OK, 1));
    let new = scene.keys.rotate(&old.record.id, seconds(0)).await.unwrap();
    assert_eq!(scene.answer(new.key.expose()).await, OK);
}
