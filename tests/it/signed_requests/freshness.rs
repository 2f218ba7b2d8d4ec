//! Routes that ask for a fresh verdict are content with the one that their own request got, and it is got once.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis::{
    AuthLayer, Authenticator, Clock as _, MemorySingleUse, Principal, Reason, SignedRequestAuthenticator,
    require_authenticated,
};
use tower::{Layer as _, ServiceExt as _};

use super::stores::{Secrets, Uses};
use super::{ACCEPTED, Answer, Scene, Token, answer, bearer, client, outcome, refused};

/// Through the layer and then two guards, each of which wants a verdict no older than that.
async fn guarded<A: Authenticator>(layer: &AuthLayer<A>, age: Duration, token: &Token) -> Answer {
    let handler = tower::service_fn(async |request: Request<Full<Bytes>>| {
        assert!(request.extensions().get::<Principal>().is_some());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let guard = require_authenticated().verified_within(age);
    let service = layer.layer(guard.layer(guard.layer(handler)));
    outcome(&service.oneshot(bearer(&token.build())).await.unwrap())
}

#[tokio::test]
async fn a_fresh_verdict_is_at_hand_and_the_token_is_used_up_once() {
    for age in [Duration::ZERO, Duration::from_secs(5), Duration::MAX] {
        let store = MemorySingleUse::new(10);
        let scene = Scene::with(|builder| builder.single_use_in(store.clone()));
        let token = scene.token();
        assert_eq!(guarded(&scene.layer, age, &token).await, ACCEPTED, "{age:?}");
        assert_eq!(store.len(), 1);
        assert_eq!(guarded(&scene.layer, age, &token).await, refused(Reason::TokenReplayed), "{age:?}");
    }
}

/// By the machine's own clocks, which do not stand still between the layer and the guards.
#[tokio::test]
async fn also_by_the_machines_clocks_and_where_stores_take_their_time() {
    for slow in [false, true] {
        let (secrets, uses) = (Secrets::default(), Uses::default());
        secrets.put("app", client([super::SECRET]));
        if slow {
            secrets.delay(Duration::from_millis(20));
            uses.delay(Duration::from_millis(20));
        }
        let builder = SignedRequestAuthenticator::builder(secrets.clone()).single_use_in(uses.clone());
        let layer = AuthLayer::new(builder.build().unwrap());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        for jti in ["1", "2", "3"] {
            let token = Token::new().claim("iat", now).claim("jti", jti);
            assert_eq!(guarded(&layer, Duration::ZERO, &token).await, ACCEPTED, "slow: {slow}");
        }
        assert_eq!((secrets.asked(), uses.asked()), (3, 3), "slow: {slow}");
    }
}

#[tokio::test]
async fn a_verdict_is_for_one_request_alone() {
    let secrets = Secrets::default();
    secrets.put("app", client([super::SECRET]));
    let scene = Scene::new();
    let builder = SignedRequestAuthenticator::builder(secrets.clone()).clock(scene.clock.clone());
    let layer = AuthLayer::new(builder.build().unwrap());
    let token = scene.token().build();
    for times in 1..=3 {
        assert_eq!(answer(&layer, bearer(&token)).await, ACCEPTED);
        assert_eq!(secrets.asked(), times);
    }
}

/// As documented: whoever passes two layers is judged twice.
#[tokio::test]
async fn a_second_layer_sees_a_token_that_was_used() {
    for (single, expected) in [(false, ACCEPTED), (true, refused(Reason::TokenReplayed))] {
        let scene = Scene::with(|builder| if single { builder.single_use() } else { builder });
        let handler = tower::service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let service = scene.layer.layer(scene.layer.layer(handler));
        let response = service.oneshot(bearer(&scene.token().build())).await.unwrap();
        assert_eq!(outcome(&response), expected);
    }
}

/// The layer goes by the clock of the authenticator, or it would find every verdict old.
#[tokio::test]
async fn the_layer_tells_the_time_by_the_same_clock() {
    let scene = Scene::new();
    for years in [0, 20] {
        scene.clock.set_wall(scene.clock.now() - Duration::from_secs(years * 365 * 86_400));
        assert_eq!(guarded(&scene.layer, Duration::ZERO, &scene.token()).await, ACCEPTED, "{years}");
    }
}
