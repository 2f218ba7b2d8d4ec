//! Millions of tokens that nobody issued, beside a thousand good ones: memory stays bounded and the good ones stay known. And
//! what a known token costs in memory.
//!
//! Each part runs in a process of its own, so that none finds memory that another has left.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis::http_client::{HttpClient, HttpFuture, Limits};
use portcullis::test_util::{ScriptedHttpClient, SigningKey, TokenBuilder};
use portcullis::{
    Algorithm, AuthError, AuthFuture, AuthLayer, Authenticator, ClientAuth, Credential,
    IntrospectionAuthenticator, Issuer, JwtAuthenticator, KeySet, Match, Reason, RemoteKeySet,
    RequestContext,
};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use crate::Plan;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";
const JWKS: &str = "https://id.example/keys";

/// Good tokens, each of which comes once a second.
const GOOD: usize = 1000;

/// By how much memory may grow.
const MIB: usize = 1024 * 1024;
const GROWTH: usize = 64 * MIB;

/// Requests under way at once; few enough that the authority's line is never full.
const CROWD: usize = 32;

pub async fn run(plan: &Plan) -> bool {
    for (part, kind) in [("flood", "jwt"), ("flood", "opaque"), ("bytes", "jwt"), ("bytes", "opaque")] {
        let mut process = tokio::process::Command::new(std::env::current_exe().unwrap());
        let count = if part == "flood" { plan.garbage } else { plan.known };
        process.args(["garbage-of", part, kind, &count.to_string()]);
        let status = process.stdin(Stdio::null()).kill_on_drop(true).status().await.unwrap();
        assert!(status.success(), "garbage: {part} {kind}");
    }
    true
}

/// A process of its own: `garbage-of flood|bytes jwt|opaque COUNT`.
pub async fn alone(arguments: &[String]) {
    let [part, kind, count] = arguments else { panic!("{arguments:?}") };
    let count = count.parse().unwrap();
    match (part.as_str(), kind.as_str()) {
        ("flood", "jwt") => flood("jwt", Jwts::new(GOOD), count).await,
        ("flood", "opaque") => flood("opaque", Opaques::new(GOOD), count).await,
        ("bytes", "jwt") => bytes_of_one("jwt", Jwts::new(count)).await,
        ("bytes", "opaque") => bytes_of_one("opaque", Opaques::new(count)).await,
        other => panic!("{other:?}"),
    }
}

/// Tokens of one kind, and who judges them.
trait Kind: Send + Sync + 'static {
    type Judge: Authenticator;

    fn judge(&self) -> Self::Judge;

    fn good(&self) -> &[String];

    /// How often a good one had to be judged.
    fn good_judged(&self) -> usize;

    /// A token that nobody issued, another for each number.
    fn garbage(&self, number: usize) -> String;
}

async fn flood<K: Kind>(name: &str, kind: K, count: usize) {
    let (layer, kind) = (AuthLayer::new(kind.judge()), Arc::new(kind));
    touch(&layer, kind.good()).await;
    assert_eq!(kind.good_judged(), GOOD);
    let (start, before) = (Instant::now(), resident());
    let sent = Arc::new(AtomicUsize::new(0));
    let crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let (layer, kind, sent) = (layer.clone(), Arc::clone(&kind), Arc::clone(&sent));
            tokio::spawn(async move {
                let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
                loop {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return refused;
                    }
                    let reason = ask(&layer, &kind.garbage(number)).await.expect("garbage is refused");
                    *refused.entry(reason.code()).or_default() += 1;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let (mut touched, mut most) = (0, before);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    while !crowd.iter().all(tokio::task::JoinHandle::is_finished) {
        second.tick().await;
        touched += touch(&layer, kind.good()).await;
        most = most.max(resident());
    }
    let mut refused: BTreeMap<&str, usize> = BTreeMap::new();
    for member in crowd {
        for (reason, times) in member.await.unwrap() {
            *refused.entry(reason).or_default() += times;
        }
    }
    touched += touch(&layer, kind.good()).await;
    let (growth, after) = (most.max(resident()) - before, resident().saturating_sub(before));
    let judged = kind.good_judged() - GOOD;
    let hits = 100.0 * (1.0 - judged as f64 / touched as f64);
    let mib = |bytes: usize| bytes as f64 / MIB as f64;
    println!(
        "garbage: {count} of kind {name} in {:?}: memory grew by {:.1} MiB at most, {:.1} MiB in the end; good tokens came \
         {touched} times and were judged again {judged} times ({hits:.3} % hits); refused: {refused:?}",
        start.elapsed(),
        mib(growth),
        mib(after)
    );
    assert!(growth < GROWTH && hits > 99.0);
    // An unknown key is not looked for again and again. Nothing else is anybody's fault but the sender's.
    let ours =
        |reason: &&str| ["authority_busy", "authority_unavailable", "keys_unavailable"].contains(reason);
    assert!(!refused.keys().any(ours));
}

async fn bytes_of_one<K: Kind>(name: &str, kind: K) {
    let known = kind.good().len();
    let fill = async |layer: &AuthLayer<K::Judge>| {
        // What is needed once, such as keys and connections, is not counted.
        ask(layer, &kind.garbage(0)).await;
        let before = resident();
        touch(layer, kind.good()).await;
        let (growth, judged) = (resident().saturating_sub(before), kind.good_judged());
        touch(layer, kind.good()).await;
        (growth, kind.good_judged() - judged)
    };
    let by_default = AuthLayer::new(kind.judge());
    let (growth, again) = fill(&by_default).await;
    println!(
        "garbage: of {known} verdicts of kind {name} the default capacity takes {:.1} MiB; {again} were judged again",
        growth as f64 / MIB as f64
    );
    // It stays meanwhile, so that its memory is not used again.
    let (growth, again) = fill(&by_default.clone().verdict_cache(256 * MIB as u64)).await;
    println!("garbage: a verdict of kind {name} takes {} bytes, of {known} that are known", growth / known);
    assert_eq!(again, 0, "all are known");
}

/// Sends each once, and gives how many there are.
async fn touch<A: Authenticator>(layer: &AuthLayer<A>, tokens: &[String]) -> usize {
    for token in tokens {
        assert_eq!(ask(layer, token).await, None);
    }
    tokens.len()
}

/// Why it is refused, if it is.
async fn ask<A: Authenticator>(layer: &AuthLayer<A>, token: &str) -> Option<Reason> {
    let handler = tower::service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let request = Request::builder().header("authorization", format!("Bearer {token}")).body(()).unwrap();
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    response.extensions().get::<AuthError>().map(AuthError::reason)
}

/// Bytes of memory that this process really has, by pages.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Tokens of an issuer whose keys are fetched.
struct Jwts {
    key: Arc<SigningKey>,
    good: Vec<String>,
    /// Header and claims of garbage: of the known key, of one that there is not, and of somebody else.
    messages: [String; 3],
    judged: Arc<AtomicUsize>,
}

impl Jwts {
    fn new(good: usize) -> Self {
        let key = Arc::new(SigningKey::generate(Algorithm::ES256));
        let token = || TokenBuilder::new(Arc::clone(&key), ISSUER, AUDIENCE).expires_in(8 * 3600);
        let good = (0..good).map(|number| token().subject(&format!("good-{number}")).build()).collect();
        let other = token().claim("iss", "https://other.example");
        let messages = [token().message(), token().header("kid", "unknown").message(), other.message()];
        Self { key, good, messages, judged: Arc::default() }
    }
}

impl Kind for Jwts {
    type Judge = Counting;

    fn judge(&self) -> Counting {
        let http = ScriptedHttpClient::new();
        http.answer(JWKS, json!({ "keys": [self.key.jwk()] }).to_string());
        let keys = RemoteKeySet::builder(JWKS).http_client(http).build().unwrap();
        let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys), AUDIENCE).build().unwrap();
        Counting { jwt, good: self.good.iter().cloned().collect(), judged: Arc::clone(&self.judged) }
    }

    fn good(&self) -> &[String] {
        &self.good
    }

    fn good_judged(&self) -> usize {
        self.judged.load(Ordering::SeqCst)
    }

    fn garbage(&self, number: usize) -> String {
        // As long as a signature is, so that it is verified in all its length; every fourth is none at all.
        match self.messages.get(number % 4) {
            Some(message) => format!("{message}.{number:085}A"),
            None => format!("{}.{number}", self.messages[0]),
        }
    }
}

