//! Documents that others made, read through the public interface. `src/jose/tests/vectors.rs` has
//! those that need access to keys.
//!
//! `PORTCULLIS_VECTORS` names the folder with JSONTestSuite and the examples of the RFCs; without it these tests are skipped.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::test_util::{ManualClock, SigningKey};
use portcullis::{Algorithm, Issuer, JwtAuthenticator, KeySet, Reason};
use serde_json::Value;

use crate::support::{AUDIENCE, issuer_of, judge, key, token};

/// `None` if it is not named, said loudly.
pub fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("PORTCULLIS_VECTORS").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SKIPPED: PORTCULLIS_VECTORS is not set");
    }
    folder
}

pub fn read(folder: &Path, file: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
}

/// The documents of a folder whose name begins so, by name.
fn documents(folder: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut documents: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .filter(|(name, _)| name.starts_with(prefix))
        .collect();
    documents.sort();
    documents
}

/// One key, and an authenticator that takes tokens of any length, since some documents are very long.
struct Court {
    key: Arc<SigningKey>,
    jwt: JwtAuthenticator,
}

/// A document in each of the places where a token holds JSON.
#[derive(Debug, PartialEq, Eq)]
struct Verdicts {
    claims: Result<(), Reason>,
    in_claims: Result<(), Reason>,
    header: Result<(), Reason>,
    in_header: Result<(), Reason>,
}

impl Court {
    fn new() -> Self {
        let key = key(Algorithm::Ed25519);
        let jwt = JwtAuthenticator::builder(issuer_of(&[&key]), AUDIENCE).max_token_len(1 << 20);
        Self { jwt: jwt.build().unwrap(), key }
    }

