//! A store that is away, slow, or breaks down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::IssuedApiKey;
use tokio::task::JoinSet;
use tracing_subscriber::filter::LevelFilter;

use super::probe::Trouble;
use super::scene::{OK, Scene, at, millis, refused, seconds, settle, unavailable};
use super::support::{answer, new_key, send_key};
use crate::log::Log;
use crate::stub::{header, offers};
use crate::verdicts::{counted, until};

const AWAY: super::scene::Answer = unavailable("authority_unavailable");
const PAUSED: super::scene::Answer = unavailable("authority_paused");

#[tokio::test]
async fn while_the_store_is_away_cached_keys_go_on_and_others_get_a_503() {
    let scene = Scene::new();
    let (known, mut new) = (scene.issue().await, Vec::new());
    for _ in 0..100 {
        new.push(scene.issue().await);
    }
    assert_eq!(scene.answer(known.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    let mut statuses = BTreeMap::<u16, usize>::new();
    for new in &new {
        for key in [&known, new] {
            let response = send_key(&scene.layer, key.key.expose()).await;
            *statuses.entry(response.status().as_u16()).or_default() += 1;
            if response.status() != 200 {
                assert_eq!(header(&response, "retry-after"), Some("1"));
                assert_eq!(header(&response, "cache-control"), Some("no-store"));
                assert!(offers(&response).is_empty(), "nothing was judged");
            }
        }
    }
    assert_eq!(statuses, BTreeMap::from([(200, 100), (503, 100)]));
    // Nobody was refused for what the store did, and it is asked again.
    scene.store.set(None);
    scene.clock.advance(seconds(1));
    for key in new.iter().chain([&known]) {
        assert_eq!(scene.answer(key.key.expose()).await, OK);
    }
}

#[tokio::test]
async fn a_verdict_ends_with_its_time_while_the_store_is_away() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    scene.clock.advance(millis(9_999));
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.clock.advance(millis(1));
    assert_eq!(scene.answer(issued.key.expose()).await, AWAY);
}

#[tokio::test]
async fn after_five_failures_in_a_row_nobody_asks_for_a_while() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    scene.store.set(Trouble::Fails);
    for finds in 1..=4 {
        assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (AWAY, finds));
    }
    assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (AWAY, 5));
    // For 1 second, then 2, then 4.
    let mut finds = 5;
    for pause in [1000, 2000, 4000, 4000] {
        scene.clock.advance(millis(pause - 1));
        assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (PAUSED, finds));
        scene.clock.advance(millis(1));
        finds += 1;
        assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (AWAY, finds));
        let response = send_key(&scene.layer, issued.key.expose()).await;
        let expected = (pause / 1000 * 2).min(4).to_string();
        assert_eq!(header(&response, "retry-after"), Some(expected.as_str()));
    }
    scene.store.set(None);
    scene.clock.advance(seconds(4));
    assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (OK, finds + 1));
}

/// Anybody can send keys that there are not.
#[tokio::test]
async fn refusals_are_no_failures() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    for _ in 0..20 {
        let unknown = Scene::new().issue().await;
        assert_eq!(scene.answer(unknown.key.expose()).await, refused("api_key_unknown"));
    }
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_takes_too_long_is_given_up() {
    for (timeout, configured) in [(seconds(2), false), (millis(300), true)] {
        let scene = Scene::with(|builder| if configured { builder.timeout(timeout) } else { builder });
        let issued = scene.issue().await;
        scene.store.set(Trouble::Hangs);
        let start = tokio::time::Instant::now();
        let response = send_key(&scene.layer, issued.key.expose()).await;
        assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("1")));
        assert!((timeout..timeout + millis(50)).contains(&start.elapsed()), "{:?}", start.elapsed());
        // One that is slow but in time is as good as any.
        scene.store.set(None);
        let gate = scene.store.hold("find");
        let request = scene.start(issued.key.expose()).await;
        tokio::time::sleep(timeout - millis(50)).await;
        drop(gate);
        assert_eq!(request.await.unwrap(), OK);
    }
}

#[tokio::test]
async fn a_store_that_panics_is_an_outage_until_it_stops() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    scene.store.set(Trouble::Panics);
    for finds in 1..=2 {
        assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (AWAY, finds));
    }
    scene.store.set(None);
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
}

