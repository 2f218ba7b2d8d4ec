//! Tokens that name a key which is not known: a rotation, or a lie.

use portcullis::test_util::FakeAuthorizationServer;
use portcullis::{Algorithm, AuthLayer, Reason};

use super::{ACCEPTED, Scene, es256, refused, retry_after, seconds, settle, unavailable};
use crate::support::{bearer, judge, jwt_of, key, outcome, send, token};

#[tokio::test]
async fn a_rotation_is_noticed_by_the_first_token_of_the_new_key() {
    let (old, new) = (es256(), es256());
    let scene = Scene::with(&[&old]).await;
    scene.http.publish(&[&old, &new]);
    assert_eq!(scene.ask(&token(&new)).await, ACCEPTED);
    assert_eq!(scene.ask(&token(&old)).await, ACCEPTED);
    assert_eq!((scene.fetches(), scene.status().generation), (2, 0));
}

#[tokio::test]
async fn a_key_that_a_fetch_did_not_bring_is_refused() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    let response = scene.response(&token(&es256())).await;
    assert_eq!(outcome(&response), refused(Reason::KeyUnknown));
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    assert_eq!(scene.fetches(), 2);
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn a_cold_start_with_an_unknown_key_costs_one_fetch() {
    // The first fetch was sent after the request arrived: it can speak about it.
    let scene = Scene::new(|builder| builder);
    scene.http.publish(&[&es256()]);
    assert_eq!(scene.ask(&token(&es256())).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_known_name_for_another_algorithm_causes_no_fetch() {
    let known = es256();
    let scene = Scene::with(&[&known]).await;
    let other = token(&key(Algorithm::Ed25519)).header("kid", known.kid());
    assert_eq!(scene.ask(&other).await, refused(Reason::KeyMismatch));
    assert_eq!(scene.ask(&token(&known).forged_by(&es256())).await, refused(Reason::SignatureInvalid));
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_token_without_kid_waits_for_a_key_of_its_algorithm() {
    let (ec, ed) = (es256(), key(Algorithm::Ed25519));
    let scene = Scene::with(&[&ec]).await;
    scene.http.publish(&[&ec, &ed]);
    assert_eq!(scene.ask(&token(&ec).without_header("kid")).await, ACCEPTED);
    assert_eq!(scene.fetches(), 1);
    assert_eq!(scene.ask(&token(&ed).without_header("kid")).await, ACCEPTED);
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn the_bucket_holds_two_fetches_and_gains_one_every_five_seconds() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    let stranger = || token(&es256());
    for fetches in [2, 3] {
        assert_eq!(scene.ask(&stranger()).await, refused(Reason::KeyUnknown));
        assert_eq!(scene.fetches(), fetches);
    }
    for (advance, after) in [(0, 5), (2, 3), (2, 1)] {
        scene.clock.advance(seconds(advance));
        for _ in 0..20 {
            let response = scene.response(&stranger()).await;
            assert_eq!(outcome(&response), unavailable(Reason::KeysThrottled));
            assert_eq!(retry_after(&response), Some(after));
        }
        // Whoever is known is served as ever.
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    }
    assert_eq!(scene.fetches(), 3);
    scene.clock.advance(seconds(1));
    assert_eq!(scene.ask(&stranger()).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.ask(&stranger()).await, unavailable(Reason::KeysThrottled));
    assert_eq!(scene.fetches(), 4);
    scene.clock.advance(seconds(100));
    for _ in 0..20 {
        scene.ask(&stranger()).await;
    }
    assert_eq!(scene.fetches(), 6, "after a long rest it holds two again");
}

#[tokio::test]
async fn failures_spend_the_bucket_too() {
    let key = es256();
    let scene = Scene::with(&[&key]).await;
    scene.http.break_down();
    let stranger = token(&es256());
    for fetches in [2, 3] {
        let response = scene.response(&stranger).await;
        assert_eq!(outcome(&response), unavailable(Reason::KeysUnavailable));
        assert!(retry_after(&response).is_some());
        assert_eq!(scene.fetches(), fetches);
    }
    for _ in 0..20 {
        assert_eq!(scene.ask(&stranger).await, unavailable(Reason::KeysThrottled));
    }
    assert_eq!(scene.fetches(), 3);
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
}

#[tokio::test]
async fn refreshes_of_the_application_do_not_spend_the_bucket() {
    let scene = Scene::with(&[&es256()]).await;
    for _ in 0..10 {
        scene.keys.refresh().await.unwrap();
    }
    assert_eq!(scene.ask(&token(&es256())).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.fetches(), 12);
}

#[tokio::test]
async fn requests_at_the_same_time_share_one_fetch() {
    let (old, new) = (es256(), es256());
    let scene = Scene::with(&[&old]).await;
    scene.http.publish(&[&old, &new]);
    scene.http.hold();
    let mut requests = Vec::new();
    for _ in 0..50 {
        requests.push((scene.start(&token(&new)).await, ACCEPTED));
        requests.push((scene.start(&token(&es256())).await, refused(Reason::KeyUnknown)));
    }
    assert_eq!(scene.fetches(), 2);
    // Known keys do not wait with them.
    assert_eq!(scene.ask(&token(&old)).await, ACCEPTED);
    scene.http.release();
    let (mut accepted, mut judged_later) = (0, 0);
    for (request, expected) in requests {
        let answer = request.await.unwrap();
        accepted += usize::from(answer == ACCEPTED);
        // All but the first arrived while a fetch was under way: only a later one can speak about their unknown keys.
        assert_eq!(answer, expected);
        judged_later += usize::from(answer != ACCEPTED);
    }
    assert_eq!((accepted, judged_later, scene.fetches()), (50, 50, 3));
}

#[tokio::test]
async fn only_a_fetch_that_was_sent_after_the_request_arrived_may_refuse_it() {
    let (old, new) = (es256(), es256());
    let scene = Scene::with(&[&old]).await;
    scene.http.hold();
    let stranger = scene.start(&token(&es256())).await;
    // The rotation happens while that fetch is on its way, with the old keys.
    scene.http.publish(&[&old, &new]);
    let rotated = scene.start(&token(&new)).await;
    assert_eq!(scene.fetches(), 2);
    scene.http.release();
    assert_eq!(stranger.await.unwrap(), refused(Reason::KeyUnknown));
    assert_eq!(rotated.await.unwrap(), ACCEPTED);
    assert_eq!(scene.fetches(), 3);
}

#[tokio::test]
async fn an_older_fetch_does_not_refuse_where_the_bucket_allows_no_newer() {
    let scene = Scene::with(&[&es256()]).await;
    assert_eq!(scene.ask(&token(&es256())).await, refused(Reason::KeyUnknown));
    scene.http.hold();
    let first = scene.start(&token(&es256())).await;
    let second = scene.start(&token(&es256())).await;
    scene.http.release();
    assert_eq!(first.await.unwrap(), refused(Reason::KeyUnknown));
    assert_eq!(second.await.unwrap(), unavailable(Reason::KeysThrottled));
    assert_eq!(scene.fetches(), 3);
}

#[tokio::test]
async fn a_refresh_that_the_request_itself_set_off_speaks_about_it() {
    let scene = Scene::with(&[&es256()]).await;
    scene.clock.advance(seconds(500));
    assert_eq!(scene.ask(&token(&es256())).await, refused(Reason::KeyUnknown));
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_while_old_keys_serve() {
    let (old, new) = (es256(), es256());
    let scene = Scene::with(&[&old]).await;
    scene.http.break_down();
    scene.clock.advance(seconds(700));
    assert_eq!(scene.ask(&token(&old)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 2);
    scene.http.publish(&[&new]);
    assert_eq!(scene.ask(&token(&new)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 3);
    assert_eq!(scene.status().last_error, None);
}

#[tokio::test]
async fn a_real_server_that_rotates_is_asked_once() {
    let server = FakeAuthorizationServer::start().await;
    let jwt = jwt_of(&server);
    let before = server.token();
    assert!(judge(&jwt, &before.build()).await.is_ok());
    server.rotate();
    let layer = AuthLayer::new(jwt);
    for _ in 0..3 {
        assert_eq!(outcome(&send(&layer, bearer(&server.token().build())).await), ACCEPTED);
    }
    assert_eq!(server.counts().jwks, 2);
    settle().await;
    assert_eq!(outcome(&send(&layer, bearer(&before.build())).await), refused(Reason::KeyUnknown));
    assert_eq!((server.counts().discovery, server.counts().jwks), (1, 3));
}
