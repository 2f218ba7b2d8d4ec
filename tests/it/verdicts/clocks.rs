//! Clocks that jump where nobody expects it, and memories that are not as fresh as they might be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::test_util::ManualClock;
use portcullis::{
    AuthFuture, AuthLayer, Authenticator, Clock, Credential, Mark, Match, MemoryRevocations, Principal,
    RequestContext, Revocations, Verdict,
};
use tokio::sync::watch;

use super::{ACCEPTED, Scene, guarded, seconds, settle};
use crate::support::{bearer, outcome, send};

const ZERO: Duration = Duration::ZERO;

/// Somebody sets the clock on the wall right, by less than a second, while a request is in line for the authority.
#[tokio::test]
async fn a_clock_that_is_set_while_a_request_is_in_line_is_nobody_s_mistake() {
    for backwards in [false, true] {
        let scene = Scene::new();
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.later();
        let mut under_way = Vec::new();
        for number in 0..64 {
            let gate = scene.authority.gate();
            under_way.push((gate, scene.start(None, &format!("other-{number}")).await));
        }
        let in_line = scene.start(Some(ZERO), "a").await;
        assert_eq!(scene.calls(), 65);
        if backwards {
            scene.clock.set_wall(scene.clock.now() - Duration::from_millis(500));
        }
        drop(under_way.pop());
        assert_eq!(in_line.await.unwrap(), ACCEPTED, "set back: {backwards}");
        assert_eq!(scene.calls(), 66);
    }
}

#[test]
fn an_entry_does_not_leave_because_a_clock_was_wrong_for_a_while() {
    for wrong in [false, true] {
        let clock = ManualClock::now();
        let list = MemoryRevocations::new(seconds(3600)).clock(clock.clone());
        let mark = Mark::token("a");
        list.revoke(mark).unwrap();
        let right = clock.now();
        if wrong {
            clock.set_wall(right + seconds(365 * 24 * 3600));
        }
        list.revoke(Mark::token("b")).unwrap();
        clock.set_wall(right);
        assert!(list.is_revoked(&mark, None), "wrong for a while: {wrong}");
    }
}

/// Keeps what an authority said, unless the route wants it newer; shares its work.
#[derive(Clone)]
struct Memory {
    clock: ManualClock,
    seconds_old: Arc<AtomicU64>,
    held: watch::Sender<bool>,
}

impl Authenticator for Memory {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, _: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        let (now, mut held) = (self.clock.now(), self.held.subscribe());
        let kept = now - seconds(self.seconds_old.load(Ordering::SeqCst));
        let asked = if context.not_before().is_some_and(|oldest| kept < oldest) { now } else { kept };
        AuthFuture::shared(seconds(5), async move {
            held.wait_for(|held| !held).await.unwrap();
            let principal = Principal::builder("memory").verified_at(asked).build();
            Ok(Verdict::until(principal, now + seconds(60)))
        })
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        Some(Arc::new(self.clock.clone()))
    }
}

#[tokio::test]
async fn who_shares_work_that_was_fresh_enough_for_somebody_else_gets_it_fresh_enough() {
    for shared in [false, true] {
        let held = watch::Sender::new(false);
        let memory = Memory { clock: ManualClock::now(), seconds_old: Arc::new(400.into()), held };
        let layer = AuthLayer::new(memory.clone());
        assert_eq!(outcome(&send(&layer, bearer("a")).await), ACCEPTED);
        memory.seconds_old.store(200, Ordering::SeqCst);
        memory.held.send_replace(true);
        let start = |age| {
            let (layer, request) = (layer.clone(), bearer("a"));
            tokio::spawn(async move { outcome(&guarded(&layer, age, request).await) })
        };
        let modest = shared.then(|| start(seconds(300)));
        settle().await;
        let demanding = start(ZERO);
        settle().await;
        memory.held.send_replace(false);
        if let Some(modest) = modest {
            assert_eq!(modest.await.unwrap(), ACCEPTED);
        }
        assert_eq!(demanding.await.unwrap(), ACCEPTED, "shared: {shared}");
    }
}
