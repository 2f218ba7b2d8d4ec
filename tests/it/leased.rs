//! Slices of a quota, taken ahead: how much too much, and how seldom the store is asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis::test_util::ManualClock;
use portcullis::{
    Charge, LeasedRateLimits, MemoryRateLimits, Quota, Quotas, RateKey, RateLimitStore, Standing,
    StoreAnswer, StoreError,
};
use tokio::sync::Semaphore;

const TICK: Duration = Duration::from_millis(1);

/// Counts the questions.
#[derive(Clone)]
struct Counting {
    store: MemoryRateLimits,
    calls: Arc<AtomicU64>,
}

impl RateLimitStore for Counting {
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.store.charge(charge)
    }
}

/// Processes that share a store, and time that passes by hand.
struct World {
    clock: ManualClock,
    processes: Vec<LeasedRateLimits<Counting>>,
    calls: Arc<AtomicU64>,
    quotas: Quotas,
    key: RateKey,
    random: u64,
}

impl World {
    fn new(processes: usize, quotas: impl Into<Quotas>, lease: Duration) -> Self {
        let clock = ManualClock::at(1_800_000_000);
        let calls = Arc::<AtomicU64>::default();
        let store = Counting {
            store: MemoryRateLimits::new(1_000_000).clock(clock.clone()),
            calls: Arc::clone(&calls),
        };
        let leased = || LeasedRateLimits::new(store.clone()).lease(lease).clock(clock.clone());
        let processes = (0..processes).map(|_| leased()).collect();
        Self {
            clock,
            processes,
            calls,
            quotas: quotas.into(),
            key: RateKey::of(&["ann"]),
            random: 88_172_645_463_325_252,
        }
    }

