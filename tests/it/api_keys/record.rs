//! What the record of a key says, and what becomes of that in the principal.

use portcullis::api_key::StoredApiKey;
use portcullis::{
    Algorithm, ApiKeyClaims, ApiKeyError, ApiKeyRecord, ApiKeyState, AuthLayer, Mark, MemoryRevocations,
    NewApiKey, Principal, ScopeSet,
};
use serde_json::json;

use super::scene::{NOW, OK, Scene, at, millis, refused, seconds};
use super::support::{answer, new_key, send_key};
use crate::support::{bearer, jwt, key, send, token};

async fn principal(scene: &Scene, key: &str) -> Principal {
    send_key(&scene.layer, key).await.extensions().get::<Principal>().unwrap().clone()
}

#[tokio::test]
async fn a_key_is_good_from_the_day_on_that_was_set_and_not_before() {
    let scene = Scene::new();
    let issued = scene.keys.issue(new_key().not_before(at(seconds(5)))).await.unwrap();
    let early = refused("api_key_not_yet_valid");
    assert_eq!(scene.answer(issued.key.expose()).await, early);
    scene.clock.advance(millis(4999));
    assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (early, 1));
    // That it was refused is remembered for ten seconds, but not beyond its day.
    scene.clock.advance(millis(1));
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
}

#[tokio::test]
async fn a_key_is_good_until_it_expires_and_no_longer_although_it_is_cached() {
    let scene = Scene::new();
    let issued = scene.keys.issue(new_key().expires_at(at(seconds(5)))).await.unwrap();
    assert_eq!(scene.answer(issued.key.expose()).await, OK);
    scene.clock.advance(millis(4999));
    assert_eq!((scene.answer(issued.key.expose()).await, scene.finds()), (OK, 1));
    scene.clock.advance(millis(1));
    assert_eq!(scene.answer(issued.key.expose()).await, refused("api_key_expired"));
}

#[tokio::test]
async fn the_state_that_the_record_tells_is_the_one_that_the_layer_acts_on() {
    let scene = Scene::new();
    let day = new_key().not_before(at(seconds(10))).expires_at(at(seconds(20)));
    let issued = scene.keys.issue(day).await.unwrap();
    let id = &issued.record.id;
    let check = async |state, answer| {
        let record = scene.keys.find(id).await.unwrap();
        let now = portcullis::Clock::now(&scene.clock);
        assert_eq!((record.state(now), scene.another().answer(issued.key.expose()).await), (state, answer));
    };
    check(ApiKeyState::NotYetValid, refused("api_key_not_yet_valid")).await;
    scene.clock.advance(seconds(10));
    check(ApiKeyState::Active, OK).await;
    scene.keys.disable(id).await.unwrap();
    check(ApiKeyState::Disabled, refused("api_key_disabled")).await;
    scene.keys.enable(id).await.unwrap();
    check(ApiKeyState::Active, OK).await;
    scene.clock.advance(seconds(10));
    check(ApiKeyState::Expired, refused("api_key_expired")).await;
    scene.keys.disable(id).await.unwrap();
    check(ApiKeyState::Disabled, refused("api_key_disabled")).await;
    scene.keys.revoke(id).await.unwrap();
    check(ApiKeyState::Revoked, refused("api_key_revoked")).await;
}

#[tokio::test]
async fn the_principal_says_what_the_record_says() {
    let scene = Scene::new();
    let new = NewApiKey::new("nightly build", "ann")
        .client_id("ci")
        .scopes(ScopeSet::parse("todo:read todo:write").unwrap())
        .plan("gold")
        .metadata("team", json!({"name": "ops", "size": 3}))
        .expires_at(at(seconds(3600)));
    let issued = scene.keys.issue(new).await.unwrap();
    scene.clock.advance(seconds(7));
    let principal = principal(&scene, issued.key.expose()).await;
    assert_eq!((principal.method(), principal.issuer()), ("api-key", None));
    assert_eq!((principal.subject(), principal.client_id()), (Some("ann"), Some("ci")));
    assert!(principal.has("todo:read") && principal.has("todo:write") && !principal.has("todo"));
    assert_eq!(principal.expires_at(), Some(at(seconds(3600))));
    assert_eq!(principal.verified_at(), at(seconds(7)));
    let claims: ApiKeyClaims = principal.claims().unwrap();
    assert_eq!((&claims.jti, claims.iat), (&issued.record.id, NOW));
    assert_eq!((claims.label.as_str(), claims.plan.as_deref()), ("nightly build", Some("gold")));
    assert_eq!(serde_json::Value::Object(claims.metadata), json!({"team": {"name": "ops", "size": 3}}));
    assert_eq!(issued.record, scene.keys.find(&issued.record.id).await.unwrap());
}

