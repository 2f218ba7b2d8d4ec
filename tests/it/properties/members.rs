//! Members of headers, claims and keys: any name, any value.

use http::{HeaderValue, StatusCode};
use portcullis::test_util::SigningKey;
use portcullis::{Algorithm, KeySet};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::{NOW, Server, check};
use crate::support::{AUDIENCE, ISSUER, key};

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let members = btree_map("[a-z]{0,4}", inner.clone(), 0..4);
        prop_oneof![
            vec(inner, 0..4).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A value that a member could sensibly have, and sometimes the right one.
fn plausible_json() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "x",
        "a b",
        "at+jwt",
        "application/AT+JWT",
        "JWT",
        "EdDSA",
        "Ed25519",
        "none",
        "Bearer",
        "access",
        ISSUER,
        AUDIENCE,
        "é",
    ];
    let lists = [
        json!([]),
        json!([AUDIENCE]),
        json!(["x", AUDIENCE]),
        json!([AUDIENCE, 1]),
        json!(["a", "b"]),
        json!(["a b"]),
    ];
    let near = |offset: i64| json!(NOW.saturating_add_signed(offset));
    prop_oneof![
        select(texts.to_vec()).prop_map(Value::from),
        select(lists.to_vec()),
        (-200..200_i64).prop_map(near),
        prop_oneof![-32..-28_i64, 28..32_i64, 86_398..86_402_i64, 86_428..86_432_i64].prop_map(near),
        (-100_000..100_000_i64).prop_map(near),
        (-200..200_i32).prop_map(|halves| json!(1_800_000_000.0 + f64::from(halves) / 2.0)),
    ]
}

/// A member by name, and what it becomes; `None` takes it away.
fn edits(names: &'static [&'static str]) -> impl Strategy<Value = Vec<(String, Option<Value>)>> {
    let name = prop_oneof![9 => select(names).prop_map(String::from), 1 => "[a-z_]{1,6}"];
    let value = prop_oneof![
        1 => Just(None),
        4 => plausible_json().prop_map(Some),
        2 => arbitrary_json().prop_map(Some),
    ];
    vec((name, value), 0..4)
}

fn edited(object: &Value, edits: Vec<(String, Option<Value>)>) -> Map<String, Value> {
    let mut members = object.as_object().unwrap().clone();
    for (name, value) in edits {
        match value {
            Some(value) => members.insert(name, value),
            None => members.remove(&name),
        };
    }
    members
}
const PARAMETERS: &[&str] = &["typ", "alg", "kid", "crit", "b64", "zip", "cty", "jku", "jwk", "x5c", "enc"];
const CLAIMS: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "azp",
    "cid",
    "appid",
    "token_use",
    "typ",
    "scope",
    "scp",
    "cnf",
    "events",
    "at_hash",
    "c_hash",
];

