//! A corpus of tokens, judged here and by jsonwebtoken. Where the two differ, a line of [`DISAGREEMENTS`] says why.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::{DecodingKey, Validation, decode, get_current_timestamp};
use portcullis::test_util::{ManualClock, SigningKey};
use portcullis::{JwtAuthenticator, Principal, Reason};
use serde_json::Value;

use crate::corpus::{Case, Keys, corpus};
use crate::support::{AUDIENCE, ISSUER, issuer_of, judge};

/// The leeway of both, in seconds.
const LEEWAY: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepts {
    Ours,
    Theirs,
}
use Accepts::{Ours, Theirs};

/// Every disagreement: who accepts, why, and in which cases. `*` stands for the rest of a name: all that begin so.
#[rustfmt::skip]
const DISAGREEMENTS: &[(Accepts, &str, &[&str])] = &[
    (Ours, "jsonwebtoken has no ES512", &[r#"ES512 key, alg "ES512""#]),
    (Ours, "jsonwebtoken does not know the name that RFC 9864 gave to EdDSA on this curve", &[r#"Ed25519 key, alg "Ed25519""#]),
    (Ours, "what is never read may be of any type; jsonwebtoken gives each parameter that it lists a type", &[
        "header enc true", "header enc 1", "header enc []", r#"header enc ["exp"]"#, "header enc {}",
        "header jku true", "header jku 1", "header jku []", r#"header jku ["exp"]"#, "header jku {}",
        "header x5u true", "header x5u 1", "header x5u []", r#"header x5u ["exp"]"#, "header x5u {}",
        "header x5c true", "header x5c 1", r#"header x5c """#, r#"header x5c "AAAA""#, "header x5c {}",
        "header x5t true", "header x5t 1", "header x5t []", r#"header x5t ["exp"]"#, "header x5t {}",
        "header x5t#S256 true", "header x5t#S256 1", "header x5t#S256 []", r#"header x5t#S256 ["exp"]"#, "header x5t#S256 {}",
        "header jwk true", "header jwk 1", r#"header jwk """#, r#"header jwk "AAAA""#, "header jwk []", r#"header jwk ["exp"]"#,
        "header nonce true", "header nonce 1", "header nonce []", r#"header nonce ["exp"]"#, "header nonce {}",
    ]),
    (Ours, "a time before 1970 is a time, long past; jsonwebtoken reads no negative numbers", &[
        "nbf -1", "nbf -0.5", "nbf -9223372036854775809", "nbf -1e300",
    ]),

    (Theirs, "RFC 9068 §4 demands `at+jwt`, unless `accept_typ_jwt()` lifts it; jsonwebtoken does not look at `typ`", &[
        r#"header typ "JWT""#, r#"header typ "jwt""#, r#"header typ "application/jwt""#, "header without typ",
    ]),
    (Theirs, "another explicit type is another kind of token (RFC 8725 §3.11); jsonwebtoken does not look at `typ`", &[
        r#"header typ """#, r#"header typ "at+jwt ""#, r#"header typ " at+jwt""#, r#"header typ "text/at+jwt""#,
        r#"header typ "at""#, r#"header typ "dpop+jwt""#, r#"header typ "logout+jwt""#, r#"header typ "secevent+jwt""#,
        r#"header typ "JOSE""#,
    ]),
    (Theirs, "null is no string; jsonwebtoken reads it as absent", &["header typ null", "header kid null", "header cty null"]),
    (Theirs, "no key has that `kid`; jsonwebtoken is handed one key and does not compare", &[
        r#"header kid """#, r#"header kid "unknown""#, r#"header kid "../../../dev/null""#, r#"header kid "key' OR '1'='1""#,
        "header kid of 256",
    ]),
    (Theirs, "no `kid` is longer than 256 bytes here; jsonwebtoken has no limit", &["header kid of 257"]),
    (Theirs, "the key of that `kid` is for another algorithm; jsonwebtoken does not compare", &["header kid of another key"]),
    (Theirs, "RFC 7515 §4.1.11: who does not understand an extension must refuse; jsonwebtoken ignores `crit`", &[
        r#"header crit ["exp"]"#,
    ]),
    (Theirs, "RFC 7515 §4.1.11: `crit` is a list that is not empty; jsonwebtoken ignores it", &["header crit []", "header crit null"]),
    (Theirs, "`b64` (RFC 7797) means nothing good without `crit`, and is not understood with it; jsonwebtoken ignores it", &["header b64 *"]),
    (Theirs, "signed tokens have no `zip`, which asks to inflate what was not verified; jsonwebtoken ignores it", &[
        r#"header zip "DEF""#, r#"header zip "GZIP""#, r#"header zip """#, "header zip null",
    ]),
    (Theirs, "RFC 7519 §5.2: `cty` JWT is a token in a token; jsonwebtoken ignores it", &[
        r#"header cty "JWT""#, r#"header cty "jwt""#, r#"header cty "application/JWT""#,
    ]),

    (Theirs, "RFC 7519 §4.1.2: `sub` is a string; jsonwebtoken leaves what it cannot read out of account", &[
        "sub null", "sub true", "sub 1", "sub 1.5",
    ]),
    (Theirs, "a party without a name would be a party; jsonwebtoken does not look at that", &[
        r#"client_id """#, r#"azp """#,
    ]),
    (Theirs, "names of parties are strings (RFC 8693 §4.3, OpenID Connect Core §2); jsonwebtoken does not read these claims", &[
        "client_id null", "client_id true", "client_id 1", "client_id 1.5", "client_id []", r#"client_id ["x"]"#,
        "client_id [1]", "client_id {}", r#"client_id {"x":1}"#,
        "azp null", "azp true", "azp 1", "azp 1.5", "azp []", r#"azp ["x"]"#, "azp [1]", "azp {}", r#"azp {"x":1}"#,
    ]),
    (Theirs, "RFC 7519 §4.1.7: `jti` is a string; jsonwebtoken does not read it", &[
        "jti null", "jti true", "jti 1", "jti 1.5", "jti []", r#"jti ["x"]"#, "jti [1]", "jti {}", r#"jti {"x":1}"#,
    ]),
    (Theirs, "RFC 7519 §4.1.6: `iat` is a number; jsonwebtoken does not read it", &[
        "iat null", "iat true", r#"iat """#, r#"iat "x""#, "iat []", r#"iat ["x"]"#, "iat [1]", "iat {}", r#"iat {"x":1}"#,
        "iat in a string",
    ]),
    (Theirs, "issued after now and the leeway: one of the clocks is wrong; jsonwebtoken does not read `iat`", &[
        "iat now +31", "iat now +60", "iat now +3600", "iat now +86400", "iat now +86401", "iat now +30.4", "iat now +30.5",
        "iat in milliseconds", "iat 9223372036854775807", "iat 9223372036854775808", "iat 18446744073709551615",
        "iat 18446744073709551616", "iat 1e300",
    ]),
    (Theirs, "no token lives longer than a day here; jsonwebtoken knows no lifetime", &[
        "iat now -86400", "iat 1", "iat 1.5", "iat 0", "iat -0", "iat -1", "iat -0.5", "iat -9223372036854775809", "iat -1e300",
        "exp now +86401", "exp in milliseconds", "exp 9223372036854775807", "exp 9223372036854775808",
        "exp 18446744073709551615", "without iat, exp in a second more", "lifetime of a second more",
    ]),
    (Theirs, "RFC 7519 §4.1.4: expired on or after `exp`; jsonwebtoken accepts in that very second", &["exp now -30"]),
    (Theirs, "jsonwebtoken rounds up to that very second, which it accepts", &["exp now -30.5", "exp now -30.4"]),
    (Theirs, "jsonwebtoken rounds down to the end of the leeway", &["nbf now +30.4"]),
    (Theirs, "RFC 7519 §4.1.1: an issuer is one string, and a key speaks for one; jsonwebtoken looks for ours in a list", &[
        r#"iss ["https://id.example"]"#, r#"iss ["https://evil.example","https://id.example"]"#,
        r#"iss ["https://id.example","https://id.example"]"#,
    ]),
    (Theirs, "a scope is a string or a list of strings; jsonwebtoken does not read it", &[
        "scope null", "scope true", "scope 1", "scope 1.5", "scope [1]", "scope {}", r#"scope {"x":1}"#, r#"scope [["a"]]"#,
        "scp null", "scp true", "scp 1", "scp 1.5", "scp [1]", "scp {}", r#"scp {"x":1}"#, r#"scp alone [["a"]]"#,
        r#"scope and scp [["a"]]"#,
    ]),
    (Theirs, "RFC 6749 §3.3: not a scope-token; jsonwebtoken does not read scopes", &[
        r#"scope "a\tb""#, r#"scope "a\"b""#, r#"scope "a\\b""#, r#"scope "é""#, r#"scope "a\u0000""#,
        r#"scope ["a b"]"#, r#"scope ["a",""]"#,
        r#"scp alone "a\tb""#, r#"scp alone "a\"b""#, r#"scp alone "a\\b""#, r#"scp alone "é""#, r#"scp alone "a\u0000""#,
        r#"scp alone ["a b"]"#, r#"scp alone ["a",""]"#,
    ]),
    (Theirs, "RFC 7800 §3: whoever presents it must prove a key, and nobody proves one; jsonwebtoken does not read `cnf`", &["cnf *"]),
    (Theirs, "the mark of an ID token, a logout token or a security event; jsonwebtoken does not tell kinds apart", &[
        "events *", "at_hash *", "c_hash *",
    ]),

    (Theirs, "RFC 7515 §4, RFC 7519 §4: names must be unique; jsonwebtoken sees repetition of claims and parameters that it lists only", &[
        "header: member twice", "header: member twice, spelled otherwise",
        "claims: member twice", "claims: member twice, spelled otherwise",
        "claims: client_id twice", "claims: iat twice", "claims: jti twice", "claims: scope twice",
    ]),
    (Theirs, "names are unique at every depth here, since parsers differ in which one counts; jsonwebtoken takes the last", &[
        "header: member twice, inside another", "claims: member twice, inside another",
    ]),
    (Theirs, "nothing is nested deeper than 16 here; jsonwebtoken stops at serde_json's 128", &[
        "header: depth 17", "header: depth 100", "claims: depth 17", "claims: depth 100",
    ]),
    (Theirs, "RFC 7519 §7.2: claims are an object; jsonwebtoken validates a list by its places", &[
        "claims: a list in the order of jsonwebtoken's",
    ]),
    (Theirs, "a header is no longer than 2048 bytes here; jsonwebtoken has no limit", &["header of 2049 bytes"]),
    (Theirs, "a token is no longer than 8 KiB here; jsonwebtoken has no limit", &["token of 8194 bytes"]),
];

/// jsonwebtoken as strict as it can be set: every claim that it knows how to demand is demanded, and the one algorithm of the
/// key is allowed.
fn theirs(key: &SigningKey, token: &str) -> Option<Value> {
    let algorithm = key.alg().parse().ok()?;
    let jwk = serde_json::from_value(key.jwk()).ok()?;
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    decode::<Value>(token, &DecodingKey::from_jwk(&jwk).ok()?, &validation).ok().map(|token| token.claims)
}

struct Both {
    ours: Result<Principal, Reason>,
    theirs: Option<Value>,
}

/// Judges each case at one second for both: jsonwebtoken knows no clock but the machine's, so where that moved on meanwhile, the
/// rest is made anew.
async fn judge_all() -> Vec<(Case, Both)> {
    let keys = Keys::generate();
    let clock = ManualClock::at(0);
    let issuer = issuer_of(&keys.trusted.iter().collect::<Vec<_>>());
    let jwt = JwtAuthenticator::builder(issuer, AUDIENCE).leeway(Duration::from_secs(LEEWAY));
    let jwt = jwt.clock(clock.clone()).build().unwrap();
    let mut judged = Vec::new();
    loop {
        let now = get_current_timestamp();
        clock.set_wall(UNIX_EPOCH + Duration::from_secs(now));
        for case in corpus(&keys, now).into_iter().skip(judged.len()) {
            let both = Both { ours: judge(&jwt, &case.token).await, theirs: theirs(&case.key, &case.token) };
            if get_current_timestamp() != now {
                break;
            }
            judged.push((case, both));
        }
        if get_current_timestamp() == now {
            return judged;
        }
    }
}

#[tokio::test]
async fn every_disagreement_with_jsonwebtoken_is_known_and_what_both_accept_is_read_alike() {
    let judged = judge_all().await;
    let names: BTreeSet<&str> = judged.iter().map(|(case, _)| &*case.name).collect();
    assert_eq!(names.len(), judged.len(), "each case has a name of its own");

    let mut known = BTreeMap::new();
    for (accepts, _, patterns) in DISAGREEMENTS {
        for pattern in *patterns {
            let of_pattern = |name: &&str| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            };
            let mut cases = names.iter().copied().filter(of_pattern).peekable();
            assert!(cases.peek().is_some(), "no case is named {pattern}");
            for name in cases {
                assert_eq!(known.insert(name, *accepts), None, "{name} is listed twice");
            }
        }
    }
    let mut alike = 0;
    for (case, Both { ours, theirs }) in &judged {
        if let (Ok(ours), Some(theirs)) = (ours, theirs) {
            assert_eq!(ours.claims::<Value>().unwrap(), *theirs, "{}", case.name);
            // An empty subject names nobody.
            let subject = theirs["sub"].as_str().filter(|subject| !subject.is_empty());
            assert_eq!(ours.subject(), subject, "{}", case.name);
            alike += 1;
        }
        let found = match (ours, theirs) {
            (Ok(_), None) => Some(Ours),
            (Err(_), Some(_)) => Some(Theirs),
            _ => None,
        };
        let listed = known.get(&*case.name).copied();
        assert_eq!(found, listed, "{}: ours {ours:?}, theirs {theirs:?}", case.name);
    }
    assert!(alike > 200, "{alike} cases are accepted by both");
}
