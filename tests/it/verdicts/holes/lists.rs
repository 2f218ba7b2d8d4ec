//! Lists of revocations whose clocks jump, and lists that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use portcullis::test_util::ManualClock;
use portcullis::{Clock as _, Mark, MemoryRevocations, Revocations};
use tokio::task::JoinHandle;

use super::super::{ACCEPTED, Answer, Scene, seconds};
use super::listed;
use crate::support::ISSUER;

fn empty_list(clock: &ManualClock) -> MemoryRevocations {
    MemoryRevocations::new(seconds(3600)).clock(clock.clone())
}

#[test]
fn a_clock_on_the_wall_that_jumps_ahead_and_is_set_back_takes_nothing_off_the_list() {
    let clock = ManualClock::now();
    let (wall, mark) = (clock.now(), Mark::subject(ISSUER, "ann"));
    let list = empty_list(&clock);
    list.revoke(mark).unwrap();
    clock.set_wall(wall + seconds(24 * 3600));
    // What enters something, or counts, clears away what is over.
    list.revoke(Mark::jti(ISSUER, "other")).unwrap();
    assert_eq!((list.len(), list.is_revoked(&mark, None)), (2, true));
    clock.set_wall(wall);
    assert_eq!((list.len(), list.is_revoked(&mark, None)), (2, true));
    // In its own time it leaves as ever.
    clock.advance(seconds(3600 + 300));
    assert!(!list.is_revoked(&mark, None));
}

/// A credential that goes by the clock on the wall lives longer where that is set back, and what calls it back does too.
#[test]
fn a_clock_on_the_wall_that_is_set_back_takes_nothing_off_the_list() {
    for (back, revoked) in [(3600, true), (0, false)] {
        let clock = ManualClock::now();
        let (list, mark) = (empty_list(&clock), Mark::subject(ISSUER, "ann"));
        list.revoke(mark).unwrap();
        clock.set_wall(clock.now() - seconds(back));
        clock.advance(seconds(3600 + 300));
        assert_eq!((list.len() == 1, list.is_revoked(&mark, None)), (revoked, revoked), "{back}");
        clock.advance(seconds(back));
        assert_eq!((list.len(), list.is_revoked(&mark, None)), (0, false), "{back}");
    }
}

#[test]
fn what_is_over_counts_no_more_even_if_nobody_clears_it_away() {
    let (clock, lifetime) = (ManualClock::now(), seconds(3600 + 300));
    let list = empty_list(&clock);
    let (all, before) = (Mark::subject(ISSUER, "ann"), Mark::client(ISSUER, "app"));
    let issued = Some(clock.now() - seconds(1));
    list.revoke(all).unwrap();
    list.revoke_before(before, clock.now()).unwrap();
    clock.advance(lifetime - Duration::from_nanos(1));
    assert_eq!([all, before].map(|mark| list.is_revoked(&mark, issued)), [true; 2]);
    clock.advance(Duration::from_nanos(1));
    assert_eq!([all, before].map(|mark| list.is_revoked(&mark, issued)), [false; 2]);
}

/// Panics, if it is set, when it is asked about one token.
struct Trap(Arc<AtomicBool>);

impl Revocations for Trap {
    fn is_revoked(&self, mark: &Mark, _: Option<SystemTime>) -> bool {
        assert!(*mark != Mark::token("a") || !self.0.load(Ordering::SeqCst), "on purpose");
        false
    }
}

#[tokio::test]
async fn a_list_that_panics_takes_nobody_else_along() {
    for (panics, trapped_first) in [(true, true), (true, false), (false, true), (false, false)] {
        let (scene, set) = (Scene::new(), Arc::new(AtomicBool::new(false)));
        let trapped = listed(&scene, Trap(Arc::clone(&set)));
        let hit = async |request: JoinHandle<Answer>| match request.await {
            Ok(answer) => !panics && answer == ACCEPTED,
            Err(error) => panics && error.is_panic(),
        };
        // A call that is under way for both.
        let gate = scene.authority.gate();
        let order = if trapped_first { [&trapped, &scene] } else { [&scene, &trapped] };
        let mut requests = [order[0].start(None, "a").await, order[1].start(None, "a").await];
        assert_eq!(scene.calls(), 1);
        if !trapped_first {
            requests.reverse();
        }
        set.store(panics, Ordering::SeqCst);
        drop(gate);
        let [of_trapped, of_scene] = requests;
        assert!(hit(of_trapped).await);
        assert_eq!(of_scene.await.unwrap(), ACCEPTED);
        // What is known, and what a guard asks again.
        scene.later();
        for age in [None, Some(Duration::ZERO)] {
            assert!(hit(trapped.start(age, "a").await).await, "{age:?}");
        }
        for other in
            [scene.plain("a").await, trapped.plain("b").await, trapped.within(Duration::ZERO, "c").await]
        {
            assert_eq!(other, ACCEPTED);
        }
        set.store(false, Ordering::SeqCst);
        assert_eq!([trapped.plain("a").await, trapped.within(Duration::ZERO, "a").await], [ACCEPTED; 2]);
    }
}
