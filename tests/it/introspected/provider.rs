//! What the certified authorization server says of tokens, and whom it tells.

use portcullis::{
    AuthLayer, Authenticator as _, BreakerState, ClientAuth, IntrospectionAuthenticator, Issuer,
    JwtAuthenticator, KeySet,
};
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

use super::{Api, asking, issuer};
use crate::harness::{Provider, audience};
use crate::log::Log;
use crate::support::{key, token};

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_opens_what_its_audience_and_its_scope_allow() {
    let Some(provider) = Provider::start().await else { return };
    let opaque = asking(&provider, "basic").build().unwrap();
    let api = Api::behind(opaque.clone()).await;
    let good = provider.token("opaque", "todo:read").await;
    let expected = json!({
        "method": "introspection", "issuer": provider.issuer, "subject": null, "client": "test-client",
        "scopes": ["todo:read"],
    });
    assert_eq!(api.caller("/any", &good).await, expected);
    assert_eq!(provider.requests("introspection").await, 1);
    assert_eq!(api.caller("/now", &good).await, expected);
    assert_eq!(api.caller("/any", &good).await, expected);
    assert_eq!(provider.requests("introspection").await, 2, "again for the route that demands it alone");

    let writer = provider.token("opaque", "todo:write").await;
    assert_eq!(api.status("/any", &writer).await, 403);
    assert_eq!(api.status("/any", "unheard-of").await, 401);
    let for_anybody = provider.token_without_audience("todo:read").await;
    assert_eq!(api.status("/any", &for_anybody).await, 401);
    let other = asking(&provider, "basic").audience("https://api.example/other");
    let lenient = Api::behind(other.accept_missing_audience().build().unwrap()).await;
    assert_eq!(lenient.status("/any", &for_anybody).await, 200);
    assert_eq!(lenient.status("/any", &good).await, 200);

    // An audience that is there must fit in any case.
    let client = provider.resource_server("basic");
    let foreign = || {
        let auth = ClientAuth::basic(&client.id, &client.secret);
        IntrospectionAuthenticator::builder(issuer(&provider.issuer), auth)
    };
    let elsewhere = foreign().audience(audience("es256")).accept_missing_audience().build().unwrap();
    let elsewhere = Api::behind(elsewhere).await;
    assert_eq!(elsewhere.status("/any", &good).await, 401);
    assert_eq!(elsewhere.status("/any", &for_anybody).await, 200);
    let careless = Api::behind(foreign().build().unwrap()).await;
    assert_eq!(careless.status("/any", &good).await, 200);

    let status = opaque.status();
    assert_eq!((status.breaker, status.failures, status.last_error), (BreakerState::Closed, 0, None));
    assert_eq!(status.calls, 5);
    assert_eq!(provider.jwks_fetches().await, 0, "nobody needs keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_may_be_named_in_place_of_the_metadata() {
    let Some(provider) = Provider::start().await else { return };
    let given = asking(&provider, "basic").endpoint(provider.introspection_endpoint()).build().unwrap();
    let api = Api::behind(given).await;
    let good = provider.token("opaque", "todo:read").await;
    assert_eq!(api.status("/any", &good).await, 200);
    assert_eq!(provider.requests("discovery").await, 0);
    let elsewhere = asking(&provider, "basic").endpoint(format!("{}/token", provider.issuer));
    Api::behind(elsewhere.build().unwrap()).await.cannot_judge("/any", &good, "another endpoint").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_to_prove_who_asks_is_understood() {
    let Some(provider) = Provider::start().await else { return };
    for name in ["basic", "special", "post", "private_key_jwt"] {
        let api = Api::behind(asking(&provider, name).type_hint().build().unwrap()).await;
        for _ in 0..2 {
            let good = provider.token("opaque", "todo:read").await;
            assert_eq!(api.status("/any", &good).await, 200, "{name}");
        }
        assert_eq!(api.status("/any", "unheard-of").await, 401, "{name}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_operators_matter_and_not_the_callers() {
    let Some(provider) = Provider::start().await else { return };
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let good = provider.token("opaque", "todo:read").await;
    for name in ["basic", "special", "post"] {
        let mut client = provider.resource_server(name);
        client.secret.push_str("-sesame");
        let auth = if name == "post" { ClientAuth::post } else { ClientAuth::basic };
        let auth = auth(client.id, client.secret.clone());
        let wrong = IntrospectionAuthenticator::builder(issuer(&provider.issuer), auth).build().unwrap();
        let api = Api::behind(wrong.clone()).await;
        log.take();
        api.cannot_judge("/any", &good, name).await;
        let lines = log.take();
        let expected = "refused this server's own credentials with status 401 Unauthorized";
        let told = lines.lines().filter(|line| line.contains("ERROR") && line.contains(expected)).count();
        assert_eq!(told, 1, "{name}: {lines}");
        assert!(lines.contains(&provider.introspection_endpoint()), "{lines}");
        let status = wrong.status();
        assert!(status.last_error.as_deref().unwrap().contains(expected), "{status:?}");
        for text in [lines, format!("{status:?} {wrong:?}")] {
            assert!(!text.contains("sesame") && !text.contains(&good), "{text}");
        }
        let right = Api::behind(asking(&provider, name).build().unwrap()).await;
        assert_eq!(right.status("/any", &good).await, 200, "{name}");
        assert_eq!(log.take(), "", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_answers_are_verified_with_the_keys_of_the_provider() {
    let Some(provider) = Provider::start().await else { return };
    for name in ["basic", "signed"] {
        let api = Api::behind(asking(&provider, name).signed_answers().build().unwrap()).await;
        let (good, revoked) =
            (provider.token("opaque", "todo:read").await, provider.token("opaque", "todo:read").await);
        assert_eq!(api.caller("/any", &good).await["client"], "test-client", "{name}");
        assert_eq!(api.status("/any", &revoked).await, 200, "{name}");
        provider.revoke(&revoked).await;
        assert_eq!(api.status("/now", &revoked).await, 401, "{name}");
        assert_eq!(api.status("/any", &provider.token_without_audience("todo:read").await).await, 401);
        // Of keys that came meanwhile too.
        provider.rotate().await;
        assert_eq!(api.status("/now", &good).await, 200, "{name}: after a rotation");
    }

    // As good as none without the keys: ours are those of somebody else.
    let stranger = key(portcullis::Algorithm::ES256);
    let keys = KeySet::parse(json!({ "keys": [stranger.jwk()] }).to_string()).unwrap();
    let client = provider.resource_server("signed");
    let auth = ClientAuth::basic(&client.id, &client.secret);
    let unverified = IntrospectionAuthenticator::builder(Issuer::new(provider.issuer.as_str(), keys), auth)
        .allow_http()
        .endpoint(provider.introspection_endpoint());
    let good = provider.token("opaque", "todo:read").await;
    let unverified = unverified.signed_answers().build().unwrap();
    Api::behind(unverified.clone()).await.cannot_judge("/any", &good, "foreign keys").await;
    assert!(unverified.status().last_error.unwrap().contains("the signed answer is refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn jwts_and_opaque_tokens_share_the_doors() {
    let Some(provider) = Provider::start().await else { return };
    let opaque = asking(&provider, "basic").build().unwrap();
    let jwt = JwtAuthenticator::builder(issuer(&provider.issuer), audience("es256"));
    let jwt = jwt.with_introspection(opaque.clone()).build().unwrap();
    let api = Api::with(AuthLayer::new(jwt.or(opaque))).await;
    let signed = provider.token("es256", "todo:read").await;
    assert_eq!(api.caller("/any", &signed).await["method"], "jwt");
    assert_eq!(provider.requests("introspection").await, 0);
    let opaque = provider.token("opaque", "todo:read").await;
    assert_eq!(api.caller("/any", &opaque).await["method"], "introspection");
    assert_eq!(api.status("/now", &opaque).await, 200);
    // Neither is good for the other's audience, nor signed by a stranger.
    assert_eq!(api.status("/any", &provider.token("rs256", "todo:read").await).await, 401);
    let stranger = key(portcullis::Algorithm::ES256);
    let forged = token(&stranger).claim("iss", provider.issuer.as_str()).claim("aud", audience("es256"));
    assert_eq!(api.status("/now", &forged.build()).await, 401);
    assert_eq!(provider.requests("introspection").await, 2, "nobody is asked about those");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_knows_nothing_of_jwts_lets_none_pass_where_it_counts() {
    let Some(provider) = Provider::start().await else { return };
    let authority = asking(&provider, "basic").build().unwrap();
    let jwt = JwtAuthenticator::builder(issuer(&provider.issuer), audience("es256"));
    let jwt = jwt.with_introspection(authority.clone()).build().unwrap();
    let api = Api::behind(jwt).await;
    let signed = provider.token("es256", "todo:read").await;
    assert_eq!(api.status("/any", &signed).await, 200);
    // It says 400, which is no word about the token; nor about itself, so that nobody stops asking.
    for _ in 0..6 {
        api.cannot_judge("/now", &signed, "unsupported_token_type").await;
        assert_eq!(api.status("/any", &signed).await, 200);
    }
    let status = authority.status();
    assert_eq!((status.breaker, status.calls), (BreakerState::Closed, 6));
    assert!(status.last_error.unwrap().contains("400"));

    // Introspection alone leaves JWTs to others, unless it is told to send them.
    let alone = Api::behind(asking(&provider, "basic").build().unwrap()).await;
    assert_eq!(alone.status("/any", &signed).await, 401);
    assert_eq!(provider.requests("introspection").await, 6);
    let all = Api::behind(asking(&provider, "basic").introspect_jwts().build().unwrap()).await;
    all.cannot_judge("/any", &signed, "unsupported_token_type").await;
    assert_eq!(all.status("/any", &provider.token("opaque", "todo:read").await).await, 200);
}
