//! What it costs to count a request: the store in memory against governor's keyed limiter, in turns, for one key and for a million,
//! which come in random order; and what a key takes in memory.
//!
//! `cargo bench --bench limits`. Keys are made beforehand for both: ours are digests, governor's are strings of the usual length of
//! a name.
#![allow(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic
)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::disallowed_methods, dead_code)]

mod common;

use std::hint::black_box;
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use common::{interval, median};
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use portcullis::{Charge, MemoryRateLimits, Quota, Quotas, RateKey, RateLimitStore};

const ROUNDS: usize = 300;
const REPEAT: usize = 2000;

/// A second, for both.
const RATE: u32 = 1_000_000;

fn main() {
    println!("keys      governor ns  ours ns  ours / governor: median of {ROUNDS} rounds (95 % interval)");
    for number in [1, 1_000_000] {
        measure(number);
    }
}

fn measure(number: usize) {
    let names: Vec<String> = (0..number).map(|index| format!("client-{index:029}")).collect();
    let keys: Vec<RateKey> = names.iter().map(|name| RateKey::of(&[name])).collect();
    let quotas = Quotas::from(Quota::per_second(RATE));
    let ours = MemoryRateLimits::new(number * 2);
    let before = resident();
    for key in &keys {
        charge(&ours, *key, &quotas);
    }
    let bytes = [resident() - before, 0];
    let theirs = RateLimiter::keyed(governor::Quota::per_second(NonZeroU32::new(RATE).unwrap()));
    let before = resident();
    for name in &names {
        theirs.check_key(name).unwrap();
    }
    let bytes = [bytes[0], resident() - before];
    let mut random = 88_172_645_463_325_252_u64;
    let (mut times, mut ratios) = ([Vec::new(), Vec::new()], Vec::new());
    for round in 0..ROUNDS {
        let order: Vec<usize> = (0..REPEAT)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % number as u64) as usize
            })
            .collect();
        // Who comes first finds the other's keys in the caches, and not its own.
        let (first, second) = if round % 2 == 0 {
            let first = time(&order, |index| charge(&ours, keys[index], &quotas));
            (first, time(&order, |index| check(&theirs, &names[index])))
        } else {
            let second = time(&order, |index| check(&theirs, &names[index]));
            (time(&order, |index| charge(&ours, keys[index], &quotas)), second)
        };
        times[0].push(first);
        times[1].push(second);
        ratios.push(first / second);
    }
    let [ours, theirs] = times.map(|times| median(times) * 1e9);
    let (low, high) = interval(&ratios);
    println!("{number:<9} {theirs:>11.0} {ours:>8.0}  {:.2} ({low:.2} to {high:.2})", median(ratios));
    if number > 1 {
        let [ours, theirs] = bytes.map(|bytes| bytes as f64 / number as f64);
        println!("          resident bytes for each key: ours {ours:.0}, governor {theirs:.0}");
    }
}

fn charge(store: &MemoryRateLimits, key: RateKey, quotas: &Quotas) {
    let answer = store.charge(&Charge::new(key, quotas.as_slice(), 1)).answer();
    let standing = pin!(answer).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(black_box(standing), Poll::Ready(Ok(standing)) if standing.granted() == 1));
}

fn check(limiter: &DefaultKeyedRateLimiter<String>, name: &String) {
    assert!(black_box(limiter.check_key(name)).is_ok());
}

fn time(order: &[usize], mut one: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    for index in order {
        one(*index);
    }
    start.elapsed().as_secs_f64() / order.len() as f64
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
