//! Calls that say different things about one token, since it was called back between them: the one that was sent last counts,
//! in whatever order they land.

use std::time::Duration;

use portcullis::Reason;
use portcullis::test_util::FakeAuthorizationServer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{ACCEPTED, Answer, Scene, guarded, introspection_by, refused, seconds, settle};
use crate::support::{bearer, outcome, send};

const ZERO: Duration = Duration::ZERO;

const INACTIVE: Answer = refused(Reason::TokenInactive);

/// A known token, called back while a call is under way that says it is active; and a request that came afterwards.
struct Race {
    scene: Scene,
    early: (JoinHandle<Answer>, oneshot::Sender<()>),
    late: (JoinHandle<Answer>, oneshot::Sender<()>),
}

impl Race {
    async fn start(scene: Scene) -> Self {
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.later();
        let open = scene.authority.gate();
        let early = (scene.start(Some(ZERO), "a").await, open);
        scene.authority.revoke("a");
        scene.later();
        let open = scene.authority.gate();
        let late = (scene.start(Some(ZERO), "a").await, open);
        assert_eq!(scene.calls(), 3);
        Self { scene, early, late }
    }
}

async fn land((request, open): (JoinHandle<Answer>, oneshot::Sender<()>)) -> Answer {
    open.send(()).unwrap();
    request.await.unwrap()
}

#[tokio::test]
async fn the_early_call_lands_first() {
    let Race { scene, early, late } = Race::start(Scene::new()).await;
    assert_eq!(land(early).await, ACCEPTED, "it came before");
    assert_eq!(land(late).await, INACTIVE);
    assert_eq!((scene.plain("a").await, scene.calls()), (INACTIVE, 3));
}

#[tokio::test]
async fn the_early_call_lands_last() {
    let Race { scene, early, late } = Race::start(Scene::new()).await;
    assert_eq!(land(late).await, INACTIVE);
    assert_eq!((scene.plain("a").await, scene.calls()), (INACTIVE, 3));
    assert_eq!(land(early).await, ACCEPTED, "it came before");
    assert_eq!((scene.plain("a").await, scene.calls()), (INACTIVE, 3));
}

#[tokio::test]
async fn the_early_call_is_forgotten_even_where_refusals_are_not_kept() {
    let Race { scene, early, late } = Race::start(Scene::with(|builder| builder.inactive_for(ZERO))).await;
    assert_eq!(land(late).await, INACTIVE);
    assert_eq!(land(early).await, ACCEPTED);
    assert_eq!((scene.plain("a").await, scene.calls()), (INACTIVE, 4));
}

#[tokio::test]
async fn who_joins_the_early_call_while_both_are_under_way_came_early() {
    let Race { scene, early, late } = Race::start(Scene::new()).await;
    let fresh_enough = scene.start(Some(ZERO), "a").await;
    assert_eq!(scene.calls(), 3, "it joins the late one");
    assert_eq!(land(early).await, ACCEPTED);
    assert_eq!((land(late).await, fresh_enough.await.unwrap()), (INACTIVE, INACTIVE));
}

/// The same through a real socket: a new token, whose first call is under way when it is called back.
#[tokio::test]
async fn a_new_token_that_is_called_back_during_its_first_call() {
    let server = FakeAuthorizationServer::start().await;
    let token = server.opaque_token(server.token());
    let layer = portcullis::AuthLayer::new(introspection_by(&server).build().unwrap());
    let gate = server.hold_introspection();
    let (layer_of_first, request) = (layer.clone(), bearer(&token));
    let first = tokio::spawn(async move { outcome(&send(&layer_of_first, request).await) });
    gate.waiting(1).await;
    server.revoke(&token);
    let (layer_of_second, request) = (layer.clone(), bearer(&token));
    let second = tokio::spawn(async move { outcome(&guarded(&layer_of_second, ZERO, request).await) });
    settle().await;
    assert_eq!(server.counts().introspection, 1);
    gate.open();
    assert_eq!(first.await.unwrap(), ACCEPTED);
    assert_eq!(second.await.unwrap(), INACTIVE);
    assert_eq!(outcome(&send(&layer, bearer(&token)).await), INACTIVE);
    assert_eq!(server.counts().introspection, 2);
}

#[tokio::test]
async fn what_was_not_called_back_stays_accepted_in_every_order() {
    for early_first in [true, false] {
        let scene = Scene::new();
        assert_eq!(scene.plain("a").await, ACCEPTED);
        let mut calls = Vec::new();
        for _ in 0..2 {
            scene.later();
            let open = scene.authority.gate();
            calls.push((scene.start(Some(ZERO), "a").await, open));
        }
        if !early_first {
            calls.reverse();
        }
        for call in calls {
            assert_eq!(land(call).await, ACCEPTED);
        }
        // What is kept is what was asked last, a moment ago.
        assert_eq!((scene.within(ZERO, "a").await, scene.calls()), (ACCEPTED, 3));
        scene.clock.advance(seconds(29));
        assert_eq!((scene.plain("a").await, scene.calls()), (ACCEPTED, 3));
    }
}
