//! What processes share in Redis: revocations, and tokens that were used.

mod life;
mod outages;
mod processes;
mod revocations;
mod single_use;
mod stream;
mod tls;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::{Mark, Redis, RedisRevocations, Revocations as _};
use tokio::time::Instant;

use crate::redis::Redis as Server;
use crate::support::ISSUER;

const LIFETIME: Duration = Duration::from_secs(3600);

const STREAM: &str = "portcullis:revocations:1";

const SECOND: Duration = Duration::from_secs(1);

/// For what takes a second at most, on a machine that others use as well.
const PATIENCE: Duration = Duration::from_secs(15);

fn open(server: &Server) -> Redis {
    Redis::open(&server.url()).unwrap()
}

async fn connect(server: &Server) -> RedisRevocations {
    RedisRevocations::connect(open(server), LIFETIME).await.unwrap()
}

fn ann() -> Mark {
    Mark::subject(ISSUER, "ann")
}

fn bob() -> Mark {
    Mark::subject(ISSUER, "bob")
}

fn knows(list: &RedisRevocations, mark: Mark) -> bool {
    list.is_revoked(&mark, None)
}

/// As it stands in the stream.
fn hex(mark: Mark) -> String {
    mark.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn millis(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap().as_millis().to_string()
}

/// What others do by hand: an entry with these fields besides the mark.
fn write(server: &Server, id: &str, mark: Mark, fields: &[&str]) {
    server.command(&[&["XADD", STREAM, id, "mark", &hex(mark)], fields].concat());
}

fn length(server: &Server) -> usize {
    server.command(&["XLEN", STREAM]).parse().unwrap()
}

/// Waits until it is so, and fails if it is not so in time.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
