//! A model of the limiter, written for these tests alone and as plainly as can be; and that the limiter in memory decides as it does.
//! `PROPTEST_CASES` sets how many schedules are tried.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, StatusCode};
use portcullis::test_util::ManualClock;
use portcullis::{
    Charge, MemoryRateLimits, Principal, Quota, Quotas, RateKey, RateLimitHeaders, RateLimitLayer,
    RateLimitStore, Standing,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio_test::{assert_ready_ok, task};
use tower::{Layer as _, ServiceExt as _};

use super::{TOO_OFTEN, fine, send};
use crate::stub::header;

/// A quota in words: so many in so many nanoseconds, so many at once.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    pub count: u32,
    pub window: u64,
    pub burst: u32,
}

impl Written {
    pub fn quota(self) -> Quota {
        Quota::new(self.count, Duration::from_nanos(self.window)).unwrap().burst(self.burst).unwrap()
    }

    /// One request comes back in so many nanoseconds.
    pub fn interval(self) -> u128 {
        (u128::from(self.window) / u128::from(self.count)).max(1)
    }

    fn capacity(self) -> u128 {
        self.interval() * u128::from(self.burst)
    }
}

pub fn quotas(written: &[Written]) -> Quotas {
    Quotas::new(written.iter().enumerate().map(|(index, quota)| (index.to_string(), quota.quota()))).unwrap()
}

/// The limiter on paper: for each caller and quota the time at which the next request would be due if all came one by one.
pub struct Model {
    quotas: Vec<Written>,
    due: BTreeMap<(u8, usize), u128>,
}

impl Model {
    pub fn new(quotas: &[Written]) -> Self {
        Self { quotas: quotas.to_vec(), due: BTreeMap::new() }
    }

    /// How much is granted, and after how long each quota is whole then.
    pub fn charge(&mut self, now: u128, key: u8, cost: u32, up_to: u32) -> (u32, Vec<u128>) {
        let mut granted = u128::from(up_to);
        let mut backlogs = Vec::new();
        for (index, quota) in self.quotas.iter().enumerate() {
            let due = self.due.get(&(key, index)).copied().unwrap_or(0);
            let backlog = due.saturating_sub(now);
            backlogs.push(backlog);
            granted = granted.min(quota.capacity().saturating_sub(backlog) / quota.interval());
        }
        if granted < u128::from(cost) {
            return (0, backlogs);
        }
        for (index, quota) in self.quotas.iter().enumerate() {
            backlogs[index] += granted * quota.interval();
            self.due.insert((key, index), now + backlogs[index]);
        }
        (u32::try_from(granted).unwrap(), backlogs)
    }
}

/// What the model says as a store says it; what stands in one is seen by its `Debug` alone.
fn standing((granted, backlogs): (u32, Vec<u128>)) -> String {
    let backlogs = backlogs.into_iter().map(|nanos| Duration::from_nanos(u64::try_from(nanos).unwrap()));
    format!("{:?}", Standing::new(granted, backlogs))
}

/// Who comes, how much later, and what for.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub key: u8,
    pub after: u64,
    pub cost: u32,
    pub more: u32,
}

/// Windows from a nanosecond to the longest.
pub fn written(longest: u64) -> impl Strategy<Value = Written> {
    let window = prop_oneof![1..=1_000_u64, 1_000_000..=10_000_000_000_u64, 1..=longest];
    let burst = prop_oneof![1..=3_u32, 1..=100_u32];
    let count = prop_oneof![1..=3_u32, 1..=1_000_u32];
    (count, window, burst).prop_map(|(count, window, burst)| Written { count, window, burst })
}

/// Times at which something happens in these quotas: about a whole number of intervals later.
pub fn steps(quotas: &[Written], most: usize) -> impl Strategy<Value = Vec<Step>> + use<> {
    let intervals: Vec<u64> = quotas.iter().map(|quota| u64::try_from(quota.interval()).unwrap()).collect();
    let interval = proptest::sample::select(intervals);
    let after = prop_oneof![
        3 => Just(0),
        3 => (interval, 0..=12_u64, -1..=1_i64)
            .prop_map(|(interval, fourths, off)| (interval * fourths / 4).saturating_add_signed(off)),
        1 => 0..=5_000_000_000_u64,
    ];
    let cost = prop_oneof![3 => Just(1), 1 => 1..=8_u32];
    let more = prop_oneof![3 => Just(0), 1 => 0..=20_u32];
    let step = (0..3_u8, after, cost, more);
    vec(step.prop_map(|(key, after, cost, more)| Step { key, after, cost, more }), 1..most)
}

pub fn schedules(longest: u64, most: usize) -> impl Strategy<Value = (Vec<Written>, Vec<Step>)> {
    vec(written(longest), 1..=3).prop_flat_map(move |quotas| {
        let steps = steps(&quotas, most);
        (Just(quotas), steps)
    })
}

const YEAR: u64 = 365 * 24 * 3600 * 1_000_000_000;

#[test]
fn memory_decides_as_the_model_does() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&schedules(YEAR, 120), |(written, steps)| {
            let clock = ManualClock::now();
            let store = MemoryRateLimits::new(10_000).clock(clock.clone());
            let (quotas, mut model, mut now) = (quotas(&written), Model::new(&written), 0);
            for (index, step) in steps.iter().enumerate() {
                now += u128::from(step.after);
                clock.advance(Duration::from_nanos(step.after));
                let key = RateKey::of(&[&step.key.to_string()]);
                let up_to = step.cost + step.more;
                let charge = Charge::new(key, quotas.as_slice(), step.cost).up_to(up_to);
                let said = assert_ready_ok!(task::spawn(store.charge(&charge).answer()).poll());
                let expected = standing(model.charge(now, step.key, step.cost, up_to));
                prop_assert_eq!(format!("{said:?}"), expected, "step {} of {:?}", index, steps);
            }
            Ok(())
        })
        .unwrap();
}

