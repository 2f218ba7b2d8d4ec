//! How soon a resource server notices that the certified authorization server revoked a token (RFC 7009).

use std::time::Duration;

use portcullis::test_util::ManualClock;
use portcullis::{AuthLayer, Mark, MemoryRevocations};

use super::{Api, asking};
use crate::harness::Provider;

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_at_once_where_a_fresh_verdict_is_demanded() {
    let Some(provider) = Provider::start().await else { return };
    let api = Api::behind(asking(&provider, "basic").build().unwrap()).await;
    let (revoked, kept) =
        (provider.token("opaque", "todo:read").await, provider.token("opaque", "todo:read").await);
    for token in [&revoked, &kept] {
        assert_eq!((api.status("/any", token).await, api.status("/now", token).await), (200, 200));
    }
    provider.revoke(&revoked).await;
    assert_eq!(api.status("/any", &revoked).await, 200, "it cannot know yet");
    assert_eq!(api.status("/now", &revoked).await, 401);
    assert_eq!(api.status("/any", &revoked).await, 401, "what was found out counts elsewhere too");
    assert_eq!((api.status("/any", &kept).await, api.status("/now", &kept).await), (200, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_a_revoked_token_lives_no_longer_than_its_verdict() {
    let Some(provider) = Provider::start().await else { return };
    for (reuse_for, expected) in [(None, 30), (Some(Duration::from_secs(7)), 7)] {
        let clock = ManualClock::now();
        let mut opaque = asking(&provider, "basic").clock(clock.clone());
        if let Some(time) = reuse_for {
            opaque = opaque.reuse_for(time);
        }
        let api = Api::behind(opaque.build().unwrap()).await;
        let (revoked, kept) =
            (provider.token("opaque", "todo:read").await, provider.token("opaque", "todo:read").await);
        assert_eq!((api.status("/any", &revoked).await, api.status("/any", &kept).await), (200, 200));
        provider.revoke(&revoked).await;
        let before = provider.requests("introspection").await;
        clock.advance(Duration::from_secs(expected) - Duration::from_millis(1));
        assert_eq!((api.status("/any", &revoked).await, api.status("/any", &kept).await), (200, 200));
        assert_eq!(provider.requests("introspection").await, before);
        clock.advance(Duration::from_millis(1));
        assert_eq!((api.status("/any", &revoked).await, api.status("/any", &kept).await), (401, 200));
        assert_eq!(provider.requests("introspection").await, before + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_revocations_is_heard_at_once_everywhere() {
    let Some(provider) = Provider::start().await else { return };
    let list = MemoryRevocations::new(Duration::from_secs(600));
    let opaque = asking(&provider, "basic").build().unwrap();
    let api = Api::with(AuthLayer::new(opaque).revocations(list.clone())).await;
    let (revoked, kept, unseen) = (
        provider.token("opaque", "todo:read").await,
        provider.token("opaque", "todo:read").await,
        provider.token("opaque", "todo:read").await,
    );
    assert_eq!((api.status("/any", &revoked).await, api.status("/any", &kept).await), (200, 200));
    list.revoke(Mark::token(&revoked)).unwrap();
    list.revoke(Mark::token(&unseen)).unwrap();
    let before = provider.requests("introspection").await;
    assert_eq!((api.status("/any", &revoked).await, api.status("/now", &revoked).await), (401, 401));
    assert_eq!(provider.requests("introspection").await, before, "there is nothing to ask");
    assert_eq!(api.status("/any", &unseen).await, 401);
    assert_eq!((api.status("/any", &kept).await, api.status("/now", &kept).await), (200, 200));
    // Everything of the client at this authority, and of no other.
    list.revoke(Mark::client("https://elsewhere.example", "test-client")).unwrap();
    assert_eq!(api.status("/any", &kept).await, 200);
    list.revoke(Mark::client(&provider.issuer, "test-client")).unwrap();
    assert_eq!(api.status("/any", &kept).await, 401);
    assert_eq!(api.status("/any", &provider.token("opaque", "todo:read").await).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_from_before_the_revocation_lets_nobody_in_who_came_after_it() {
    let Some(provider) = Provider::start().await else { return };
    // Whoever has a verdict in the cache comes to the guard while the early call is still under way.
    for (first, cached) in [("/any", false), ("/now", false), ("/now", true)] {
        let api = Api::behind(asking(&provider, "basic").build().unwrap()).await;
        let (revoked, kept) =
            (provider.token("opaque", "todo:read").await, provider.token("opaque", "todo:read").await);
        // The metadata is known from here on.
        assert_eq!(api.status("/any", "unheard-of").await, 401);
        if cached {
            assert_eq!((api.status("/any", &revoked).await, api.status("/any", &kept).await), (200, 200));
        }
        let before = provider.requests("introspection").await;
        provider.trouble_introspection(1_000, "none").await;
        let early = [&revoked, &kept].map(|token| {
            let request = api.http.get(format!("{}{first}", api.url)).bearer_auth(token);
            tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
        });
        while provider.requests("introspection").await < before + 2 {
            tokio::task::yield_now().await;
        }
        provider.revoke(&revoked).await;
        let late = async |token: &str| api.status("/now", token).await;
        assert_eq!(tokio::join!(late(&revoked), late(&kept)), (401, 200), "{first}, {cached}");
        for (early, who) in early.into_iter().zip(["revoked", "kept"]) {
            assert_eq!(early.await.unwrap(), 200, "{first}, {cached}: {who}: asked when it was still good");
        }
        assert_eq!((api.status("/any", &revoked).await, api.status("/any", &kept).await), (401, 200));
        assert_eq!(provider.requests("introspection").await, before + 4, "{first}, {cached}");
        provider.trouble_introspection(0, "none").await;
    }
}
