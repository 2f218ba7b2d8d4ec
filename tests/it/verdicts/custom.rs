//! What authenticators of an application's own say about reuse, and how fresh what they say is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use portcullis::test_util::ManualClock;
use portcullis::{
    AuthError, AuthFuture, AuthLayer, Authenticator, Clock, Credential, Match, Principal, Reason,
    RequestContext, Verdict,
};
use tokio::sync::watch;

use super::{ACCEPTED, Answer, guarded, misconfigured, refused, seconds, settle, unavailable};
use crate::support::{bearer, outcome, send};

const ZERO: Duration = Duration::ZERO;

type Judged = Result<Verdict, AuthError>;

/// Judges by a function of the time and of the oldest verdict that the route accepts.
#[derive(Clone)]
struct Custom {
    clock: ManualClock,
    judge: fn(SystemTime, Option<SystemTime>) -> Judged,
    answers: Answers,
    judged: Arc<AtomicUsize>,
    held: watch::Sender<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answers {
    AtOnce,
    Boxed,
    Shared,
}

impl Custom {
    fn new(answers: Answers, judge: fn(SystemTime, Option<SystemTime>) -> Judged) -> Self {
        let (clock, held) = (ManualClock::now(), watch::Sender::new(false));
        Self { clock, judge, answers, judged: Arc::default(), held }
    }

    fn judged(&self) -> usize {
        self.judged.load(Ordering::SeqCst)
    }
}

impl Authenticator for Custom {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, _: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        let verdict = (self.judge)(self.clock.now(), context.not_before());
        let (judged, mut held) = (Arc::clone(&self.judged), self.held.subscribe());
        let work = async move {
            judged.fetch_add(1, Ordering::SeqCst);
            held.wait_for(|held| !held).await.unwrap();
            verdict
        };
        match self.answers {
            Answers::AtOnce => {
                self.judged.fetch_add(1, Ordering::SeqCst);
                AuthFuture::ready((self.judge)(self.clock.now(), context.not_before()))
            }
            Answers::Boxed => AuthFuture::boxed(work),
            Answers::Shared => AuthFuture::shared(seconds(5), work),
        }
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        Some(Arc::new(self.clock.clone()))
    }
}

fn ann(asked: SystemTime) -> Principal {
    Principal::builder("custom").subject("ann").verified_at(asked).build()
}

fn once(now: SystemTime, _: Option<SystemTime>) -> Judged {
    Ok(Verdict::once(ann(now)))
}

fn a_minute(now: SystemTime, _: Option<SystemTime>) -> Judged {
    Ok(Verdict::until(ann(now), now + seconds(60)))
}

const KINDS: [Answers; 3] = [Answers::AtOnce, Answers::Boxed, Answers::Shared];

/// On a route without a guard, or with one.
async fn ask(layer: &AuthLayer<Custom>, age: Option<Duration>) -> Answer {
    match age {
        Some(age) => outcome(&guarded(layer, age, bearer("a")).await),
        None => outcome(&send(layer, bearer("a")).await),
    }
}

#[tokio::test]
async fn a_verdict_for_once_is_for_once_and_another_is_used_again_until_its_time() {
    for answers in KINDS {
        for (judge, expected) in [(once as fn(_, _) -> _, [1, 2, 3, 4]), (a_minute, [1, 1, 1, 2])] {
            let custom = Custom::new(answers, judge);
            let layer = AuthLayer::new(custom.clone());
            let mut judged = Vec::new();
            for later in [ZERO, seconds(1), Duration::from_millis(58_999), Duration::from_millis(1)] {
                custom.clock.advance(later);
                assert_eq!(ask(&layer, None).await, ACCEPTED);
                judged.push(custom.judged());
            }
            assert_eq!(judged, expected, "{answers:?}");
        }
    }
}

#[tokio::test]
async fn requests_at_once_share_the_work_that_may_be_shared_and_no_other() {
    for (answers, expected) in [(Answers::Boxed, 20), (Answers::Shared, 1)] {
        let custom = Custom::new(answers, once);
        let layer = AuthLayer::new(custom.clone());
        custom.held.send_replace(true);
        let one = |_| {
            let layer = layer.clone();
            tokio::spawn(async move { ask(&layer, None).await })
        };
        let requests: Vec<_> = (0..20).map(one).collect();
        settle().await;
        assert_eq!(custom.judged(), expected, "{answers:?}");
        custom.held.send_replace(false);
        for request in requests {
            assert_eq!(request.await.unwrap(), ACCEPTED);
        }
        // What was for once is gone.
        assert_eq!((ask(&layer, None).await, custom.judged()), (ACCEPTED, expected + 1));
    }
}

#[tokio::test]
async fn a_verdict_for_once_is_fresh_for_every_route() {
    for answers in KINDS {
        let custom = Custom::new(answers, once);
        let layer = AuthLayer::new(custom.clone());
        for (requests, age) in [ZERO, seconds(60), Duration::MAX].into_iter().enumerate() {
            assert_eq!(ask(&layer, Some(age)).await, ACCEPTED, "{answers:?}");
            assert_eq!(custom.judged(), requests + 1, "{answers:?}: one for each request");
            custom.clock.advance(seconds(1));
        }
    }
}