/// The rules once more, written down as plainly as can be.
fn is_good(header: &Map<String, Value>, claims: &Map<String, Value>, key: &SigningKey) -> bool {
    let text = |of: &Map<String, Value>, name: &str, fits: &dyn Fn(&str) -> bool| {
        of.get(name).is_none_or(|value| value.as_str().is_some_and(fits))
    };
    let is_type = |text: &str, name: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_prefix("application/").unwrap_or(&text) == name
    };
    let header_is_good = header.contains_key("typ")
        && text(header, "typ", &|typ| is_type(typ, "at+jwt"))
        && header.contains_key("alg")
        && text(header, "alg", &|alg| ["EdDSA", "Ed25519"].contains(&alg))
        && text(header, "kid", &|kid| kid == key.kid())
        && text(header, "cty", &|cty| !is_type(cty, "jwt"))
        && ["crit", "b64", "zip"].iter().all(|name| !header.contains_key(*name));

    let now = 1_800_000_000.0;
    let time = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
    let (exp, nbf, iat) = (time("exp").unwrap_or(f64::NAN), time("nbf"), time("iat"));
    let times_are_good = exp > now - 30.0
        && exp <= iat.unwrap_or(now + 30.0) + 86_400.0
        && [nbf, iat].into_iter().flatten().all(|time| time <= now + 30.0);

    let audience_is_good = match claims.get("aud") {
        Some(Value::String(audience)) => audience == AUDIENCE,
        Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.contains(&json!(AUDIENCE)),
        _ => false,
    };
    let is_scope = |scope: &str| {
        !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    let has_type = |name: &str| match claims.get(name) {
        None | Some(Value::String(_)) => true,
        Some(Value::Array(list)) => list.iter().all(Value::is_string),
        Some(_) => false,
    };
    let scopes_are_good = match claims.get("scope").or(claims.get("scp")) {
        Some(Value::String(text)) => text.split(' ').filter(|scope| !scope.is_empty()).all(is_scope),
        Some(Value::Array(list)) => list.iter().all(|scope| scope.as_str().is_some_and(is_scope)),
        _ => true,
    };
    header_is_good
        && times_are_good
        && audience_is_good
        && scopes_are_good
        && has_type("scope")
        && has_type("scp")
        && claims.get("iss") == Some(&json!(ISSUER))
        && ["client_id", "azp"].iter().all(|name| text(claims, name, &|party| !party.is_empty()))
        && text(claims, "token_use", &|kind| kind == "access")
        && claims
            .get("typ")
            .and_then(Value::as_str)
            .is_none_or(|kind| is_type(kind, "at+jwt") || kind == "Bearer" || kind == "access")
        && ["sub", "jti"].iter().all(|name| text(claims, name, &|_| true))
        && ["cnf", "events", "at_hash", "c_hash"].iter().all(|name| !claims.contains_key(*name))
}

#[test]
fn a_signed_token_is_accepted_if_and_only_if_the_rules_say_so() {
    let server = Server::new(Algorithm::Ed25519);
    let good_header = json!({"typ": "at+jwt", "alg": server.key.alg(), "kid": server.key.kid()});
    let good_claims = server.token().claims();
    let accepted = std::cell::Cell::new(0_u32);
    check((edits(PARAMETERS), edits(CLAIMS)), |(parameters, claims)| {
        let (header, claims) = (edited(&good_header, parameters), edited(&good_claims, claims));
        let token = server
            .token()
            .raw_header(json!(header).to_string())
            .raw_claims(json!(claims).to_string())
            .build();
        let verdict = server.accepts(&token);
        assert_eq!(verdict, is_good(&header, &claims, &server.key), "{header:?} {claims:?}");
        accepted.set(accepted.get() + u32::from(verdict));
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        assert_eq!(server.send(&server.layer, &[value]) == StatusCode::OK, verdict);
    });
    assert!(accepted.get() > 0, "some are good");
}

const MEMBERS: &[&str] = &[
    "kty", "crv", "x", "y", "n", "e", "use", "key_ops", "alg", "kid", "d", "p", "q", "k", "oth", "priv",
    "x5c",
];

/// Whatever a set holds: no panic, and no key with private or symmetric material.
#[test]
fn a_key_set_of_any_members_holds_public_keys_only() {
    let good: Vec<Value> =
        [Algorithm::Ed25519, Algorithm::ES256, Algorithm::RS256].map(|algorithm| key(algorithm).jwk()).into();
    assert!(good.iter().all(|jwk| KeySet::parse(json!({ "keys": [jwk] }).to_string()).is_ok()));
    check((select(good), edits(MEMBERS)), |(jwk, changes)| {
        let jwk = edited(&jwk, changes);
        let Ok(set) = KeySet::parse(json!({ "keys": [jwk] }).to_string()) else { return };
        assert_eq!((set.len(), set.skipped()), (1, 0));
        assert!(["d", "p", "q", "k", "oth", "priv"].iter().all(|name| !jwk.contains_key(*name)), "{jwk:?}");
        assert!(jwk["kty"] != "oct" && jwk.get("use").is_none_or(|value| value == "sig"), "{jwk:?}");
    });
}
