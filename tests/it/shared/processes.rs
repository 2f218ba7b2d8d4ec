//! Another process, not only another list in this one.

use std::process::Stdio;

use portcullis::{Redis, RedisRevocations};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::{LIFETIME, PATIENCE, ann, bob, connect, knows, until};
use crate::redis::Redis as Server;

const URL: &str = "PORTCULLIS_TEST_REDIS";

#[tokio::test]
async fn another_process_hears_of_it_and_is_heard() {
    let Some(server) = Server::start() else { return };
    let list = connect(&server).await;
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "shared::processes::the_other_process", "--ignored", "--nocapture"])
        .env(URL, server.url())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let says = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("connected") {
                return;
            }
        }
        panic!("it ended");
    };
    tokio::time::timeout(PATIENCE, says).await.unwrap();
    list.revoke(ann()).await.unwrap();
    until("what it calls back in return", || knows(&list, bob())).await;
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap();
    assert!(ended.unwrap().success());
}

#[tokio::test]
#[ignore = "is run by the other"]
async fn the_other_process() {
    let Ok(url) = std::env::var(URL) else { return };
    let list = RedisRevocations::connect(Redis::open(&url).unwrap(), LIFETIME).await.unwrap();
    assert!(!knows(&list, ann()));
    // On a line of its own, whatever the harness has written before.
    eprintln!("waiting for the other process");
    #[allow(clippy::print_stdout)]
    {
        println!("\nconnected");
    }
    until("ann", || knows(&list, ann())).await;
    list.revoke(bob()).await.unwrap();
}
