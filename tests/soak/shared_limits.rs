//! Four processes with one Redis and one caller, who comes ten times as often as he may: what is admitted within any ten
//! seconds, and how often Redis is asked; once for each request, and in slices taken ahead.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::{
    Charge, LeasedRateLimits, Quota, Quotas, RateKey, RateLimitStore, Redis as Server, RedisRateLimits,
};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::Plan;
use crate::redis::Redis;

const PROCESSES: usize = 4;
const BURST: u32 = 100;

/// Requests allowed in the window.
const COUNT: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(10);

/// What is offered.
const TIMES: u32 = 10;
const LEASE: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_secs(2);

pub async fn run(plan: &Plan) -> bool {
    let (Some(strict), Some(leased)) = (Redis::start(), Redis::start()) else { return false };
    let (strict, leased) =
        tokio::join!(load("strict", &strict, plan.limits), load("leased", &leased, plan.limits));
    let bound = BURST + COUNT;
    assert!(strict.most <= bound, "{strict:?}");
    assert!(strict.least >= COUNT * (99 - plan.lost) / 100, "{strict:?}");
    let in_a_lease =
        COUNT * u32::try_from(LEASE.as_millis()).unwrap() / u32::try_from(WINDOW.as_millis()).unwrap();
    assert!(leased.most <= bound + in_a_lease, "{leased:?}");
    assert!(leased.for_each >= 20.0 * strict.for_each, "{leased:?}");
    // Each process waits for its turn, but none of the quota is lost while there is demand.
    assert!(leased.least >= COUNT * (90 - plan.lost) / 100, "{leased:?}");
    true
}

/// What was seen.
#[derive(Debug)]
struct Seen {
    admitted: u32,
    refused: usize,
    /// Requests that were admitted for each question to Redis.
    for_each: f64,
    /// Requests that were surely admitted within some window, from its beginning to its end.
    most: u32,
    /// Requests of which some part was within a window, from its beginning to its end.
    least: u32,
}

async fn load(mode: &str, redis: &Redis, duration: Duration) -> Seen {
    let (url, millis) = (redis.url(), duration.as_millis().to_string());
    let processes = (0..PROCESSES).map(|_| {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["limits-of", mode, &url, &millis]);
        process.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
    });
    let processes: Vec<_> = processes.collect();
    // Slices grow until they fit: that is not counted.
    tokio::time::sleep(WARM_UP).await;
    let (warm, before) = (micros(), asked(redis));
    let (mut spans, mut refused) = (Vec::<[u64; 2]>::new(), 0);
    for mut process in processes {
        let mut text = String::new();
        process.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
        assert!(process.wait().await.unwrap().success());
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("refused", count)) => refused += count.parse::<usize>().unwrap(),
                Some((sent, answered)) => spans.push([sent.parse().unwrap(), answered.parse().unwrap()]),
                None => panic!("{line}"),
            }
        }
    }
    spans.sort_unstable();
    let asked = asked(redis) - before;
    let since = spans.iter().filter(|[sent, _]| *sent >= warm).count();
    let for_each = since as f64 / f64::from(asked);
    let seen = Seen {
        admitted: u32::try_from(spans.len()).unwrap(),
        refused,
        for_each,
        most: most(&spans),
        least: least(&spans),
    };
    println!(
        "shared_limits: {mode}: {} admitted and {} refused by {PROCESSES} processes in {duration:?}, {} to {} in any {WINDOW:?}; \
         for each question to Redis {:.2} requests were admitted",
        seen.admitted, seen.refused, seen.least, seen.most, seen.for_each,
    );
    seen
}

fn asked(redis: &Redis) -> u32 {
    let commands = redis.command(&["INFO", "commandstats"]);
    let calls = commands.split("cmdstat_evalsha:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.unwrap().parse().unwrap()
}

/// Windows begin where a request was sent: those that were answered before it ends were surely admitted in it.
fn most(spans: &[[u64; 2]]) -> u32 {
    let window = u64::try_from(WINDOW.as_micros()).unwrap();
    let inside = |[start, _]: &[u64; 2]| {
        let end = start + window;
        let from = spans.partition_point(|[sent, _]| sent < start);
        spans[from..]
            .iter()
            .take_while(|[sent, _]| *sent < end)
            .filter(|[_, answered]| *answered < end)
            .count()
    };
    u32::try_from(spans.iter().map(inside).max().unwrap_or(0)).unwrap()
}

/// Windows begin where a request was answered, and end before the load did.
fn least(spans: &[[u64; 2]]) -> u32 {
    let window = u64::try_from(WINDOW.as_micros()).unwrap();
    let last = spans.last().map_or(0, |[sent, _]| *sent);
    let touching = |start: u64| {
        let end = start + window;
        spans.iter().filter(|[sent, answered]| *answered >= start && *sent <= end).count()
    };
    let starts = spans.iter().map(|[_, answered]| *answered).filter(|start| start + window <= last);
    u32::try_from(starts.map(touching).min().unwrap_or(0)).unwrap()
}

/// A process of its own: `limits-of MODE URL MILLISECONDS`.
pub async fn process(arguments: &[String]) {
    let [mode, url, millis] = arguments else { panic!("{arguments:?}") };
    let duration = Duration::from_millis(millis.parse().unwrap());
    // A shared machine may keep an answer for longer than it should take.
    let strict = RedisRateLimits::new(Server::open(url).unwrap()).deadline(Duration::from_secs(10));
    match mode.as_str() {
        "strict" => offer(strict, duration).await,
        "leased" => offer(LeasedRateLimits::new(strict).lease(LEASE), duration).await,
        _ => panic!("{mode}"),
    }
}

async fn offer(store: impl RateLimitStore + Clone, duration: Duration) {
    let quotas = Quotas::from(Quota::new(COUNT, WINDOW).unwrap().burst(BURST).unwrap());
    let every = WINDOW * u32::try_from(PROCESSES).unwrap() / (COUNT * TIMES);
    let mut ticks = interval_at(Instant::now(), every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (end, mut requests) = (Instant::now() + duration, Vec::new());
    while Instant::now() < end {
        ticks.tick().await;
        let (store, quotas) = (store.clone(), quotas.clone());
        requests.push(tokio::spawn(async move {
            let sent = micros();
            let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
            let standing = store.charge(&charge).answer().await.unwrap();
            (standing.granted() > 0).then(|| [sent, micros()])
        }));
    }
    let mut refused = 0;
    for request in requests {
        match request.await.unwrap() {
            Some([sent, answered]) => println!("{sent} {answered}"),
            None => refused += 1,
        }
    }
    println!("refused {refused}");
}

fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}
