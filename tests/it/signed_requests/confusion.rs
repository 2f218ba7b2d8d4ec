//! Tokens that claim another algorithm than they have, and keys of another kind than they should be.

use aws_lc_rs::hmac;
use portcullis::{
    Algorithm, AuthLayer, Authenticator as _, JwtAuthenticator, MemoryClientSecrets, Reason,
    SignedRequestAuthenticator,
};
use serde_json::json;

use super::{ACCEPTED, Answer, OTHER_SECRET, SECRET, Scene, Token, answer, client, encode, refused};
use crate::attacks::jose::public_forms;
use crate::support::{AUDIENCE, ISSUER, bearer, jwt, key, token};

/// Under the name of an issuer, and with its public key as the secret: what it would be for a server that lets the header decide.
#[tokio::test]
async fn the_public_key_of_an_issuer_is_no_secret() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let issuer = key(algorithm);
        let clients = MemoryClientSecrets::from_iter([("app", client([SECRET]))]);
        let layer = AuthLayer::new(jwt(&[&issuer]).or(SignedRequestAuthenticator::new(clients)));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let made_by =
            |name: &str, secret: &[u8]| Token::new().claim("iss", name).claim("iat", now).signed_by(secret);
        for secret in public_forms(&issuer) {
            for name in [ISSUER, "app"] {
                let forged = made_by(name, &secret).build();
                assert_eq!(answer(&layer, bearer(&forged)).await, refused(Reason::ClientUnknown));
                let access = made_by(name, &secret).claim("aud", AUDIENCE).claim("exp", now + 60);
                let forged = access.header("typ", "at+jwt").build();
                assert_eq!(answer(&layer, bearer(&forged)).await, refused(Reason::TypeRefused));
            }
        }
        assert_eq!(answer(&layer, bearer(&made_by("app", SECRET.as_bytes()).build())).await, ACCEPTED);
        assert_eq!(answer(&layer, bearer(&token(&issuer).build())).await, ACCEPTED);
    }
}

#[tokio::test]
async fn a_secret_signs_with_one_algorithm_alone() {
    let scene = Scene::new();
    let hashes = [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
    for (claimed, _) in hashes {
        for (made, hash) in hashes {
            let expected: Answer = match (claimed, made) {
                ("HS256", "HS256") => ACCEPTED,
                ("HS256", _) => refused(Reason::SignatureMalformed),
                _ => refused(Reason::AlgorithmRefused),
            };
            let token = Token { hash, ..scene.token().header("alg", claimed) };
            assert_eq!(scene.ask(&token).await, expected, "{claimed} made by {made}");
        }
    }
    // The first 256 bits of a longer one are no better.
    for hash in [hmac::HMAC_SHA384, hmac::HMAC_SHA512] {
        let message = scene.token().message();
        let tag = hmac::sign(&hmac::Key::new(hash, SECRET.as_bytes()), message.as_bytes());
        let forged = format!("{message}.{}", encode(&tag.as_ref()[..32]));
        assert_eq!(answer(&scene.layer, bearer(&forged)).await, refused(Reason::ClientUnknown));
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_none() {
    let scene = Scene::new();
    for alg in ["none", "None", "NONE", "", "RS256", "ES256", "HS384", "HS512", "HS1", "HS256/64"] {
        let token = scene.token().header("alg", alg);
        assert_eq!(scene.ask(&token).await, refused(Reason::AlgorithmRefused), "{alg}");
        let unsigned = format!("{}.", token.message());
        assert_eq!(answer(&scene.layer, bearer(&unsigned)).await, refused(Reason::AlgorithmRefused), "{alg}");
    }
    let unsigned = format!("{}.", scene.token().message());
    assert_eq!(answer(&scene.layer, bearer(&unsigned)).await, refused(Reason::SignatureMalformed));
    assert_eq!(scene.ask(&scene.token()).await, ACCEPTED);
}

/// A secret in a header, or in a key set, is nobody's secret.
#[tokio::test]
async fn a_secret_that_the_token_brings_along_is_none() {
    let scene = Scene::new();
    let jwk = json!({"kty": "oct", "k": encode(OTHER_SECRET), "alg": "HS256", "kid": "1"});
    let token = scene.token().header("jwk", jwk).header("kid", "1");
    assert_eq!(scene.ask(&token).await, ACCEPTED, "ignored");
    assert_eq!(scene.ask(&token.signed_by(OTHER_SECRET)).await, refused(Reason::ClientUnknown));
}

#[tokio::test]
async fn who_judges_access_tokens_takes_no_shared_secret() {
    let issuer = key(Algorithm::Ed25519);
    let alone: AuthLayer<JwtAuthenticator> = AuthLayer::new(jwt(&[&issuer]));
    let signed = Token::new().claim("aud", AUDIENCE).header("typ", "at+jwt").build();
    assert_eq!(answer(&alone, bearer(&signed)).await, refused(Reason::AlgorithmRefused));
    assert_eq!(answer(&alone, bearer(&token(&issuer).build())).await, ACCEPTED);
}
