//! Tokens that are revoked.

use http::StatusCode;

use super::{BASIC, Scene, basic, send};

#[tokio::test]
async fn a_revoked_token_is_inactive_from_then_on_and_no_other() {
    let scene = Scene::start().await;
    let one = scene.server.token();
    for (one, other) in [
        (one.build(), scene.server.token().build()),
        (scene.server.opaque_token(one.clone()), scene.server.opaque_token(one)),
    ] {
        assert!(scene.is_active(&one).await);
        scene.server.revoke(&one);
        assert!(!scene.is_active(&one).await);
        assert!(scene.is_active(&other).await);
    }
    assert_eq!(scene.server.counts().revocation, 0);
}

#[tokio::test]
async fn the_client_revokes_over_http_and_nobody_else() {
    let scene = Scene::start().await;
    let token = scene.server.token();
    for token in [token.build(), scene.server.opaque_token(token)] {
        let request = || scene.post(&scene.server.revocation_endpoint(), &format!("token={token}"));
        assert_eq!(send(request()).await.0, StatusCode::UNAUTHORIZED);
        assert!(scene.is_active(&token).await);
        let revoked = send(request().header("authorization", basic(BASIC))).await;
        assert_eq!(revoked, (StatusCode::OK, String::new(), String::new()));
        assert!(!scene.is_active(&token).await);
    }
    let unknown = scene.post(&scene.server.revocation_endpoint(), "token=unknown");
    assert_eq!(send(unknown.header("authorization", basic(BASIC))).await.0, StatusCode::OK);
    assert_eq!(scene.server.counts().revocation, 5);
}

#[tokio::test]
async fn what_is_set_after_a_revocation_counts() {
    let scene = Scene::start().await;
    let token = scene.server.token().build();
    scene.server.revoke(&token);
    assert!(!scene.is_active(&token).await);
    scene.server.set_answer(&token, serde_json::json!({"active": true}));
    assert!(scene.is_active(&token).await);
}
