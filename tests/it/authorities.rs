//! What the tests rely on about the two real authorization servers, without anything of portcullis.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::glewlwyd::Glewlwyd;
use crate::harness::{Client, Provider, audience, form_body, plain_client, post_form};

const JWT_ANSWER: &str = "application/token-introspection+jwt";

/// The answer of an introspection endpoint to a client with a secret.
async fn introspect(endpoint: &str, client: &Client, token: &str) -> Value {
    let answer = post_form(&plain_client(), endpoint, client, &[("token", token)]).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"));
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_tells_active_tokens_from_revoked_ones() {
    let Some(provider) = Provider::start().await else { return };
    let (endpoint, client) = (provider.introspection_endpoint(), provider.resource_server("basic"));
    let token = provider.token("opaque", "todo:read").await;
    let kept = provider.token_without_audience("todo:read todo:write").await;

    let answer = introspect(&endpoint, &client, &token).await;
    assert_eq!(answer["active"], true, "{answer}");
    assert_eq!(answer["aud"], audience("opaque"));
    assert_eq!(answer["iss"], provider.issuer);
    assert_eq!(answer["client_id"], "test-client");
    assert_eq!(answer["scope"], "todo:read");
    assert_eq!(answer["token_type"], "Bearer");
    assert!(answer.get("sub").is_none(), "nobody but the client: {answer}");

    provider.revoke(&token).await;
    provider.rotate().await;
    assert_eq!(introspect(&endpoint, &client, &token).await, serde_json::json!({ "active": false }));
    let answer = introspect(&endpoint, &client, &kept).await;
    assert_eq!(answer["active"], true, "{answer}");
    assert!(answer.get("aud").is_none(), "{answer}");
    assert_eq!(provider.requests("introspection").await, 3);
    assert_eq!(provider.requests("revocation").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_knows_clients_by_every_kind_of_secret() {
    let Some(provider) = Provider::start().await else { return };
    let (endpoint, token) = (provider.introspection_endpoint(), provider.token("opaque", "todo:read").await);
    for name in ["basic", "special", "signed"] {
        let mut client = provider.resource_server(name);
        assert_eq!(introspect(&endpoint, &client, &token).await["active"], true, "{name}");
        client.secret.push('x');
        let refused = post_form(&plain_client(), &endpoint, &client, &[("token", &token)]).await;
        assert_eq!(refused.status(), 401, "{name}");
    }

    let special = provider.resource_server("special");
    let plainly = plain_client().post(&endpoint).basic_auth(&special.id, Some(&special.secret));
    let plainly = plainly.header("content-type", "application/x-www-form-urlencoded");
    let refused = plainly.body(form_body(&[("token", &token)])).send().await.unwrap();
    assert!(refused.status().is_client_error(), "it must be encoded: {}", refused.status());

    let Client { id, secret, .. } = provider.resource_server("post");
    let form = [("token", token.as_str()), ("client_id", &id), ("client_secret", &secret)];
    let request = plain_client().post(&endpoint).header("content-type", "application/x-www-form-urlencoded");
    let answer: Value = request.body(form_body(&form)).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["active"], true, "{answer}");

    let key = provider.resource_server("private_key_jwt").private_key.unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_answers_with_a_jwt_if_asked_to() {
    let Some(provider) = Provider::start().await else { return };
    let token = provider.token("opaque", "todo:read").await;
    for (name, algorithm) in [("basic", "RS256"), ("signed", "ES256")] {
        let client = provider.resource_server(name);
        let request = plain_client()
            .post(provider.introspection_endpoint())
            .basic_auth(&client.id, Some(&client.secret))
            .header("accept", JWT_ANSWER)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form_body(&[("token", &token)])).send().await.unwrap();
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(JWT_ANSWER));
        let header = jsonwebtoken::decode_header(answer.text().await.unwrap()).unwrap();
        assert_eq!(format!("{:?}", header.alg), algorithm);
        assert_eq!(header.typ.as_deref(), Some("token-introspection+jwt"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_provider_shows_and_ends() {
    let Some(provider) = Provider::start().await else { return };
    let (endpoint, client) = (provider.introspection_endpoint(), provider.resource_server("basic"));
    let token = provider.token("opaque", "todo:read").await;
    let http = plain_client();
    for (fault, status) in
        [("500", 500), ("503", 503), ("401", 401), ("html", 200), ("garbage", 200), ("oversize", 200)]
    {
        provider.trouble_introspection(0, fault).await;
        let answer = post_form(&http, &endpoint, &client, &[("token", &token)]).await;
        assert_eq!(answer.status(), status, "{fault}");
        let json = answer.headers()["content-type"] == "application/json";
        assert_eq!(json, fault != "html", "{fault}");
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len() > 2 * 1024 * 1024, fault == "oversize", "{fault}");
        let valid = serde_json::from_slice::<Value>(&body).is_ok();
        assert_eq!(valid, !["html", "garbage"].contains(&fault), "{fault}");
    }

    // The client of the tests follows.
    provider.trouble_introspection(0, "redirect").await;
    assert_eq!(introspect(&endpoint, &client, "anything").await["active"], true);
    assert_eq!(provider.requests("elsewhere").await, 1);

    provider.trouble_introspection(0, "hang").await;
    let form = [("token", token.as_str())];
    let hanging = post_form(&http, &endpoint, &client, &form);
    assert!(tokio::time::timeout(Duration::from_millis(300), hanging).await.is_err());

    provider.trouble_introspection(0, "none").await;
    assert_eq!(introspect(&endpoint, &client, &token).await["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_of_the_provider_is_of_the_time_of_the_question() {
    let Some(provider) = Provider::start().await else { return };
    let (endpoint, client) = (provider.introspection_endpoint(), provider.resource_server("basic"));
    let token = provider.token("opaque", "todo:read").await;
    provider.trouble_introspection(1_000, "none").await;
    let asked = Instant::now();
    let late = tokio::spawn({
        let (endpoint, client, token) = (endpoint.clone(), client.clone(), token.clone());
        async move { introspect(&endpoint, &client, &token).await }
    });
    while provider.requests("introspection").await == 0 {
        tokio::task::yield_now().await;
    }
    provider.trouble_introspection(0, "none").await;
    provider.revoke(&token).await;
    assert_eq!(introspect(&endpoint, &client, &token).await["active"], false);
    assert_eq!(late.await.unwrap()["active"], true);
    assert!(asked.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn glewlwyd_tells_active_tokens_from_revoked_ones() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    let (endpoint, client) = (glewlwyd.introspection_endpoint(), glewlwyd.resource_server());
    let token = glewlwyd.token("todo:read").await;
    let metadata = format!("{}/.well-known/openid-configuration", glewlwyd.issuer);
    let metadata: Value = plain_client().get(metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["issuer"], glewlwyd.issuer);
    assert_eq!(metadata["introspection_endpoint"], endpoint);
    let (of_user, refresh) = glewlwyd.user_tokens("todo:read todo:write").await;

    let answer = introspect(&endpoint, &client, &token).await;
    assert_eq!(answer["active"], true, "{answer}");
    assert_eq!(answer["aud"], glewlwyd.audience());
    assert_eq!(answer["client_id"], glewlwyd.client().id);
    assert_eq!(answer["scope"], "todo:read");
    assert_eq!(answer["token_type"], "bearer");
    assert!(answer.get("sub").is_none() && answer.get("iss").is_none(), "{answer}");

    let answer = introspect(&endpoint, &client, &of_user).await;
    assert_eq!(answer["username"], "alice", "{answer}");
    assert!(answer["sub"].is_string(), "{answer}");
    let answer = introspect(&endpoint, &client, &refresh).await;
    assert_eq!((&answer["active"], &answer["token_type"]), (&true.into(), &"refresh_token".into()));

    glewlwyd.revoke(&token).await;
    assert_eq!(introspect(&endpoint, &client, &token).await, serde_json::json!({ "active": false }));
    assert_eq!(introspect(&endpoint, &client, &of_user).await["active"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn glewlwyd_lets_only_those_introspect_whom_it_knows() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    let (endpoint, token) = (glewlwyd.introspection_endpoint(), glewlwyd.token("todo:read").await);
    for (bearer, status) in [(glewlwyd.introspection_token().await, 200), (token.clone(), 401)] {
        let request = plain_client().post(&endpoint).bearer_auth(bearer);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form_body(&[("token", &token)])).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(!answer.headers().contains_key("www-authenticate"));
    }

    let mut client = glewlwyd.resource_server();
    client.secret.push('x');
    let refused = post_form(&plain_client(), &endpoint, &client, &[("token", &token)]).await;
    assert_eq!(refused.status(), 401);
    assert!(refused.bytes().await.unwrap().is_empty());
}
