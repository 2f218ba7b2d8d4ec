//! Issuers that are away, slow, or wrong.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use portcullis::http_client::{HttpClient, HttpError, HttpFuture, Limits};
use portcullis::test_util::{FakeAuthorizationServer, Fault};
use portcullis::{AuthLayer, Issuer, JwtAuthenticator, Reason, RemoteKeySet};
use tokio::time::Instant;

use super::{ACCEPTED, JWKS, Scene, document, es256, retry_after, seconds, settle, unavailable};
use crate::support::{AUDIENCE, ISSUER, bearer, jwt_of, outcome, send, token};

const UNAVAILABLE: super::Answer = unavailable(Reason::KeysUnavailable);

fn response(status: u16, body: impl Into<Bytes>) -> Result<Response<Bytes>, HttpError> {
    Ok(Response::builder().status(status).body(body.into()).unwrap())
}

#[tokio::test]
async fn whatever_goes_wrong_keeps_the_old_keys_and_refuses_nobody() {
    let key = es256();
    let good = document(&[&key]);
    let half = good[..good.len() / 2].to_owned();
    for (answer, hint) in [
        (response(500, good.clone()), "500"),
        (response(404, good.clone()), "404"),
        (response(302, good.clone()), "302"),
        (response(304, ""), "304"),
        (response(201, good.clone()), "201"),
        (response(200, ""), "not a JWK Set"),
        (response(200, "<html>"), "not a JWK Set"),
        (response(200, half), "not a JWK Set"),
        (response(200, r#"{"keys":[]}"#), "no key that can be used"),
        (response(200, r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#), "no key that can be used"),
        (response(200, document(&vec![&key; 101])), "more than 100"),
        (response(200, " ".repeat(256 * 1024) + &good), "too large"),
        (Err(HttpError::Transport("refused".into())), "refused"),
        (Err(HttpError::Timeout), "in time"),
    ] {
        let script = |scene: &Scene| match answer.clone() {
            Ok(response) => scene.http.script.answer_with(JWKS, response),
            Err(error) => scene.http.script.fail(JWKS, error),
        };
        // Before there are any keys: 503, never 401, and not asked again at once.
        let scene = Scene::new(|builder| builder);
        script(&scene);
        for _ in 0..3 {
            let response = scene.response(&token(&key)).await;
            assert_eq!((outcome(&response), retry_after(&response)), (UNAVAILABLE, Some(1)), "{hint}");
        }
        assert_eq!(scene.fetches(), 1);
        let error = scene.status().last_error.unwrap();
        assert!(error.contains(hint) && error.contains(JWKS), "{error}");

        // With keys: they serve on, without delay.
        let scene = Scene::with(&[&key]).await;
        script(&scene);
        scene.clock.advance(seconds(500));
        for _ in 0..3 {
            assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
            settle().await;
        }
        assert_eq!(scene.fetches(), 2);
        assert_eq!((scene.status().keys, scene.status().age), (1, Some(seconds(500))));
        assert!(scene.status().last_error.unwrap().contains(hint));
        assert_eq!(scene.ask(&token(&es256())).await, UNAVAILABLE, "{hint}");
    }
}

#[tokio::test]
async fn the_largest_document_is_read() {
    let key = es256();
    let good = document(&[&key]);
    let scene = Scene::new(|builder| builder);
    scene.http.script.answer(JWKS, " ".repeat(256 * 1024 - good.len()) + &good);
    assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
    assert_eq!(scene.fetches(), 1);
}

#[tokio::test]
async fn a_failed_fetch_is_tried_again_after_1_2_and_then_every_4_seconds() {
    let key = es256();
    for warm in [false, true] {
        let scene = if warm { Scene::with(&[&key]).await } else { Scene::new(|builder| builder) };
        scene.http.break_down();
        let ask = async || {
            let response = scene.response(&token(&key)).await;
            assert_eq!(outcome(&response), if warm { ACCEPTED } else { UNAVAILABLE });
            settle().await;
            retry_after(&response)
        };
        scene.clock.advance(seconds(500));
        ask().await;
        for (failures, pause) in [1, 2, 4, 4, 4, 4].into_iter().enumerate() {
            let fetches = failures + 1 + usize::from(warm);
            assert_eq!(scene.fetches(), fetches);
            scene.clock.advance(seconds(pause) - Duration::from_millis(1));
            assert_eq!(ask().await, if warm { None } else { Some(1) });
            assert_eq!(scene.fetches(), fetches, "{pause} seconds");
            scene.clock.advance(Duration::from_millis(1));
            ask().await;
            assert_eq!(scene.fetches(), fetches + 1, "{pause} seconds");
        }
        // It recovers by itself, and begins anew with the next failure.
        scene.http.publish(&[&key]);
        scene.clock.advance(seconds(4));
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        settle().await;
        assert_eq!((scene.status().last_error, scene.status().age), (None, Some(Duration::ZERO)));
        scene.http.break_down();
        assert!(scene.keys.refresh().await.is_err());
        let fetches = scene.fetches();
        scene.clock.advance(seconds(500));
        assert_eq!(scene.ask(&token(&key)).await, ACCEPTED);
        settle().await;
        assert_eq!(scene.fetches(), fetches + 1);
    }
}

#[tokio::test]
async fn a_server_that_starts_later_is_found() {
    let server = FakeAuthorizationServer::start().await;
    server.stop().await;
    let issuer = server.issuer();
    assert!(issuer.warm_up().await.is_err());
    let layer = AuthLayer::new(JwtAuthenticator::builder(issuer.clone(), AUDIENCE).build().unwrap());
    let request = || bearer(&server.token().build());
    assert_eq!(outcome(&send(&layer, request()).await), UNAVAILABLE);
    assert_eq!(issuer.remote_keys().unwrap().status().fetches, 1);
    server.restart().await;
    issuer.warm_up().await.unwrap();
    assert_eq!(outcome(&send(&layer, request()).await), ACCEPTED);
    assert_eq!(server.counts().jwks, 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (server, target) = (FakeAuthorizationServer::start().await, FakeAuthorizationServer::start().await);
    let layer = AuthLayer::new(jwt_of(&server));
    server.set_fault(Fault::Redirect(target.jwks_uri()));
    assert_eq!(outcome(&send(&layer, bearer(&server.token().build())).await), UNAVAILABLE);
    assert_eq!((server.counts().jwks, target.counts().jwks), (1, 0));
}

#[tokio::test]
async fn a_real_answer_without_end_is_cut_off() {
    let server = FakeAuthorizationServer::start().await;
    let keys = RemoteKeySet::builder(server.jwks_uri()).allow_http().build().unwrap();
    server.set_fault(Fault::Oversize(256 * 1024 + 1));
    assert!(keys.refresh().await.unwrap_err().to_string().contains("too large"));
    server.set_fault(None);
    assert!(keys.refresh().await.is_ok());
    server.set_fault(Fault::Body("{}".into()));
    assert!(keys.refresh().await.is_err());
    assert_eq!((server.counts().jwks, keys.status().keys), (3, 1));
}

/// A client that knows no limits.
#[derive(Clone, Debug)]
enum Careless {
    Never,
    Endless(String),
    Panics,
    PanicsLater,
}

impl HttpClient for Careless {
    fn send(&self, _: Request<Bytes>, _: Limits) -> HttpFuture {
        let client = self.clone();
        assert!(!matches!(client, Self::Panics), "careless");
        Box::pin(async move {
            match client {
                Self::Endless(body) => Ok(Response::new(body.into())),
                Self::PanicsLater => panic!("careless"),
                _ => std::future::pending().await,
            }
        })
    }
}

fn careless(client: Careless) -> (RemoteKeySet, AuthLayer<JwtAuthenticator>) {
    let keys = RemoteKeySet::builder(JWKS).http_client(client).build().unwrap();
    let jwt = JwtAuthenticator::builder(Issuer::new(ISSUER, keys.clone()), AUDIENCE).build().unwrap();
    (keys, AuthLayer::new(jwt))
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_answers_is_given_up_after_five_seconds() {
    let (keys, layer) = careless(Careless::Never);
    let start = Instant::now();
    assert_eq!(outcome(&send(&layer, bearer(&token(&es256()).build())).await), UNAVAILABLE);
    assert!(start.elapsed() >= seconds(5) && start.elapsed() < seconds(6), "{:?}", start.elapsed());
    assert!(keys.status().last_error.unwrap().contains("in time"));
}

#[tokio::test]
async fn a_client_that_knows_no_limit_is_checked() {
    let key = es256();
    let good = document(&[&key]);
    let request = || bearer(&token(&key).build());
    let (_, layer) = careless(Careless::Endless(good.clone()));
    assert_eq!(outcome(&send(&layer, request()).await), ACCEPTED);
    let (_, layer) = careless(Careless::Endless(" ".repeat(256 * 1024) + &good));
    assert_eq!(outcome(&send(&layer, request()).await), UNAVAILABLE);
}

#[tokio::test]
async fn a_client_that_panics_counts_as_a_failure() {
    for client in [Careless::Panics, Careless::PanicsLater] {
        let (keys, layer) = careless(client);
        for _ in 0..5 {
            assert_eq!(outcome(&send(&layer, bearer(&token(&es256()).build())).await), UNAVAILABLE);
        }
        assert_eq!(keys.status().fetches, 1, "and it is not asked again at once");
        assert!(keys.status().last_error.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn discovery_and_keys_share_one_time_limit() {
    let scene = super::Upstream::new();
    scene.script.delay(seconds(3));
    for place in ["oauth-authorization-server", "openid-configuration"] {
        let document = serde_json::json!({"issuer": ISSUER, "jwks_uri": JWKS}).to_string();
        scene.script.answer(format!("{ISSUER}/.well-known/{place}"), document);
    }
    scene.publish(&[&es256()]);
    let keys =
        |timeout| RemoteKeySet::discover(ISSUER).http_client(scene.clone()).timeout(timeout).build().unwrap();
    let start = Instant::now();
    assert!(keys(seconds(5)).refresh().await.is_err());
    assert_eq!(start.elapsed().as_secs(), 5);
    assert!(keys(seconds(7)).refresh().await.is_ok());
}
