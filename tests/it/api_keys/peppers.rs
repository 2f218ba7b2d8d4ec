//! Digests with a pepper and without, and how a key gets another one.

use http::StatusCode;
use tracing_subscriber::filter::LevelFilter;

use super::probe::Probe;
use super::scene::{OK, Scene, seconds, secret};
use crate::log::Log;

const MISSING: super::scene::Answer = (StatusCode::INTERNAL_SERVER_ERROR, Some("pepper_missing"));

async fn pepper_of(store: &Probe, id: &str) -> Option<String> {
    store.stored(id).await.digest.pepper
}

#[tokio::test]
async fn a_key_that_is_used_gets_the_new_pepper_and_the_old_one_can_go() {
    // From one pepper to the next, and from none to the first.
    for before in [&["2025"][..], &[]] {
        let store = Probe::default();
        let after: Vec<&str> = ["2026"].into_iter().chain(before.iter().copied()).collect();
        let (old, both) = (Scene::peppered(&store, before), Scene::peppered(&store, &after));
        let (used, unused) = (old.issue().await, old.issue().await);
        assert_eq!(pepper_of(&store, &used.record.id).await.as_deref(), before.first().copied());

        assert_eq!(both.answer(used.key.expose()).await, OK);
        assert_eq!(pepper_of(&store, &used.record.id).await.as_deref(), before.first().copied());
        both.keys.flush().await.unwrap();
        assert_eq!(pepper_of(&store, &used.record.id).await.as_deref(), Some("2026"));

        let new = Scene::peppered(&store, &["2026"]);
        assert_eq!(new.answer(used.key.expose()).await, OK);
        let expected = if before.is_empty() { OK } else { MISSING };
        assert_eq!(new.answer(unused.key.expose()).await, expected, "it was not used meanwhile");
        // What has the new pepper cannot be judged without it.
        assert_eq!(Scene::peppered(&store, before).answer(used.key.expose()).await, MISSING);
        assert_eq!(both.answer(unused.key.expose()).await, OK);
    }
}

#[tokio::test]
async fn new_keys_get_the_first_pepper_and_keep_it() {
    let store = Probe::default();
    let scene = Scene::peppered(&store, &["2026", "2025"]);
    let issued = scene.issue().await;
    assert_eq!(pepper_of(&store, &issued.record.id).await.as_deref(), Some("2026"));
    let digest = store.stored(&issued.record.id).await.digest;
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.keys.flush().await.unwrap();
    assert!(store.written()[0][0].digest.is_none(), "it has the right one already");
    assert!(store.stored(&issued.record.id).await.digest == digest);
}

#[tokio::test]
async fn a_pepper_of_the_same_name_and_another_secret_knows_no_key() {
    let store = Probe::default();
    let issued = Scene::peppered(&store, &["2026"]).issue().await;
    for (pepper, expected) in
        [(secret("2026"), OK), (secret("other"), super::scene::refused("api_key_unknown"))]
    {
        let clock = portcullis::test_util::ManualClock::now();
        let scene = Scene::of(store.clone(), clock, |keys| keys.pepper("2026", pepper), |builder| builder);
        assert_eq!(scene.answer(issued.key.expose()).await, expected);
    }
}

#[tokio::test]
async fn a_pepper_that_is_missing_is_our_fault_and_an_error_in_the_log_that_tells_no_secret() {
    let store = Probe::default();
    let (with, without) = (Scene::peppered(&store, &["2026"]), Scene::peppered(&store, &["2025"]));
    let issued = with.issue().await;
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    assert_eq!(with.answer(issued.key.expose()).await, OK);
    assert_eq!(log.take(), "");
    let before = store.calls("find");
    for _ in 0..3 {
        assert_eq!(without.answer(issued.key.expose()).await, MISSING);
    }
    assert_eq!(store.calls("find") - before, 3, "what was not judged is not remembered");
    let lines = log.take();
    let errors: Vec<&str> = lines.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(!errors.is_empty() && errors[0].contains("reason=\"pepper_missing\" status=500"), "{lines}");
    let digest = store.stored(&issued.record.id).await.digest;
    let hex = digest.bytes.map(|byte| format!("{byte:02x}")).concat();
    let key = issued.key.expose();
    for part in
        [&key[..16], &key[22..30], &key[key.len() - 8..], &secret("2026")[..12], "secret-of", &hex[..8]]
    {
        assert!(!lines.contains(part), "{part} in {lines}");
    }
    without.keys.flush().await.unwrap();
    assert_eq!(store.calls("record_uses"), 0, "a key that was not judged was not used");
    // It is not for ever: with the pepper it is as good as before.
    with.clock.advance(seconds(60));
    assert_eq!(with.answer(issued.key.expose()).await, OK);
}
