//! Which of several authenticators judges: the one that recognises the credential best, never a second one.

use std::sync::Arc;

use http::StatusCode;
use http_body_util::Full;
use portcullis::{Algorithm, AuthLayer, Authenticator, Challenge, Match, Presentation, Principal, Reason};

use crate::stub::{Stub, offers, request};
use crate::support::{bearer, jwt, key, outcome, send, token};

const NO: fn(&str) -> Match = |_| Match::No;
const GENERIC: fn(&str) -> Match = |_| Match::Generic;
const SPECIFIC: fn(&str) -> Match = |_| Match::Specific;
const PREFIX: fn(&str) -> Match = |text| if text.starts_with("pk_") { Match::Specific } else { Match::No };

/// Who judged, if anybody.
async fn judge<A: Authenticator>(
    authenticator: A,
    line: (&'static str, &str),
) -> Result<&'static str, Reason> {
    let response = send(&AuthLayer::new(authenticator), request(&[line], Full::default())).await;
    match outcome(&response) {
        (StatusCode::OK, None) => Ok(response.extensions().get::<Principal>().unwrap().method()),
        (_, reason) => Err(reason.unwrap()),
    }
}

#[tokio::test]
async fn the_better_match_judges_and_a_tie_goes_to_the_left() {
    let (left, right, nobody) = (Ok("left"), Ok("right"), Err(Reason::CredentialUnrecognized));
    for (forms, expected) in [
        ([NO, NO], nobody),
        ([NO, GENERIC], right),
        ([NO, SPECIFIC], right),
        ([GENERIC, NO], left),
        ([GENERIC, GENERIC], left),
        ([GENERIC, SPECIFIC], right),
        ([SPECIFIC, NO], left),
        ([SPECIFIC, GENERIC], left),
        ([SPECIFIC, SPECIFIC], left),
    ] {
        let [a, b] = [Stub::new("left").form(forms[0]), Stub::new("right").form(forms[1])];
        let asked = [a.asked(), b.asked()];
        assert_eq!(judge(a.or(b), ("authorization", "Bearer ann")).await, expected);
        let counts = asked.map(|asked| asked.times());
        assert_eq!(counts, [usize::from(expected == left), usize::from(expected == right)]);
    }
}

#[tokio::test]
async fn three_side_by_side_however_they_are_joined() {
    let stubs =
        || [("key", PREFIX), ("any", GENERIC), ("none", NO)].map(|(name, form)| Stub::new(name).form(form));
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for (line, expected) in [("Bearer pk_1", "key"), ("Bearer ann", "any")] {
            let mut left = stubs().map(Some);
            let [a, b, c] = order.map(|index| left[index].take().unwrap());
            assert_eq!(judge(a.or(b).or(c), ("authorization", line)).await, Ok(expected), "{order:?}");
            let mut right = stubs().map(Some);
            let [a, b, c] = order.map(|index| right[index].take().unwrap());
            assert_eq!(judge(a.or(b.or(c)), ("authorization", line)).await, Ok(expected), "{order:?}");
        }
    }
}

