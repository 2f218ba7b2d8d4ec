//! Tokens that open one request, whichever process it comes to.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use jsonwebtoken::{EncodingKey, Header, encode};
use portcullis::{
    AuthLayer, ClientSecret, MemoryClientSecrets, Reason, Redis, RedisSingleUse, ScopeSet,
    SignedRequestAuthenticator, SigningClient, SingleUse, SingleUseToken, Spend, StoreError,
};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{PATIENCE, SECOND, open};
use crate::redis::Redis as Server;
use crate::support::{bearer, outcome, send};

const SECRET: &str = "3d844edf-8d35-48ac-975b-e847b4f122b0";

const HOUR: Duration = Duration::from_secs(3600);

const ACCEPTED: (StatusCode, Option<Reason>) = (StatusCode::OK, None);

const NOEVICTION: [&str; 4] = ["--maxmemory", "20mb", "--maxmemory-policy", "noeviction"];

fn store(server: &Server) -> RedisSingleUse {
    RedisSingleUse::new(open(server))
}

/// Spends a token that is good for so long.
async fn spend(store: &RedisSingleUse, number: u8, good_for: Duration) -> Result<Spend, StoreError> {
    store.spend(&SingleUseToken::new([number; 32], "app", SystemTime::now() + good_for)).answer().await
}

