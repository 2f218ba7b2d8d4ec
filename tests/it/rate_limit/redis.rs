//! Counts in a real Redis: the script against the model on a clock of the test's, and the store on the server's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::{Response, StatusCode};
use portcullis::{
    Charge, Quota, Quotas, RateKey, RateLimitLayer, RateLimitStore, Redis, RedisRateLimits, StoreError,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing_subscriber::filter::LevelFilter;

use super::model::{Model, Written, schedules};
use super::{TOO_OFTEN, send};
use crate::log::Log;
use crate::redis::{Connection, Redis as Server};
use crate::stub::header;

/// For what takes less than a second, on a machine that others use as well.
const PATIENCE: Duration = Duration::from_secs(15);

const DAY: u64 = 24 * 3600 * 1_000_000_000;

/// The server's own script, but for the clock: seconds and microseconds are the last two arguments, and no key ends by the real one.
fn script() -> String {
    let replace = |text: String, from: &str, to: &str| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    };
    let script = include_str!("../../../src/redis/gcra.lua").to_owned();
    let script = replace(script, "redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}");
    replace(script, "math.max(1, math.ceil(backlogs[i] / 1e6))", "1000000000")
}

/// Runs the script at a moment in microseconds.
fn run(
    connection: &mut Connection,
    caller: &str,
    quotas: &[Written],
    [cost, up_to]: [u32; 2],
    now: u64,
) -> Vec<u128> {
    let mut words = vec!["EVAL".to_owned(), script(), quotas.len().to_string()];
    words.extend((0..quotas.len()).map(|index| format!("{{{caller}}}:{index}")));
    words.extend([cost, up_to].map(|number| number.to_string()));
    for quota in quotas {
        words.extend([quota.interval().to_string(), quota.quota().capacity().to_string()]);
    }
    words.extend([now / 1_000_000, now % 1_000_000].map(|number| number.to_string()));
    connection.send(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    connection.receive().unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

fn flat((granted, backlogs): (u32, Vec<u128>)) -> Vec<u128> {
    [u128::from(granted)].into_iter().chain(backlogs).collect()
}

/// To the nanosecond, for quotas that come back within 104 days; also when the clock is set back.
#[test]
fn the_script_decides_as_the_model_does() {
    let Some(redis) = Server::start() else { return };
    let connection = RefCell::new(redis.connect(Duration::from_secs(10)).unwrap());
    let (case, steps_run) = (Cell::new(0), Cell::new(0));
    let back = prop_oneof![9 => Just(0), 1 => 0..=100_000_000_u64];
    let schedules = (schedules(DAY, 60), vec(back, 60));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    runner
        .run(&schedules, |((written, steps), back)| {
            case.set(case.get() + 1);
            let (mut model, mut now) = (Model::new(&written), 1_800_000_000_000_000_u64);
            for (index, (step, back)) in steps.iter().zip(back).enumerate() {
                now = now + step.after / 1_000 - back;
                let spends = [step.cost, step.cost + step.more];
                let caller = format!("{}:{}", case.get(), step.key);
                let said = run(&mut connection.borrow_mut(), &caller, &written, spends, now);
                let expected = model.charge(u128::from(now) * 1_000, step.key, spends[0], spends[1]);
                prop_assert_eq!(said, flat(expected), "step {} of {:?}", index, steps);
                steps_run.set(steps_run.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(steps_run.get() >= 10 * case.get(), "{steps_run:?}");
}

#[test]
fn the_script_is_nearly_exact_for_quotas_of_many_years() {
    let Some(redis) = Server::start() else { return };
    let mut connection = redis.connect(Duration::from_secs(10)).unwrap();
    let quota = Written { count: 7, window: 50 * 365 * DAY, burst: 7 };
    let (mut model, mut now) = (Model::new(&[quota]), 1_800_000_000_000_000_u64);
    let mut decisions = Vec::new();
    for _ in 0..12 {
        let said = run(&mut connection, "a", &[quota], [1, 1], now);
        let expected = flat(model.charge(u128::from(now) * 1_000, 0, 1, 1));
        decisions.push(said[0]);
        assert_eq!(said[0], expected[0]);
        // A second in a million years.
        assert!(said[1].abs_diff(expected[1]) < 1_000, "{said:?}, {expected:?}");
        now += 365 * DAY / 1_000;
    }
    assert_eq!(decisions, [1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0]);
}

/// Five at once, and one more after two seconds.
fn quotas() -> Quotas {
    Quotas::from_static([
        ("burst", Quota::new(1, Duration::from_secs(2)).unwrap().burst(5).unwrap()),
        ("daily", Quota::per_day(50).unwrap()),
    ])
}

fn store(server: &Server, namespace: &str) -> RedisRateLimits {
    RedisRateLimits::new(Redis::open(&server.url()).unwrap().namespace(namespace))
}

/// With a deadline that a busy machine keeps too.
fn patient(server: &Server, namespace: &str) -> RedisRateLimits {
    store(server, namespace).deadline(Duration::from_secs(5))
}

fn limit(store: RedisRateLimits) -> RateLimitLayer {
    RateLimitLayer::by(quotas(), |_, _| RateKey::of(&["ann"])).store(store)
}

async fn status(limit: &RateLimitLayer) -> u16 {
    send(limit).await.status().as_u16()
}

async fn charge(store: &RedisRateLimits) -> Result<u32, StoreError> {
    let quotas = quotas();
    let charge = Charge::new(RateKey::of(&["ann"]), quotas.as_slice(), 1);
    Ok(store.charge(&charge).answer().await?.granted())
}

/// Waits until the server is asked again; fails if that takes far longer than the quarter of a second that it should.
async fn until_asked(limit: &RateLimitLayer) -> Response<()> {
    let asked = async {
        loop {
            let response = send(limit).await;
            if response.headers().contains_key("ratelimit") {
                return response;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap()
}

#[tokio::test]
async fn processes_share_and_other_namespaces_do_not() {
    let Some(redis) = Server::start() else { return };
    let [one, other, apart] = ["todo", "todo", "else"].map(|name| limit(patient(&redis, name)));
    let mut statuses = Vec::new();
    for limit in [&one, &other, &one, &other, &one, &other, &one] {
        statuses.push(status(limit).await);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(status(&apart).await, 200);
    let refused = send(&other).await;
    assert_eq!(refused.status(), TOO_OFTEN);
    let wait = header(&refused, "retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    sleep(Duration::from_secs(wait)).await;
    assert_eq!((status(&one).await, status(&other).await), (200, 429));
    assert_eq!([one, other, apart].map(|limit| limit.status().store_failures), [0; 3]);
}

#[tokio::test]
async fn keys_of_a_caller_are_in_one_slot_and_end_when_they_are_whole() {
    let Some(redis) = Server::start() else { return };
    let quotas = Quotas::from_static([
        ("brief", Quota::new(5, Duration::from_secs(3)).unwrap()),
        ("other", Quota::new(5, Duration::from_secs(5)).unwrap()),
    ]);
    let store = patient(&redis, "todo");
    let key = RateKey::of(&["ann"]);
    for _ in 0..3 {
        let charge = Charge::new(key, quotas.as_slice(), 1);
        assert_eq!(store.charge(&charge).answer().await.unwrap().granted(), 1);
    }
    let caller: String = key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = redis.command(&["KEYS", "*"]);
    let expected = ["brief", "other"].map(|name| format!("todo:limit:{{{caller}}}:{name}"));
    assert_eq!(keys.lines().map(str::to_owned).collect::<BTreeSet<_>>(), BTreeSet::from(expected.clone()));
    let [brief, other] = expected.map(|key| redis.command(&["PTTL", &key]).parse::<i64>().unwrap());
    assert!((0..=1_800).contains(&brief) && (0..=3_000).contains(&other), "{brief}, {other}");
    let gone = async {
        while redis.command(&["DBSIZE"]) != "0" {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_script_that_is_gone_is_loaded_again() {
    let Some(mut redis) = Server::start() else { return };
    let limit = limit(patient(&redis, "todo"));
    for expected in [200, 200] {
        assert_eq!(status(&limit).await, expected);
    }
    redis.command(&["SCRIPT", "FLUSH"]);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(status(&limit).await);
    }
    assert_eq!((statuses, limit.status().store_failures), (vec![200, 200, 200, 429], 0));
    redis.stop();
    redis.start_again();
    // What was spent is gone with the server; the script is not missed.
    let first = until_asked(&limit).await;
    assert!(header(&first, "ratelimit").unwrap().starts_with("\"burst\";r=4"));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        statuses.push(status(&limit).await);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_is_waited_for_no_longer_than_said() {
    let Some(mut redis) = Server::start() else { return };
    let limit = limit(store(&redis, "todo"));
    until_asked(&limit).await;
    for away in [true, false] {
        if away {
            redis.stop();
        } else {
            redis.pause();
        }
        let (before, mut taken) = (limit.status().store_failures, Vec::new());
        for count in 1..=30 {
            let begun = Instant::now();
            let response = send(&limit).await;
            taken.push(begun.elapsed());
            assert_eq!((response.status(), response.headers().len()), (StatusCode::OK, 0));
            assert_eq!(limit.status().store_failures, before + count);
            sleep(Duration::from_millis(20)).await;
        }
        // As many ask before it is left alone: 50 ms each, and on a busy machine seldom ten times as long.
        taken[..5].sort_unstable();
        assert!(taken[2] <= Duration::from_millis(500), "{taken:?}");
        assert!(taken.iter().all(|taken| *taken <= Duration::from_secs(3)), "{taken:?}");
        if away {
            redis.start_again();
        } else {
            redis.resume();
        }
        // Then it counts again. A busy machine may let an answer come too late, now and then.
        until_asked(&limit).await;
        let refused = async {
            loop {
                let status = status(&limit).await;
                if status != 200 {
                    return status;
                }
            }
        };
        assert_eq!(timeout(PATIENCE, refused).await.unwrap(), 429);
    }
}

/// Passes on what two ends send each other. While it is held it gives no first answer, and afterwards late ones.
async fn slow_to_connect(server: &Server, late: Duration) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let target = server.url().replace("redis://", "");
    let (hold, held) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, mut held) = (TcpStream::connect(&target).await.unwrap(), held.clone());
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                let mut first = [0; 4096];
                let length = from_server.read(&mut first).await.unwrap_or(0);
                let _ = held.wait_for(|held| !held).await;
                sleep(late).await;
                let _ = to_client.write_all(&first[..length]).await;
                let _ = copy(&mut from_server, &mut to_client).await;
            });
        }
    });
    (url, hold)
}

/// To connect takes several answers, more with TLS: longer than one question may take.
#[tokio::test]
async fn a_server_that_is_slow_to_connect_comes_back() {
    let Some(redis) = Server::start() else { return };
    let (url, hold) = slow_to_connect(&redis, Duration::from_millis(150)).await;
    let limit = limit(RedisRateLimits::new(Redis::open(&url).unwrap()));
    hold.send_replace(true);
    for _ in 0..40 {
        assert_eq!(status(&limit).await, 200);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(limit.status().store_failures, 40);
    hold.send_replace(false);
    until_asked(&limit).await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_a_failure_and_tells_no_secret() {
    let Some(redis) = Server::start_with(&["--requirepass", "right-password"]) else { return };
    let port = redis.url().rsplit_once(':').unwrap().1.to_owned();
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    let open =
        |url: String| RedisRateLimits::new(Redis::open(&url).unwrap()).deadline(Duration::from_secs(5));
    for url in [
        format!("redis://:hunter2-secret@127.0.0.1:{port}"),
        format!("redis://somebody:hunter2-secret@127.0.0.1:{port}"),
        format!("redis://127.0.0.1:{port}"),
        "redis://:hunter2-secret@127.0.0.1:1".to_owned(),
        "redis://:hunter2-secret@no-such-host.invalid".to_owned(),
    ] {
        let store = open(url.clone()).deadline(Duration::from_millis(200));
        let error = charge(&store).await.unwrap_err();
        let limit = limit(store.clone());
        assert_eq!((status(&limit).await, limit.status().store_failures), (200, 1));
        let shown = format!("{error} {error:?} {store:?} {limit:?} {}", log.take());
        assert!(!shown.contains("hunter2-secret") && !shown.contains("somebody"), "{shown}");
    }
    // The twin: the right one.
    assert_eq!(charge(&open(format!("redis://:right-password@127.0.0.1:{port}"))).await.unwrap(), 1);
    let error = Redis::open("redis//hunter2-secret").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_key_of_another_type_is_a_failure_and_no_pass() {
    let Some(redis) = Server::start() else { return };
    let store = patient(&redis, "todo");
    assert_eq!(charge(&store).await.unwrap(), 1);
    let keys = redis.command(&["KEYS", "*"]);
    let key = keys.lines().find(|key| key.ends_with(":burst")).unwrap();
    redis.command(&["DEL", key]);
    redis.command(&["LPUSH", key, "x"]);
    assert!(charge(&store).await.unwrap_err().to_string().contains("WRONGTYPE"));
    redis.command(&["DEL", key]);
    assert_eq!(charge(&store).await.unwrap(), 1);
}