    /// Judges a document as the whole header, as the whole claims, and as a member of each beside all that is required.
    async fn judge(&self, document: &[u8]) -> Verdicts {
        let good = token(&self.key);
        let judge = async |token: String| judge(&self.jwt, &token).await.map(drop);
        let within =
            |members: String| [members.trim_end_matches('}').as_bytes(), b",\"x\":", document, b"}"].concat();
        let header = format!(r#"{{"typ":"at+jwt","alg":"{}","kid":"{}"}}"#, self.key.alg(), self.key.kid());
        Verdicts {
            claims: judge(good.clone().raw_claims(document).build()).await,
            in_claims: judge(good.clone().raw_claims(within(good.claims().to_string())).build()).await,
            header: judge(good.clone().raw_header(document).build()).await,
            in_header: judge(good.clone().raw_header(within(header)).build()).await,
        }
    }
}

#[tokio::test]
async fn json_that_is_none_is_refused_wherever_it_stands() {
    let Some(folder) = folder() else { return };
    let court = Court::new();
    let documents = documents(&folder.join("JSONTestSuite/test_parsing"), "n_");
    assert_eq!(documents.len(), 129);
    for (name, document) in documents {
        let verdicts = court.judge(&document).await;
        // A document of a hundred thousand brackets is too long for a header, and too deep for a member of the claims.
        let deep = name.contains("opening_arrays") || name == "n_structure_open_array_object";
        let (in_claims, header) = if deep {
            (Reason::NestingTooDeep, Reason::HeaderTooLong)
        } else {
            (Reason::ClaimsMalformed, Reason::HeaderMalformed)
        };
        let [claims, in_claims, header] = [Reason::ClaimsMalformed, in_claims, header].map(Err);
        assert_eq!(verdicts, Verdicts { claims, in_claims, header, in_header: header }, "{name}");
    }
}

#[tokio::test]
async fn json_is_accepted_wherever_it_stands_unless_it_repeats_a_member() {
    let Some(folder) = folder() else { return };
    let court = Court::new();
    let documents = documents(&folder.join("JSONTestSuite/test_parsing"), "y_");
    assert_eq!(documents.len(), 12);
    for (name, document) in documents {
        let verdicts = court.judge(&document).await;
        let expected = if name.contains("duplicated_key") {
            let refused = Err(Reason::MemberDuplicated);
            Verdicts { claims: refused, in_claims: refused, header: refused, in_header: refused }
        } else {
            // Read, and found to lack what a token needs.
            let (claims, header) = (Err(Reason::ClaimMissing), Err(Reason::AlgorithmRefused));
            Verdicts { claims, in_claims: Ok(()), header, in_header: Ok(()) }
        };
        assert_eq!(verdicts, expected, "{name}");
    }
}

/// What RFC 8259 leaves open: a number that a double cannot hold, a lone surrogate, and bytes that are no UTF-8 are refused;
/// integers beyond 64 bits are read as doubles.
#[tokio::test]
async fn json_that_may_be_refused_is_refused_where_it_would_lose_its_meaning() {
    let Some(folder) = folder() else { return };
    let court = Court::new();
    let folder = folder.join("JSONTestSuite");
    let open = documents(&folder.join("test_parsing"), "i_");
    let transformed = documents(&folder.join("test_transform"), "");
    assert_eq!((open.len(), transformed.len()), (35, 22));
    let mut accepted = BTreeSet::new();
    for (name, document) in open.into_iter().chain(transformed) {
        let verdicts = court.judge(&document).await;
        assert_eq!(verdicts.in_claims.is_ok(), verdicts.in_header.is_ok(), "{name}: {verdicts:?}");
        if verdicts.in_claims.is_ok() {
            accepted.insert(name);
        }
    }
    let expected: BTreeSet<String> = ACCEPTED_OPEN.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(accepted, expected);
}

/// Numbers that lose no more than precision, and strings of valid code points.
const ACCEPTED_OPEN: [&str; 18] = [
    "i_number_double_huge_neg_exp",
    "i_number_real_underflow",
    "i_number_too_big_neg_int",
    "i_number_too_big_pos_int",
    "i_number_very_big_negative_int",
    "number_-9223372036854775808",
    "number_-9223372036854775809",
    "number_1.0",
    "number_1.000000000000000005",
    "number_1000000000000000",
    "number_10000000000000000999",
    "number_1e-999",
    "number_1e6",
    "number_9223372036854775807",
    "number_9223372036854775808",
    // The same text to the eye, composed and decomposed: two names, since no comparison normalises (RFC 7515 §5.3).
    "object_key_nfc_nfd",
    "object_key_nfd_nfc",
    "string_with_escaped_NULL",
];

#[test]
fn the_key_sets_of_rfc_7517_and_7638() {
    let Some(folder) = folder() else { return };
    let sets = read(&folder, "rfc/rfc7517.json");
    let public = KeySet::parse(sets["A.1_public_set"].to_string()).unwrap();
    // The key on P-256 is for encryption.
    assert_eq!((public.len(), public.skipped()), (1, 1));
    for name in ["A.2_private_set", "A.3_symmetric_set"] {
        assert!(KeySet::parse(sets[name].to_string()).is_err(), "{name}");
    }
    let certified = serde_json::json!({ "keys": [sets["B_x5c_jwk"]] });
    assert_eq!(KeySet::parse(certified.to_string()).unwrap().len(), 1);
    let thumbprints = read(&folder, "rfc/rfc7638.json");
    let keys: Vec<_> = thumbprints["cases"].as_array().unwrap().iter().map(|case| &case["jwk"]).collect();
    let keys = KeySet::parse(serde_json::json!({ "keys": keys }).to_string()).unwrap();
    assert_eq!((keys.len(), keys.skipped()), (3, 0));
}

/// Wycheproof's keys: those that must not be used are in no set.
#[test]
fn the_key_sets_of_wycheproof() {
    let Some(folder) = folder() else { return };
    let file = read(&folder, "wycheproof/jose/json_web_key_test.json");
    let groups = file["testGroups"].as_array().unwrap();
    assert_eq!(groups.len(), 25);
    let usable = groups.iter().filter_map(|group| {
        let keys = group.get("public").unwrap_or(&group["private"]);
        let keys = KeySet::parse(keys.to_string()).ok()?;
        Some((group["tests"][0]["tcId"].as_u64()?, keys.len(), keys.skipped()))
    });
    // 1 holds a secret beside a public key, which alone is used. 7 is a modulus of the ROCA kind: well-formed, and documented as
    // not looked for.
    assert_eq!(usable.collect::<Vec<_>>(), [(1, 1, 1), (5, 1, 0), (7, 1, 0)]);
}

/// The tokens of RFC 7519 have a shared secret and none; the one of RFC 7515 A.2 with the same claims has a public key, and
/// lacks an audience.
#[tokio::test]
async fn the_tokens_of_rfc_7519() {
    let Some(folder) = folder() else { return };
    let examples = read(&folder, "rfc/rfc7515.json");
    let mut key = examples["cases"][1]["jwk"].clone();
    key.as_object_mut().unwrap().retain(|name, _| ["kty", "n", "e"].contains(&name.as_str()));
    let keys = KeySet::parse(serde_json::json!({ "keys": [key] }).to_string()).unwrap();
    let builder = JwtAuthenticator::builder(Issuer::new("joe", keys), AUDIENCE).accept_typ_jwt();
    let jwt = builder.clock(ManualClock::at(1_300_819_370)).build().unwrap();
    for case in read(&folder, "rfc/rfc7519.json")["cases"].as_array().unwrap() {
        let verdict = judge(&jwt, case["jwt"].as_str().unwrap()).await;
        assert_eq!(verdict.err(), Some(Reason::AlgorithmRefused), "{}", case["id"]);
    }
    let token = examples["cases"][1]["jws"].as_str().unwrap();
    assert_eq!(judge(&jwt, token).await.err(), Some(Reason::ClaimMissing));
}
