//! A PostgreSQL that has no characters for most names.

use portcullis::api_key::{ApiKeyChange, ApiKeyUse, StoredApiKey};
use portcullis::{ApiKeyQuery, ApiKeyStore as _, AuthLayer, ClientSecretsError, SignedRequestAuthenticator};

use super::support::{DOWN, Database, OK, OTHER_SECRET, UNKNOWN, answer_of, client, scopes};
use crate::key_stores::{at, key_of};
use crate::postgres::Postgres;
use crate::sql::Folder;

/// More than the failures after which a circuit breaker opens.
const OFTEN: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn name_that_latin1_cannot_hold_is_an_unknown_client() {
    let Some(postgres) = Postgres::launch_with(&["LATIN1"]) else { return };
    let clients = Database::new(postgres.database().await).clients().await;
    let layer = AuthLayer::new(SignedRequestAuthenticator::new(clients.clone()));
    let secret = client(&clients, "Zoë").await;
    for name in ["€", "日本", "Zoe\u{308}", "\u{10ffff}", "a\0b", "€\0"] {
        for _ in 0..OFTEN {
            assert_eq!(answer_of(&layer, name, &secret).await, UNKNOWN, "{name:?}");
        }
        // The twin, whose name the database can hold.
        assert_eq!(answer_of(&layer, "Zoë", &secret).await, OK, "after {name:?}");
    }
    assert_eq!(answer_of(&layer, "Zoè", OTHER_SECRET).await, UNKNOWN);
    for name in ["€", "Zoë"] {
        let put = clients.put(name, &scopes(), None).await;
        assert_eq!(put.is_ok(), name == "Zoë", "{name}: {put:?}");
        assert_eq!(clients.issue(name).await.is_ok(), name == "Zoë", "{name}");
        assert_eq!(clients.record(name).await.is_ok(), name == "Zoë", "{name}");
    }
    let gone = [
        clients.remove("€").await,
        clients.remove_secret("€", "a").await,
        clients.remove_secret("Zoë", "€").await,
    ];
    for gone in gone {
        assert!(matches!(gone, Err(ClientSecretsError::NotFound)), "{gone:?}");
    }
    assert!(matches!(clients.issue("€").await, Err(ClientSecretsError::NotFound)));
    clients.remove("Zoë").await.unwrap();
}

/// The hint of a key that this crate has issued is not.
fn in_latin1(id: &str) -> StoredApiKey {
    let mut key = key_of("Zoë", id, at(0));
    key.record.hint = "todo_live_...cdef".into();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn id_that_latin1_cannot_hold_is_an_unknown_key() {
    let Some(postgres) = Postgres::launch_with(&["LATIN1"]) else { return };
    let store = Database::new(postgres.database().await).store().await;
    assert!(store.insert(&in_latin1("é")).await.unwrap());
    for (id, known) in [("€", false), ("é", true)] {
        assert_eq!(store.find(id).await.unwrap().is_some(), known, "{id}");
        let revoked = store.change(id, ApiKeyChange::Expire(at(9))).await.unwrap();
        assert_eq!(revoked.is_some(), known, "{id}");
        let by = in_latin1(if known { "new" } else { "other" });
        assert_eq!(store.replace(id, &by, at(9)).await.unwrap(), known, "{id}");
    }
    for (owner, count) in [("€", 0), ("Zoë", 1)] {
        let of_owner = ApiKeyQuery::new().owner(owner).limit(1);
        assert_eq!(store.list(&of_owner).await.unwrap().len(), count, "{owner}");
    }
    store.record_uses(&[ApiKeyUse::new("é".into(), at(5))]).await.unwrap();
    // What cannot be kept is an error: nothing may be lost in silence.
    assert!(store.insert(&in_latin1("€")).await.is_err());
    assert!(store.insert(&in_latin1("è")).await.unwrap());
}

/// SQLite keeps bytes that are no text, and nobody but its operator can put them there.
#[tokio::test]
async fn row_that_cannot_be_read_fails_its_client_and_no_other() {
    let folder = Folder::new();
    let database = Database::new(folder.sqlite("a.db"));
    let clients = database.clients().await;
    let layer = AuthLayer::new(SignedRequestAuthenticator::new(clients.clone()));
    let (ann, bob) = (client(&clients, "ann").await, client(&clients, "bob").await);
    let set = "UPDATE portcullis_clients SET plan = CAST(X'FF' AS TEXT) WHERE name = 'ann'";
    assert_eq!(database.run(set).await, 1);
    for _ in 0..OFTEN {
        assert_eq!(answer_of(&layer, "ann", &ann).await, DOWN);
    }
    assert_eq!(answer_of(&layer, "bob", &bob).await, OK);
    let set = "UPDATE portcullis_clients SET plan = 'gold' WHERE name = 'ann'";
    assert_eq!(database.run(set).await, 1);
    assert_eq!(answer_of(&layer, "ann", &ann).await, OK);
}
