//! Redis goes away and comes back, and stands still, under a load through layers that let pass, refuse, or count here meanwhile.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use portcullis::{OnStoreFailure, Quota, RateKey, RateLimitLayer, Redis as Server, RedisRateLimits};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tower::{Layer as _, ServiceExt as _};

use crate::redis::Redis;
use crate::{Answers, Plan};

const RATE: u32 = 50;
const BURST: u32 = 10;

/// Each layer is asked this often.
const EVERY: Duration = Duration::from_millis(5);

/// By then limits are right again after Redis came back.
const RECOVERED: Duration = Duration::from_secs(2);

/// What happened between two times.
type Log = Arc<Mutex<Vec<(Instant, u16, Duration)>>>;

pub async fn run(plan: &Plan) -> bool {
    let Some(mut redis) = Redis::start() else { return false };
    let processes = 4.try_into().unwrap();
    let modes = [
        ("open", OnStoreFailure::Open),
        ("closed", OnStoreFailure::Closed),
        ("local", OnStoreFailure::Local { processes }),
    ];
    let start = Instant::now();
    let phase = plan.limit_outage;
    // Up, killed, up again, standing still, up again.
    let ends: Vec<Instant> = (1..=5).map(|number| start + phase * number).collect();
    let loads: Vec<_> = modes
        .map(|(name, mode)| {
            let log = Log::default();
            let load = load(name, mode, redis.url(), plan.limit_deadline, Arc::clone(&log), ends[4]);
            (name, log, tokio::spawn(load))
        })
        .into();
    let mut redis = tokio::task::spawn_blocking({
        let (handle, ends) = (tokio::runtime::Handle::current(), ends.clone());
        move || {
            for (end, step) in ends.iter().zip([Redis::stop, Redis::start_again, Redis::pause, Redis::resume])
            {
                handle.block_on(sleep_until(*end));
                step(&mut redis);
            }
            redis
        }
    })
    .await
    .unwrap();
    redis.resume();
    for (name, log, load) in loads {
        load.await.unwrap();
        let log = log.lock().unwrap();
        // While it was switched over nothing is said: the clocks of both are not one.
        let between = |from: Instant, to: Instant| {
            let mut answers = Answers::default();
            for (_, status, time) in log.iter().filter(|(at, ..)| (from..to).contains(at)) {
                answers.add(*status, *time);
            }
            answers
        };
        let all = between(start, ends[4]);
        let up = between(start + phase / 4, ends[0]);
        // Who came just before it was back may have waited for it.
        let killed = between(ends[0] + phase / 4, ends[1] - plan.limit_deadline);
        let back = between(ends[1] + RECOVERED, ends[2]);
        let still = between(ends[2] + phase / 4, ends[3] - plan.limit_deadline);
        let last = between(ends[3] + RECOVERED, ends[4]);
        println!(
            "limit_outage: {name}: up {up}; killed {killed}; back {back}; standing still {still}; on again {last}"
        );
        for limited in [&up, &back, &last] {
            let admitted = limited.statuses.get(&200).copied().unwrap_or(0);
            let seconds = (phase.max(RECOVERED) - RECOVERED).max(phase * 3 / 4);
            let bound = RATE as usize * seconds.as_millis() as usize / 1000 + BURST as usize + 2;
            assert!(admitted > 0 && admitted <= bound, "{name}: {admitted} admitted, {bound} allowed");
            assert!(limited.statuses.keys().all(|status| [200, 429].contains(status)), "{name}: {limited}");
        }
        for away in [&killed, &still] {
            assert!(away.percentile(99) <= 2 * plan.limit_deadline, "{name}: {away}");
            match name {
                "open" => assert!(away.only(200), "{away}"),
                "closed" => assert!(away.only(503), "{away}"),
                _ => assert_eq!(away.statuses.keys().copied().collect::<Vec<_>>(), [200, 429], "{away}"),
            }
        }
        if name != "closed" {
            assert!(all.statuses.keys().all(|status| *status < 500), "{name}: no request fails: {all}");
        }
    }
    true
}

async fn load(
    name: &'static str,
    mode: OnStoreFailure,
    url: String,
    deadline: Duration,
    log: Log,
    end: Instant,
) {
    let quota = Quota::per_second(RATE).unwrap().burst(BURST).unwrap();
    let store = RedisRateLimits::new(Server::open(&url).unwrap()).deadline(deadline);
    let limit =
        RateLimitLayer::by(quota, move |_, _| RateKey::of(&[name])).store(store).on_store_failure(mode);
    let service = limit
        .layer(tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new()))));
    let mut ticks = interval_at(Instant::now(), EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = Vec::new();
    while Instant::now() < end {
        ticks.tick().await;
        let (service, log) = (service.clone(), Arc::clone(&log));
        requests.push(tokio::spawn(async move {
            let sent = Instant::now();
            let status = service.oneshot(Request::new(())).await.unwrap().status().as_u16();
            log.lock().unwrap().push((sent, status, sent.elapsed()));
        }));
    }
    for request in requests {
        request.await.unwrap();
    }
}
