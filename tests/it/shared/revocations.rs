//! What one process calls back all others refuse, whatever they remember.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use portcullis::{Algorithm, AuthLayer, JwtAuthenticator, Mark, Reason, RedisRevocations, Revocations as _};

use super::{SECOND, ann, bob, connect, knows, open, until};
use crate::redis::Redis as Server;
use crate::support::{ISSUER, bearer, jwt, key, outcome, send, token};

const ACCEPTED: (StatusCode, Option<Reason>) = (StatusCode::OK, None);
const REVOKED: (StatusCode, Option<Reason>) = (StatusCode::UNAUTHORIZED, Some(Reason::TokenRevoked));

#[tokio::test]
async fn what_one_calls_back_the_other_refuses_although_it_is_cached() {
    let Some(server) = Server::start() else { return };
    let (here, there) = (connect(&server).await, connect(&server).await);
    let key = key(Algorithm::Ed25519);
    let layer = |list: &RedisRevocations| AuthLayer::new(jwt(&[&key])).revocations(list.clone());
    let layers: [AuthLayer<JwtAuthenticator>; 2] = [layer(&here), layer(&there)];
    let [of_ann, of_bob] = ["ann", "bob"].map(|subject| token(&key).claim("sub", subject).build());
    let ask = async |layer: &AuthLayer<_>, token: &str| outcome(&send(layer, bearer(token)).await);
    for layer in &layers {
        for token in [&of_ann, &of_ann, &of_bob] {
            assert_eq!(ask(layer, token).await, ACCEPTED);
        }
    }
    here.revoke(ann()).await.unwrap();
    assert_eq!(ask(&layers[0], &of_ann).await, REVOKED, "here at once");
    until("there", || knows(&there, ann())).await;
    assert_eq!(ask(&layers[1], &of_ann).await, REVOKED);
    for layer in &layers {
        assert_eq!(ask(layer, &of_bob).await, ACCEPTED, "bob is not ann");
    }
    there.revoke(bob()).await.unwrap();
    until("and back", || knows(&here, bob())).await;
    assert_eq!(ask(&layers[0], &of_bob).await, REVOKED);
}

#[tokio::test]
async fn what_was_issued_before_a_time_is_called_back_everywhere() {
    let Some(server) = Server::start() else { return };
    let (here, there) = (connect(&server).await, connect(&server).await);
    let (now, moment) = (SystemTime::now(), Duration::from_millis(1));
    here.revoke_before(ann(), now).await.unwrap();
    until("there", || knows(&there, ann())).await;
    let late = connect(&server).await;
    for list in [&here, &there, &late] {
        assert!(list.is_revoked(&ann(), Some(now - moment)));
        assert!(!list.is_revoked(&ann(), Some(now + moment)));
    }
    // The most that was called back counts.
    there.revoke(ann()).await.unwrap();
    here.revoke_before(ann(), now - SECOND).await.unwrap();
    until("here", || here.is_revoked(&ann(), Some(now + moment))).await;
    assert!(connect(&server).await.is_revoked(&ann(), Some(now + moment)));
}

#[tokio::test]
async fn a_list_of_a_thousand_is_there_when_it_is_connected() {
    let Some(server) = Server::start() else { return };
    let first = connect(&server).await;
    let mark = |number: usize| Mark::jti(ISSUER, &number.to_string());
    let entering = (0..1000).map(|number| {
        let list = first.clone();
        tokio::spawn(async move { list.revoke(mark(number)).await.unwrap() })
    });
    for entered in entering.collect::<Vec<_>>() {
        entered.await.unwrap();
    }
    let second = connect(&server).await;
    assert!((0..1000).all(|number| knows(&second, mark(number))));
    assert!(!knows(&second, mark(1000)));
    let status = second.status();
    assert_eq!((status.entries, status.connected, status.full, status.failures), (1000, true, false, 0));
}

#[tokio::test]
async fn namespaces_do_not_hear_of_each_other() {
    let Some(server) = Server::start() else { return };
    let other = RedisRevocations::connect(open(&server).namespace("other"), super::LIFETIME).await.unwrap();
    let (here, there) = (connect(&server).await, connect(&server).await);
    here.revoke(ann()).await.unwrap();
    other.revoke(bob()).await.unwrap();
    until("the same namespace", || knows(&there, ann())).await;
    let late = connect(&server).await;
    assert!(!knows(&other, ann()) && !knows(&there, bob()) && knows(&late, ann()) && !knows(&late, bob()));
}
