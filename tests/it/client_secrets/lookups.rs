//! Whose token opens, and whose does not.

use portcullis::{ClientSecrets as _, Principal, ScopeSet};

use super::support::{Database, OK, OTHER_SECRET, UNKNOWN, answer, client, response, scopes};

pub async fn a_token_opens_that_a_client_signed_with_its_secret(database: Database) {
    let clients = database.clients().await;
    let (ann, bob) = (client(&clients, "ann").await, client(&clients, "bob").await);
    assert!(ann.len() == 36 && ann.bytes().all(|byte| byte.is_ascii_alphanumeric()) && ann != bob);
    let response = response(&clients, "ann", &ann).await;
    assert_eq!(response.status(), 200);
    let principal = response.extensions().get::<Principal>().unwrap();
    assert_eq!((principal.client_id(), principal.subject()), (Some("ann"), None));
    assert!(principal.has("todo:read") && !principal.has("todo:write"));
    assert_eq!(answer(&clients, "bob", &bob).await, OK);
    assert_eq!(answer(&clients, "ann", &bob).await, UNKNOWN);
    assert_eq!(answer(&clients, "ann", OTHER_SECRET).await, UNKNOWN);
    assert_eq!(answer(&clients, "eve", &ann).await, UNKNOWN);
}

pub async fn both_secrets_open_until_one_is_removed(database: Database) {
    let (here, elsewhere) = (database.clients().await, database.clients().await);
    here.put("ann", &scopes(), None).await.unwrap();
    let (old, new) = (here.issue("ann").await.unwrap(), here.issue("ann").await.unwrap());
    for clients in [&here, &elsewhere] {
        assert_eq!(answer(clients, "ann", old.expose()).await, OK);
        assert_eq!(answer(clients, "ann", new.expose()).await, OK);
    }
    here.remove_secret("ann", &old.id).await.unwrap();
    for clients in [&elsewhere, &here] {
        assert_eq!(answer(clients, "ann", old.expose()).await, UNKNOWN);
        assert_eq!(answer(clients, "ann", new.expose()).await, OK);
    }
}

pub async fn a_client_without_secrets_is_as_unknown_as_none(database: Database) {
    let clients = database.clients().await;
    clients.put("ann", &scopes(), None).await.unwrap();
    assert_eq!(answer(&clients, "ann", OTHER_SECRET).await, UNKNOWN);
    assert_eq!(answer(&clients, "bob", OTHER_SECRET).await, UNKNOWN);
    assert!(clients.find("ann").answer().await.unwrap().unwrap().secrets.is_empty());
    assert!(clients.find("bob").answer().await.unwrap().is_none());
    let secret = client(&clients, "ann").await;
    assert_eq!(answer(&clients, "ann", &secret).await, OK);
    clients.remove("ann").await.unwrap();
    assert_eq!(answer(&clients, "ann", &secret).await, UNKNOWN);
    clients.put("ann", &scopes(), None).await.unwrap();
    assert_eq!(answer(&clients, "ann", &secret).await, UNKNOWN, "it begins anew");
}

pub async fn what_a_client_may_do_counts_from_the_next_request_on(database: Database) {
    let (here, elsewhere) = (database.clients().await, database.clients().await);
    let secret = client(&here, "ann").await;
    for (scopes, plan) in [("", Some("free")), ("todo:read todo:write", None), ("todo:write", Some("gold"))] {
        let scopes = ScopeSet::parse(scopes).unwrap();
        here.put("ann", &scopes, plan).await.unwrap();
        let response = response(&elsewhere, "ann", &secret).await;
        let principal = response.extensions().get::<Principal>().unwrap();
        assert_eq!(principal.scopes(), &scopes);
        let found = elsewhere.find("ann").answer().await.unwrap().unwrap();
        assert_eq!((found.plan.as_deref(), &found.scopes, found.secrets.len()), (plan, &scopes, 1));
    }
}

pub async fn names_are_compared_exactly(database: Database) {
    let clients = database.clients().await;
    let secret = client(&clients, "Ann é").await;
    assert_eq!(answer(&clients, "Ann é", &secret).await, OK);
    for other in ["ann é", "Ann é ", " Ann é", "Ann e\u{301}", "Ann _", "%", "Ann é\0", "\0"] {
        assert_eq!(answer(&clients, other, &secret).await, UNKNOWN, "{other:?}");
    }
}

pub async fn secrets_outlive_the_process(database: Database) {
    let clients = database.clients().await;
    let secret = client(&clients, "ann").await;
    drop(clients);
    let clients = database.clients().await;
    assert_eq!(answer(&clients, "ann", &secret).await, OK);
    assert_eq!(answer(&clients, "ann", OTHER_SECRET).await, UNKNOWN);
}
