//! A signed statement of who asks, good for one request (RFC 7523 §2.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::jose::base64url;
use crate::jose::signer::{PrivateKey, SigningFailed};

/// What the form says about the statement.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// RFC 7523 §3: `iss` and `sub` are the client, `aud` is the server; one string, since a list could name others beside it.
pub(super) fn assertion(
    key: &PrivateKey,
    client_id: &str,
    issuer: &str,
    now: SystemTime,
) -> Result<String, SigningFailed> {
    let mut jti = [0; 16];
    aws_lc_rs::rand::fill(&mut jti).map_err(|_| SigningFailed)?;
    let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    key.sign(&json!({
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "iat": iat.as_secs(),
        "exp": iat.saturating_add(LIFETIME).as_secs(),
        "jti": base64url::encode(jti),
    }))
}

/// Long enough for clocks that differ and a slow way, short enough to be of little use to a thief.
const LIFETIME: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use jsonwebtoken::{DecodingKey, TokenData, Validation, decode};
    use serde_json::Value;

    use super::*;
    use crate::jose::algorithm::Algorithm;
    use crate::test_util::key::SigningKey;

    const ISSUER: &str = "https://id.example.com";

    fn signed_by(key: &SigningKey) -> String {
        let private = PrivateKey::from_pem(key.algorithm(), key.pkcs8_pem().as_bytes()).unwrap();
        let now = UNIX_EPOCH.checked_add(Duration::from_millis(1_800_000_000_999)).unwrap();
        assertion(&private, "app", ISSUER, now).unwrap()
    }

    /// As a server of that issuer would verify it, with another library; times are looked at below.
    fn verified(key: &SigningKey, assertion: &str) -> jsonwebtoken::errors::Result<TokenData<Value>> {
        let public: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.jwk()).unwrap();
        let mut rules = Validation::new(key.alg().parse().unwrap());
        rules.set_audience(&[ISSUER]);
        rules.set_issuer(&["app"]);
        rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
        rules.validate_exp = false;
        decode(assertion, &DecodingKey::from_jwk(&public).unwrap(), &rules)
    }

    #[test]
    fn it_verifies_and_says_who_to_whom_and_how_long() {
        // jsonwebtoken has no ES512.
        let algorithms = [
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::Ed25519,
        ];
        for algorithm in algorithms {
            let key = SigningKey::generate(algorithm);
            let assertion = signed_by(&key);
            let token = verified(&key, &assertion).unwrap();
            let mut claims = token.claims;
            let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
            assert_eq!(jti.as_str().map(str::len), Some(22));
            let (iat, exp) = (1_800_000_000, 1_800_000_060);
            let expected = json!({"iss": "app", "sub": "app", "aud": ISSUER, "iat": iat, "exp": exp});
            assert_eq!(claims, expected, "{algorithm}");
            assert_eq!((token.header.typ.as_deref(), token.header.kid), (Some("JWT"), None));
            assert!(verified(&SigningKey::generate(algorithm), &assertion).is_err(), "{algorithm}");
        }
    }

    #[test]
    fn no_two_have_the_same_jti() {
        let key = SigningKey::generate(Algorithm::ES256);
        let jti = |_| verified(&key, &signed_by(&key)).unwrap().claims["jti"].to_string();
        assert_eq!((0..20).map(jti).collect::<HashSet<_>>().len(), 20);
    }
}
