//! Tokens in which one thing is odd, each with a name; the rest of each is good.

mod claims;
mod documents;
mod header;
mod signatures;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::Algorithm::{self, ES256, ES384, ES512, Ed25519, PS256, PS384, PS512, RS256, RS384, RS512};
use portcullis::test_util::{SigningKey, TokenBuilder};
use serde_json::{Value, json};

use crate::support::{key, token};

/// A token, and the key that should have signed it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) key: Arc<SigningKey>,
    pub(crate) token: String,
}

/// One key for each algorithm, and one that nobody trusts.
pub(crate) struct Keys {
    pub(crate) trusted: Vec<Arc<SigningKey>>,
    stranger: Arc<SigningKey>,
}

impl Keys {
    pub(crate) fn generate() -> Self {
        let algorithms = [RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, Ed25519];
        Self { trusted: algorithms.into_iter().map(key).collect(), stranger: key(Ed25519) }
    }

    fn of(&self, algorithm: Algorithm) -> &Arc<SigningKey> {
        self.trusted.iter().find(|key| key.algorithm() == algorithm).unwrap()
    }
}

struct Corpus<'k> {
    keys: &'k Keys,
    now: u64,
    cases: Vec<Case>,
}

/// All cases, for a server whose clock shows `now` and allows for 30 seconds.
pub(crate) fn corpus(keys: &Keys, now: u64) -> Vec<Case> {
    let mut corpus = Corpus { keys, now, cases: Vec::new() };
    corpus.algorithms();
    corpus.signatures();
    corpus.header_parameters();
    corpus.claims_of_every_type();
    corpus.parties();
    corpus.times();
    corpus.scopes();
    corpus.documents();
    corpus.encodings();
    corpus.forms();
    corpus.cases
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Two parts as they are, and their signature: what is odd in them is signed.
fn signed(key: &SigningKey, header: &str, claims: &str) -> String {
    let message = format!("{header}.{claims}");
    let signature = encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The object with a member more, whose JSON is given.
fn with_member(object: &Value, member: &str) -> String {
    let text = object.to_string();
    format!("{},{member}}}", text.strip_suffix('}').unwrap())
}

impl Corpus<'_> {
    fn push(&mut self, name: impl Into<String>, key: &Arc<SigningKey>, token: String) {
        self.cases.push(Case { name: name.into(), key: Arc::clone(key), token });
    }

    fn key(&self) -> Arc<SigningKey> {
        Arc::clone(self.keys.of(Ed25519))
    }

    /// A good token of that key.
    fn good_of(&self, key: &Arc<SigningKey>) -> TokenBuilder {
        token(key).issued_at(UNIX_EPOCH + Duration::from_secs(self.now))
    }

    fn good(&self) -> TokenBuilder {
        self.good_of(&self.key())
    }

    fn add(&mut self, name: impl Into<String>, token: &TokenBuilder) {
        let key = self.key();
        self.push(name, &key, token.build());
    }

    fn header(&self) -> Value {
        let key = self.key();
        json!({"typ": "at+jwt", "alg": key.alg(), "kid": key.kid()})
    }

    /// The claims without `name`, and then with that value as it is spelled.
    fn add_spelled(&mut self, name: &str, spelled: &str) {
        let good = self.good().without(name);
        let claims = with_member(&good.claims(), &format!("\"{name}\":{spelled}"));
        self.add(format!("{name} {spelled}"), &good.raw_claims(claims));
    }
}
