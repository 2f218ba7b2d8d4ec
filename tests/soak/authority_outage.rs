//! The authority that judges opaque tokens is away for long, silent or gone: no token is refused for it, those that were judged
//! before pass, all others are told at once to come again, and the first question after it is back ends the outage.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};
use portcullis::{
    AuthError, AuthLayer, BreakerState, ClientAuth, IntrospectionAuthenticator, Issuer, Reason, RemoteKeySet,
    require_scopes,
};
use tower::util::BoxCloneSyncService;
use tower::{Layer as _, ServiceExt as _};

use crate::harness::{Provider, audience};
use crate::{Answers, Plan};

const CLIENTS: [Kind; 8] =
    [Kind::Cached, Kind::Cached, Kind::Cached, Kind::New, Kind::New, Kind::New, Kind::Fresh, Kind::Fresh];

/// Tokens of each client.
const TOKENS: usize = 25;

/// What a client asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Tokens that were judged before.
    Cached,
    /// Tokens that nobody has seen.
    New,
    /// Tokens that were judged before, on a route that has the authority asked for each request.
    Fresh,
}

/// What the clients of one kind saw.
#[derive(Default)]
struct Seen {
    all: Answers,
    /// 503 because of the breaker, without a question.
    at_once: Answers,
    /// Any other 503: by those who asked.
    asked: Answers,
}

type Service = BoxCloneSyncService<Request<String>, Response<String>, Infallible>;

/// A resource server within this process.
struct Api {
    opaque: IntrospectionAuthenticator,
    any: Service,
    fresh: Service,
}

pub async fn run(plan: &Plan) -> bool {
    let Some(provider) = Provider::start().await else { return false };
    // As in earnest, where three seconds are a tenth of the outage; but no less than a busy machine takes.
    let api = Arc::new(Api::new(&provider, (plan.authority / 10).max(Duration::from_secs(2))));
    silent(&provider, &api, plan).await;
    gone(provider, &api, plan).await
}