#[tokio::test]
async fn what_a_key_does_not_say_the_principal_does_not_say_either() {
    let scene = Scene::new();
    let issued = scene.keys.issue(NewApiKey::new("bare", "ann")).await.unwrap();
    let principal = principal(&scene, issued.key.expose()).await;
    assert_eq!((principal.client_id(), principal.expires_at()), (None, None));
    assert!(!principal.has("todo:read"));
    let claims: ApiKeyClaims = principal.claims().unwrap();
    assert_eq!((claims.plan, claims.metadata.len()), (None, 0));
    assert!(principal.id().is_some());
}

/// No rule for new keys lets one be, but a store may hold what it likes.
#[tokio::test]
async fn a_key_of_nobody_shares_nothing_with_another_of_nobody() {
    let scene = Scene::new();
    let other = Scene::new();
    for (owner, client, has_id) in [("ann", None, true), ("", Some("ci"), true), ("", None, false)] {
        let issued = other.issue().await;
        let StoredApiKey { record, digest, .. } = other.store.stored(&issued.record.id).await;
        let mut of_nobody =
            ApiKeyRecord::new(record.id, record.hint, "a label".into(), owner.into(), record.created_at);
        of_nobody.client_id = client.map(str::to_owned);
        scene.store.put(&StoredApiKey::new(of_nobody, digest)).await;
        let principal = principal(&scene, issued.key.expose()).await;
        assert_eq!(principal.id().is_some(), has_id, "{owner:?} {client:?}");
    }
}

#[tokio::test]
async fn the_owner_is_who_is_calling_whatever_the_key_and_another_than_who_has_that_name_elsewhere() {
    let scene = Scene::new();
    let (one, two) = (scene.issue().await, scene.issue().await);
    let bob = scene.keys.issue(NewApiKey::new("nightly build", "bob")).await.unwrap();
    let id = async |key: &str| principal(&scene, key).await.id().unwrap();
    assert_eq!(id(one.key.expose()).await, id(two.key.expose()).await);
    assert_ne!(id(one.key.expose()).await, id(bob.key.expose()).await);

    let signer = key(Algorithm::ES256);
    let response = send(&AuthLayer::new(jwt(&[&signer])), bearer(&token(&signer).build())).await;
    let ann = response.extensions().get::<Principal>().unwrap();
    assert_eq!(ann.subject(), Some("ann"));
    assert_ne!(ann.id().unwrap(), id(one.key.expose()).await);
}

#[tokio::test]
async fn a_list_of_revocations_calls_a_key_back_by_its_id_and_an_owner_by_the_name() {
    for by_id in [true, false] {
        let (scene, list) = (Scene::new(), MemoryRevocations::new(seconds(3600)));
        let layer = scene.layer.clone().revocations(list.clone());
        let issued = scene.issue().await;
        let other = scene.keys.issue(NewApiKey::new("nightly build", "bob")).await.unwrap();
        assert_eq!(answer(&layer, issued.key.expose()).await, OK);
        let mark =
            if by_id { Mark::jti("api-key", &issued.record.id) } else { Mark::subject("api-key", "ann") };
        list.revoke(mark).unwrap();
        assert_eq!(answer(&layer, issued.key.expose()).await, refused("token_revoked"));
        assert_eq!(answer(&layer, other.key.expose()).await, OK);
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_not_issued() {
    let scene = Scene::new();
    let new = |label: &str, owner: &str| NewApiKey::new(label, owner);
    let long = "x".repeat(256);
    for (field, bad, good) in [
        ("label", new("", "ann"), new("x", "ann")),
        ("label", new(&long, "ann"), new(&long[1..], "ann")),
        ("label", new("a\r\nb", "ann"), new("a b", "ann")),
        ("owner", new("x", ""), new("x", "a")),
        ("owner", new("x", "a\0"), new("x", "a")),
        ("client_id", new_key().client_id(""), new_key().client_id("c")),
        ("plan", new_key().plan("a\u{85}b"), new_key().plan("gold")),
        ("metadata", new_key().metadata("a", "x".repeat(8190)), new_key().metadata("a", "x".repeat(8100))),
        ("expires_at", new_key().expires_at(at(seconds(0))), new_key().expires_at(at(millis(1)))),
        (
            "expires_at",
            new_key().not_before(at(seconds(9))).expires_at(at(seconds(9))),
            new_key().not_before(at(seconds(9))).expires_at(at(seconds(10))),
        ),
    ] {
        let before = scene.store.total();
        let error = scene.keys.issue(bad).await.unwrap_err();
        assert!(matches!(error, ApiKeyError::Invalid { field: named, .. } if named == field), "{error:?}");
        assert_eq!(scene.store.total(), before);
        scene.keys.issue(good).await.unwrap();
    }
}
