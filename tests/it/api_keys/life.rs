//! From the first day of a key to its last.

use std::time::Duration;

use http::StatusCode;
use portcullis::{ApiKeyClaims, MemoryApiKeyStore, Principal};

use super::support::{answer, issue, keys, layer, send_key};

const OK: (StatusCode, Option<&str>) = (StatusCode::OK, None);

#[tokio::test]
async fn a_key_that_was_issued_opens_and_the_principal_says_whose_it_is() {
    let keys = keys(MemoryApiKeyStore::new());
    let issued = issue(&keys).await;
    let response = send_key(&layer(&keys), issued.key.expose()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let principal = response.extensions().get::<Principal>().unwrap();
    assert_eq!((principal.method(), principal.subject()), ("api-key", Some("ann")));
    assert!(principal.has("todo:read") && !principal.has("todo:write"));
    let claims: ApiKeyClaims = principal.claims().unwrap();
    assert_eq!((claims.jti, claims.label), (issued.record.id, "nightly build".to_owned()));
}

#[tokio::test]
async fn a_key_that_is_revoked_here_is_refused_at_once_although_it_is_cached() {
    let keys = keys(MemoryApiKeyStore::new());
    let (layer, issued, other) = (layer(&keys), issue(&keys).await, issue(&keys).await);
    for _ in 0..2 {
        assert_eq!(answer(&layer, issued.key.expose()).await, OK);
    }
    keys.revoke(&issued.record.id).await.unwrap();
    let refused = (StatusCode::UNAUTHORIZED, Some("api_key_revoked"));
    assert_eq!(answer(&layer, issued.key.expose()).await, refused);
    assert_eq!(answer(&layer, other.key.expose()).await, OK, "another one is as good as before");
}

#[tokio::test]
async fn both_keys_work_in_the_grace_period_of_a_rotation_and_one_after_it() {
    let keys = keys(MemoryApiKeyStore::new());
    let (layer, old) = (layer(&keys), issue(&keys).await);
    assert_eq!(answer(&layer, old.key.expose()).await, OK);
    // By the machine's clock: on a busy one, too, both are asked for in this time.
    let grace = Duration::from_secs(2);
    let new = keys.rotate(&old.record.id, grace).await.unwrap();
    assert_eq!(answer(&layer, old.key.expose()).await, OK);
    assert_eq!(answer(&layer, new.key.expose()).await, OK);
    tokio::time::sleep(grace + Duration::from_millis(50)).await;
    assert_eq!(answer(&layer, old.key.expose()).await.1, Some("api_key_expired"));
    assert_eq!(answer(&layer, new.key.expose()).await, OK);
}