/// It takes every question and answers none.
async fn silent(provider: &Provider, api: &Arc<Api>, plan: &Plan) {
    let tokens = tokens(provider, api).await;
    provider.trouble_introspection(0, "hang").await;
    let load = Load::start(api, &tokens);
    tokio::time::sleep(plan.authority).await;
    assert_ne!(api.opaque.status().breaker, BreakerState::Closed);
    // All that is asked from here on is answered, and one answer is enough.
    provider.trouble_introspection(0, "none").await;
    let before = api.opaque.status();
    let asked_before = provider.requests("introspection").await;
    let recovered = Instant::now();
    while api.ask(Kind::Fresh, &tokens[0]).await.0 != 200 {
        assert!(recovered.elapsed() < Duration::from_secs(20), "no recovery: {:?}", api.opaque.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (time, after) = (recovered.elapsed(), api.opaque.status());
    let asked = provider.requests("introspection").await - asked_before;
    let failed = after.failures - before.failures;
    println!(
        "authority outage, silent: back after {time:?}, {failed} failures of {} that were under way; {asked} asked",
        before.in_flight
    );
    assert!(failed <= before.in_flight as u64, "{after:?}");
    // Nobody is held up any longer.
    let calm = Instant::now() + Duration::from_secs(1);
    while Instant::now() < calm {
        assert_eq!(api.ask(Kind::Fresh, &tokens[0]).await.0, 200);
    }
    assert_eq!(api.opaque.status().breaker, BreakerState::Closed);
    load.end("silent", plan).await;
}

/// Nothing listens there any more. What comes back in its place knows none of the tokens, so that the load ends before.
async fn gone(provider: Provider, api: &Arc<Api>, plan: &Plan) -> bool {
    let tokens = tokens(&provider, api).await;
    let port = provider.port();
    drop(provider);
    let load = Load::start(api, &tokens);
    tokio::time::sleep(plan.authority).await;
    load.end("gone", plan).await;

    let Some(provider) = Provider::start_at(port).await else { return false };
    let token = provider.token("opaque", "todo:read").await;
    let before = api.opaque.status();
    let (recovered, mut after) = (Instant::now(), Answers::default());
    while !after.statuses.contains_key(&200) {
        assert!(recovered.elapsed() < Duration::from_secs(20), "no recovery: {:?}", api.opaque.status());
        let (status, _, time) = api.ask(Kind::New, &token).await;
        after.add(status, time);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = api.opaque.status().calls - before.calls;
    println!("authority outage, gone: back after {:?} and {asked} calls: {after}", recovered.elapsed());
    assert!(asked == 1 && after.statuses.keys().all(|status| [200, 503].contains(status)));
    assert_eq!(api.ask(Kind::Cached, &tokens[0]).await.0, 200);
    true
}

/// Tokens for all clients, of which only those of [`Kind::New`] were not judged yet.
async fn tokens(provider: &Provider, api: &Api) -> Vec<String> {
    let mut tokens = Vec::new();
    for kind in CLIENTS {
        for _ in 0..TOKENS {
            let token = provider.token("opaque", "todo:read").await;
            if kind != Kind::New {
                assert_eq!(api.ask(Kind::Cached, &token).await.0, 200);
            }
            tokens.push(token);
        }
    }
    tokens
}

impl Api {
    fn new(provider: &Provider, timeout: Duration) -> Self {
        let keys = RemoteKeySet::discover(&provider.issuer).allow_http().build().unwrap();
        // The only one that keeps its secret when the provider starts anew.
        let client = provider.resource_server("special");
        let opaque = IntrospectionAuthenticator::builder(
            Issuer::new(provider.issuer.as_str(), keys),
            ClientAuth::basic(client.id, client.secret),
        );
        let opaque =
            opaque.audience(audience("opaque")).timeout(timeout).reuse_for(Duration::from_secs(3600));
        let opaque = opaque.build().unwrap();
        let auth = AuthLayer::new(opaque.clone());
        let inner = tower::service_fn(async |_| Ok::<_, Infallible>(Response::new(String::new())));
        let read = || require_scopes(["todo:read"]);
        let any = BoxCloneSyncService::new(auth.layer(read().layer(inner)));
        let fresh = BoxCloneSyncService::new(auth.layer(read().verified_within(Duration::ZERO).layer(inner)));
        Self { opaque, any, fresh }
    }

    /// Status, reason, and the time that it took.
    async fn ask(&self, kind: Kind, token: &str) -> (u16, Option<Reason>, Duration) {
        let service = if kind == Kind::Fresh { &self.fresh } else { &self.any };
        let request = Request::builder()
            .header("authorization", format!("Bearer {token}"))
            .body(String::new())
            .unwrap();
        let service = service.clone();
        let start = Instant::now();
        let answer = service.oneshot(request).await.unwrap();
        let time = start.elapsed();
        let reason = answer.extensions().get::<AuthError>().map(AuthError::reason);
        assert!(answer.status() != 503 || answer.headers().contains_key("retry-after"));
        (answer.status().as_u16(), reason, time)
    }
}

/// The clients, at work.
struct Load {
    over: Arc<AtomicBool>,
    began: Instant,
    clients: Vec<(Kind, tokio::task::JoinHandle<Seen>)>,
}

impl Load {
    fn start(api: &Arc<Api>, tokens: &[String]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |(number, kind): (usize, Kind)| {
            let (api, over) = (Arc::clone(api), Arc::clone(&over));
            let tokens = tokens[number * TOKENS..][..TOKENS].to_vec();
            (kind, tokio::spawn(async move { ask_steadily(&api, kind, &tokens, &over).await }))
        };
        let clients = CLIENTS.into_iter().enumerate().map(client).collect();
        Self { over, began: Instant::now(), clients }
    }

    async fn end(self, how: &str, plan: &Plan) {
        let took = self.began.elapsed();
        self.over.store(true, Ordering::Relaxed);
        let (mut cached, mut others) = (Seen::default(), Seen::default());
        for (kind, client) in self.clients {
            let seen = client.await.unwrap();
            let sum = if kind == Kind::Cached { &mut cached } else { &mut others };
            sum.all.merge(seen.all);
            sum.at_once.merge(seen.at_once);
            sum.asked.merge(seen.asked);
        }
        let Seen { all, at_once, asked } = &others;
        println!("authority outage, {how}: {took:?}; cached verdicts: {}", cached.all);
        println!("authority outage, {how}: new tokens and fresh verdicts: {all}");
        println!("authority outage, {how}: while nobody is asked: {at_once}");
        println!("authority outage, {how}: those who asked: {asked}");
        assert!(cached.all.only(200) && cached.all.in_time(plan));
        assert!(all.statuses.keys().all(|status| [200, 503].contains(status)));
        assert!(at_once.only(503) && at_once.percentile(99) < plan.at_once);
        // Few find out for all.
        assert!(asked.statuses[&503] * 20 < at_once.statuses[&503]);
    }
}

async fn ask_steadily(api: &Api, kind: Kind, tokens: &[String], over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    for token in tokens.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let (status, reason, time) = api.ask(kind, token).await;
        seen.all.add(status, time);
        match (status, reason) {
            (503, Some(Reason::AuthorityPaused)) => seen.at_once.add(status, time),
            (503, _) => seen.asked.add(status, time),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    seen
}