/// Counts the good tokens that it is asked about.
struct Counting {
    jwt: JwtAuthenticator,
    good: HashSet<String>,
    judged: Arc<AtomicUsize>,
}

impl Authenticator for Counting {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        self.jwt.recognizes(credential)
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        if self.good.contains(credential.expose()) {
            self.judged.fetch_add(1, Ordering::SeqCst);
        }
        self.jwt.authenticate(credential, context)
    }
}

/// Tokens that an authority without a network is asked about; it answers at once.
struct Opaques {
    good: Vec<String>,
    judged: Arc<AtomicUsize>,
}

impl Opaques {
    fn new(good: usize) -> Self {
        let good = (0..good).map(|number| format!("good-{number:043}")).collect();
        Self { good, judged: Arc::default() }
    }
}

impl Kind for Opaques {
    type Judge = IntrospectionAuthenticator;

    fn judge(&self) -> IntrospectionAuthenticator {
        let key = SigningKey::generate(Algorithm::ES256);
        let keys = KeySet::parse(json!({ "keys": [key.jwk()] }).to_string()).unwrap();
        IntrospectionAuthenticator::builder(Issuer::new(ISSUER, keys), ClientAuth::basic("api", "secret"))
            .endpoint("https://id.example/introspect")
            .audience(AUDIENCE)
            .http_client(Authority(Arc::clone(&self.judged)))
            // What is counted is what gets lost, and not what is asked again after its time.
            .reuse_for(Duration::from_secs(8 * 3600))
            .build()
            .unwrap()
    }

    fn good(&self) -> &[String] {
        &self.good
    }

    fn good_judged(&self) -> usize {
        self.judged.load(Ordering::SeqCst)
    }

    fn garbage(&self, number: usize) -> String {
        format!("garbage-{number:040}")
    }
}

/// Knows the good tokens, and counts how often it is asked about them.
#[derive(Clone, Debug)]
struct Authority(Arc<AtomicUsize>);

impl HttpClient for Authority {
    fn send(&self, request: Request<Bytes>, _: Limits) -> HttpFuture {
        let form = std::str::from_utf8(request.body()).unwrap();
        let token = form.split('&').find_map(|field| field.strip_prefix("token=")).unwrap();
        let answer = if token.starts_with("good-") {
            self.0.fetch_add(1, Ordering::SeqCst);
            // As much as a usual answer says.
            json!({
                "active": true, "iss": ISSUER, "aud": AUDIENCE, "sub": token, "client_id": "app",
                "scope": "todo:read todo:write", "token_type": "Bearer", "exp": 4_000_000_000_u64,
                "iat": 1_700_000_000_u64, "jti": "0123456789abcdef", "username": "ann@example.com",
            })
        } else {
            json!({ "active": false })
        };
        let response = Response::builder().header("content-type", "application/json");
        Box::pin(std::future::ready(Ok(response.body(answer.to_string().into()).unwrap())))
    }
}
