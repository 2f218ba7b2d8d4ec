//! Tokens of a certified authorization server, through the example, over real sockets.

use std::time::Duration;

use crate::harness::{ALGORITHMS, Provider, Todo, audience};

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_every_algorithm_open_the_doors_they_should() {
    let Some(provider) = Provider::start().await else { return };
    let todo = Todo::in_front_of(&provider);
    for algorithm in ALGORITHMS {
        let token = provider.token(algorithm, "todo:read").await;
        let answer = todo.get("/whoami", Some(&token)).await;
        assert_eq!(answer.status(), 200, "{algorithm}");
        let who: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(who["subject"], "test-client", "{who}");
        assert_eq!(who["client_id"], "test-client");
        assert_eq!(who["scopes"], serde_json::json!(["todo:read"]));
        assert_eq!(who["issuer"], provider.issuer);
        assert_eq!(who["method"], "jwt");
        assert_eq!(todo.status("/api/todo", &token).await, 200);

        // The same but for one thing each.
        let mut tampered = token.clone().into_bytes();
        let middle = tampered.len() / 2;
        tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
        assert_eq!(
            todo.status("/api/todo", std::str::from_utf8(&tampered).unwrap()).await,
            401,
            "{algorithm}"
        );
        let without_scope = provider.token(algorithm, "todo:write").await;
        assert_eq!(todo.status("/api/todo", &without_scope).await, 403, "{algorithm}");
    }
    let opaque = provider.token("opaque", "todo:read").await;
    assert_eq!(todo.status("/api/todo", &opaque).await, 401);
    assert_eq!(todo.get("/api/todo", None).await.status(), 401);
    assert_eq!(provider.jwks_fetches().await, 1, "one fetch for all of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_another_audience_is_refused() {
    let Some(provider) = Provider::start().await else { return };
    let rs256 = audience("rs256");
    let todo = Todo::start(&["--issuer", &provider.issuer, "--allow-http", "--audience", &rs256]);
    assert_eq!(todo.status("/api/ping", &provider.token("rs256", "todo:read").await).await, 200);
    assert_eq!(todo.status("/api/ping", &provider.token("es256", "todo:read").await).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_key_set_needs_no_discovery() {
    let Some(provider) = Provider::start().await else { return };
    let (es256, jwks) = (audience("es256"), format!("{}/jwks", provider.issuer));
    let todo = Todo::start(&[
        "--issuer",
        &provider.issuer,
        "--jwks-uri",
        &jwks,
        "--allow-http",
        "--audience",
        &es256,
    ]);
    assert_eq!(todo.status("/api/ping", &provider.token("es256", "todo:read").await).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_rotation_costs_no_good_request() {
    let Some(provider) = Provider::start().await else { return };
    let todo = Todo::in_front_of(&provider);
    let old = provider.token("es256", "todo:read").await;
    assert_eq!(todo.status("/api/ping", &old).await, 200);

    // The first request after each rotation, and many at once, are all answered.
    for _ in 0..2 {
        provider.rotate().await;
        let new = provider.token("es256", "todo:read").await;
        let mut answers = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let request = todo.client().get(format!("{}/api/ping", todo.url)).bearer_auth(&new);
            answers.spawn(async move { request.send().await.unwrap().status().as_u16() });
        }
        assert!(answers.join_all().await.iter().all(|status| *status == 200));
    }
    assert_eq!(provider.jwks_fetches().await, 3);
    // The key of this one is gone: refused, or not judged as long as no further fetch is allowed; never accepted.
    assert!([401, 503].contains(&todo.status("/api/ping", &old).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_refuses_nobody_and_ends_by_itself() {
    let Some(provider) = Provider::start().await else { return };
    let todo = Todo::in_front_of(&provider);
    let token = provider.token("rs256", "todo:read").await;
    assert_eq!(todo.status("/api/ping", &token).await, 200);

    let port = provider.port();
    drop(provider);
    assert_eq!(todo.status("/api/ping", &token).await, 200, "its key is known");

    // A server that starts meanwhile cannot judge: it says so, and recovers without help.
    let (issuer, rs256) = (format!("http://127.0.0.1:{port}"), audience("rs256"));
    let cold = Todo::start(&["--issuer", &issuer, "--allow-http", "--audience", &rs256]);
    let answer = cold.get("/api/ping", Some(&token)).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert!(!answer.headers().contains_key("www-authenticate"));

    let Some(provider) = Provider::start_at(port).await else { panic!("it was there before") };
    let token = provider.token("rs256", "todo:read").await;
    let mut seen = Vec::new();
    while seen.last() != Some(&200) {
        assert!(seen.len() < 200, "no recovery: {seen:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
        seen.push(cold.status("/api/ping", &token).await);
    }
    assert!(seen.iter().all(|status| [200, 503].contains(status)), "{seen:?}");
    assert_eq!(todo.status("/api/ping", &token).await, 200, "its key is new");
}
