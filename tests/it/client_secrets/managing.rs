//! How secrets come and go.

use std::time::{Duration, SystemTime};

use portcullis::{
    ApiKeys, ClientSecret, ClientSecretsError, NewApiKey, SealingKeys, SqlClientSecrets, SqlStore,
};
use tokio::task::JoinSet;

use super::support::{Database, OK, OTHER_SECRET, UNKNOWN, answer, client, key, key_bytes, scopes};

const EXISTING: &str = "3d844edf-8d35-48ac-975b-e847b4f122b0";

async fn ids(clients: &SqlClientSecrets, client: &str) -> Vec<String> {
    clients.record(client).await.unwrap().secrets.into_iter().map(|secret| secret.id).collect()
}

pub async fn a_secret_that_exists_already_is_added_once(database: Database) {
    let clients = database.clients().await;
    let secret = |text: &str| ClientSecret::new(text).unwrap();
    clients.put("ann", &scopes(), None).await.unwrap();
    let id = clients.add("ann", &secret(EXISTING)).await.unwrap();
    assert_eq!(answer(&clients, "ann", EXISTING).await, OK);
    assert_eq!(clients.add("ann", &secret(EXISTING)).await.unwrap(), id);
    assert_ne!(clients.add("ann", &secret(OTHER_SECRET)).await.unwrap(), id, "another one is another");
    assert_eq!(ids(&clients, "ann").await.len(), 2);
    clients.remove_secret("ann", &id).await.unwrap();
    assert_eq!(answer(&clients, "ann", EXISTING).await, UNKNOWN);
    assert_eq!(answer(&clients, "ann", OTHER_SECRET).await, OK);
}