    /// xorshift64
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    async fn ask(&self, process: usize, cost: u32) -> Standing {
        let charge = Charge::new(self.key, self.quotas.as_slice(), cost);
        self.processes[process].charge(&charge).answer().await.unwrap()
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

/// In every window of these lengths, what was admitted is at most what the quota allows in it and a lease.
fn assert_bound(admitted: &[(u64, u32)], quota: Quota, lease: Duration) {
    for window in [1, 10, 500, 1000, 3000, 10_000] {
        let came_back = Duration::from_millis(window) + lease;
        let bound = u128::from(quota.capacity()) + came_back.as_nanos() / quota.interval().as_nanos() + 1;
        let (mut inside, mut sum) = (VecDeque::new(), 0_u128);
        for (time, units) in admitted {
            inside.push_back((time, units));
            sum += u128::from(*units);
            while inside.front().is_some_and(|(first, _)| **first + window < *time) {
                sum -= u128::from(*inside.pop_front().unwrap().1);
            }
            assert!(sum <= bound, "{sum} within {window} ms, and {bound} is the bound");
        }
    }
}

#[tokio::test]
async fn four_busy_processes_stay_within_the_bound_and_seldom_ask() {
    let lease = Duration::from_secs(1);
    let quota = Quota::new(1000, Duration::from_secs(10)).unwrap().burst(100).unwrap();
    let mut world = World::new(4, quota, lease);
    let mut admitted = Vec::new();
    // Ten times as much as is allowed, for a minute.
    for time in 0..60_000 {
        let process = usize::try_from(world.random(4)).unwrap();
        if world.ask(process, 1).await.granted() > 0 {
            admitted.push((time, 1));
        }
        world.clock.advance(TICK);
    }
    assert_bound(&admitted, quota, lease);
    let total = admitted.len() as u64;
    println!("{} questions for {total} admitted", world.calls());
    assert!((5900..=6200).contains(&total), "{total} admitted of 6,100");
    assert!(world.calls() * 20 <= total, "{} questions for {total} admitted", world.calls());
}

#[tokio::test]
async fn any_number_of_processes_any_demand_and_any_cost_stay_within_the_bound() {
    for round in 0..20_u64 {
        let mut world = World::new(1, Quota::per_second(1).unwrap(), TICK);
        world.random ^= round.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let processes = 1 + usize::try_from(world.random(30)).unwrap();
        let quota = Quota::new(
            1 + u32::try_from(world.random(2000)).unwrap(),
            Duration::from_secs(1 + world.random(10)),
        );
        let quota = quota.unwrap().burst(8 + u32::try_from(world.random(200)).unwrap()).unwrap();
        let lease = Duration::from_millis(20 + world.random(3000));
        let random = world.random;
        let mut world = World::new(processes, quota, lease);
        world.random = random;
        let mut admitted = Vec::new();
        let mut pace = 1;
        for time in 0..15_000_u64 {
            if time % 1000 == 0 {
                pace = 1 + world.random(20);
            }
            for _ in 0..world.random(pace) {
                let process = usize::try_from(world.random(processes as u64)).unwrap();
                let cost = 1 + u32::try_from(world.random(8)).unwrap();
                if world.ask(process, cost).await.granted() > 0 {
                    admitted.push((time, cost));
                }
            }
            world.clock.advance(TICK);
        }
        assert!(!admitted.is_empty());
        assert_bound(&admitted, quota, lease);
    }
}

/// Slices that are too large would be lost, and a caller refused who keeps within the quota.
#[tokio::test]
async fn who_stays_below_the_quota_is_seldom_refused() {
    for (processes, share) in [(1, 90), (4, 80), (50, 70)] {
        let quota = Quota::new(1000, Duration::from_secs(10)).unwrap().burst(100).unwrap();
        let mut world = World::new(processes, quota, Duration::from_secs(1));
        let (mut came, mut refused) = (0, 0);
        for _ in 0..60_000 {
            // The rate is one in ten milliseconds.
            if world.random(1000) < share {
                came += 1;
                let process = usize::try_from(world.random(processes as u64)).unwrap();
                refused += u64::from(world.ask(process, 1).await.granted() == 0);
            }
            world.clock.advance(TICK);
        }
        let calls = world.calls();
        println!("{processes} processes at {share} %: {refused} of {came} refused, {calls} questions");
        assert!(refused * 50 <= came, "{processes} processes: {refused} of {came} refused");
    }
}

#[tokio::test]
async fn a_refusal_says_when_it_is_of_use_to_come_again() {
    let quota = Quota::per_minute(60).unwrap().burst(3).unwrap();
    let world = World::new(2, quota, Duration::from_secs(5));
    for _ in 0..3 {
        assert_eq!(world.ask(0, 1).await.granted(), 1);
    }
    let calls = world.calls();
    let mut waited = Duration::ZERO;
    while world.ask(0, 1).await.granted() == 0 {
        assert_eq!(world.calls(), calls, "the store said that there is no more, and nobody asks before");
        world.clock.advance(Duration::from_millis(50));
        waited += Duration::from_millis(50);
    }
    assert_eq!(world.calls(), calls + 1);
    let about_a_lease = Duration::from_millis(3750)..=Duration::from_millis(6250);
    assert!(about_a_lease.contains(&waited), "{waited:?}");
}

/// A store that answers when it is told to, and as it is told.
#[derive(Clone)]
struct Slow {
    store: Counting,
    answers: Arc<Semaphore>,
    fails: bool,
}

impl RateLimitStore for Slow {
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing> {
        let (answer, answers, fails) = (self.store.charge(charge), Arc::clone(&self.answers), self.fails);
        StoreAnswer::boxed(async move {
            answers.acquire().await.unwrap().forget();
            if fails { Err(StoreError::new("away")) } else { answer.answer().await }
        })
    }
}

fn slow(fails: bool) -> (LeasedRateLimits<Slow>, Arc<AtomicU64>, Arc<Semaphore>) {
    let (calls, answers) = (Arc::<AtomicU64>::default(), Arc::new(Semaphore::new(0)));
    let store = Counting { store: MemoryRateLimits::new(1000), calls: Arc::clone(&calls) };
    (LeasedRateLimits::new(Slow { store, answers: Arc::clone(&answers), fails }), calls, answers)
}

#[tokio::test]
async fn one_question_is_under_way_for_all_who_wait_and_one_who_goes_away_takes_none_along() {
    let (leased, calls, answers) = slow(false);
    let quotas = Quotas::from(Quota::per_hour(10).unwrap());
    let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
    // The one who asks goes away, and another one takes its place.
    let mut asker = Box::pin(leased.charge(&charge).answer());
    assert!(poll(asker.as_mut()).is_pending());
    let waiters: Vec<_> = (0..20).map(|_| tokio::spawn(leased.charge(&charge).answer())).collect();
    tokio::task::yield_now().await;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    drop(asker);
    answers.add_permits(100);
    let mut granted = 0;
    for waiter in waiters {
        granted += waiter.await.unwrap().unwrap().granted();
    }
    // What was asked for in vain is spent.
    assert_eq!(granted, 9);
    assert!(calls.load(Ordering::Relaxed) <= 6, "{calls:?}");
}

#[tokio::test]
async fn a_failure_is_told_to_all_who_waited_for_it() {
    let (leased, calls, answers) = slow(true);
    let quotas = Quotas::from(Quota::per_hour(10).unwrap());
    let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
    let all: Vec<_> = (0..20).map(|_| tokio::spawn(leased.charge(&charge).answer())).collect();
    tokio::task::yield_now().await;
    answers.add_permits(1);
    for one in all {
        assert!(one.await.unwrap().is_err());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

/// Layers may share a store, each with quotas of its own: a slice of one is none of another's.
#[tokio::test]
async fn what_is_taken_of_some_quotas_is_not_spent_under_others() {
    let leased = LeasedRateLimits::new(MemoryRateLimits::new(1000));
    let all = [
        Quotas::from_static([("api", Quota::per_hour(1000).unwrap())]),
        Quotas::from_static([("login", Quota::per_hour(2).unwrap())]),
        Quotas::from_static([
            ("api", Quota::per_hour(1000).unwrap()),
            ("login", Quota::per_hour(2).unwrap()),
        ]),
        Quotas::from(Quota::per_hour(1000).unwrap()),
        Quotas::from_static([
            ("default", Quota::per_hour(1000).unwrap()),
            ("search", Quota::per_hour(3).unwrap()),
        ]),
        Quotas::from_static([("search", Quota::per_hour(3).unwrap())]),
    ];
    let mut granted = [0; 6];
    for _ in 0..20 {
        for (quotas, granted) in all.iter().zip(&mut granted) {
            let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
            *granted += leased.charge(&charge).answer().await.unwrap().granted();
        }
    }
    // One slice each, of counts that are shared by name.
    assert_eq!(granted[0], 20);
    assert_eq!(granted[1] + granted[2], 2, "{granted:?}");
    assert_eq!(granted[3], 20);
    assert_eq!(granted[4] + granted[5], 3, "{granted:?}");
}

fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> std::task::Poll<T> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

/// The next question may be under way before those are woken who waited for the last one.
#[tokio::test]
async fn a_failure_is_told_to_who_waited_for_it_although_it_is_asked_again() {
    for fails in [true, false] {
        let (leased, _, answers) = slow(fails);
        let quotas = Quotas::from(Quota::per_hour(10).unwrap());
        let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
        let mut asker = std::pin::pin!(leased.charge(&charge).answer());
        let mut waiter = std::pin::pin!(leased.charge(&charge).answer());
        assert!(poll(asker.as_mut()).is_pending() && poll(waiter.as_mut()).is_pending());
        answers.add_permits(1);
        assert_eq!(asker.await.is_err(), fails);
        let mut another = std::pin::pin!(leased.charge(&charge).answer());
        assert!(poll(another.as_mut()).is_pending());
        match poll(waiter) {
            std::task::Poll::Ready(told) => assert!(told.is_err() && fails),
            std::task::Poll::Pending => assert!(!fails),
        }
    }
}

/// Whoever asks may be kept from going on, by a connection that its client does not read from.
#[tokio::test]
async fn nobody_waits_for_ever_for_a_question_that_stands_still() {
    // One that has not begun is not waited for at all.
    for (begun, waits) in [(true, Duration::from_millis(200)), (false, Duration::ZERO)] {
        let (leased, calls, answers) = slow(false);
        let leased = leased.lease(Duration::from_millis(200));
        let quotas = Quotas::from(Quota::per_hour(10).unwrap());
        let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
        let mut stands_still = std::pin::pin!(leased.charge(&charge).answer());
        assert!(!begun || poll(stands_still.as_mut()).is_pending());
        answers.add_permits(100);
        let start = tokio::time::Instant::now();
        let waiter = tokio::time::timeout(Duration::from_secs(10), leased.charge(&charge).answer());
        assert_eq!(waiter.await.expect("it asks by itself").unwrap().granted(), 1);
        assert!(start.elapsed() >= waits);
        assert_eq!(calls.load(Ordering::Relaxed), 1 + u64::from(begun));
    }
}

/// Or each would wait for all before it.
#[tokio::test]
async fn no_queue_forms_where_slices_are_smaller_than_the_demand() {
    let (leased, calls, answers) = slow(false);
    let leased = leased.largest_slice(1).lease(Duration::from_millis(20));
    let quotas = Quotas::from(Quota::per_hour(1000).unwrap());
    let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
    let all: Vec<_> = (0..50).map(|_| tokio::spawn(leased.charge(&charge).answer())).collect();
    let all_ask = async {
        while calls.load(Ordering::Relaxed) < 50 {
            tokio::task::yield_now().await;
        }
    };
    // Nothing is answered before.
    tokio::time::timeout(Duration::from_secs(10), all_ask).await.expect("all ask, one beside another");
    answers.add_permits(100);
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().granted(), 1);
    }
}

/// As in a store that is asked each time, where a request that is refused spends nothing.
#[tokio::test]
async fn a_dear_request_that_is_refused_takes_nothing_from_cheap_ones() {
    for first in [1, 3] {
        let store = MemoryRateLimits::new(1000);
        let leased = LeasedRateLimits::new(store.clone());
        let quotas = Quotas::from(Quota::per_hour(10).unwrap());
        let charge = |cost| Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), cost);
        let granted = async |cost| leased.charge(&charge(cost)).answer().await.unwrap().granted();
        // Three are held then, and nothing is left in the store.
        assert_eq!((granted(1).await, granted(1).await), (1, 1));
        assert_eq!(store.charge(&charge(5)).answer().await.unwrap().granted(), 5);
        assert_eq!(granted(first + 1).await, if first == 1 { 2 } else { 0 });
        assert_eq!(granted(1).await, 1);
    }
}

