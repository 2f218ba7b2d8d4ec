//! A key that is revoked by its text is revoked wherever it stands.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::HeaderName;
use http_body_util::Full;
use portcullis::{
    Algorithm, ApiKeyAuthenticator, ApiKeys, AuthLayer, Authenticator, Credential, JwtAuthenticator, Mark,
    MemoryApiKeyStore, MemoryRevocations, Presentation,
};

use super::scene::{Answer, OK, refused};
use super::support::{issue, keys};
use crate::stub::request;
use crate::support::{jwt, key, outcome, send};

const REVOKED: Answer = refused("token_revoked");

/// Every place where a key is accepted, with its header field.
fn places(key: &str) -> [(&'static str, String); 6] {
    [
        ("authorization", format!("ApiKey {key}")),
        ("x-api-key", key.to_owned()),
        ("authorization", format!("Bearer {key}")),
        ("authorization", format!("Basic {}", STANDARD.encode(format!("apikey:{key}")))),
        ("authorization", format!("Basic {}", STANDARD.encode(format!("{key}:")))),
        ("authorization", format!("bAsIc  {}", STANDARD.encode(format!("{key}:")))),
    ]
}

fn authenticator(keys: &ApiKeys) -> ApiKeyAuthenticator {
    ApiKeyAuthenticator::builder(keys.clone()).accept_bearer().accept_basic().build().unwrap()
}

fn tokens() -> JwtAuthenticator {
    jwt(&[&key(Algorithm::ES256)])
}

async fn answer<A: Authenticator>(layer: &AuthLayer<A>, (name, value): &(&'static str, String)) -> Answer {
    let (status, reason) = outcome(&send(layer, request(&[(*name, value)], Full::default())).await);
    (status, reason.map(portcullis::Reason::code))
}

#[tokio::test]
async fn key_revoked_by_its_text_is_refused_in_every_place() {
    let keys = keys(MemoryApiKeyStore::new());
    let (revoked, twin) = (issue(&keys).await.key, issue(&keys).await.key);
    let (alone, boxed) = (authenticator(&keys), Box::new(authenticator(&keys)) as Box<dyn Authenticator>);
    let list = MemoryRevocations::new(Duration::from_secs(3600));
    let layers = [
        AuthLayer::new(Box::new(alone.clone()) as Box<dyn Authenticator>),
        AuthLayer::new(Box::new(boxed.or(tokens())) as Box<dyn Authenticator>),
        AuthLayer::new(Box::new(tokens().or(alone.clone())) as Box<dyn Authenticator>),
        AuthLayer::new(Box::new(tokens().or(tokens().or(alone.clone()))) as Box<dyn Authenticator>),
        // Without a cache each request is verified by itself.
        AuthLayer::new(Box::new(alone) as Box<dyn Authenticator>).verdict_cache(0),
    ];
    let layers = layers.map(|layer| layer.revocations(list.clone()));
    // What is cached counts as little as what is not.
    for key in [&revoked, &twin] {
        for (layer, place) in layers.iter().zip(places(key.expose())) {
            assert_eq!(answer(layer, &place).await, OK, "{}", place.0);
        }
    }
    list.revoke(Mark::token(revoked.expose())).unwrap();
    for (number, layer) in layers.iter().enumerate() {
        for (index, place) in places(revoked.expose()).iter().enumerate() {
            assert_eq!(answer(layer, place).await, REVOKED, "layer {number}, place {index}");
        }
        for (index, place) in places(twin.expose()).iter().enumerate() {
            assert_eq!(answer(layer, place).await, OK, "layer {number}, place {index}");
        }
    }
}

#[tokio::test]
async fn mark_of_a_key_is_the_same_however_it_is_spelt() {
    let keys = keys(MemoryApiKeyStore::new());
    let (key, other) = (issue(&keys).await.key, issue(&keys).await.key);
    let (alone, beside) = (authenticator(&keys), tokens().or(authenticator(&keys)));
    let basic = Presentation::scheme("Basic");
    let header = Presentation::header(HeaderName::from_static("x-api-key"), "ApiKey");
    for pair in [format!("apikey:{}", key.expose()), format!("{}:", key.expose())] {
        for text in [STANDARD.encode(&pair), STANDARD_NO_PAD.encode(&pair)] {
            let credential = Credential::new(&basic, &text);
            for mark in [alone.token_mark(&credential), beside.token_mark(&credential)] {
                assert_eq!(mark, Mark::token(key.expose()), "{text}");
                assert_ne!(mark, Mark::token(other.expose()), "{text}");
            }
        }
    }
    for place in [&Presentation::BEARER, &header, &Presentation::scheme("ApiKey")] {
        let credential = Credential::new(place, key.expose());
        assert_eq!(alone.token_mark(&credential), Mark::token(key.expose()));
    }
    // Somebody's name and password hold no key, and neither does garbage: the text itself counts.
    for text in [STANDARD.encode("ann:password"), "%%%".to_owned(), "AAAA".to_owned()] {
        assert_eq!(alone.token_mark(&Credential::new(&basic, &text)), Mark::token(&text), "{text}");
    }
}
