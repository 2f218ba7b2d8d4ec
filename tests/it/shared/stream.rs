//! What stands in the stream, whoever wrote it.

use std::time::SystemTime;

use portcullis::{Mark, RedisRevocations, Revocations as _};
use tracing_subscriber::filter::LevelFilter;

use super::{LIFETIME, SECOND, STREAM, ann, bob, connect, hex, knows, length, millis, open, until, write};
use crate::log::Log;
use crate::redis::Redis as Server;
use crate::support::ISSUER;

#[tokio::test]
async fn what_is_written_by_hand_is_called_back() {
    let Some(server) = Server::start() else { return };
    let list = connect(&server).await;
    let now = SystemTime::now();
    write(&server, "*", ann(), &[]);
    write(&server, "*", bob(), &["before", &millis(now), "reason", "he left"]);
    until("read", || knows(&list, bob())).await;
    let late = connect(&server).await;
    for list in [&list, &late] {
        assert!(list.is_revoked(&ann(), Some(now + SECOND)));
        assert!(list.is_revoked(&bob(), Some(now - SECOND)) && !list.is_revoked(&bob(), Some(now + SECOND)));
        assert_eq!(list.status().entries, 2);
    }
}

#[tokio::test]
async fn what_we_write_is_as_it_is_told() {
    let Some(server) = Server::start() else { return };
    let (list, now) = (connect(&server).await, SystemTime::UNIX_EPOCH + 1_000_000_000 * SECOND);
    list.revoke(ann()).await.unwrap();
    list.revoke_before(ann(), now).await.unwrap();
    let written = server.command(&["XRANGE", STREAM, "-", "+"]);
    let lines: Vec<&str> = written.lines().collect();
    let stays = ["stays", "3900000"];
    assert_eq!(lines[1..5], ["mark", &hex(ann()), stays[0], stays[1]]);
    assert_eq!(lines[6..], ["mark", &hex(ann()), "before", "1000000000000", stays[0], stays[1]]);
}

#[tokio::test]
async fn what_is_no_revocation_is_left_out_and_told_of() {
    let Some(server) = Server::start() else { return };
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let list = connect(&server).await;
    let garbage: [&[&str]; 5] = [
        &["a", "b"],
        &["mark", "ann"],
        &["mark", &hex(ann()), "before", "yesterday"],
        &["mark", &hex(ann()), "stays", "-1"],
        &["mark", &hex(ann()), "mark", &hex(ann())],
    ];
    for fields in garbage {
        server.command(&[&["XADD", STREAM, "*"], fields].concat());
    }
    write(&server, "*", bob(), &[]);
    until("what follows is read", || knows(&list, bob())).await;
    assert!(log.take().contains("is no revocation"));
    let late = connect(&server).await;
    for list in [&list, &late] {
        assert!(!knows(list, ann()) && knows(list, bob()) && list.status().connected);
    }
}

#[tokio::test]
async fn another_kind_of_key_is_an_error_and_no_crash() {
    let Some(server) = Server::start() else { return };
    server.command(&["SET", STREAM, "x"]);
    let error = RedisRevocations::connect(open(&server), LIFETIME).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    server.command(&["DEL", STREAM]);
    connect(&server).await;
}

/// Entries that a script writes, named by their number.
fn write_many(server: &Server, many: usize) {
    let script =
        "for i = 1, ARGV[1] do redis.call('XADD', KEYS[1], '*', 'mark', string.format('%064x', i)) end";
    server.command(&["EVAL", script, "1", STREAM, &many.to_string()]);
}

fn numbered(number: u16) -> Mark {
    let mut bytes = [0; 32];
    bytes[30..].copy_from_slice(&number.to_be_bytes());
    Mark::from_bytes(bytes)
}

#[tokio::test]
async fn a_long_stream_is_read_in_pages() {
    let Some(server) = Server::start() else { return };
    let list = connect(&server).await;
    write_many(&server, 20_001);
    until("read", || list.status().entries == 20_001).await;
    server.command(&["CONFIG", "RESETSTAT"]);
    let late = connect(&server).await;
    assert_eq!(late.status().entries, 20_001);
    assert!(knows(&late, numbered(1)) && knows(&late, numbered(20_001)) && !knows(&late, numbered(20_002)));
    let statistics = server.command(&["INFO", "commandstats"]);
    let reads = statistics.lines().find(|line| line.starts_with("cmdstat_xread")).unwrap();
    let calls: u32 = reads.split_once("calls=").unwrap().1.split_once(',').unwrap().0.parse().unwrap();
    assert!((41..50).contains(&calls), "{reads}");
}

#[tokio::test]
async fn a_list_without_room_does_not_start_and_says_so_when_it_runs() {
    let Some(server) = Server::start() else { return };
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    write_many(&server, 10);
    let list = RedisRevocations::connect_with_capacity(open(&server), LIFETIME, 10).await.unwrap();
    assert!(!list.status().full && log.take().is_empty());
    write_many(&server, 1);
    write(&server, "*", ann(), &[]);
    until("full", || list.status().full).await;
    assert!(log.take().contains("the list of revocations is full"));
    assert!(!knows(&list, ann()) && knows(&list, numbered(10)) && list.status().connected);
    let error = RedisRevocations::connect_with_capacity(open(&server), LIFETIME, 10).await.unwrap_err();
    assert!(error.to_string().contains("is full"));
    let all = RedisRevocations::connect_with_capacity(open(&server), LIFETIME, 11).await.unwrap();
    assert!(knows(&all, ann()));
    // Others may have room for it.
    list.revoke(bob()).await.unwrap_err();
    assert!(knows(&connect(&server).await, bob()));
}

#[tokio::test]
async fn what_counts_no_longer_is_deleted_and_nothing_else() {
    let Some(server) = Server::start() else { return };
    let now = SystemTime::now();
    let id = |ago: u32| format!("{}-1", millis(now - ago * SECOND));
    let mark = |name| Mark::jti(ISSUER, name);
    let (day, soon) = (86_400_000.to_string(), millis(now + 60 * SECOND));
    // A credential lives an hour, five minutes are for the clocks, and an hour more before anything is deleted.
    write(&server, &id(8000), mark("over"), &[]);
    server.command(&["XADD", STREAM, &id(7950), "no", "revocation"]);
    write(&server, &id(7900), mark("long"), &["stays", &day]);
    write(&server, &id(7850), mark("ahead"), &["before", &soon]);
    write(&server, &id(7000), mark("kept"), &[]);
    write(&server, &id(3800), mark("live"), &[]);
    write(&server, &id(3700), mark("short"), &["stays", "1000"]);
    write(&server, &id(3500), mark("brief"), &["stays", "1000"]);
    let list = connect(&server).await;
    let known =
        ["over", "long", "ahead", "kept", "live", "short", "brief"].map(|name| knows(&list, mark(name)));
    assert_eq!(known, [false, true, true, false, true, false, false]);
    assert_eq!(length(&server), 5);
    let again = connect(&server).await;
    assert_eq!((again.status().entries, length(&server)), (3, 5));
}

#[tokio::test]
async fn an_entry_leaves_when_it_is_told_to() {
    let Some(server) = Server::start() else { return };
    let list = connect(&server).await;
    write(&server, "*", ann(), &["stays", "2000"]);
    write(&server, "*", bob(), &[]);
    until("read", || knows(&list, ann())).await;
    until("over", || !knows(&list, ann())).await;
    assert!(knows(&list, bob()));
}
