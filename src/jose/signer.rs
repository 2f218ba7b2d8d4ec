//! JWTs that we sign ourselves.

use std::fmt;
use std::sync::Arc;

use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::base64url;
use super::key_pair::KeyPair;

/// A private key that signs JWTs of one algorithm. Clones share the key.
#[derive(Clone)]
pub(crate) struct PrivateKey {
    algorithm: Algorithm,
    pair: Arc<KeyPair>,
    /// The header of all its tokens, encoded.
    header: Arc<str>,
}

/// The library could not sign. It does not say why; with a key that was read, only want of memory or of randomness is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token could not be signed")]
pub(crate) struct SigningFailed;

impl PrivateKey {
    /// Reads the one private key of a text in PEM form (RFC 7468), in PKCS#8 and not encrypted; sections of other kinds are
    /// passed over. An error is a text for people, without anything of the key.
    pub(crate) fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, &'static str> {
        let mut keys = PrivatePkcs8KeyDer::pem_slice_iter(pem).map(|key| key.map(Zeroizing::new));
        match (keys.next(), keys.next()) {
            (Some(Ok(key)), None) => Self::from_der(algorithm, key.secret_pkcs8_der()),
            (None, _) => Err("there is no unencrypted PKCS#8 key in PEM form (`BEGIN PRIVATE KEY`)"),
            (Some(Ok(_)), Some(Ok(_))) => Err("there is more than one private key"),
            _ => Err("the PEM form is broken"),
        }
    }

    /// Reads a key in PKCS#8. RSA keys need 2048 bits at least, EC keys the curve of the algorithm.
    pub(crate) fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, &'static str> {
        let pair = Arc::new(KeyPair::from_pkcs8(algorithm, der)?);
        Ok(Self { algorithm, pair, header: header(algorithm, None) })
    }

    /// Puts a `kid` into the header of its tokens.
    pub(crate) fn with_kid(self, kid: &str) -> Self {
        Self { header: header(self.algorithm, Some(kid)), ..self }
    }

    /// Signs claims: a compact JWT. Takes no look at the claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String, SigningFailed> {
        let message = format!("{}.{}", self.header, base64url::encode(claims.to_string()));
        let signature = self.pair.sign(message.as_bytes()).map_err(|_| SigningFailed)?;
        Ok(format!("{message}.{}", base64url::encode(signature)))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("alg", &self.algorithm).finish_non_exhaustive()
    }
}

