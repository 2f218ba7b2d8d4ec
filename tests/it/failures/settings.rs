//! The setting among others: none of them loses it.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use portcullis::{AuthLayer, Authenticator, MemoryRevocations, Quota, Reject, TrustedProxies, problem_json};

use super::{HERE, LIMITED, PASSED, REFUSED, Scene, THERE, answer, app, send};
use crate::stub::{Stub, text};
use crate::support::outcome;

/// A layer with the setting whose quota for one address is spent, and what other setters make of it.
async fn keeps<A, R>(name: &str, set: impl FnOnce(AuthLayer<Stub>) -> AuthLayer<A, R>)
where
    A: Authenticator,
    R: Reject<Body> + Send + Sync + 'static,
{
    let scene = Scene::new(Quota::per_hour(1).unwrap());
    let before = scene.app();
    let after = app().layer(set(scene.layer));
    assert_eq!(answer(&before, HERE, "bad").await, REFUSED);
    assert_eq!(answer(&after, HERE, "ann").await, LIMITED, "{name}");
    assert_eq!(answer(&after, THERE, "ann").await, PASSED, "{name}");
    // What the one counts holds for the other.
    assert_eq!(answer(&after, THERE, "bad").await, REFUSED, "{name}");
    assert_eq!(answer(&before, THERE, "ann").await, LIMITED, "{name}");
}

#[tokio::test]
async fn every_setter_keeps_the_count() {
    let proxies = || TrustedProxies::forwarded(["10.0.0.0/8"]).unwrap();
    keeps("clone", |layer| layer.clone()).await;
    keeps("scope_rule", |layer| layer.scope_rule(|_, _| false)).await;
    keeps("revocations", |layer| layer.revocations(MemoryRevocations::new(super::seconds(60)))).await;
    keeps("verdict_cache", |layer| layer.verdict_cache(0)).await;
    keeps("refusal_cache", |layer| layer.refusal_cache(0)).await;
    keeps("optional", AuthLayer::optional).await;
    keeps("realm", |layer| layer.realm("r")).await;
    keeps("behind", |layer| layer.behind(proxies())).await;
    keeps("on_reject", |layer| layer.on_reject(problem_json::<Body>)).await;
}

#[tokio::test]
async fn the_order_of_setters_does_not_matter() {
    let proxies = || TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
    let lines = |address| [("authorization", "Bearer bad"), ("x-forwarded-for", address)];
    for proxies_first in [true, false] {
        let (layer, quota) = (AuthLayer::new(Stub::new("stub")), Quota::per_hour(1).unwrap());
        let layer = match proxies_first {
            true => layer.behind(proxies()).limit_failures(quota),
            false => layer.limit_failures(quota).behind(proxies()),
        };
        let app = app().layer(layer.on_reject(problem_json::<Body>));
        assert_eq!(outcome(&send(&app, "10.0.0.1", &lines("203.0.113.1")).await), REFUSED);
        assert_eq!(outcome(&send(&app, "10.0.0.1", &lines("203.0.113.2")).await), REFUSED);
        let limited = send(&app, "10.0.0.1", &lines("203.0.113.1")).await;
        assert_eq!(outcome(&limited), LIMITED);
        assert!(text(limited).await.contains("\"reason\":\"failures_exceeded\""));
    }
}

#[tokio::test]
async fn a_layer_of_its_own_counts_for_itself_and_by_default_nobody_counts() {
    let (one, other) =
        (Scene::new(Quota::per_hour(1).unwrap()).app(), Scene::new(Quota::per_hour(1).unwrap()).app());
    assert_eq!(answer(&one, HERE, "bad").await, REFUSED);
    assert_eq!(answer(&one, HERE, "ann").await, LIMITED);
    assert_eq!(answer(&other, HERE, "ann").await, PASSED);
    let app = app().layer(AuthLayer::new(Stub::new("stub")));
    for _ in 0..100 {
        assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
    }
}

/// axum makes a service of the layer for each route.
#[tokio::test]
async fn all_routes_of_a_layer_count_together() {
    let scene = Scene::new(Quota::per_hour(1).unwrap());
    let inner = || tower::service_fn(async |_: Request| Ok::<_, Infallible>(Response::new(Body::empty())));
    let layer = |service| tower::Layer::layer(&scene.layer, service);
    let one = Router::new().route_service("/", layer(inner()));
    let other = Router::new().route_service("/", layer(inner()));
    assert_eq!(answer(&one, HERE, "bad").await, REFUSED);
    assert_eq!(answer(&other, HERE, "ann").await, LIMITED);
    assert_eq!(answer(&other, THERE, "ann").await, PASSED);
}
