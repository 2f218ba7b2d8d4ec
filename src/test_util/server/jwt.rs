//! The verification of JWTs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::{Clock as _, SystemClock};
use crate::test_util::key::PublicKey;

/// The claims of a JWT that one of these keys signed, with the algorithm that its header names.
pub(super) fn verified<'k>(
    token: &str,
    keys: impl IntoIterator<Item = &'k PublicKey>,
) -> Option<Map<String, Value>> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let algorithm = object(header)?;
    let algorithm = algorithm.get("alg")?.as_str()?;
    let signed = |key: &PublicKey| key.is_for(algorithm) && key.verifies(message.as_bytes(), &signature);
    if keys.into_iter().any(signed) { object(claims) } else { None }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// In seconds since the Unix epoch.
pub(super) fn now() -> f64 {
    SystemClock.now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
