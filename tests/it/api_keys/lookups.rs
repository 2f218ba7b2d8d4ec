//! How often the store is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::MemoryApiKeyStore;

use super::scene::{OK, Scene, millis, refused, seconds, settle};
use super::support::{answer, issue, keys};
use crate::verdicts::{counted, until};

const UNKNOWN: super::scene::Answer = refused("api_key_unknown");

/// Well-formed keys that nobody issued here: of a store that is thrown away.
async fn unknown(count: usize) -> Vec<String> {
    let elsewhere = keys(MemoryApiKeyStore::new());
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(issue(&elsewhere).await.key.expose().to_owned());
    }
    texts
}

#[tokio::test]
async fn ten_thousand_requests_with_a_new_key_cost_one_look_up_and_another_key_another() {
    let scene = Scene::new();
    let (issued, other) = (scene.issue().await, scene.issue().await);
    scene.store.close(true);
    let (mut requests, waiting) = (tokio::task::JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for number in 0..10_100 {
        let key = if number < 10_000 { &issued } else { &other };
        let (layer, key, waiting) = (scene.layer.clone(), key.key.expose().to_owned(), Arc::clone(&waiting));
        requests.spawn(async move { counted(answer(&layer, &key), &waiting).await });
    }
    until(|| waiting.load(Ordering::SeqCst) == 10_100 && scene.finds() == 2).await;
    settle().await;
    assert_eq!((scene.finds(), requests.len()), (2, 10_100));
    scene.store.close(false);
    assert!(requests.join_all().await.into_iter().all(|answer| answer == OK));
    assert_eq!(scene.finds(), 2);
}

#[tokio::test]
async fn a_known_key_is_asked_for_again_after_ten_seconds() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    for (later, finds) in [(0, 1), (9_999, 1), (1, 2), (0, 2), (9_999, 2), (1, 3)] {
        scene.clock.advance(millis(later));
        assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (OK, finds));
    }
}

#[tokio::test]
async fn a_refusal_holds_for_ten_seconds_and_is_asked_for_again() {
    for change in ["unknown", "revoked", "disabled", "expired"] {
        let scene = Scene::new();
        let issued = scene.issue().await;
        let id = &issued.record.id;
        match change {
            "revoked" => drop(scene.keys.revoke(id).await.unwrap()),
            "disabled" => drop(scene.keys.disable(id).await.unwrap()),
            "expired" => drop(scene.keys.expire(id, super::scene::at(seconds(0))).await.unwrap()),
            _ => {}
        }
        let text =
            if change == "unknown" { unknown(1).await.remove(0) } else { issued.key.expose().to_owned() };
        let code = ["unknown", "revoked", "disabled", "expired"].map(|name| format!("api_key_{name}"));
        for (later, finds) in [(0, 1), (9_999, 1), (1, 2), (0, 2)] {
            scene.clock.advance(millis(later));
            let (_, reason) = scene.answer(&text).await;
            assert!(code.iter().any(|code| reason == Some(code) && code.ends_with(change)), "{reason:?}");
            assert_eq!(scene.finds(), finds, "{change} {later}");
        }
    }
}

#[tokio::test]
async fn how_long_a_refusal_holds_can_be_set() {
    for (cap, finds) in [(0, 3), (60, 1)] {
        let scene = Scene::with(|builder| builder.refuse_for(seconds(cap)));
        let text = unknown(1).await.remove(0);
        for _ in 0..3 {
            assert_eq!(scene.answer(&text).await, UNKNOWN);
            scene.clock.advance(seconds(19));
        }
        assert_eq!(scene.finds(), finds);
    }
}

/// A million of them, and what they take in memory, is a matter of the long loads.
#[tokio::test]
async fn each_of_many_random_keys_costs_one_look_up_and_no_known_one_is_forgotten_for_them() {
    const COUNT: usize = 10_000;
    let scene = Scene::new();
    let layer = scene.layer.clone().refusal_cache(64 * 1024);
    let issued = scene.issue().await;
    assert_eq!(answer(&layer, issued.key.expose()).await, OK);
    let texts = unknown(COUNT).await;
    for text in &texts {
        assert_eq!(answer(&layer, text).await, UNKNOWN);
    }
    assert_eq!(scene.finds(), 1 + COUNT);
    assert_eq!((answer(&layer, issued.key.expose()).await, scene.finds()), (OK, 1 + COUNT));
    // An entry takes a hundred bytes and more: so many are remembered, and the rest has to be asked for again.
    for text in &texts {
        assert_eq!(answer(&layer, text).await, UNKNOWN);
    }
    let again = scene.finds() - 1 - COUNT;
    assert!((COUNT - 640..=COUNT).contains(&again), "{again}");
    assert_eq!((answer(&layer, issued.key.expose()).await, scene.finds()), (OK, 1 + COUNT + again));
}
