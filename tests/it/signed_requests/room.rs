//! A store of used tokens that is full: closed, and never forgetful.

use std::time::Duration;

use portcullis::test_util::ManualClock;
use portcullis::{Clock as _, MemorySingleUse, Reason, SingleUse as _, SingleUseToken, Spend};
use tracing_subscriber::filter::LevelFilter;

use super::{ACCEPTED, Answer, NOW, OTHER_SECRET, Scene, bearer, client, refused, send, unavailable};
use crate::log::Log;
use crate::support::outcome;

const FULL: Answer = unavailable(Reason::ReplayStoreFull);
const REPLAYED: Answer = refused(Reason::TokenReplayed);

/// A server with a store of this size.
fn scene(capacity: usize, per_client: usize) -> (Scene, MemorySingleUse) {
    let mut kept = None;
    let scene = Scene::with(|builder| builder);
    let store = MemorySingleUse::new(capacity).per_client(per_client).clock(scene.clock.clone());
    let single = Scene::with(|builder| {
        kept = Some(store.clone());
        builder.single_use_in(store).clock(scene.clock.clone())
    });
    (Scene { clock: scene.clock, ..single }, kept.unwrap())
}

#[tokio::test]
async fn a_full_store_is_closed_and_forgets_nobody() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let (scene, store) = scene(10, 10);
    let token = |jti: usize| scene.token().claim("jti", jti.to_string());
    let first: Vec<_> = (0..10).map(token).collect();
    for token in &first {
        assert_eq!(scene.ask(token).await, ACCEPTED);
    }
    let late = token(10);
    for _ in 0..3 {
        let response = send(&scene.layer, bearer(&late.build())).await;
        assert_eq!(outcome(&response), FULL);
        assert_eq!(response.headers()["retry-after"], "1");
    }
    let logged = log.take();
    assert!(logged.contains("the store of used tokens is full"), "{logged}");
    assert!(logged.lines().count() <= 2, "once a second: {logged}");
    for token in &first {
        assert_eq!(scene.ask(token).await, REPLAYED);
    }
    assert_eq!(store.len(), 10);
    // Their time is over: there is room again, for what was turned away too.
    scene.clock.advance(Duration::from_secs(29));
    assert_eq!(scene.ask(&late).await, FULL);
    scene.clock.advance(Duration::from_secs(63));
    assert_eq!(scene.ask(&token(11)).await, ACCEPTED);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn a_flood_by_one_client_closes_the_store_for_that_one_alone() {
    let (scene, store) = scene(100, 10);
    scene.clients.put("other", client([OTHER_SECRET]));
    let app = |jti: usize| scene.token().claim("jti", jti.to_string());
    let other = |jti: usize| app(jti).of("other", OTHER_SECRET);
    for number in 0..50 {
        let expected = if number < 10 { ACCEPTED } else { FULL };
        assert_eq!(scene.ask(&app(number)).await, expected, "{number}");
    }
    for number in 0..10 {
        assert_eq!(scene.ask(&other(number)).await, ACCEPTED, "{number}");
        assert_eq!(scene.ask(&app(number)).await, REPLAYED, "{number}");
    }
    assert_eq!(scene.ask(&other(10)).await, FULL);
    assert_eq!(store.len(), 20);
    // A share is given back when its time is over.
    scene.clock.advance(Duration::from_secs(92));
    for number in 100..110 {
        assert_eq!(scene.ask(&app(number)).await, ACCEPTED, "{number}");
    }
    assert_eq!(scene.ask(&app(110)).await, FULL);
}

fn spend(store: &MemorySingleUse, number: usize, client: &str, until: std::time::SystemTime) -> Spend {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    tokio_test::block_on(store.spend(&SingleUseToken::new(key, client, until)).answer()).unwrap()
}

#[test]
fn a_client_has_a_tenth_unless_somebody_says_else() {
    let clock = ManualClock::at(NOW);
    let until = clock.now() + Duration::from_secs(90);
    for (store, share) in [
        (MemorySingleUse::new(100), 10),
        (MemorySingleUse::new(5), 1),
        (MemorySingleUse::new(100).per_client(100), 100),
        (MemorySingleUse::new(100).per_client(1000), 100),
        (MemorySingleUse::new(0), 0),
    ] {
        let store = store.clock(clock.clone());
        let spent = (0..200).filter(|number| spend(&store, *number, "app", until) == Spend::Spent).count();
        assert_eq!((spent, store.len(), store.is_empty()), (share, share, share == 0));
    }
}

/// Whoever comes after a quiet time does not clear all of it away.
#[test]
fn room_is_made_little_by_little_and_faster_than_it_is_taken() {
    let clock = ManualClock::at(NOW);
    let store = MemorySingleUse::new(10_000).per_client(10_000).clock(clock.clone());
    for number in 0..10_000 {
        assert_eq!(spend(&store, number, "app", clock.now() + Duration::from_secs(90)), Spend::Spent);
    }
    clock.advance(Duration::from_secs(92));
    let mut before = store.len();
    for number in 10_000..10_100 {
        assert_eq!(spend(&store, number, "app", clock.now() + Duration::from_secs(90)), Spend::Spent);
        let after = store.len();
        assert!(after < before && before - after < 32, "{before} {after}");
        before = after;
    }
    for number in 0..10_000 {
        spend(&store, 20_000 + number % 100, "app", clock.now() + Duration::from_secs(90));
    }
    assert_eq!(store.len(), 200);
}

/// What was marked while the clock on the wall was a year ahead stays until then, and holds up nothing behind it.
#[test]
fn a_clock_that_was_wrong_for_a_while_does_not_fill_the_store() {
    let clock = ManualClock::at(NOW);
    let store = MemorySingleUse::new(10).per_client(10).clock(clock.clone());
    let soon = |clock: &ManualClock| clock.now() + Duration::from_secs(90);
    let right = clock.now();
    clock.set_wall(right + Duration::from_secs(365 * 86_400));
    assert_eq!(spend(&store, 0, "app", soon(&clock)), Spend::Spent);
    clock.set_wall(right);
    for number in 1..=100 {
        assert_eq!(spend(&store, number, "app", soon(&clock)), Spend::Spent, "{number}");
        assert_eq!(spend(&store, 0, "app", soon(&clock)), Spend::AlreadySpent);
        clock.advance(Duration::from_secs(92));
    }
    clock.set_wall(right + Duration::from_secs(366 * 86_400));
    for number in 200..205 {
        spend(&store, number, "app", soon(&clock));
    }
    assert_eq!(store.len(), 5);
}