/// Whoever comes again with the same verdict is known, and counted without further ado where nothing is told of it.
#[test]
fn layers_decide_as_the_model_does_whether_they_tell_of_it_or_not() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config)
        .run(&schedules(YEAR, 120), |(written, steps)| {
            let (clock, mut model, mut now) = (ManualClock::now(), Model::new(&written), 0);
            let telling = RateLimitLayer::per_subject(quotas(&written)).clock(clock.clone());
            let quiet = telling.clone().headers(RateLimitHeaders::none()).clock(clock.clone());
            let trial = telling.clone().observe_only().clock(clock.clone());
            let mut too_often = 0;
            let known = [0, 1, 2].map(|key| Principal::builder("test").subject(key.to_string()).build());
            for (index, step) in steps.iter().enumerate() {
                now += u128::from(step.after);
                clock.advance(Duration::from_nanos(step.after));
                let mut expected = StatusCode::INTERNAL_SERVER_ERROR;
                // Where nobody could ever come nothing is spent.
                if written.iter().all(|quota| step.cost <= quota.burst) {
                    let (granted, _) = model.charge(now, step.key, step.cost, step.cost);
                    expected = if granted > 0 { StatusCode::OK } else { TOO_OFTEN };
                }
                too_often += u64::from(expected != StatusCode::OK);
                for (limit, expected) in [(&telling, expected), (&quiet, expected), (&trial, StatusCode::OK)]
                {
                    let mut request = Request::new(());
                    request.extensions_mut().insert(known[usize::from(step.key)].clone());
                    let service = limit.clone().cost(step.cost).unwrap().layer(tower::service_fn(fine));
                    let response = assert_ready_ok!(task::spawn(service.oneshot(request)).poll());
                    prop_assert_eq!(response.status(), expected, "step {} of {:?}", index, steps);
                }
                prop_assert_eq!(trial.status().would_refuse, too_often, "step {} of {:?}", index, steps);
            }
            Ok(())
        })
        .unwrap();
}

/// What a layer answers to one caller: the status, and for how long to wait.
async fn answer(limit: &RateLimitLayer) -> (StatusCode, u64) {
    let response = send(limit).await;
    let wait = header(&response, "retry-after").map_or(0, |seconds| seconds.parse().unwrap());
    (response.status(), wait)
}

fn limits() -> impl Strategy<Value = (Vec<Written>, u32, u64)> {
    (vec(written(30 * 24 * 3600 * 1_000_000_000), 1..=3), 1..=100_u32, 0..3_000_000_000_u64)
}

/// 1,000 of them, whatever `PROPTEST_CASES` says. Who waits a second less than told is refused: nobody is told to wait longer than
/// need be.
#[test]
fn who_waits_as_long_as_told_is_admitted_under_any_quota() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) };
    TestRunner::new(config)
        .run(&limits(), |(written, cost, pause)| {
            let clock = ManualClock::now();
            let cost = written.iter().map(|quota| quota.burst).min().unwrap().min(cost);
            let limit = RateLimitLayer::by(quotas(&written), |_, _| RateKey::anonymous())
                .clock(clock.clone())
                .cost(cost)
                .unwrap();
            tokio_test::block_on(async {
                for _ in 0..3 {
                    let mut admitted = 0;
                    let wait = loop {
                        let (status, wait) = answer(&limit).await;
                        if status == TOO_OFTEN {
                            break wait;
                        }
                        prop_assert_eq!((status, wait), (StatusCode::OK, 0));
                        admitted += 1;
                        prop_assert!(admitted <= 100);
                    };
                    prop_assert!(wait > 0);
                    clock.advance(Duration::from_secs(wait - 1));
                    if wait > 1 {
                        prop_assert_eq!(answer(&limit).await, (TOO_OFTEN, 1));
                    }
                    clock.advance(Duration::from_secs(1));
                    prop_assert_eq!(answer(&limit).await.0, StatusCode::OK);
                    clock.advance(Duration::from_nanos(pause));
                }
                Ok(())
            })
        })
        .unwrap();
}

/// A burst that would take longer than a century to come back is cut, and not without limit.
#[tokio::test]
async fn a_burst_beyond_the_end_of_numbers_is_a_limit_still() {
    let decade = Duration::from_secs(10 * 365 * 24 * 3600);
    for (quota, most) in [
        (Quota::new(1, decade).unwrap().burst(3).unwrap(), 3),
        (Quota::new(1, decade).unwrap().burst(u32::MAX).unwrap(), 10),
        (Quota::new(1, decade * 10).unwrap().burst(10).unwrap(), 1),
        (Quota::per_day(1).unwrap().burst(1_000_000).unwrap(), 36_600),
    ] {
        let (store, quotas) = (MemoryRateLimits::default(), Quotas::from(quota));
        assert_eq!(quota.capacity(), most, "{quota:?}");
        let key = RateKey::anonymous();
        let granted = async |charge: Charge<'_>| store.charge(&charge).answer().await.unwrap().granted();
        let all = Charge::new(key, quotas.as_slice(), 1).up_to(u32::MAX);
        assert_eq!(granted(all).await, most, "{quota:?}");
        assert_eq!(granted(Charge::new(key, quotas.as_slice(), 1)).await, 0, "{quota:?}");
    }
}
