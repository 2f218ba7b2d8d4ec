//! What it costs to count a request: the store in memory against governor's keyed limiter, for one key and for a million, which
//! come in random order; and what a key takes in memory. Keys are made beforehand for both: ours are digests, governor's are strings
//! of the usual length of a name.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use governor::{DefaultKeyedRateLimiter, RateLimiter};
use portcullis::{Charge, MemoryRateLimits, Quota, Quotas, RateKey, RateLimitStore};

use crate::common::statistics::{Random, Rounds, Side};
use crate::common::table::{Cell, Report};

const ROUNDS: usize = 300;
const REPEAT: usize = 2000;

/// A second, for both.
const RATE: u32 = 1_000_000;

pub fn run() {
    let mut report = Report::new("limits");
    let rows = [1, 1_000_000].map(measure);
    report.table(
        &format!("a store of limits: {ROUNDS} rounds of {REPEAT}"),
        &["keys", "ns governor", "ns ours", "ours / governor", "resident bytes for each, governor", "ours"],
        &rows,
    );
    report.finish();
}

fn measure(number: usize) -> Vec<Cell> {
    let names: Vec<String> = (0..number).map(|index| format!("client-{index:029}")).collect();
    let keys: Vec<RateKey> = names.iter().map(|name| RateKey::of(&[name])).collect();
    let quotas = Quotas::from(Quota::per_second(RATE).unwrap());
    let (ours, bytes) = growth(|| {
        let ours = MemoryRateLimits::new(number * 2);
        keys.iter().for_each(|key| charge(&ours, *key, &quotas));
        ours
    });
    let (theirs, their_bytes) = growth(|| {
        let theirs = RateLimiter::keyed(governor::Quota::per_second(NonZeroU32::new(RATE).unwrap()));
        names.iter().for_each(|name| check(&theirs, name));
        theirs
    });
    let rounds = Rounds::run(
        ROUNDS,
        vec![
            turn(number, |index| charge(&ours, keys[index], &quotas)),
            turn(number, |index| check(&theirs, &names[index])),
        ],
    );
    let nanos = |side: usize| Cell::number(rounds.median(|round| round[side] * 1e9), 0);
    let each =
        |bytes: usize| if number == 1 { Cell::none() } else { Cell::number(bytes as f64 / number as f64, 0) };
    let over = rounds.ratio(|round| round[0] / round[1]).cell();
    vec![Cell::count(number), nanos(1), nanos(0), over, each(their_bytes), each(bytes)]
}

fn charge(store: &MemoryRateLimits, key: RateKey, quotas: &Quotas) {
    let answer = store.charge(&Charge::new(key, quotas.as_slice(), 1)).answer();
    let standing = pin!(answer).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(black_box(standing), Poll::Ready(Ok(standing)) if standing.granted() == 1));
}

fn check(limiter: &DefaultKeyedRateLimiter<String>, name: &String) {
    assert!(black_box(limiter.check_key(name)).is_ok());
}

fn turn<'a>(number: usize, mut one: impl FnMut(usize) + 'a) -> Side<'a> {
    let mut random = Random::default();
    Box::new(move || {
        let order: Vec<usize> = (0..REPEAT).map(|_| random.below(number)).collect();
        let start = Instant::now();
        for index in &order {
            one(*index);
        }
        start.elapsed().as_secs_f64() / REPEAT as f64
    })
}

/// What is made, and the bytes that became resident meanwhile.
fn growth<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = resident();
    let made = make();
    (made, resident() - before)
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
