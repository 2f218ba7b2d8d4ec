//! Who may sign, and with what.

use std::time::Duration;

use portcullis::{
    AuthLayer, ClientSecret, Mark, MemoryClientSecrets, MemoryRevocations, Reason, ScopeSet,
    SignedRequestAuthenticator, SigningClient,
};

use super::{ACCEPTED, OTHER_SECRET, SECRET, Scene, Token, answer, bearer, client, refused};

const UNKNOWN: super::Answer = refused(Reason::ClientUnknown);

#[tokio::test]
async fn an_unknown_client_and_a_wrong_signature_get_the_same_answer() {
    let scene = Scene::new();
    scene.clients.put("empty", client([]));
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
    for (name, secret) in [("app", OTHER_SECRET), ("nobody", SECRET), ("App", SECRET), ("empty", SECRET)] {
        assert_eq!(scene.ask(&scene.token().of(name, secret)).await, UNKNOWN, "{name}");
    }
    // Nor does any key that a server might take in want of one.
    for guess in [&[][..], &[0; 32], &[0; 64], b"nobody", b"null"] {
        for name in ["app", "nobody", "empty"] {
            assert_eq!(
                scene.ask(&scene.token().claim("iss", name).signed_by(guess)).await,
                UNKNOWN,
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_client_signs_for_itself_alone() {
    let scene = Scene::new();
    scene.clients.put("other", client([OTHER_SECRET]));
    for (name, secret, expected) in [
        ("app", SECRET, ACCEPTED),
        ("other", OTHER_SECRET, ACCEPTED),
        ("app", OTHER_SECRET, UNKNOWN),
        ("other", SECRET, UNKNOWN),
    ] {
        assert_eq!(scene.ask(&scene.token().of(name, secret)).await, expected, "{name}");
    }
}

#[tokio::test]
async fn secrets_change_without_an_outage_and_the_old_one_ends_at_once() {
    let scene = Scene::new();
    let (old, new) = (scene.token(), scene.token().signed_by(OTHER_SECRET));
    for (secrets, expected) in [
        (client([SECRET]), (ACCEPTED, UNKNOWN)),
        (client([SECRET, OTHER_SECRET]), (ACCEPTED, ACCEPTED)),
        (client([OTHER_SECRET, SECRET]), (ACCEPTED, ACCEPTED)),
        (client([OTHER_SECRET]), (UNKNOWN, ACCEPTED)),
    ] {
        scene.clients.put("app", secrets);
        // What was accepted a moment ago is not remembered.
        assert_eq!((scene.ask(&old).await, scene.ask(&new).await), expected);
    }
    assert!(scene.clients.remove("app"));
    assert_eq!(scene.ask(&new).await, UNKNOWN);
}

#[tokio::test]
async fn eight_secrets_are_tried() {
    let scene = Scene::new();
    let secret = |number: usize| format!("secret number {number:032}");
    let secrets = (0..9).map(|number| ClientSecret::new(secret(number)).unwrap());
    scene.clients.put("app", SigningClient::new(secrets, ScopeSet::default()));
    for (number, expected) in [(0, ACCEPTED), (7, ACCEPTED), (8, UNKNOWN)] {
        assert_eq!(scene.ask(&scene.token().signed_by(secret(number))).await, expected, "{number}");
    }
}

#[tokio::test]
async fn the_usual_settings_need_no_builder() {
    let clients = MemoryClientSecrets::from_iter([("app", client([SECRET]))]);
    let layer = AuthLayer::new(SignedRequestAuthenticator::new(clients));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (iat, expected) in [(now, ACCEPTED), (now - 60, refused(Reason::TokenStale))] {
        assert_eq!(answer(&layer, bearer(&Token::new().claim("iat", iat).build())).await, expected);
    }
}

#[tokio::test]
async fn what_was_called_back_is_refused() {
    let list = MemoryRevocations::new(Duration::from_secs(60));
    let scene = Scene::new();
    let layer = scene.layer.clone().revocations(list.clone());
    let tokens = ["1", "2"].map(|jti| scene.token().claim("jti", jti).build());
    for token in &tokens {
        assert_eq!(answer(&layer, bearer(token)).await, ACCEPTED);
    }
    list.revoke(Mark::jti("signed-request", "1")).unwrap();
    assert_eq!(answer(&layer, bearer(&tokens[0])).await, refused(Reason::TokenRevoked));
    assert_eq!(answer(&layer, bearer(&tokens[1])).await, ACCEPTED);
    list.revoke(Mark::client("signed-request", "app")).unwrap();
    assert_eq!(answer(&layer, bearer(&tokens[1])).await, refused(Reason::TokenRevoked));
}
