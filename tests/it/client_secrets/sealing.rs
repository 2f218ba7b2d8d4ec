//! What is worth nothing without its key, and in another place.

use std::error::Error as _;

use portcullis::SealingKeys;
use tracing_subscriber::filter::LevelFilter;

use super::support::{DOWN, Database, OK, UNKNOWN, answer, client, key, key_bytes, scopes};
use crate::log::Log;

/// What this crate has logged since it was asked last, and not the database that was slow.
fn logged(log: &Log) -> String {
    log.take().lines().filter(|line| line.contains(" portcullis: ")).collect()
}

/// The key of that name, and one that it took the place of.
fn keys(name: &str, older: &str) -> SealingKeys {
    key(name).older(older, key_bytes(older)).unwrap()
}

pub async fn a_secret_opens_for_no_other_client_and_under_no_other_id(database: Database) {
    let clients = database.clients().await;
    let ann = client(&clients, "ann").await;
    clients.put("eve", &scopes(), None).await.unwrap();
    let copy = |client: &str, id: &str| {
        format!(
            "INSERT INTO portcullis_client_secrets (client, id, created_at, sealing_key, sealed) \
             SELECT {client}, {id}, created_at, sealing_key, sealed FROM portcullis_client_secrets \
             WHERE client = 'ann'"
        )
    };
    let (log, _guard) = Log::capture(LevelFilter::INFO);
    assert_eq!(database.run(&copy("'eve'", "id")).await, 1);
    assert_eq!(answer(&clients, "ann", &ann).await, OK);
    assert_eq!(logged(&log), "");
    assert_eq!(answer(&clients, "eve", &ann).await, DOWN);
    let line = logged(&log);
    assert!(line.contains("ERROR") && line.contains("does not open"), "{line}");
    let id = clients.record("eve").await.unwrap().secrets.remove(0).id;
    assert!(line.contains(&id) && !line.contains(&ann), "{line}");
    clients.remove_secret("eve", &id).await.unwrap();
    assert_eq!(answer(&clients, "eve", &ann).await, UNKNOWN);

    // The same for another id of the same client; in its own place it opens again.
    database.run("UPDATE portcullis_client_secrets SET id = 'x' || id").await;
    assert_eq!(answer(&clients, "ann", &ann).await, DOWN);
    database.run("UPDATE portcullis_client_secrets SET id = substr(id, 2)").await;
    assert_eq!(answer(&clients, "ann", &ann).await, OK);
}

pub async fn only_the_key_that_sealed_a_secret_opens_it(database: Database) {
    let secret = client(&database.clients().await, "ann").await;
    let impostor = SealingKeys::new("a", key_bytes("b")).unwrap();
    for (keys, expected, said) in [
        (key("a"), OK, ""),
        (keys("b", "a"), OK, ""),
        (key("b"), DOWN, "is missing"),
        (keys("b", "c"), DOWN, "is missing"),
        (impostor, DOWN, "does not open"),
    ] {
        let shown = format!("{keys:?}");
        let clients = database.clients_with(keys).await;
        let (log, _guard) = Log::capture(LevelFilter::INFO);
        assert_eq!(answer(&clients, "ann", &secret).await, expected, "{shown}");
        let line = logged(&log);
        assert_eq!((line.is_empty(), line.contains(said)), (said.is_empty(), true), "{shown}: {line}");
        assert!(!line.contains(&secret), "{line}");
        assert_eq!(answer(&clients, "bob", &secret).await, UNKNOWN, "{shown}");
    }
}

pub async fn one_secret_that_does_not_open_fails_its_client_and_no_other(database: Database) {
    let (before, clients) = (database.clients().await, database.clients_with(key("b")).await);
    let old = client(&before, "ann").await;
    let id = before.record("ann").await.unwrap().secrets.remove(0).id;
    let both = database.clients_with(keys("b", "a")).await;
    let new = both.issue("ann").await.unwrap();
    let other = client(&clients, "bob").await;
    for secret in [&*old, new.expose()] {
        assert_eq!(answer(&both, "ann", secret).await, OK);
        assert_eq!(answer(&clients, "ann", secret).await, DOWN);
    }
    assert!(clients.issue("ann").await.is_err(), "whether it is there already is not known");
    assert_eq!(answer(&clients, "bob", &other).await, OK);
    clients.remove_secret("ann", &id).await.unwrap();
    assert_eq!(answer(&clients, "ann", &old).await, UNKNOWN);
    assert_eq!(answer(&clients, "ann", new.expose()).await, OK);
}

pub async fn what_is_sealed_anew_needs_no_older_key(database: Database) {
    let (old, both, new) = (
        database.clients().await,
        database.clients_with(keys("b", "a")).await,
        database.clients_with(key("b")).await,
    );
    let (ann, bob) = (client(&old, "ann").await, client(&old, "bob").await);
    let later = both.issue("ann").await.unwrap();
    assert_eq!(answer(&new, "ann", &ann).await, DOWN);
    assert_eq!(both.reseal().await.unwrap(), 2, "one is under the new key already");
    assert_eq!(both.reseal().await.unwrap(), 0);
    for (name, secret) in [("ann", &*ann), ("ann", later.expose()), ("bob", &*bob)] {
        assert_eq!(answer(&new, name, secret).await, OK);
        assert_eq!(answer(&old, name, secret).await, DOWN);
    }
    for record in new.list(None).await.unwrap() {
        assert!(record.secrets.iter().all(|secret| secret.sealing_key == "b"), "{record:?}");
    }
}

pub async fn a_secret_that_does_not_open_holds_up_no_other(database: Database) {
    let (old, both) = (database.clients().await, database.clients_with(keys("b", "a")).await);
    let mut secrets = Vec::new();
    for name in ["ann", "bob", "cid"] {
        secrets.push((name, client(&old, name).await));
    }
    database.run("UPDATE portcullis_client_secrets SET sealing_key = 'z' WHERE client = 'bob'").await;
    let error = both.reseal().await.unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(cause.contains(r#"the sealing key "z""#), "{error}: {cause}");
    let new = database.clients_with(key("b")).await;
    for (name, secret) in &secrets {
        assert_eq!(answer(&new, name, secret).await, if *name == "bob" { DOWN } else { OK }, "{name}");
    }
    database.run("UPDATE portcullis_client_secrets SET sealing_key = 'a' WHERE client = 'bob'").await;
    assert_eq!(both.reseal().await.unwrap(), 1);
    assert_eq!(answer(&new, "bob", &secrets[1].1).await, OK);
}

/// More than are looked through at once.
pub async fn many_who_seal_anew_do_so_once(database: Database) {
    let old = database.clients().await;
    let mut secrets = Vec::new();
    for number in 0..105 {
        let name = format!("client {number}");
        secrets.push((client(&old, &name).await, name));
    }
    let (one, other) =
        (database.clients_with(keys("b", "a")).await, database.clients_with(keys("b", "a")).await);
    let (here, there) = tokio::join!(one.reseal(), other.reseal());
    assert_eq!(here.unwrap() + there.unwrap(), 105);
    let new = database.clients_with(key("b")).await;
    for (secret, name) in &secrets {
        assert_eq!(answer(&new, name, secret).await, OK, "{name}");
    }
}