/// From now on it takes nothing.
pub(super) fn fill(server: &Server) {
    server.command(&["SETRANGE", "filling", "4000000", "x"]);
    server.command(&["CONFIG", "SET", "maxmemory", "3mb"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_at_once_in_two_processes_one_opens() {
    let Some(server) = Server::start() else { return };
    let stores = [store(&server), store(&server)];
    for token in 0..5 {
        let spending: Vec<_> = (0..100)
            .map(|number| {
                let store = stores[number % 2].clone();
                tokio::spawn(async move { spend(&store, token, SECOND).await.unwrap() })
            })
            .collect();
        let mut said = Vec::new();
        for one in spending {
            said.push(one.await.unwrap());
        }
        assert_eq!(said.iter().filter(|said| **said == Spend::Spent).count(), 1);
        assert_eq!(said.iter().filter(|said| **said == Spend::AlreadySpent).count(), 99);
    }
    assert_eq!(spend(&stores[0], 5, SECOND).await.unwrap(), Spend::Spent, "another token");
}

#[tokio::test]
async fn a_mark_stays_until_its_time_and_not_for_ever() {
    let Some(server) = Server::start() else { return };
    let store = store(&server);
    for (number, good_for) in [(1, 0), (2, 90), (3, 3600)] {
        let good_for = Duration::from_secs(good_for);
        assert_eq!(spend(&store, number, good_for).await.unwrap(), Spend::Spent);
        let key = format!("portcullis:used:{}", format!("{number:02x}").repeat(32));
        let left: u64 = server.command(&["PTTL", &key]).parse().unwrap();
        let left = Duration::from_millis(left);
        assert!(left > good_for + 50 * SECOND && left <= good_for + 60 * SECOND, "{left:?}");
    }
    // What should have left already is remembered all the same.
    let past = SingleUseToken::new([4; 32], "app", UNIX_EPOCH);
    assert_eq!(store.spend(&past).answer().await.unwrap(), Spend::Spent);
    assert_eq!(store.spend(&past).answer().await.unwrap(), Spend::AlreadySpent);
    assert_eq!(server.command(&["DBSIZE"]), "4");
}

#[tokio::test]
async fn a_server_without_room_says_so_and_forgets_nothing() {
    let Some(server) = Server::start_with(&NOEVICTION) else { return };
    let store = store(&server);
    assert_eq!(spend(&store, 1, SECOND).await.unwrap(), Spend::Spent);
    fill(&server);
    assert_eq!(spend(&store, 2, SECOND).await.unwrap(), Spend::Full);
    server.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert_eq!(spend(&store, 1, SECOND).await.unwrap(), Spend::AlreadySpent);
    assert_eq!(spend(&store, 2, SECOND).await.unwrap(), Spend::Spent);
}

#[tokio::test]
async fn a_server_that_may_forget_is_not_used() {
    let Some(server) = Server::start_with(&NOEVICTION) else { return };
    for policy in ["allkeys-lru", "volatile-ttl", "volatile-random"] {
        server.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let error = spend(&store(&server), 1, SECOND).await.unwrap_err().to_string();
        assert!(error.contains("maxmemory-policy") && error.contains("noeviction"), "{error}");
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_ne!(
            spend(&store(&server), 1, SECOND).await.unwrap(),
            Spend::Full,
            "{policy}: it never has to"
        );
        server.command(&["CONFIG", "SET", "maxmemory", "20mb"]);
    }
    let strict = store(&server);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert_eq!(spend(&strict, 2, SECOND).await.unwrap(), Spend::Spent);
}

/// It may have been started with other settings.
#[tokio::test]
async fn a_server_that_was_away_is_asked_again_whether_it_may_forget() {
    let Some(mut server) = Server::start_with(&["--maxmemory-policy", "allkeys-lru"]) else { return };
    let store = store(&server);
    assert_eq!(spend(&store, 1, SECOND).await.unwrap(), Spend::Spent);
    server.command(&["CONFIG", "SET", "maxmemory", "10mb"]);
    assert_eq!(spend(&store, 2, SECOND).await.unwrap(), Spend::Spent, "not yet noticed");
    server.stop();
    spend(&store, 3, SECOND).await.unwrap_err();
    server.start_again();
    server.command(&["CONFIG", "SET", "maxmemory", "10mb"]);
    let start = Instant::now();
    let error = loop {
        let error = spend(&store, 4, SECOND).await.unwrap_err().to_string();
        if error.contains("maxmemory-policy") {
            break error;
        }
        assert!(start.elapsed() < PATIENCE, "{error}");
    };
    assert!(error.contains("noeviction"));
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    assert_eq!(spend(&store, 4, SECOND).await.unwrap(), Spend::Spent);
}

#[tokio::test]
async fn a_server_that_hangs_or_is_away_is_an_error_soon_and_back_soon() {
    let Some(mut server) = Server::start() else { return };
    let store = store(&server);
    assert_eq!(spend(&store, 1, SECOND).await.unwrap(), Spend::Spent);
    server.pause();
    // The driver by itself would wait for five seconds.
    let error = spend(&store, 2, SECOND).await.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    server.resume();
    spend(&store, 3, SECOND).await.unwrap();
    server.stop();
    let start = Instant::now();
    spend(&store, 4, SECOND).await.unwrap_err();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    server.start_again();
    let start = Instant::now();
    while spend(&store, 5, SECOND).await.is_err() {
        assert!(start.elapsed() < PATIENCE);
    }
}

/// While many commands are on their way by the one connection: no later command gets the answer to
/// an earlier one.
#[tokio::test]
async fn server_that_is_killed_in_a_pipeline_confuses_no_answers() {
    let Some(mut server) = Server::start() else { return };
    let store = store(&server);
    for round in 0..3_u8 {
        let mark = |number: u8| round * 80 + number;
        assert_eq!(spend(&store, mark(0), HOUR).await.unwrap(), Spend::Spent);
        server.pause();
        let asking: Vec<_> = (1..40)
            .map(|number| {
                let (store, number) = (store.clone(), mark(number));
                tokio::spawn(async move { spend(&store, number, HOUR).await })
            })
            .collect();
        tokio::time::sleep(SECOND / 20).await;
        server.stop();
        for one in asking {
            assert!(one.await.unwrap().is_err(), "nobody has answered");
        }
        server.start_again();
        let start = Instant::now();
        while spend(&store, mark(40), HOUR).await.is_err() {
            assert!(start.elapsed() < PATIENCE);
            tokio::time::sleep(SECOND / 20).await;
        }
        for number in 41..80 {
            let said = [spend(&store, mark(number), HOUR).await, spend(&store, mark(number), HOUR).await];
            assert_eq!(said.map(Result::unwrap), [Spend::Spent, Spend::AlreadySpent], "{number}");
        }
    }
}

/// As where a machine is gone or fails over behind its address: the old connection stays open, and nothing comes back on it.
#[tokio::test]
async fn a_connection_whose_other_end_is_gone_without_a_word_is_given_up() {
    let Some(server) = Server::start() else { return };
    let (address, gone) = way_to(&server).await;
    let store = RedisSingleUse::new(Redis::open(&format!("redis://{address}")).unwrap());
    assert_eq!(spend(&store, 1, SECOND).await.unwrap(), Spend::Spent);
    gone.send_replace(());
    // Whoever waits less than we do tells nothing of it.
    for _ in 0..3 {
        let asking = spend(&store, 2, SECOND);
        assert!(tokio::time::timeout(SECOND / 10, asking).await.is_err());
    }
    let start = Instant::now();
    while spend(&store, 2, SECOND).await.is_err() {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(spend(&store, 1, SECOND).await.unwrap(), Spend::AlreadySpent);
}

/// A way to the server, on which all that is connected hears nothing more once something is sent to it.
async fn way_to(server: &Server) -> (SocketAddr, watch::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, port) =
        (listener.local_addr().unwrap(), server.url().rsplit_once(':').unwrap().1.to_owned());
    let (gone, is_gone) = watch::channel(());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
            let mut is_gone = is_gone.clone();
            is_gone.mark_unchanged();
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = is_gone.changed() => std::future::pending().await,
                }
            });
        }
    });
    (address, gone)
}

