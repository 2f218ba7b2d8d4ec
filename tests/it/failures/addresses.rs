//! Whose failures are counted together.

use http::StatusCode;
use portcullis::{Quota, Reason, TrustedProxies};

use super::{HERE, LIMITED, PASSED, REFUSED, Scene, THERE, answer, send};
use crate::stub::{ask, header};
use crate::support::outcome;

#[tokio::test]
async fn an_ipv6_network_is_one_address() {
    for (first, second, together) in [
        (HERE, HERE, true),
        (HERE, THERE, false),
        (HERE, "::ffff:192.0.2.1", true),
        (HERE, "64:ff9b::192.0.2.1", true),
        (HERE, "64:ff9b::192.0.2.2", false),
        ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
    ] {
        let app = Scene::new(Quota::per_hour(1).unwrap()).app();
        assert_eq!(answer(&app, first, "bad").await, REFUSED);
        let expected = if together { LIMITED } else { PASSED };
        assert_eq!(answer(&app, second, "ann").await, expected, "{first} {second}");
    }
}

#[tokio::test]
async fn behind_proxies_what_they_tell_counts_and_not_what_a_caller_writes() {
    let proxies = || TrustedProxies::x_forwarded_for(["10.0.0.0/8"]).unwrap();
    let behind = || {
        let scene = Scene::new(Quota::per_hour(1).unwrap());
        super::app().layer(scene.layer.behind(proxies()))
    };
    let through = async |app: &_, forwarded: &str, secret: &str| {
        let line = format!("Bearer {secret}");
        outcome(&send(app, "10.0.0.1", &[("authorization", &line), ("x-forwarded-for", forwarded)]).await)
    };
    let app = behind();
    assert_eq!(through(&app, "203.0.113.1", "bad").await, REFUSED);
    // The proxy appends: whatever the caller wrote stands to the left.
    for forwarded in ["198.51.100.7, 203.0.113.1", "10.0.0.9, 203.0.113.1", "x, 203.0.113.1, 10.0.0.2"] {
        assert_eq!(through(&app, forwarded, "ann").await, LIMITED, "{forwarded}");
    }
    assert_eq!(through(&app, "203.0.113.1, 203.0.113.2", "ann").await, PASSED, "another caller");
    // Who comes directly is not believed.
    assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
    let lines = [("authorization", "Bearer ann"), ("x-forwarded-for", "203.0.113.2")];
    assert_eq!(outcome(&send(&app, HERE, &lines).await), LIMITED);
    // Without proxies the header says nothing at all.
    let app = Scene::new(Quota::per_hour(1).unwrap()).app();
    assert_eq!(through(&app, "203.0.113.1", "bad").await, REFUSED);
    assert_eq!(through(&app, "203.0.113.2", "ann").await, LIMITED);
    assert_eq!(answer(&app, HERE, "ann").await, PASSED);
}

#[tokio::test]
async fn where_no_address_is_known_nothing_is_judged() {
    let scene = Scene::new(Quota::per_hour(1).unwrap());
    let missing = (StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::AddressMissing));
    for secret in ["ann", "bad", "a b"] {
        assert_eq!(outcome(&ask(&scene.app(), "GET /", secret).await), missing);
    }
    assert_eq!(scene.asked.times(), 0);
    // Who presents nothing needs no address.
    let nothing = (StatusCode::UNAUTHORIZED, Some(Reason::CredentialMissing));
    assert_eq!(outcome(&ask(&scene.app(), "GET /", None).await), nothing);
    let optional = super::app().layer(scene.layer.clone().optional());
    assert_eq!(outcome(&ask(&optional, "GET /", None).await), PASSED);
    // With an address it is judged, and that everybody failed before counts for nobody.
    assert_eq!(answer(&scene.app(), HERE, "ann").await, PASSED);
}

#[tokio::test]
async fn a_flood_from_ten_thousand_networks_harms_nobody_else_and_frees_nobody() {
    let scene = Scene::new(Quota::per_hour(1).unwrap());
    let app = scene.app();
    let flooder = |index: u32| format!("2001:db8:{:x}:{:x}::1", index / 100, index % 100);
    assert_eq!(answer(&app, HERE, "bad").await, REFUSED);
    for index in 0..10_000 {
        assert_eq!(answer(&app, &flooder(index), "bad").await, REFUSED);
    }
    let asked = scene.asked.times();
    for index in (0..10_000).step_by(100) {
        assert_eq!(answer(&app, &flooder(index), "ann").await, LIMITED, "{index}");
    }
    assert_eq!(answer(&app, HERE, "ann").await, LIMITED);
    assert_eq!(scene.asked.times(), asked);
    let response = send(&app, THERE, &[("authorization", "Bearer ann")]).await;
    assert_eq!((outcome(&response), header(&response, "retry-after")), (PASSED, None));
}
