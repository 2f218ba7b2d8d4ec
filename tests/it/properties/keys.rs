//! API keys that differ from a good one.

use http::StatusCode;
use portcullis::{ApiKeyAuthenticator, ApiKeys, AuthLayer, MemoryApiKeyStore, NewApiKey};
use proptest::collection::vec;

use super::*;

/// There is one spelling of a key, in each place where it may stand.
#[test]
fn a_mutated_key_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build().unwrap();
    let key = runtime.block_on(keys.issue(NewApiKey::new("a", "ann"))).unwrap().key;
    let layer = AuthLayer::new(ApiKeyAuthenticator::builder(keys).accept_bearer().build().unwrap());
    let status = |name: &'static str, value: HeaderValue| {
        let mut request = Request::new(Full::<Bytes>::default());
        request.headers_mut().append(name, value);
        runtime.block_on(send(&layer, request)).status()
    };
    let places = [("x-api-key", ""), ("authorization", "ApiKey "), ("authorization", "Bearer ")];
    let mutations = vec(mutation(), 0..3);
    check(mutations, |mutations| {
        let mut mutated = key.expose().as_bytes().to_vec();
        for mutation in &mutations {
            if !mutated.is_empty() {
                mutation.apply(&mut mutated);
            }
        }
        for (name, scheme) in places {
            let Ok(value) = HeaderValue::from_bytes(&[scheme.as_bytes(), &mutated].concat()) else {
                continue;
            };
            // Several spaces may stand behind a scheme.
            let bare = if scheme.is_empty() { &mutated[..] } else { mutated.trim_ascii_start() };
            let same = bare == key.expose().as_bytes();
            assert_eq!(
                status(name, value) == StatusCode::OK,
                same,
                "{:?}",
                String::from_utf8_lossy(&mutated)
            );
        }
    });
}
