//! What is no key of this application is refused by its text alone, and the store hears nothing of it.

use portcullis::{ApiKeys, MemoryApiKeyStore};

use super::scene::{OK, Scene, refused};
use super::sealed::{id_of, sealed, with_another_secret};
use super::support::issue;
use crate::stub::offers;
use crate::support::{outcome, send};

const MALFORMED: super::scene::Answer = refused("api_key_malformed");

/// A key of another environment, or of another application.
async fn key_of(prefix: &str) -> String {
    let keys = ApiKeys::builder(prefix, MemoryApiKeyStore::new()).build().unwrap();
    issue(&keys).await.key.expose().to_owned()
}

async fn assert_malformed(scene: &Scene, text: &str) {
    let before = scene.store.total();
    assert_eq!(scene.answer(text).await, MALFORMED, "{text}");
    assert_eq!(scene.store.total(), before, "the store was asked because of {text}");
}

#[tokio::test]
async fn any_other_character_anywhere_is_refused_without_a_look_up() {
    let scene = Scene::new();
    let key = scene.issue().await.key;
    let good = key.expose();
    for place in 0..good.len() {
        let other = if &good[place..=place] == "0" { "1" } else { "0" };
        let text = format!("{}{other}{}", &good[..place], &good[place + 1..]);
        assert_malformed(&scene, &text).await;
    }
    assert_eq!((scene.answer(good).await, scene.finds()), (OK, 1));
}

#[tokio::test]
async fn another_case_of_a_letter_is_another_text() {
    let scene = Scene::new();
    let key = scene.issue().await.key;
    let good = key.expose();
    let toggled = |character: char| {
        if character.is_ascii_lowercase() {
            character.to_ascii_uppercase()
        } else {
            character.to_ascii_lowercase()
        }
    };
    for (place, character) in good.char_indices().filter(|(_, character)| character.is_alphabetic()) {
        let text = format!("{}{}{}", &good[..place], toggled(character), &good[place + 1..]);
        assert_malformed(&scene, &text).await;
    }
    for text in [good.to_uppercase(), good.to_lowercase(), good.chars().map(toggled).collect()] {
        assert_malformed(&scene, &text).await;
    }
    assert_eq!((scene.answer(good).await, scene.finds()), (OK, 1));
}

#[tokio::test]
async fn a_key_that_was_cut_or_grew_is_refused_without_a_look_up() {
    let scene = Scene::new();
    let key = scene.issue().await.key;
    let good = key.expose();
    for len in 1..good.len() {
        assert_malformed(&scene, &good[..len]).await;
        assert_malformed(&scene, &good[len..]).await;
    }
    for text in [format!("{good}0"), format!("0{good}"), format!("{good}{good}"), "0".repeat(60_000)] {
        assert_malformed(&scene, &text).await;
    }
    assert_eq!((scene.answer(good).await, scene.finds()), (OK, 1));
}

/// A checksum proves nothing: anybody can make one.
#[tokio::test]
async fn a_right_checksum_makes_no_key_of_what_has_another_form() {
    let scene = Scene::new();
    let key = scene.issue().await.key;
    let good = key.expose();
    let (covered, _) = good.split_at(good.len() - 6);
    assert_eq!(sealed(covered), good, "CRC-32 in base62 of all that stands before");
    for text in [
        sealed(&covered[..covered.len() - 1]),
        sealed(&format!("{covered}0")),
        sealed("todo_live_"),
        sealed("todo_live"),
        sealed(&covered.replacen("todo_live_", "todo_live", 1)),
        sealed(&covered.replacen("todo_live_", "todo_live__", 1)),
        sealed(&covered.replacen("todo_live_", "TODO_LIVE_", 1)),
        sealed(&covered["todo_live_".len()..]),
    ] {
        assert_malformed(&scene, &text).await;
    }
    for other in ["-", "_", "+", "/", "~", "=", ".", "%", "'", "\""] {
        for place in ["todo_live_".len(), "todo_live_".len() + 12, covered.len() - 1] {
            let text = sealed(&format!("{}{other}{}", &covered[..place], &covered[place + 1..]));
            assert_malformed(&scene, &text).await;
        }
    }
    assert_eq!((scene.answer(good).await, scene.finds()), (OK, 1));
}

#[tokio::test]
async fn a_key_of_another_environment_is_refused_without_a_look_up() {
    let scene = Scene::new();
    for prefix in ["todo_test", "todo", "todo_live_eu", "todo_liv", "odo_live", "live"] {
        assert_malformed(&scene, &key_of(prefix).await).await;
    }
    // One with our prefix is looked for, and not found.
    assert_eq!(scene.answer(&key_of("todo_live").await).await, refused("api_key_unknown"));
    assert_eq!(scene.finds(), 1);
}

#[tokio::test]
async fn the_right_id_with_another_secret_is_not_known() {
    let scene = Scene::new();
    let key = scene.issue().await.key;
    let forged = with_another_secret(key.expose());
    assert_eq!(id_of(&forged), id_of(key.expose()));
    assert_eq!(scene.answer(&forged).await, refused("api_key_unknown"));
    assert_eq!(scene.answer(key.expose()).await, OK);
    scene.keys.flush().await.unwrap();
    assert_eq!(scene.store.written().len(), 1, "a forged one counts as no use");
}

#[tokio::test]
async fn a_malformed_key_is_told_which_scheme_it_was() {
    let scene = Scene::new();
    let key = scene.issue().await.key;
    let request = |text: &str| super::support::with("authorization", &format!("ApiKey {text}"));
    let response = send(&scene.layer, request(&key.expose()[1..])).await;
    assert_eq!(outcome(&response).1.map(portcullis::Reason::code), Some("api_key_malformed"));
    assert_eq!(offers(&response), ["ApiKey invalid_token"]);
    let response = send(&scene.layer, request(key.expose())).await;
    assert_eq!((outcome(&response).1, offers(&response).len()), (None, 0));
}