#[tokio::test]
async fn what_nobody_recognises_is_refused_and_nobody_is_asked() {
    let (a, b) = (Stub::new("a").form(PREFIX), Stub::new("b").form(PREFIX));
    let asked = [a.asked(), b.asked()];
    let layer = AuthLayer::new(a.or(b));
    let response = send(&layer, bearer("ann")).await;
    assert_eq!(outcome(&response), (StatusCode::UNAUTHORIZED, Some(Reason::CredentialUnrecognized)));
    assert_eq!(offers(&response), ["Bearer invalid_token"]);
    assert!(asked.iter().all(|asked| asked.times() == 0));
    assert_eq!(send(&layer, bearer("pk_1")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for swapped in [false, true] {
        let (first, second) = (Stub::new("first").form(SPECIFIC), Stub::new("second"));
        let asked = second.asked();
        let bad = ("authorization", "Bearer bad");
        let verdict =
            if swapped { judge(second.or(first), bad).await } else { judge(first.or(second), bad).await };
        assert_eq!((verdict, asked.times()), (Err(Reason::Custom("bad")), 0));
    }
}

/// A secret must not go to who has no business with it: a bearer token to the store of keys, or a key to the authorization server.
#[tokio::test]
async fn a_credential_is_offered_only_to_who_reads_its_place() {
    for (line, reader) in [(("authorization", "Bearer ann"), "bearer"), (("x-api-key", "ann"), "key")] {
        // The other one would take anything, or is certain that this is its own: then nobody may see it.
        for (other, expected) in [(GENERIC, Ok(reader)), (SPECIFIC, Err(Reason::CredentialMisplaced))] {
            for swapped in [false, true] {
                let form = |name| if name == reader { GENERIC } else { other };
                let bearer = Stub::new("bearer").form(form("bearer"));
                let key = Stub::new("key").form(form("key")).api_key();
                let asked = [bearer.asked(), key.asked()];
                let verdict = if swapped {
                    judge(key.or(bearer), line).await
                } else {
                    judge(bearer.or(key), line).await
                };
                assert_eq!(verdict, expected);
                let asked = asked.map(|asked| asked.times()).iter().sum::<usize>();
                assert_eq!(asked, usize::from(expected.is_ok()));
            }
        }
    }
}

#[tokio::test]
async fn what_is_misplaced_is_given_to_nobody_further_out_either() {
    let any = || Stub::new("any");
    let key = || Stub::new("key").form(PREFIX).api_key();
    let never = || Stub::new("never").form(NO);
    for (line, expected) in [
        (("authorization", "Bearer pk_1"), Err(Reason::CredentialMisplaced)),
        (("authorization", "Bearer ann"), Ok("any")),
        (("x-api-key", "pk_1"), Ok("key")),
    ] {
        assert_eq!(judge(key().or(never()).or(any()), line).await, expected);
        assert_eq!(judge(any().or(never().or(key())), line).await, expected);
    }
}

/// RFC 9110 §11.1: schemes are compared without case, also between two authenticators that read the same one.
#[tokio::test]
async fn the_same_scheme_in_another_spelling_is_the_same_place() {
    for swapped in [false, true] {
        for (secret, expected) in [("ann", "upper"), ("pk_1", "lower")] {
            let upper = Stub::new("upper");
            let lower =
                Stub::new("lower").form(PREFIX).reads(Presentation::scheme("bearer"), Challenge::bearer());
            let header = format!("Bearer {secret}");
            let line = ("authorization", header.as_str());
            let verdict =
                if swapped { judge(lower.or(upper), line).await } else { judge(upper.or(lower), line).await };
            assert_eq!(verdict, Ok(expected), "{swapped}");
        }
    }
}

#[tokio::test]
async fn each_scheme_has_its_readers() {
    let signed = || Stub::new("signed").reads(Presentation::scheme("Signed"), Challenge::new("Signed"));
    for (line, expected) in [
        ("Bearer ann", Ok("bearer")),
        ("Signed ann", Ok("signed")),
        ("signed ann", Ok("signed")),
        ("Basic ann", Err(Reason::SchemeUnsupported)),
    ] {
        assert_eq!(judge(Stub::new("bearer").or(signed()), ("authorization", line)).await, expected);
        assert_eq!(judge(signed().or(Stub::new("bearer")), ("authorization", line)).await, expected);
    }
}

#[tokio::test]
async fn signed_tokens_go_to_the_keys_and_all_else_does_not() {
    let signer = key(Algorithm::ES256);
    let valid = token(&signer).build();
    let expired = token(&signer).expires_in(-60).build();
    let symmetric = token(&signer).header("alg", "HS256").build();
    let rows = [
        (valid.as_str(), Ok("jwt"), 0),
        (&expired, Err(Reason::TokenExpired), 0),
        // No public key can have signed these: they are for whoever takes any bearer token.
        (&symmetric, Ok("other"), 1),
        ("opaque", Ok("other"), 1),
        ("a.b.c", Ok("other"), 1),
        ("a.b.c.d.e", Ok("other"), 1),
    ];
    for (secret, expected, asked_other) in rows {
        for swapped in [false, true] {
            let other = Stub::judging(|_| Ok(Principal::builder("other").build()));
            let asked = other.asked();
            let jwt = jwt(&[&Arc::clone(&signer)]);
            let header = format!("Bearer {secret}");
            let line = ("authorization", header.as_str());
            let verdict =
                if swapped { judge(other.or(jwt), line).await } else { judge(jwt.or(other), line).await };
            assert_eq!((verdict, asked.times()), (expected, asked_other), "{secret}");
        }
    }
}

/// Which kinds there are may stand in a configuration: then their number is not known when the program is compiled.
#[tokio::test]
async fn authenticators_can_be_chosen_at_run_time() {
    let configured: [(&[&str], _, _); 3] = [
        (&["bearer"], Ok("bearer"), Err(Reason::CredentialMissing)),
        (&["key"], Err(Reason::CredentialMissing), Ok("key")),
        (&["key", "bearer"], Ok("bearer"), Ok("key")),
    ];
    for (names, by_bearer, by_key) in configured {
        let kinds = || {
            let boxed = names.iter().map(|name| -> Box<dyn Authenticator> {
                match *name {
                    "key" => Box::new(Stub::new("key").api_key()),
                    _ => Box::new(Stub::new("bearer")),
                }
            });
            boxed.reduce(|one, other| Box::new(one.or(other))).unwrap()
        };
        assert_eq!(judge(kinds(), ("authorization", "Bearer ann")).await, by_bearer, "{names:?}");
        assert_eq!(judge(kinds(), ("x-api-key", "ann")).await, by_key, "{names:?}");
        let offered = offers(&send(&AuthLayer::new(kinds()), request(&[], Full::default())).await);
        assert_eq!(offered.len(), names.len(), "{offered:?}");
        assert_eq!(offered.contains(&"ApiKey".to_owned()), names.contains(&"key"));
    }
}