#[tokio::test]
async fn so_many_look_ups_at_once_and_so_many_in_line_and_no_more() {
    // What is tested is not how fast a full machine is.
    let scene = Scene::with(|builder| builder.timeout(seconds(60)));
    let (mut keys, mut requests) = (Vec::new(), JoinSet::new());
    for _ in 0..2000 {
        keys.push(scene.issue().await.key);
    }
    scene.store.close(true);
    let waiting = Arc::new(AtomicUsize::new(0));
    for key in keys {
        let (layer, waiting) = (scene.layer.clone(), Arc::clone(&waiting));
        requests.spawn(async move { counted(answer(&layer, key.expose()), &waiting).await });
    }
    until(|| waiting.load(Ordering::SeqCst) == 2000).await;
    let mut answers = BTreeMap::<_, usize>::new();
    for _ in 1064..2000 {
        let (_, reason) = requests.join_next().await.unwrap().unwrap();
        *answers.entry(reason).or_default() += 1;
    }
    assert_eq!(answers, BTreeMap::from([(Some("authority_busy"), 2000 - 1064)]));
    settle().await;
    assert!(requests.try_join_next().is_none(), "the others wait");
    assert_eq!((scene.finds(), scene.store.most()), (64, 64));
    scene.store.close(false);
    assert!(requests.join_all().await.into_iter().all(|answer| answer == OK));
    assert_eq!((scene.finds(), scene.store.most()), (1064, 64));
}

async fn stale(key: fn(portcullis::NewApiKey) -> portcullis::NewApiKey) -> (Scene, IssuedApiKey) {
    let scene = Scene::with(|builder| builder.serve_stale(seconds(60)));
    let issued = scene.keys.issue(key(new_key())).await.unwrap();
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.store.set(Trouble::Fails);
    (scene, issued)
}

#[tokio::test]
async fn old_verdicts_serve_while_the_store_is_away_where_that_is_wanted_and_no_longer() {
    let (scene, issued) = stale(|key| key).await;
    let strict = Scene::of(scene.store.clone(), scene.clock.clone(), |keys| keys, |builder| builder);
    assert_eq!(strict.answer(issued.key.expose()).await, AWAY);
    scene.clock.advance(millis(69_999));
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    assert_eq!(
        scene.within(seconds(0), issued.key.expose()).await,
        AWAY,
        "a route that asks for a fresh one"
    );
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.clock.advance(millis(1));
    assert_eq!(scene.answer(issued.key.expose()).await, AWAY);
}

#[tokio::test]
async fn no_old_verdict_serves_beyond_the_end_of_its_key() {
    let (scene, issued) = stale(|key| key.expires_at(at(seconds(30)))).await;
    scene.clock.advance(millis(29_999));
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.clock.advance(millis(1));
    assert_eq!(scene.answer(issued.key.expose()).await, AWAY);
}

#[tokio::test]
async fn what_was_refused_is_not_served_again() {
    for revoked in [false, true] {
        let scene = Scene::with(|builder| builder.serve_stale(seconds(60)));
        let issued = scene.issue().await;
        assert_eq!(scene.answer(issued.key.expose()).await, OK);
        if revoked {
            // Elsewhere: here it is noticed when the store is asked next.
            scene.another().keys.revoke(&issued.record.id).await.unwrap();
        }
        scene.clock.advance(seconds(10));
        let expected = if revoked { refused("api_key_revoked") } else { OK };
        assert_eq!(scene.answer(issued.key.expose()).await, expected);
        scene.store.set(Trouble::Fails);
        scene.clock.advance(seconds(10));
        let expected = if revoked { AWAY } else { OK };
        assert_eq!(scene.answer(issued.key.expose()).await, expected);
    }
}

#[tokio::test]
async fn an_outage_is_an_error_in_the_log_once_a_second_without_a_secret() {
    let scene = Scene::new();
    let issued = scene.issue().await;
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    assert_eq!(log.take(), "");
    let other = scene.issue().await;
    scene.store.set(Trouble::Fails);
    for _ in 0..4 {
        assert_eq!(scene.answer(other.key.expose()).await, AWAY);
    }
    let lines = log.take();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(
        lines.contains("an API key could not be looked up") && lines.contains("the disk is full"),
        "{lines}"
    );
    assert!(!lines.contains(&other.key.expose()[..22]) && !lines.contains(&other.record.id), "{lines}");
}
