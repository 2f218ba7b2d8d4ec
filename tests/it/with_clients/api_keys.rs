//! API keys, as people send them.

use axum::Router;
use axum::routing::get;
use portcullis::{ApiKeyAuthenticator, ApiKeys, AuthLayer, NewApiKey, Principal, SqlStore};

use super::serve;
use crate::real_clients::{curl, requests_key};

/// A server that accepts keys in every way, or in those alone that are on by default, and one of its keys.
async fn server(every_way: bool) -> (String, String) {
    let keys =
        ApiKeys::builder("todo_live", SqlStore::connect("sqlite::memory:").await.unwrap()).build().unwrap();
    let issued = keys.issue(NewApiKey::new("real clients", "ann")).await.unwrap();
    let mut builder = ApiKeyAuthenticator::builder(keys);
    if every_way {
        builder = builder.accept_bearer().accept_basic();
    }
    let who = get(async |caller: Principal| caller.subject().unwrap().to_owned());
    let app = Router::new().route("/whoami", who).layer(AuthLayer::new(builder.build().unwrap()));
    (format!("{}/whoami", serve(app).await), issued.key.expose().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sends_a_key_as_the_password_of_a_user() {
    let ((url, key), (strict, its_key)) = (server(true).await, server(false).await);
    for (url, user, expected) in [
        (&url, format!("apikey:{key}"), 200),
        (&url, format!("{key}:"), 200),
        (&url, format!("ann:{key}"), 401),
        (&url, format!("apikey:{key}x"), 401),
        (&strict, format!("apikey:{its_key}"), 401),
    ] {
        let Some((status, head, body)) = curl(&["-u", &user, url]).await else { return };
        assert_eq!(status, expected, "{head}");
        if expected == 200 {
            assert_eq!(body, "ann");
        } else {
            assert!(head.contains("ApiKey realm=\"api\""), "{head}");
        }
    }
    let header = format!("X-API-Key: {its_key}");
    let Some((status, head, _)) = curl(&["-H", &header, &strict]).await else { return };
    assert_eq!((status, head.contains("cache-control: private")), (200, true), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_requests_sends_a_key_in_every_way() {
    let ((url, key), (strict, its_key)) = (server(true).await, server(false).await);
    let ways = ["header", "scheme", "scheme_in_lower_case", "bearer", "basic_password", "basic_user", "two"];
    for (url, key, expected) in [
        (&url, &key, [200, 200, 200, 200, 200, 200, 400]),
        (&strict, &its_key, [200, 200, 200, 401, 401, 401, 400]),
    ] {
        let Some(report) = requests_key(url, key).await else { return };
        assert_eq!(ways.map(|way| report[way]["status"].as_u64().unwrap()), expected, "{report}");
        assert_eq!(report["header"]["cache_control"], "private");
        assert!(report["scheme"]["cache_control"].is_null(), "caches know of `Authorization`");
        assert_eq!(report["header"]["body"], "ann");
    }
}
