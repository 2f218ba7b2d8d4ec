//! Redis is away, hangs, or has lost what it held.

use std::time::Duration;

use portcullis::RedisRevocations;
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use super::{LIFETIME, PATIENCE, SECOND, ann, bob, connect, knows, length, open, until, write};
use crate::log::Log;
use crate::redis::Redis as Server;

/// It was tried so often that pauses which grew on and on would be of half a minute by now.
const OFTEN: u64 = 10;

#[tokio::test]
async fn a_server_that_restarts_empty_is_told_again() {
    let Some(mut server) = Server::start() else { return };
    let lists = [connect(&server).await, connect(&server).await, connect(&server).await];
    lists[0].revoke(ann()).await.unwrap();
    until("known", || lists.iter().all(|list| knows(list, ann()))).await;
    server.stop();
    until("cut off", || lists.iter().all(|list| !list.status().connected)).await;
    assert!(lists.iter().all(|list| knows(list, ann())), "what is known stays");
    server.start_again();
    assert_eq!(length(&server), 0);
    until("told again", || length(&server) > 0).await;
    let new = connect(&server).await;
    assert!(knows(&new, ann()) && !knows(&new, bob()));
    until("read again", || lists.iter().all(|list| list.status().connected)).await;
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(length(&server), 1, "one tells for all");
}

/// Its entries are later than all that are known, so that nothing seems to be missing.
#[tokio::test]
async fn it_is_told_again_also_where_somebody_wrote_meanwhile() {
    let Some(mut server) = Server::start() else { return };
    let list = connect(&server).await;
    list.revoke(ann()).await.unwrap();
    server.stop();
    server.start_again();
    write(&server, "*", bob(), &[]);
    until("both are there", || length(&server) == 2).await;
    let new = connect(&server).await;
    assert!(knows(&new, ann()) && knows(&new, bob()));
    until("and here", || knows(&list, bob())).await;
}

#[tokio::test]
async fn it_is_told_again_where_somebody_deletes_all_while_it_runs() {
    let Some(server) = Server::start() else { return };
    let list = connect(&server).await;
    list.revoke(ann()).await.unwrap();
    server.command(&["FLUSHALL"]);
    until("told again", || length(&server) == 1).await;
    assert!(knows(&connect(&server).await, ann()));
    assert_eq!(list.status().failures, 0);
}

#[tokio::test]
async fn a_server_that_is_back_is_read_soon_however_often_it_was_tried() {
    let Some(mut server) = Server::start() else { return };
    let list = connect(&server).await;
    server.stop();
    until("cut off", || !list.status().connected).await;
    until("tried often", || list.status().failures > OFTEN).await;
    server.start_again();
    write(&server, "*", ann(), &[]);
    until("read", || knows(&list, ann())).await;
    until("connected", || list.status().connected).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_read_on_after_it() {
    let Some(mut server) = Server::start() else { return };
    let list = connect(&server).await;
    server.pause();
    until("cut off", || !list.status().connected).await;
    assert!(list.status().silent_for >= SECOND);
    server.resume();
    write(&server, "*", ann(), &[]);
    until("read", || knows(&list, ann())).await;
}

#[tokio::test]
async fn what_a_hanging_server_did_not_take_counts_here_and_soon_elsewhere() {
    let Some(mut server) = Server::start() else { return };
    let (here, there) = (connect(&server).await, connect(&server).await);
    here.revoke(bob()).await.unwrap();
    server.pause();
    let (start, mut revoking) = (Instant::now(), Box::pin(here.revoke(ann())));
    let waits = futures_poll(&mut revoking);
    assert!(waits && knows(&here, ann()), "at once");
    let error = revoking.await.unwrap_err();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(!knows(&there, ann()));
    server.resume();
    until("there", || knows(&there, ann())).await;
    here.revoke(ann()).await.unwrap();
}

/// Whether it waits, polled once.
fn futures_poll(future: &mut (impl Future + Unpin)) -> bool {
    tokio_test::task::spawn(future).poll().is_pending()
}

#[tokio::test]
async fn what_is_called_back_while_the_server_is_away_is_told_later() {
    let Some(mut server) = Server::start() else { return };
    let list = connect(&server).await;
    server.stop();
    let start = Instant::now();
    list.revoke(ann()).await.unwrap_err();
    assert!(start.elapsed() < PATIENCE && knows(&list, ann()));
    // Whoever gives up waiting takes nothing back.
    assert!(tokio::time::timeout(Duration::ZERO, list.revoke(bob())).await.is_err());
    server.start_again();
    until("told", || length(&server) == 2).await;
    let new = connect(&server).await;
    assert!(knows(&new, ann()) && knows(&new, bob()));
    list.revoke(ann()).await.unwrap();
}

#[tokio::test]
async fn nobody_starts_without_the_list() {
    let Some(mut server) = Server::start() else { return };
    connect(&server).await;
    let refused = async |server: &Server| {
        let start = Instant::now();
        let error = RedisRevocations::connect(open(server), LIFETIME).await.unwrap_err();
        // A second for each question; a session by itself would wait for ten.
        assert!(start.elapsed() < 8 * SECOND, "{error}: {:?}", start.elapsed());
        error.to_string()
    };
    server.pause();
    assert!(refused(&server).await.starts_with("Redis: "));
    server.resume();
    connect(&server).await;
    server.stop();
    let error = refused(&server).await;
    assert!(error.starts_with("Redis: ") && !error.contains("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn being_cut_off_is_logged_once_a_second() {
    let Some(mut server) = Server::start() else { return };
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let list = connect(&server).await;
    assert!(log.take().is_empty());
    let start = Instant::now();
    server.stop();
    until("tried often", || list.status().failures > OFTEN).await;
    let (lines, seconds) = (log.take().lines().count(), start.elapsed().as_secs());
    assert!((2..=seconds + 2).contains(&(lines as u64)), "{lines} lines in {seconds} s");
}

/// Reading is what counts: a server that takes no more is still heard.
#[tokio::test]
async fn a_server_that_takes_no_more_is_still_read() {
    let limits = ["--maxmemory", "20mb", "--maxmemory-policy", "noeviction"];
    let Some(server) = Server::start_with(&limits) else { return };
    let list = connect(&server).await;
    list.revoke(bob()).await.unwrap();
    super::single_use::fill(&server);
    let error = list.revoke(ann()).await.unwrap_err();
    assert!(error.to_string().contains("OOM"), "{error}");
    until("tried again", || list.status().failures > 0).await;
    assert!(list.status().connected && knows(&list, ann()));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    until("told", || length(&server) == 2).await;
    assert!(list.status().connected);
}
