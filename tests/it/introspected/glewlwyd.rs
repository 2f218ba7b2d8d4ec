//! The same at an authorization server of another make, whose access tokens are JWTs that it can be asked about.

use portcullis::{
    AuthLayer, Authenticator as _, BreakerState, ClientAuth, IntrospectionAuthenticator,
    IntrospectionAuthenticatorBuilder, JwtAuthenticator,
};
use serde_json::json;

use super::{Api, basic, issuer};
use crate::glewlwyd::Glewlwyd;
use crate::support::{key, token};

/// Asks about tokens for its resource, JWTs too.
fn asking(glewlwyd: &Glewlwyd) -> IntrospectionAuthenticatorBuilder {
    let auth = basic(&glewlwyd.resource_server());
    IntrospectionAuthenticator::builder(issuer(&glewlwyd.issuer), auth)
        .audience(glewlwyd.audience())
        .introspect_jwts()
}

#[tokio::test(flavor = "multi_thread")]
async fn its_tokens_are_judged_here_or_by_it_alone() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    let opaque = asking(&glewlwyd).build().unwrap();
    let jwt = JwtAuthenticator::builder(issuer(&glewlwyd.issuer), glewlwyd.audience()).build().unwrap();
    let (here, there) = (Api::behind(jwt).await, Api::behind(opaque.clone()).await);
    let good = glewlwyd.token("todo:read").await;
    // It says neither `iss` nor `sub` of a token that a client got for itself.
    let mut expected = json!({
        "method": "introspection", "issuer": glewlwyd.issuer, "subject": null,
        "client": glewlwyd.client().id, "scopes": ["todo:read"],
    });
    assert_eq!(there.caller("/any", &good).await, expected);
    assert_eq!(there.caller("/now", &good).await, expected);
    let known = here.caller("/any", &good).await;
    expected["method"] = "jwt".into();
    expected["subject"] = known["subject"].clone();
    assert_eq!(known, expected);

    let writer = glewlwyd.token("todo:write").await;
    let (of_user, _) = glewlwyd.user_tokens("todo:read").await;
    let stranger = key(portcullis::Algorithm::ES256);
    let forged = token(&stranger).claim("iss", glewlwyd.issuer.as_str()).claim("aud", glewlwyd.audience());
    for api in [&here, &there] {
        assert_eq!(api.status("/any", &writer).await, 403);
        assert_eq!(api.status("/any", &of_user).await, 401, "its audience is its scope");
        assert_eq!(api.status("/any", &forged.build()).await, 401);
        assert_eq!(api.status("/any", "unheard-of").await, 401);
    }
    assert_eq!(here.status("/now", &good).await, 500, "nobody was named who could be asked");
    let status = opaque.status();
    assert_eq!((status.breaker, status.failures), (BreakerState::Closed, 0));

    let for_users = Api::behind(asking(&glewlwyd).audience("todo:read").build().unwrap()).await;
    assert!(for_users.caller("/any", &of_user).await["subject"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_jwt_is_refused_at_once_where_a_fresh_verdict_is_demanded() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    let authority = asking(&glewlwyd).build().unwrap();
    let jwt = JwtAuthenticator::builder(issuer(&glewlwyd.issuer), glewlwyd.audience());
    let jwt = jwt.with_introspection(authority.clone()).build().unwrap();
    let api = Api::with(AuthLayer::new(jwt.or(authority.clone()))).await;
    let (revoked, kept) = (glewlwyd.token("todo:read").await, glewlwyd.token("todo:read").await);
    for token in [&revoked, &kept] {
        assert_eq!((api.status("/any", token).await, api.status("/now", token).await), (200, 200));
    }
    assert_eq!(authority.status().calls, 2, "the other route asks nobody");
    assert_eq!(api.caller("/now", &kept).await["method"], "jwt", "and the token says who it is");
    glewlwyd.revoke(&revoked).await;
    assert_eq!(api.status("/any", &revoked).await, 200, "its signature is still good");
    assert_eq!(api.status("/now", &revoked).await, 401);
    assert_eq!(api.status("/any", &revoked).await, 401, "what was found out counts elsewhere too");
    assert_eq!((api.status("/any", &kept).await, api.status("/now", &kept).await), (200, 200));
    // With the authority gone it is not known whether a token is still good; that it was signed is.
    drop(glewlwyd);
    api.cannot_judge("/now", &kept, "gone").await;
    assert_eq!(api.status("/any", &kept).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_is_no_access_token_although_it_is_active() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    // Its audience is the client, so that this is not what it is refused for; the access token's is its scope.
    let lenient = || asking(&glewlwyd).audience(glewlwyd.client().id).audience("todo:read");
    let (access, refresh) = glewlwyd.user_tokens("todo:read").await;
    for (opaque, why) in [
        (lenient(), "the token is of another kind than an access token"),
        (lenient().type_hint(), "the token is not active"),
    ] {
        let api = Api::behind(opaque.build().unwrap()).await;
        assert_eq!(api.status("/any", &access).await, 200, "{why}");
        let refused = api.get("/any", &refresh).await;
        assert_eq!(refused.status(), 401, "{why}");
        let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("invalid_token") && challenge.contains(why), "{challenge}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_signed_answers_name_the_audience_of_the_token() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    let signed = asking(&glewlwyd).signed_answers().build().unwrap();
    let api = Api::behind(signed.clone()).await;
    let (good, revoked) = (glewlwyd.token("todo:read").await, glewlwyd.token("todo:read").await);
    assert_eq!(api.caller("/any", &good).await["client"], glewlwyd.client().id, "{:?}", signed.status());
    assert_eq!(api.status("/now", &revoked).await, 200);
    // RFC 9701 §5: of a token that is not active it should say so; it says that the question was wrong.
    glewlwyd.revoke(&revoked).await;
    api.cannot_judge("/now", &revoked, "400").await;
    assert!(signed.status().last_error.unwrap().contains("400"));
    assert_eq!(signed.status().breaker, BreakerState::Closed);
    assert_eq!(api.status("/now", &good).await, 200);

    // To the client that asks it is not made out.
    let auth = basic(&glewlwyd.resource_server());
    let anybody = IntrospectionAuthenticator::builder(issuer(&glewlwyd.issuer), auth).introspect_jwts();
    let unaddressed = anybody.signed_answers().build().unwrap();
    Api::behind(unaddressed.clone()).await.cannot_judge("/any", &good, "for another audience").await;
    assert!(unaddressed.status().last_error.unwrap().contains("audience_refused"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_with_a_secret_or_with_a_token_of_our_own() {
    let Some(glewlwyd) = Glewlwyd::start().await else { return };
    let client = glewlwyd.resource_server();
    let good = glewlwyd.token("todo:read").await;
    let asking = |auth: ClientAuth| {
        let opaque = IntrospectionAuthenticator::builder(issuer(&glewlwyd.issuer), auth);
        opaque.audience(glewlwyd.audience()).introspect_jwts().build().unwrap()
    };
    for (way, right, wrong) in [
        ("basic", ClientAuth::basic(&client.id, &client.secret), ClientAuth::basic(&client.id, "x")),
        ("post", ClientAuth::post(&client.id, &client.secret), ClientAuth::post(&client.id, "x")),
        ("bearer", ClientAuth::bearer(glewlwyd.introspection_token().await), ClientAuth::bearer(&good)),
    ] {
        assert_eq!(Api::behind(asking(right)).await.status("/any", &good).await, 200, "{way}");
        let wrong = asking(wrong);
        Api::behind(wrong.clone()).await.cannot_judge("/any", &good, way).await;
        let error = wrong.status().last_error.unwrap();
        assert!(error.contains("refused this server's own credentials"), "{way}: {error}");
    }
}