pub async fn of_many_secrets_that_are_issued_at_once_eight_are_kept(database: Database) {
    let stores = [database.clients().await, database.clients().await];
    stores[0].put("ann", &scopes(), None).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..24 {
        let clients = stores[number % 2].clone();
        tasks.spawn(async move { clients.issue("ann").await });
    }
    let (mut issued, mut full) = (Vec::new(), 0);
    while let Some(result) = tasks.join_next().await {
        match result.unwrap() {
            Ok(secret) => issued.push(secret),
            Err(ClientSecretsError::Full) => full += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((issued.len(), full), (8, 16));
    for secret in &issued {
        assert_eq!(answer(&stores[0], "ann", secret.expose()).await, OK);
    }
    stores[0].remove_secret("ann", &issued[0].id).await.unwrap();
    assert!(stores[1].issue("ann").await.is_ok(), "there is room for one");
    assert!(matches!(stores[0].issue("ann").await, Err(ClientSecretsError::Full)));
    // What is there already needs no room.
    let known = ClientSecret::new(issued[1].expose()).unwrap();
    assert_eq!(stores[0].add("ann", &known).await.unwrap(), issued[1].id);
}

pub async fn nothing_is_left_of_a_client_that_is_removed_while_it_gets_secrets(database: Database) {
    let (here, elsewhere) = (database.clients().await, database.clients().await);
    for _ in 0..10 {
        here.put("ann", &scopes(), None).await.unwrap();
        let (issued, removed) = tokio::join!(
            async { (elsewhere.issue("ann").await, elsewhere.issue("ann").await) },
            here.remove("ann")
        );
        removed.unwrap();
        for result in [issued.0, issued.1] {
            assert!(matches!(result, Ok(_) | Err(ClientSecretsError::NotFound)), "{result:?}");
        }
        here.put("ann", &scopes(), None).await.unwrap();
        assert_eq!(ids(&here, "ann").await, [""; 0]);
        here.remove("ann").await.unwrap();
    }
}

pub async fn all_clients_are_listed_once_each_in_order(database: Database) {
    let clients = database.clients().await;
    let before = SystemTime::now() - Duration::from_millis(1);
    let mut names: Vec<_> = (0..205).map(|number| format!("client {number}")).chain(["Zoë".into()]).collect();
    for name in &names {
        clients.put(name, &scopes(), Some("gold")).await.unwrap();
    }
    let (old, new) = (clients.issue("client 7").await.unwrap(), clients.issue("client 7").await.unwrap());
    names.sort_unstable();
    let (mut listed, mut pages) = (Vec::new(), Vec::new());
    loop {
        let after = listed.last().map(|record: &portcullis::SigningClientRecord| &*record.client);
        let page = clients.list(after).await.unwrap();
        pages.push(page.len());
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(pages, [100, 100, 6, 0]);
    assert!(listed.iter().map(|record| &record.client).eq(&names));
    let seven = listed.iter().find(|record| record.client == "client 7").unwrap();
    assert_eq!(*seven, clients.record("client 7").await.unwrap());
    assert_eq!((&seven.scopes, seven.plan.as_deref()), (&scopes(), Some("gold")));
    let mut issued = [old.id, new.id];
    issued.sort_unstable();
    let mut known: Vec<_> = seven.secrets.iter().map(|secret| secret.id.clone()).collect();
    known.sort_unstable();
    assert_eq!(known, issued);
    assert!(seven.secrets.iter().all(|secret| secret.sealing_key == "a"));
    let times = seven.secrets.iter().map(|secret| secret.created_at).chain([seven.created_at]);
    assert!(times.into_iter().all(|time| before < time && time <= SystemTime::now()));
    assert!(
        listed.iter().filter(|record| record.client != "client 7").all(|record| record.secrets.is_empty())
    );
}

pub async fn what_is_not_there_cannot_be_changed(database: Database) {
    let clients = database.clients().await;
    clients.put("ann", &scopes(), None).await.unwrap();
    clients.put("bob", &scopes(), None).await.unwrap();
    let id = clients.issue("ann").await.unwrap().id;
    let secret = ClientSecret::new(EXISTING).unwrap();
    for name in ["eve", "", "ann\0"] {
        let results = [
            clients.issue(name).await.map(drop),
            clients.add(name, &secret).await.map(drop),
            clients.remove_secret(name, &id).await,
            clients.remove(name).await,
            clients.record(name).await.map(drop),
        ];
        for result in results {
            assert!(matches!(result, Err(ClientSecretsError::NotFound)), "{name:?}: {result:?}");
        }
    }
    for (name, id) in [("bob", &*id), ("ann", "other"), ("ann", "\0"), ("ann", "")] {
        let result = clients.remove_secret(name, id).await;
        assert!(matches!(result, Err(ClientSecretsError::NotFound)), "{name} {id:?}: {result:?}");
    }
    clients.remove_secret("ann", &id).await.unwrap();
    assert!(
        matches!(clients.remove_secret("ann", &id).await, Err(ClientSecretsError::NotFound)),
        "it is gone"
    );
    clients.remove("ann").await.unwrap();
    assert!(matches!(clients.remove("ann").await, Err(ClientSecretsError::NotFound)), "it is gone");
    assert_eq!(clients.record("bob").await.unwrap().client, "bob");
}

pub async fn names_that_no_token_could_have_are_refused(database: Database) {
    let clients = database.clients().await;
    let (longest, too_long) = ("n".repeat(256), "n".repeat(257));
    for bad in ["", "a\nb", "a\0", &too_long] {
        let result = clients.put(bad, &scopes(), None).await;
        assert!(matches!(result, Err(ClientSecretsError::Invalid { field: "client", .. })), "{bad:?}");
    }
    for bad in ["", "a\nb", "a\0", &longest] {
        let result = clients.put("ann", &scopes(), Some(bad)).await;
        assert!(matches!(result, Err(ClientSecretsError::Invalid { field: "plan", .. })), "{bad:?}");
    }
    clients.put(&longest, &scopes(), Some(&longest[1..])).await.unwrap();
    let secret = client(&clients, &longest).await;
    assert_eq!(answer(&clients, &longest, &secret).await, OK);
}

/// Undoes the second step: this is how the first version left it.
pub async fn a_database_from_before_is_brought_up(database: Database) {
    let keys = |store: SqlStore| ApiKeys::builder("todo_live", store).build().unwrap();
    let issued = keys(database.store().await).issue(NewApiKey::new("nightly build", "ann")).await.unwrap();
    for sql in [
        "DROP TABLE portcullis_client_secrets",
        "DROP TABLE portcullis_clients",
        "DELETE FROM portcullis_migrations WHERE version <> 1",
    ] {
        database.run(sql).await;
    }
    let store = database.store().await;
    let sealing = SealingKeys::new("a", key_bytes("a")).unwrap();
    let clients = store.client_secrets(sealing);
    let secret = client(&clients, "ann").await;
    assert_eq!(answer(&clients, "ann", &secret).await, OK);
    assert_eq!(keys(store).find(&issued.record.id).await.unwrap(), issued.record, "what was there still is");
    assert_eq!(answer(&database.clients_with(key("a")).await, "ann", &secret).await, OK);
}
