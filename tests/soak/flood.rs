//! Tokens that name random keys, at full speed, while the issuer is slow: few fetches, and good tokens do not wait.
//!
//! Measured twice. Within one process: the time that a good request spends in the layer. Through sockets: what a client sees,
//! where on a small machine the crowd takes the cores, so that the tail tells of time slices; no answer may be wrong or late.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Response;
use portcullis::test_util::{SigningKey, TokenBuilder};
use portcullis::{Algorithm, AuthLayer, Issuer, JwtAuthenticator, RemoteKeySet};
use tower::{Layer as _, ServiceExt as _};

use crate::harness::{Provider, Todo, audience};
use crate::{Answers, Plan};

/// Tokens of the crowd, each of a key of its own.
const TOKENS: usize = 10_000;

/// Connections of the crowd. A few send as fast as they can without filling the machine's cores; many show a machine that is
/// full, where a crowd with good tokens is the fair comparison.
const CROWDS: [usize; 2] = [8, 64];

pub async fn run(plan: &Plan) -> bool {
    let Some(provider) = Provider::start().await else { return false };
    within_one_process(&provider, plan).await;
    provider.delay(0).await;
    through_sockets(&provider, plan).await;
    true
}

async fn within_one_process(provider: &Provider, plan: &Plan) {
    let time = plan.flood;
    let keys = RemoteKeySet::discover(&provider.issuer).allow_http().build().unwrap();
    keys.warm_up().await.unwrap();
    provider.delay(2000).await;
    let issuer = Issuer::new(provider.issuer.as_str(), keys);
    let jwt = JwtAuthenticator::builder(issuer, audience("es256")).build().unwrap();
    let layer = AuthLayer::new(jwt);
    let service = layer.layer(tower::service_fn(async |_: http::Request<String>| {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    let request = |token: &str| {
        http::Request::builder()
            .header("authorization", format!("Bearer {token}"))
            .body(String::new())
            .unwrap()
    };
    let good = provider.token("es256", "todo:read").await;
    let ask = async |time: Duration| {
        let (end, mut answers) = (Instant::now() + time, Answers::default());
        while Instant::now() < end {
            let request = request(&good);
            let start = Instant::now();
            let status = service.clone().oneshot(request).await.unwrap().status().as_u16();
            answers.add(status, start.elapsed());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        answers
    };
    let calm = ask(time).await;
    let before = provider.jwks_fetches().await;
    let end = Instant::now() + time;
    let mut crowd = tokio::task::JoinSet::new();
    for member in 0..64 {
        let (service, unknown) = (service.clone(), unknown_key(&provider.issuer));
        crowd.spawn(async move {
            let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
            for number in 0.. {
                if Instant::now() >= end {
                    break;
                }
                let token = unknown
                    .clone()
                    .header("kid", format!("{member}-{number}"))
                    .build_with_signature(&[1; 64]);
                let answer = service.clone().oneshot(request(&token)).await.unwrap();
                *statuses.entry(answer.status().as_u16()).or_default() += 1;
                tokio::task::yield_now().await;
            }
            statuses
        });
    }
    let flooded = ask(time).await;
    let mut refused: BTreeMap<u16, usize> = BTreeMap::new();
    for (status, count) in crowd.join_all().await.into_iter().flatten() {
        *refused.entry(status).or_default() += count;
    }
    let fetches = provider.jwks_fetches().await - before;
    let ratio = flooded.percentile(99).as_secs_f64() / calm.percentile(99).as_secs_f64();
    println!("flood in one process: good tokens, nobody else: {calm}");
    println!("flood in one process: good tokens beside 64 with unknown keys: {flooded}; they: {refused:?}");
    println!("flood in one process: {fetches} fetches in {time:?}; p99 over calm {ratio:.2}");
    assert!(fetches <= 4 && calm.only(200) && flooded.only(200));
    assert!(flooded.percentile(99) <= calm.percentile(99).mul_f64(plan.tail) + plan.pause);
    assert!(refused.keys().all(|status| [401, 503].contains(status)));
}

/// Tokens of this issuer, right in all but their key.
fn unknown_key(issuer: &str) -> TokenBuilder {
    TokenBuilder::new(Arc::new(SigningKey::generate(Algorithm::ES256)), issuer, &audience("es256"))
}

async fn through_sockets(provider: &Provider, plan: &Plan) {
    let todo = Todo::in_front_of(provider);
    let good = provider.token("es256", "todo:read").await;
    todo.status("/api/ping", &good).await;
    provider.delay(2000).await;

    let calm = ask_steadily(&todo, &good, plan.flood).await;
    println!("flood: good tokens, nobody else: {calm}");

    for members in CROWDS {
        // The same crowd with good tokens: what a busy machine costs by itself.
        let crowd = send_crowd(&todo, members, &["token", &good], plan.flood);
        let busy = ask_steadily(&todo, &good, plan.flood).await;
        println!("flood: good tokens beside {members} with good tokens: {busy}; they: {}", statuses(crowd));

        let before = provider.jwks_fetches().await;
        let crowd = send_crowd(&todo, members, &["issuer", &provider.issuer], plan.flood);
        let flooded = ask_steadily(&todo, &good, plan.flood).await;
        let crowd = statuses(crowd);
        let fetches = provider.jwks_fetches().await - before;
        println!("flood: good tokens beside {members} with unknown keys: {flooded}; they: {crowd}");
        let ratio = |over: &Answers| flooded.percentile(99).as_secs_f64() / over.percentile(99).as_secs_f64();
        let (over_calm, over_busy) = (ratio(&calm), ratio(&busy));
        println!(
            "flood: {fetches} fetches in {:?}; p99 over calm {over_calm:.2}, over busy {over_busy:.2}",
            plan.flood
        );
        assert!(fetches <= 4);
        assert!(calm.only(200) && busy.only(200) && flooded.only(200));
        // A fetch takes two seconds, for which nobody waits whose key is known. The machine may stand still once.
        let second = Duration::from_secs(1);
        assert!(flooded.percentile(99) < second && flooded.slowest() < plan.slowest.max(second));
        assert!(flooded.slower_than(second) <= 1);
        assert!(!crowd.contains("200:") && !crowd.contains("500:"), "{crowd}");
    }
}

/// One client that asks every other millisecond.
async fn ask_steadily(todo: &Todo, token: &str, time: Duration) -> Answers {
    let end = Instant::now() + time;
    let mut answers = Answers::default();
    while Instant::now() < end {
        let start = Instant::now();
        let status = todo.status("/api/ping", token).await;
        answers.add(status, start.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    answers
}

/// The crowd is a process of its own with a low priority: in reality it does not compute on the server's machine.
fn send_crowd(todo: &Todo, members: usize, tokens: &[&str; 2], time: Duration) -> Child {
    Command::new("nice")
        .args(["-n", "10"])
        .arg(std::env::current_exe().unwrap())
        .args(["crowd", &todo.url, &members.to_string(), tokens[0], tokens[1], &time.as_secs().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn statuses(crowd: Child) -> String {
    let output = crowd.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The crowd's own process: `crowd URL MEMBERS token TOKEN SECONDS` or `crowd URL MEMBERS issuer ISSUER SECONDS`.
pub async fn crowd(arguments: &[String]) {
    let [url, members, kind, value, seconds] = arguments else { panic!("{arguments:?}") };
    let members: usize = members.parse().unwrap();
    // Made before, so that the crowd does not compute beside the server. The signatures are never looked at.
    let unknown = unknown_key(value);
    let unknown = |number: usize| {
        unknown.clone().header("kid", format!("unknown-{number}")).build_with_signature(&[1; 64])
    };
    let tokens: Arc<[String]> =
        if kind == "token" { [value.clone()].into() } else { (0..TOKENS).map(unknown).collect() };
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let end = Instant::now() + Duration::from_secs(seconds.parse().unwrap());
    let mut load = tokio::task::JoinSet::new();
    for member in 0..members {
        let (http, url, tokens) = (http.clone(), format!("{url}/api/ping"), Arc::clone(&tokens));
        load.spawn(async move {
            let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
            for token in tokens.iter().cycle().skip(member * TOKENS / members) {
                if Instant::now() >= end {
                    break;
                }
                let answer = http.get(&url).bearer_auth(token).send().await.unwrap();
                *statuses.entry(answer.status().as_u16()).or_default() += 1;
            }
            statuses
        });
    }
    let mut all: BTreeMap<u16, usize> = BTreeMap::new();
    for statuses in load.join_all().await {
        for (status, count) in statuses {
            *all.entry(status).or_default() += count;
        }
    }
    println!("{all:?}");
}
