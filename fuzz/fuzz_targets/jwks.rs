//! Any bytes as a JWK Set.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis::KeySet;

fuzz_target!(|document: &[u8]| {
    if let Ok(keys) = KeySet::parse(document) {
        assert!(!keys.is_empty() && keys.len() <= 100);
    }
});