fn header(algorithm: Algorithm, kid: Option<&str>) -> Arc<str> {
    let header = match kid {
        Some(kid) => json!({"alg": algorithm.token_name(), "typ": "JWT", "kid": kid}),
        None => json!({"alg": algorithm.token_name(), "typ": "JWT"}),
    };
    base64url::encode(header.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::Parts;
    use crate::jose::jwk::Jwk;
    use crate::test_util::key::SigningKey;

    const ALL: [Algorithm; 10] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::Ed25519,
    ];

    /// RFC 8410 §10.3, of version 1 and thus without its public half, which is printed in §10.1.
    const RFC_8410: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const RFC_8410_PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";

    /// An RSA key of 1024 bits.
    const WEAK: &str = "\
        MIICeAIBADANBgkqhkiG9w0BAQEFAASCAmIwggJeAgEAAoGBANSauR7LKOlqBZebto4kyWr7eZpDgI7eGZaEp6yJuQ9f39zc\
        DgnIEya6CXBPRhvowFp+5T+VDNvdIZgEasEc95W9tonG9k/YSyOpo+XdIN7aMGxi28+bwA8s/EL1tORrshbpBNW8E0kQkBuS\
        UafrDcAZFPx80kWZKlAjzs6cfURLAgMBAAECgYApLTJPcX+h/YPJwkHQM/XCv6PkqdA7W27PRTAIbcAm5yW/a+tYH6T96igr\
        1V65xxGCNXOHJgIQjzqTa7+VWVvmDNntkohEDNsteDo6aufIbg56VShvEh0ImTSWaKtDjZ/KC//kuIe6FSFsRLnnqTqdW/AS\
        v7gzQfeZWyud89dkkQJBAP6oyBcj/Vcad/IQTqvk6xXI22yOlRe2tI8E1gXQK3RVwYDkmAStkUNjA86HPqm+vNKPcyHzTchw\
        Yr/43pU7r+kCQQDVuUMEy43WlFE2YfFStcOG8+Q5tberyWe4yXgVy/3IpK9c6dTzwL8lTX7nbNIwiwCkdU6g0RKD4wY+ClAf\
        WcYTAkEAvBXE0vKN5otyE6LfuC23Q7u59I/Kpl0XNpqHyHtb3OyJor0zWiEnrPGwmhVhvtVVeN7iVizxQh1fkhIps2cGIQJB\
        AMYCJFNW+4woUa2exGQqvoJTh8jn0Mk5if0ruzQGkJPJ8CaXBZLnqrA2wjJLIdmTjv7PKA/aY9sJBImKKH1DQT0CQQDsZ4ov\
        +KtnRyP+xSE2cXWWHsprGIRKEQp4gX6Bmr2myfdKJupOYuiyCM1TqHF5gNO4sThJi8w378Li6vM+o9nx\
        ";

    fn verifies(jwk: &Value, token: &str) -> bool {
        let jwk = Jwk::parse(jwk.to_string().as_bytes(), Algorithm::RS256).unwrap();
        let parts = Parts::split(token.as_bytes(), 8192).unwrap();
        jwk.verify(parts.signed, &base64url::decode(parts.signature).unwrap())
    }

    fn part(token: &str, at: usize) -> Value {
        let part = token.split('.').nth(at).unwrap();
        serde_json::from_slice(&base64url::decode(part).unwrap()).unwrap()
    }

    fn pem(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    fn problem(algorithm: Algorithm, pem: &str) -> Option<&'static str> {
        PrivateKey::from_pem(algorithm, pem.as_bytes()).err()
    }

    #[test]
    fn what_each_algorithm_signs_verifies_with_the_public_key() {
        for algorithm in ALL {
            let pair = SigningKey::generate(algorithm);
            let key = PrivateKey::from_pem(algorithm, pair.pkcs8_pem().as_bytes()).unwrap();
            let token = key.sign(&json!({"sub": "app"})).unwrap();
            assert!(verifies(&pair.jwk(), &token), "{algorithm}");
            assert_eq!(part(&token, 0), json!({"alg": pair.alg(), "typ": "JWT"}));
            assert_eq!(part(&token, 1), json!({"sub": "app"}));
            // Another key, or another text, and it does not.
            assert!(!verifies(&SigningKey::generate(algorithm).jwk(), &token), "{algorithm}");
            assert!(!verifies(&pair.jwk(), &token.replacen('.', "A.", 1)), "{algorithm}");
        }
    }

    #[test]
    fn a_kid_stands_in_the_header() {
        let key = PrivateKey::from_pem(Algorithm::Ed25519, RFC_8410.as_bytes()).unwrap().with_kid("k\"1");
        let token = key.sign(&json!({})).unwrap();
        assert_eq!(part(&token, 0), json!({"alg": "EdDSA", "typ": "JWT", "kid": "k\"1"}));
    }

    #[test]
    fn the_key_that_rfc_8410_prints_signs_for_its_public_key() {
        let key = PrivateKey::from_pem(Algorithm::Ed25519, RFC_8410.as_bytes()).unwrap();
        let public = json!({"kty": "OKP", "crv": "Ed25519", "x": RFC_8410_PUBLIC});
        assert!(verifies(&public, &key.sign(&json!({})).unwrap()));
    }

    #[test]
    fn a_key_of_another_type_or_curve_does_not_fit() {
        for of in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::Ed25519]
        {
            let pem = SigningKey::generate(of).pkcs8_pem();
            for algorithm in ALL {
                let fits = if of.is_rsa() { algorithm.is_rsa() } else { algorithm == of };
                assert_eq!(problem(algorithm, &pem).is_none(), fits, "{of} for {algorithm}");
            }
        }
    }

    #[test]
    fn an_rsa_key_of_1024_bits_is_too_weak() {
        let weak = problem(Algorithm::RS256, &pem("PRIVATE KEY", WEAK));
        assert_eq!(weak, Some("this algorithm needs an RSA key of 2048 to 8192 bits in PKCS#8"));
        assert_eq!(problem(Algorithm::RS256, &SigningKey::generate(Algorithm::RS256).pkcs8_pem()), None);
    }

    #[test]
    fn only_one_whole_key_in_the_clear_is_read() {
        let none = "there is no unencrypted PKCS#8 key in PEM form (`BEGIN PRIVATE KEY`)";
        let broken = "the PEM form is broken";
        let body = RFC_8410.lines().nth(1).unwrap();
        let cases = [
            (RFC_8410.to_owned(), None),
            (format!("key of app\n{}{RFC_8410}", pem("CERTIFICATE", body)), None),
            (RFC_8410.replace('\n', "\r\n"), None),
            (String::new(), Some(none)),
            (body.to_owned(), Some(none)),
            (pem("PUBLIC KEY", body), Some(none)),
            (pem("RSA PRIVATE KEY", body), Some(none)),
            (pem("EC PRIVATE KEY", body), Some(none)),
            (pem("ENCRYPTED PRIVATE KEY", body), Some(none)),
            (RFC_8410.repeat(2), Some("there is more than one private key")),
            (RFC_8410.replace("-----END", ""), Some(broken)),
            (RFC_8410.replacen("MC4C", "M*4C", 1), Some(broken)),
            (format!("{RFC_8410}-----BEGIN PRIVATE KEY-----\n"), Some(broken)),
            (pem("PRIVATE KEY", "AAAA"), Some("this algorithm needs an Ed25519 key in PKCS#8")),
        ];
        for (text, expected) in cases {
            assert_eq!(problem(Algorithm::Ed25519, &text), expected, "{text}");
        }
    }

    #[test]
    fn debug_shows_the_algorithm_alone() {
        let key = PrivateKey::from_pem(Algorithm::Ed25519, RFC_8410.as_bytes()).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey { alg: Ed25519, .. }");
    }
}
