//! What runs and is connected as long as there is a list, and no longer.

use std::time::Duration;

use portcullis::RedisRevocations;
use tracing_subscriber::filter::LevelFilter;

use super::{LIFETIME, SECOND, ann, bob, connect, knows, open, until};
use crate::log::Log;
use crate::redis::Redis as Server;

/// But for the one that asks.
fn connections(server: &Server) -> usize {
    server.command(&["CLIENT", "LIST"]).lines().filter(|line| !line.is_empty()).count() - 1
}

#[tokio::test]
async fn the_last_clone_takes_task_and_connection_with_it() {
    let Some(server) = Server::start() else { return };
    assert_eq!(connections(&server), 0);
    let list = connect(&server).await;
    assert_eq!(connections(&server), 1);
    let clone = list.clone();
    drop(list);
    tokio::time::sleep(Duration::from_millis(50)).await;
    clone.revoke(ann()).await.unwrap();
    assert!(knows(&clone, ann()) && clone.status().connected);
    assert_eq!(connections(&server), 2, "one to read, and the one that all share");
    drop(clone);
    until("all are closed", || connections(&server) == 0).await;
}

#[tokio::test]
async fn one_that_was_cut_off_ends_with_its_last_clone_too() {
    let Some(mut server) = Server::start() else { return };
    let list = connect(&server).await;
    server.stop();
    until("cut off", || !list.status().connected).await;
    drop(list);
    server.start_again();
    tokio::time::sleep(SECOND).await;
    assert_eq!(connections(&server), 0);
}

#[tokio::test]
async fn whoever_gives_up_connecting_leaves_nothing_behind() {
    let Some(mut server) = Server::start() else { return };
    server.pause();
    let connecting = RedisRevocations::connect(open(&server), LIFETIME);
    let connected = tokio::time::timeout(Duration::from_millis(50), connecting).await;
    assert!(!matches!(connected, Ok(Ok(_))));
    server.resume();
    until("closed", || connections(&server) == 0).await;
}

#[test]
fn where_the_runtime_ends_that_reads_the_status_says_so() {
    let Some(server) = Server::start() else { return };
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let list = first.block_on(connect(&server));
    assert!(list.status().connected);
    drop(first);
    assert!(!list.status().connected);
    assert!(log.take().contains("the runtime has ended"));
    // It is still good for what is called back here.
    second.block_on(list.revoke(ann())).unwrap();
    assert!(knows(&list, ann()) && !knows(&list, bob()));
    drop(list);
    assert!(log.take().is_empty());
}