/// Keeps what an authority said for five minutes, unless the route wants it newer.
fn with_a_memory(now: SystemTime, not_before: Option<SystemTime>) -> Judged {
    let kept = now - seconds(300);
    Ok(Verdict::once(ann(if not_before.is_some_and(|oldest| kept < oldest) { now } else { kept })))
}

/// As above, but does not care what the route wants.
fn with_a_stubborn_memory(now: SystemTime, _: Option<SystemTime>) -> Judged {
    Ok(Verdict::once(ann(now - seconds(300))))
}

#[tokio::test]
async fn who_answers_from_a_memory_is_told_what_the_route_wants() {
    for answers in KINDS {
        // How old, how often it was asked, and what became of it where it does not care.
        for (age, judged, stubborn) in [
            (seconds(300), 1, ACCEPTED),
            (seconds(299), 2, misconfigured(Reason::AuthorityMissing)),
            (ZERO, 2, misconfigured(Reason::AuthorityMissing)),
        ] {
            for (judge, expected) in
                [(with_a_memory as fn(_, _) -> _, ACCEPTED), (with_a_stubborn_memory, stubborn)]
            {
                let custom = Custom::new(answers, judge);
                let layer = AuthLayer::new(custom.clone());
                let case = format!("{answers:?} {age:?} {expected:?}");
                assert_eq!(ask(&layer, None).await, ACCEPTED, "{case}");
                assert_eq!(ask(&layer, Some(age)).await, expected, "{case}");
                assert_eq!(custom.judged(), 1 + judged, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn the_oldest_verdict_that_will_do_counts_from_the_arrival() {
    /// Refuses with what it was told, in whole seconds before now.
    fn tell(now: SystemTime, not_before: Option<SystemTime>) -> Judged {
        match not_before.map(|oldest| now.duration_since(oldest).unwrap().as_secs()) {
            None => Ok(Verdict::once(Principal::builder("custom").build())),
            Some(0) => Err(AuthError::invalid_token("now")),
            Some(60) => Err(AuthError::invalid_token("a_minute")),
            Some(_) => Err(AuthError::invalid_token("ever")),
        }
    }
    for (age, told) in [(ZERO, "now"), (seconds(60), "a_minute"), (Duration::MAX, "ever")] {
        let layer = AuthLayer::new(Custom::new(Answers::AtOnce, tell));
        assert_eq!(ask(&layer, None).await, ACCEPTED, "not told where no guard asks");
        assert_eq!(ask(&layer, Some(age)).await, refused(Reason::Custom(told)));
    }
}

#[tokio::test]
async fn what_is_judged_locally_is_never_fresh() {
    fn locally(now: SystemTime, _: Option<SystemTime>) -> Judged {
        let principal = Principal::builder("custom").subject("ann");
        Ok(Verdict::until(principal.build(), now + seconds(60)))
    }
    for answers in KINDS {
        for (judge, expected) in
            [(a_minute as fn(_, _) -> _, ACCEPTED), (locally, misconfigured(Reason::AuthorityMissing))]
        {
            for age in [ZERO, seconds(60), Duration::MAX] {
                let layer = AuthLayer::new(Custom::new(answers, judge));
                assert_eq!(ask(&layer, Some(age)).await, expected, "{answers:?} {age:?}");
                assert_eq!(ask(&layer, None).await, ACCEPTED);
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_is_used_again_where_it_says_so_and_only_a_judgement() {
    let rows: [(fn(_, _) -> _, _, _); 3] = [
        (|now, _| Err(AuthError::invalid_token("bad").until(now + seconds(10))), "bad", [1, 1, 2]),
        (|_, _| Err(AuthError::invalid_token("bad")), "bad", [1, 2, 3]),
        (|now, _| Err(AuthError::unavailable(seconds(1)).until(now + seconds(10))), "", [1, 2, 3]),
    ];
    for answers in KINDS {
        for (judge, code, expected) in rows {
            let custom = Custom::new(answers, judge);
            let layer = AuthLayer::new(custom.clone());
            let answer = match code {
                "" => unavailable(Reason::AuthorityUnavailable),
                code => refused(Reason::Custom(code)),
            };
            let mut judged = Vec::new();
            for later in [ZERO, Duration::from_millis(9_999), Duration::from_millis(1)] {
                custom.clock.advance(later);
                assert_eq!(ask(&layer, None).await, answer);
                judged.push(custom.judged());
            }
            assert_eq!(judged, expected, "{answers:?} {code}");
        }
    }
}

#[tokio::test]
async fn shared_work_is_given_up_after_its_time() {
    tokio::time::pause();
    let custom = Custom::new(Answers::Shared, once);
    let layer = AuthLayer::new(custom.clone());
    custom.held.send_replace(true);
    let start = tokio::time::Instant::now();
    assert_eq!(ask(&layer, None).await, unavailable(Reason::AuthorityUnavailable));
    assert_eq!(start.elapsed().as_secs(), 5);
    custom.held.send_replace(false);
    assert_eq!((ask(&layer, None).await, custom.judged()), (ACCEPTED, 2));
}