fn layer(store: RedisSingleUse) -> AuthLayer<SignedRequestAuthenticator> {
    let clients = MemoryClientSecrets::new();
    let secret = ClientSecret::new(SECRET).unwrap();
    clients.put("app", SigningClient::new([secret], ScopeSet::parse("todo:read").unwrap()));
    AuthLayer::new(SignedRequestAuthenticator::builder(clients).single_use_in(store).build().unwrap())
}

fn token(jti: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({"iss": "app", "iat": now, "jti": jti});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

#[tokio::test]
async fn a_token_opens_one_request_in_all_processes_and_none_while_the_server_is_away() {
    let Some(mut server) = Server::start() else { return };
    let layers = [layer(store(&server)), layer(store(&server))];
    let ask = async |layer: &AuthLayer<_>, token: &str| outcome(&send(layer, bearer(token)).await);
    let (first, second) = (token("1"), token("2"));
    assert_eq!(ask(&layers[0], &first).await, ACCEPTED);
    let replayed = (StatusCode::UNAUTHORIZED, Some(Reason::TokenReplayed));
    for layer in &layers {
        assert_eq!(ask(layer, &first).await, replayed);
    }
    assert_eq!(ask(&layers[1], &second).await, ACCEPTED);
    server.stop();
    let away = (StatusCode::SERVICE_UNAVAILABLE, Some(Reason::AuthorityUnavailable));
    assert_eq!(ask(&layers[0], &token("3")).await, away);
    server.start_again();
    let start = Instant::now();
    while ask(&layers[0], &token("4")).await == away {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(ask(&layers[0], &token("5")).await, ACCEPTED);
}

#[tokio::test]
async fn a_full_server_is_no_verdict() {
    let Some(server) = Server::start_with(&NOEVICTION) else { return };
    let layer = layer(store(&server));
    assert_eq!(outcome(&send(&layer, bearer(&token("1"))).await), ACCEPTED);
    fill(&server);
    let answer = send(&layer, bearer(&token("2"))).await;
    let full = (StatusCode::SERVICE_UNAVAILABLE, Some(Reason::ReplayStoreFull));
    assert_eq!(outcome(&answer), full);
    assert_eq!(answer.headers()["retry-after"], "1");
}
