//! When a key was last used: written behind the requests' backs, together, and not lost.

use tokio::runtime::Handle;

use super::probe::{Probe, Trouble};
use super::scene::{OK, Scene, at, seconds, settle};

async fn last_used(store: &Probe, id: &str) -> Option<std::time::SystemTime> {
    store.stored(id).await.record.last_used_at
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_a_request_waits_and_all_of_it_together_afterwards() {
    let scene = Scene::new();
    let mut issued = Vec::new();
    for _ in 0..50 {
        issued.push(scene.issue().await);
    }
    for key in &issued {
        assert_eq!(scene.answer(key.key.expose()).await, OK);
    }
    settle().await;
    assert_eq!(scene.store.calls("record_uses"), 0);
    assert_eq!(last_used(&scene.store, &issued[0].record.id).await, None);
    tokio::time::sleep(seconds(6)).await;
    let written = scene.store.written();
    assert_eq!((written.len(), written[0].len()), (1, 50));
    for key in &issued {
        assert_eq!(last_used(&scene.store, &key.record.id).await, Some(at(seconds(0))));
    }
    // Nobody came since.
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(scene.store.calls("record_uses"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_takes_its_time_to_write_holds_no_request_up() {
    let scene = Scene::new();
    let (one, two) = (scene.issue().await, scene.issue().await);
    let gate = scene.store.hold("record_uses");
    assert_eq!(scene.answer(one.key.expose()).await, OK);
    tokio::time::sleep(seconds(6)).await;
    assert_eq!(scene.store.calls("record_uses"), 1);
    scene.clock.advance(seconds(11));
    let before = tokio::time::Instant::now();
    for key in [&one, &two] {
        assert_eq!(scene.answer(key.key.expose()).await, OK);
    }
    assert_eq!(before.elapsed(), seconds(0), "no time went by");
    assert_eq!(scene.store.written().len(), 0);
    drop(gate);
    tokio::time::sleep(seconds(6)).await;
    let written = scene.store.written();
    assert_eq!(written.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(last_used(&scene.store, &one.record.id).await, Some(at(seconds(11))));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_kept_and_written_later() {
    let scene = Scene::new();
    let (one, two) = (scene.issue().await, scene.issue().await);
    assert_eq!(scene.answer(one.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    tokio::time::sleep(seconds(11)).await;
    assert_eq!((scene.store.calls("record_uses"), scene.store.written().len()), (2, 0));
    scene.store.set(None);
    assert_eq!(scene.answer(two.key.expose()).await, OK);
    tokio::time::sleep(seconds(6)).await;
    let mut ids: Vec<_> = scene.store.written().concat().into_iter().map(|used| used.id).collect();
    ids.sort_unstable();
    let mut expected = [one.record.id, two.record.id];
    expected.sort_unstable();
    assert_eq!((scene.store.written().len(), ids), (1, expected.to_vec()));
}

#[tokio::test]
async fn a_server_that_ends_has_all_of_it_written() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    scene.keys.flush().await.unwrap();
    assert_eq!(scene.store.calls("record_uses"), 0, "there is nothing to write");
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    assert!(scene.keys.flush().await.is_err());
    scene.store.set(None);
    scene.keys.flush().await.unwrap();
    assert_eq!(last_used(&scene.store, &issued.record.id).await, Some(at(seconds(0))));
    scene.keys.flush().await.unwrap();
    assert_eq!(scene.store.written().len(), 1, "once");
}

#[tokio::test]
async fn a_flush_that_is_given_up_midway_loses_nothing_not_even_what_came_meanwhile() {
    let scene = Scene::new();
    let (once, again, later) = (scene.issue().await, scene.issue().await, scene.issue().await);
    for key in [&once, &again] {
        assert_eq!(scene.answer(key.key.expose()).await, OK);
    }
    let _never = scene.store.hold("record_uses");
    let keys = scene.keys.clone();
    let flush = tokio::spawn(async move { keys.flush().await });
    settle().await;
    assert_eq!((scene.store.calls("record_uses"), scene.store.written().len()), (1, 0));
    scene.clock.advance(seconds(11));
    for key in [&again, &later] {
        assert_eq!(scene.answer(key.key.expose()).await, OK);
    }
    flush.abort();
    assert!(flush.await.unwrap_err().is_cancelled());
    scene.keys.flush().await.unwrap();
    for (key, after) in [(&once, 0), (&again, 11), (&later, 11)] {
        assert_eq!(last_used(&scene.store, &key.record.id).await, Some(at(seconds(after))));
    }
}

#[tokio::test]
async fn a_key_that_is_used_twice_before_it_is_written_was_used_the_second_time() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    for after in [0, 11] {
        scene.clock.advance(seconds(after));
        assert_eq!(scene.answer(issued.key.expose()).await, OK);
    }
    scene.keys.flush().await.unwrap();
    assert_eq!(scene.store.written().concat().len(), 1);
    assert_eq!(last_used(&scene.store, &issued.record.id).await, Some(at(seconds(11))));
}

#[tokio::test]
async fn a_key_that_was_refused_was_not_used() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    scene.keys.disable(&issued.record.id).await.unwrap();
    assert_eq!(scene.answer(issued.key.expose()).await.1, Some("api_key_disabled"));
    scene.keys.flush().await.unwrap();
    assert_eq!(scene.store.calls("record_uses"), 0);
}

#[tokio::test]
async fn the_task_that_writes_ends_with_the_keys() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let scene = Scene::new();
    let issued = scene.issue().await;
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    settle().await;
    assert_eq!(tasks(), 1, "it waits for its time to come");
    let Scene { store, keys, layer, .. } = scene;
    drop(layer);
    settle().await;
    assert_eq!(tasks(), 1);
    drop(keys);
    settle().await;
    assert_eq!((tasks(), store.holders()), (0, 1));
}

/// A writer that has nothing more to do ends, and the next use starts another.
#[tokio::test(start_paused = true)]
async fn a_use_after_a_long_time_is_written_too() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    for written in 1..=3 {
        assert_eq!(scene.answer(issued.key.expose()).await, OK);
        tokio::time::sleep(seconds(6)).await;
        assert_eq!(scene.store.written().len(), written);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
        tokio::time::sleep(seconds(600)).await;
        scene.clock.advance(seconds(606));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_when_it_writes_loses_nothing_either() {
    let scene = Scene::new();
    let (one, two) = (scene.issue().await, scene.issue().await);
    assert_eq!(scene.answer(one.key.expose()).await, OK);
    scene.store.set(Trouble::Panics);
    tokio::time::sleep(seconds(6)).await;
    assert_eq!((scene.store.calls("record_uses"), scene.store.written().len()), (1, 0));
    scene.store.set(None);
    // The next use starts another writer.
    assert_eq!(scene.answer(two.key.expose()).await, OK);
    tokio::time::sleep(seconds(6)).await;
    assert_eq!(scene.store.written().concat().len(), 2);
}