/// What the store has is too little for the dear ones alone.
#[tokio::test]
async fn cheap_requests_are_asked_for_although_dear_ones_have_to_wait() {
    for dear in [3, 4] {
        let leased = LeasedRateLimits::new(MemoryRateLimits::new(1000));
        let quotas = Quotas::from(Quota::per_hour(8).unwrap());
        let charge = |cost| Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), cost);
        let granted = async |cost| leased.charge(&charge(cost)).answer().await.unwrap().granted();
        assert_eq!(granted(5).await, 5);
        assert_eq!(granted(dear).await, if dear == 3 { 3 } else { 0 });
        assert_eq!(granted(dear).await, 0);
        assert_eq!(granted(1).await, u32::from(dear == 4));
    }
}

/// Or each newcomer would pay for a look at thousands of others. Who has no place there is asked about each time.
#[tokio::test]
async fn a_full_table_is_swept_at_most_every_ten_milliseconds() {
    // All are refused for a second, which is longer than the pause after which a slice is asked for again.
    let world = World::new(1, Quota::per_second(1).unwrap().burst(1).unwrap(), Duration::from_millis(100));
    let ask = async |name: u32| {
        let charge = Charge::new(RateKey::of(&[&name.to_string()]), world.quotas.as_slice(), 1);
        world.processes[0].charge(&charge).answer().await.unwrap().granted()
    };
    // How often the store is asked when one comes three times: only who has a place there is known to have nothing left.
    let questions = async |name: u32| {
        let before = world.calls();
        assert_eq!((ask(name).await, ask(name).await, ask(name).await), (1, 0, 0));
        world.calls() - before
    };
    for name in 0..110_000 {
        ask(name).await;
        ask(name).await;
    }
    // Of sixteen parts none is left out, by any but a ridiculous chance.
    let all = async |from: u32, expected: u64| {
        for name in from..from + 500 {
            assert_eq!(questions(name).await, expected, "{name}");
        }
    };
    world.clock.advance(TICK * 995);
    all(200_000, 3).await;
    // Nobody is refused any more, and nobody looks yet.
    world.clock.advance(TICK * 9);
    all(300_000, 3).await;
    world.clock.advance(TICK);
    all(400_000, 2).await;
}
