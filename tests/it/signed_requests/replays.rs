//! A token opens one request: one after the other, all at once, and whatever the clocks do.

use std::sync::Arc;
use std::time::Duration;

use portcullis::{Clock as _, MemorySingleUse, Reason};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{
    ACCEPTED, Answer, NOW, OTHER_SECRET, SECRET, Scene, answer, bearer, client, encode, refused, request,
};

const REPLAYED: Answer = refused(Reason::TokenReplayed);

fn single() -> Scene {
    Scene::with(super::Builder::single_use)
}

#[tokio::test]
async fn a_token_opens_one_request_where_that_is_asked_for() {
    let (single, many) = (single(), Scene::new());
    for token in [single.token(), single.token().claim("jti", "1")] {
        assert_eq!(single.ask(&token).await, ACCEPTED);
        for _ in 0..3 {
            assert_eq!(single.ask(&token).await, REPLAYED);
            assert_eq!(many.ask(&token).await, ACCEPTED);
        }
    }
}

#[tokio::test]
async fn a_jti_is_used_once_whatever_else_the_token_says() {
    let scene = single();
    let token = |jti: &str| scene.token().claim("jti", jti);
    assert_eq!(scene.ask(&token("1")).await, ACCEPTED);
    for again in [
        token("1").claim("iat", NOW + 1),
        token("1").claim("x", 1),
        token("1").header("kid", "2"),
        token("1").bound_to("GET /"),
    ] {
        assert_eq!(scene.ask(&again).await, REPLAYED);
    }
    for other in ["2", "1 ", "01"] {
        assert_eq!(scene.ask(&token(other)).await, ACCEPTED, "{other}");
    }
}

#[tokio::test]
async fn two_clients_may_use_the_same_jti() {
    let scene = single();
    scene.clients.put("other", client([OTHER_SECRET]));
    scene.clients.put("ap", client([OTHER_SECRET]));
    let of_app = scene.token().claim("jti", "1");
    for token in [of_app.clone(), of_app.clone().of("other", OTHER_SECRET)] {
        assert_eq!(scene.ask(&token).await, ACCEPTED);
        assert_eq!(scene.ask(&token).await, REPLAYED);
    }
    // Names and jti do not run into each other.
    assert_eq!(scene.ask(&of_app.claim("jti", "p1").of("ap", OTHER_SECRET)).await, ACCEPTED);
}

#[tokio::test]
async fn without_a_jti_it_is_the_signed_text_that_counts() {
    let scene = single();
    scene.clients.put("app", client([SECRET, OTHER_SECRET]));
    let token = scene.token();
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    // Two alike in one second are one token, and a second secret makes no second token of it.
    assert_eq!(scene.ask(&scene.token()).await, REPLAYED);
    assert_eq!(scene.ask(&token.clone().signed_by(OTHER_SECRET)).await, REPLAYED);
    for other in [token.clone().claim("iat", NOW + 1), token.clone().claim("x", 1), token.bound_to("GET /")] {
        assert_eq!(scene.ask(&other).await, ACCEPTED);
    }
}

#[tokio::test]
async fn what_is_refused_uses_nothing_up() {
    let scene = single();
    let token = scene.token().claim("jti", "1").bound_to("GET /a");
    let good = token.build();
    let (message, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{message}.{}", encode([0; 32]));
    for (line, text, reason) in [
        ("GET /a", unsigned, Reason::ClientUnknown),
        ("GET /a", token.clone().signed_by(OTHER_SECRET).build(), Reason::ClientUnknown),
        ("GET /b", good.clone(), Reason::BindingMismatch),
        ("GET /a", token.clone().claim("iat", NOW - 31).build(), Reason::TokenStale),
    ] {
        assert_eq!(answer(&scene.layer, request(line, &text)).await, refused(reason));
    }
    let bodily = token.clone().around("").build();
    let needed = super::misconfigured(Reason::BodyNeeded);
    assert_eq!(answer(&scene.layer, request("GET /a", &bodily)).await, needed);
    assert_eq!(answer(&scene.layer, request("GET /a", &good)).await, ACCEPTED);
    assert_eq!(answer(&scene.layer, request("GET /a", &good)).await, REPLAYED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_at_once_one_is_accepted() {
    const CROWD: usize = 1000;
    let scene = single();
    for round in 0..5 {
        let token = scene.token().claim("jti", round.to_string()).build();
        let (mut requests, start) = (JoinSet::new(), Arc::new(Barrier::new(CROWD)));
        for _ in 0..CROWD {
            let (layer, request, start) = (scene.layer.clone(), bearer(&token), Arc::clone(&start));
            requests.spawn(async move {
                start.wait().await;
                answer(&layer, request).await
            });
        }
        let answers = requests.join_all().await;
        let accepted = answers.iter().filter(|answer| **answer == ACCEPTED).count();
        let replayed = answers.iter().filter(|answer| **answer == REPLAYED).count();
        assert_eq!((accepted, replayed), (1, CROWD - 1));
    }
}

#[tokio::test]
async fn servers_that_share_a_store_accept_a_token_once_between_them() {
    for shared in [false, true] {
        let store = MemorySingleUse::new(10);
        let server = || {
            Scene::with(
                |builder| if shared { builder.single_use_in(store.clone()) } else { builder.single_use() },
            )
        };
        let (one, other) = (server(), server());
        assert_eq!(one.ask(&one.token()).await, ACCEPTED);
        assert_eq!(other.ask(&one.token()).await, if shared { REPLAYED } else { ACCEPTED });
    }
}

/// Somebody sets the clock on the wall, or it was wrong for a while: a token is not forgotten as long as any clock would let it in.
#[tokio::test]
async fn what_was_used_is_remembered_whatever_the_clocks_do() {
    let seconds = Duration::from_secs;
    let scene = single();
    let token = scene.token().claim("jti", "1");
    let other = |jti: &str| scene.token().claim("jti", jti);
    assert_eq!(scene.ask(&token).await, ACCEPTED);
    let right = scene.clock.now();
    // Ahead by a day for a while, in which others come.
    scene.clock.set_wall(right + seconds(86_400));
    assert_eq!(scene.ask(&other("2")).await, ACCEPTED);
    scene.clock.set_wall(right);
    assert_eq!(scene.ask(&token).await, REPLAYED);
    // Back by as much as it went on: by the stopwatch it is long over.
    for _ in 0..5 {
        scene.clock.advance(seconds(100));
        scene.clock.set_wall(right);
        assert_eq!(scene.ask(&token).await, REPLAYED);
    }
    // By both clocks; a clock that is set back by half a minute changes nothing.
    scene.clock.advance(seconds(60));
    assert_eq!(scene.ask(&other("3")).await, ACCEPTED);
    scene.clock.set_wall(right + seconds(30));
    assert_eq!(scene.ask(&token).await, REPLAYED);
}

/// While the clock on the wall is ahead, the stopwatch alone tells what has to be remembered.
#[tokio::test]
async fn by_the_stopwatch_a_token_is_remembered_for_a_minute_and_a_half() {
    for (later, expected) in [(89, REPLAYED), (92, ACCEPTED)] {
        let scene = single();
        let token = scene.token().claim("jti", "1");
        assert_eq!(scene.ask(&token).await, ACCEPTED);
        let right = scene.clock.now();
        scene.clock.set_wall(right + Duration::from_secs(86_400));
        scene.clock.advance(Duration::from_secs(later));
        assert_eq!(scene.ask(&scene.token().claim("jti", "2")).await, ACCEPTED);
        scene.clock.set_wall(right);
        assert_eq!(scene.ask(&token).await, expected, "{later}");
    }
}
