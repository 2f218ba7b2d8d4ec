//! The provider is away for long: whoever has a token of a known key does not notice.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use portcullis::{AuthLayer, Issuer, JwtAuthenticator, RemoteKeySet};

use crate::harness::{Provider, audience};
use crate::{Answers, Plan};

const FRESH_FOR: Duration = Duration::from_secs(2);

pub async fn run(plan: &Plan) -> bool {
    let Some(provider) = Provider::start().await else { return false };
    let (id, port) = (provider.issuer.clone(), provider.port());
    let keys = RemoteKeySet::discover(&id).allow_http().fresh_for(FRESH_FOR).build().unwrap();
    let cold = RemoteKeySet::discover(&id).allow_http().build().unwrap();
    let url = serve(&id, &keys).await;
    let cold_url = serve(&id, &cold).await;
    let token = provider.token("rs256", "todo:read").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |url: &str, token: &str| {
        let start = Instant::now();
        let answer = http.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().get("retry-after").cloned(), start.elapsed())
    };
    assert_eq!(ask(&url, &token).await.0, 200);
    drop(provider);

    let (mut answers, mut cold_answers) = (Answers::default(), Answers::default());
    let (mut failed, mut seen) = (0, keys.status().fetches);
    let end = Instant::now() + plan.outage;
    while Instant::now() < end {
        let (status, _, time) = ask(&url, &token).await;
        answers.add(status, time);
        let (status, retry_after, time) = ask(&cold_url, &token).await;
        assert!(status != 503 || retry_after.is_some());
        cold_answers.add(status, time);
        let status = keys.status();
        if status.last_error.is_some() && status.fetches > seen {
            failed += status.fetches - seen;
            seen = status.fetches;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("outage: {failed} failed refreshes in {:?}; known keys: {answers}", plan.outage);
    println!("outage: cold start: {cold_answers}");
    assert!(answers.only(200) && answers.in_time(plan));
    assert!(cold_answers.only(503));
    assert!(failed >= if plan.outage > Duration::from_secs(30) { 5 } else { 2 });

    let Some(provider) = Provider::start_at(port).await else { return false };
    let token = provider.token("rs256", "todo:read").await;
    let (start, mut after) = (Instant::now(), Answers::default());
    while !after.statuses.contains_key(&200) {
        assert!(start.elapsed() < Duration::from_secs(20), "no recovery: {after}");
        let (status, _, time) = ask(&cold_url, &token).await;
        after.add(status, time);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "outage: cold start judged again {:?} after the provider came back: {:?}",
        start.elapsed(),
        after.statuses
    );
    assert!(after.statuses.keys().all(|status| [200, 503].contains(status)));
    assert_eq!(ask(&url, &token).await.0, 200, "the keys of the new provider are found");
    true
}

async fn serve(id: &str, keys: &RemoteKeySet) -> String {
    let jwt = JwtAuthenticator::builder(Issuer::new(id, keys.clone()), audience("rs256")).build().unwrap();
    let app = Router::new().route("/", get(async || "")).route_layer(AuthLayer::new(jwt));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}
