//! Who answers what to tokens that should not be accepted: found by trying each with everybody.

use http::HeaderValue;
use portcullis::test_util::TokenBuilder;
use tokio::runtime::Runtime;

use super::peers::{Candidate, Setup, bearer};
use super::results::{Answers, Matrix};
use super::tokens;

/// One case: what is sent, and whether it is to be accepted.
struct Case {
    name: &'static str,
    accepted: bool,
    authorization: Vec<HeaderValue>,
}

/// Sends every case to everybody who judges tokens.
///
/// # Panics
/// If somebody refuses a good token, or none.
pub fn matrix(runtime: &Runtime, setup: &Setup, candidates: &mut [Candidate]) -> Matrix {
    let cases = cases(setup);
    let mut answers = Vec::new();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.role.judges()) {
        let statuses: Vec<u16> =
            cases.iter().map(|case| candidate.route.status(runtime, &case.authorization).as_u16()).collect();
        assert_eq!(statuses[0], 200, "{} refuses a good token", candidate.label);
        answers.push(Answers { label: candidate.label.clone(), name: candidate.about.name.into(), statuses });
    }
    Matrix {
        cases: cases.iter().map(|case| case.name.into()).collect(),
        accepted: cases.iter().map(|case| case.accepted).collect(),
        answers,
    }
}

fn cases(setup: &Setup) -> Vec<Case> {
    let token = || tokens::good(&setup.key, &setup.server.issuer_id(), 0);
    let now = token().claims()["iat"].as_u64().expect("a time");
    let hour = 3600;
    let good = bearer(&token().build());
    let (message, signature) = split(&token());
    let changed = format!("{message}.{}", change(&signature));
    let unsigned = token().header("alg", "none").build_with_signature(b"");
    let refused = |name, token: TokenBuilder| Case {
        name,
        accepted: false,
        authorization: vec![bearer(&token.build())],
    };
    let lower = format!("bearer {}", token().build());
    vec![
        Case { name: "a good token", accepted: true, authorization: vec![good.clone()] },
        Case {
            name: "`bearer` in lower case",
            accepted: true,
            authorization: vec![HeaderValue::try_from(lower).expect("a header value")],
        },
        Case { name: "no credential", accepted: false, authorization: Vec::new() },
        Case { name: "a changed signature", accepted: false, authorization: vec![bearer(&changed)] },
        Case { name: "`alg: none`, no signature", accepted: false, authorization: vec![bearer(&unsigned)] },
        refused(
            "expired an hour ago",
            token().claim("iat", now - 2 * hour).claim("nbf", now - 2 * hour).claim("exp", now - hour),
        ),
        refused("`nbf` in an hour", token().claim("nbf", now + hour).claim("exp", now + 2 * hour)),
        refused("another `aud`", token().claim("aud", "https://other.example.com")),
        refused("another `iss`", token().claim("iss", "https://other.example.com")),
        refused("no `exp`", token().without("exp")),
        refused("no `aud`", token().without("aud")),
        refused("no `iss`", token().without("iss")),
        refused("`typ: JWT`", token().header("typ", "JWT")),
        refused("`typ: id+jwt`", token().header("typ", "id+jwt")),
        refused("unknown `crit`", token().header("crit", vec!["example"]).header("example", true)),
        Case {
            name: "two `Authorization` headers",
            accepted: false,
            authorization: vec![good, bearer(&changed)],
        },
    ]
}

fn split(token: &TokenBuilder) -> (String, String) {
    let token = token.build();
    let (message, signature) = token.rsplit_once('.').expect("a signed token");
    (message.into(), signature.into())
}

/// Another signature of the same length: one character in the middle is another one.
fn change(signature: &str) -> String {
    let middle = signature.len() / 2;
    signature
        .char_indices()
        .map(|(place, char)| match (place == middle, char) {
            (true, 'A') => 'B',
            (true, _) => 'A',
            (false, char) => char,
        })
        .collect()
}
