//! Rows 13 to 16: size and form of a token.

use base64::Engine as _;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::GeneralPurpose;
use portcullis::{Algorithm, AuthLayer, JwtAuthenticator, Reason};
use serde_json::json;

use super::{PASSED, Target, answer, bad_request, encode, unauthorized};
use crate::support::{AUDIENCE, ISSUER, issuer_of, judge, jwt, key, token};

#[tokio::test]
async fn row_13_dots_and_megabytes() {
    let target = Target::new(Algorithm::ES256);
    target.refuses(&".".repeat(8192), Reason::TokenMalformed).await;
    target.refuses(&".".repeat(8193), Reason::TokenTooLong).await;
    target.refuses(&format!("{}{}", target.token().build(), ".".repeat(1000)), Reason::TokenMalformed).await;
    target.refuses(&"a".repeat(60_000), Reason::TokenTooLong).await;
    let megabyte = ".".repeat(1 << 20);
    assert_eq!(target.answer(&megabyte).await, bad_request(Reason::CredentialTooLong));
    assert_eq!(judge(&jwt(&[&target.key]), &megabyte).await.err(), Some(Reason::TokenTooLong));
    let padded = |bytes: usize| target.token().claim("pad", "x".repeat(bytes)).build();
    target.refuses(&padded(6000), Reason::TokenTooLong).await;
    target.refuses(&target.token().header("pad", "x".repeat(2048)).build(), Reason::HeaderTooLong).await;
    assert_eq!(target.http.total(), 0);
    target.accepts(&padded(5000)).await;
}

#[tokio::test]
async fn row_13_the_length_is_looked_at_to_the_byte() {
    let signer = key(Algorithm::ES256);
    let token = token(&signer).build();
    for (limit, expected) in [(token.len(), PASSED), (token.len() - 1, unauthorized(Reason::TokenTooLong))] {
        let jwt = JwtAuthenticator::builder(issuer_of(&[&signer]), AUDIENCE).max_token_len(limit);
        assert_eq!(answer(&AuthLayer::new(jwt.build().unwrap()), &token).await, expected);
    }
}

#[tokio::test]
async fn row_14_nesting_is_bounded_wherever_it_stands() {
    // The limit of length is out of the way, so that depth alone decides.
    let target = Target::with(Algorithm::ES256, |jwt| jwt.max_token_len(1 << 20));
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
    let claims = target.token().claims().to_string();
    let with = |member: &str, value: &str| {
        let claims = format!("{},\"{member}\":{value}}}", claims.strip_suffix('}').unwrap());
        target.token().raw_claims(claims).build()
    };
    for depth in [16, 17, 127, 128, 129, 5000] {
        for member in ["x", "at_hash", "cnf"] {
            target.refuses(&with(member, &nested(depth)), Reason::NestingTooDeep).await;
            target.refuses(&with(member, &objects(depth)), Reason::NestingTooDeep).await;
        }
    }
    let header = |depth| {
        let kid = target.key.kid();
        let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{kid}","x":{}}}"#, nested(depth));
        target.token().raw_header(header).build()
    };
    for depth in [16, 200, 900] {
        target.refuses(&header(depth), Reason::NestingTooDeep).await;
    }
    // Where a type is expected, depth is only the wrong type.
    for member in ["sub", "scope"] {
        let token = target.token().without(member).claim("pad", 1);
        let claims =
            token.claims().to_string().replace("\"pad\":1", &format!("\"{member}\":{}", nested(900)));
        target.refuses(&target.token().raw_claims(claims).build(), Reason::ClaimsMalformed).await;
    }
    target.accepts(&header(15)).await;
    target.accepts(&with("x", &nested(15))).await;
    target.accepts(&with("x", &objects(15))).await;
}

#[tokio::test]
async fn row_15_no_token_that_was_tampered_with_passes_or_crashes() {
    let signer = key(Algorithm::Ed25519);
    let (jwt, good) = (jwt(&[&signer]), token(&signer).build());
    assert!(judge(&jwt, &good).await.is_ok());
    for end in 0..good.len() {
        assert!(judge(&jwt, &good[..end]).await.is_err(), "cut at {end}");
        assert!(judge(&jwt, &good[end + 1..]).await.is_err(), "cut until {end}");
        for other in ["A", "z", "-", "_", ".", "=", "+", " ", "\0", "\u{e9}", ""] {
            let tampered = format!("{}{other}{}", &good[..end], &good[end + 1..]);
            assert!(tampered == good || judge(&jwt, &tampered).await.is_err(), "{other:?} at {end}");
        }
    }
}

#[tokio::test]
async fn row_15_documents_that_are_not_json() {
    let target = Target::new(Algorithm::ES256);
    let documents: [&[u8]; 16] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"{}{}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{'a':1}",
        b"{a:1}",
        b"\0",
        b"\xff\xfe{\0}\0",
        b"{\"a\":\"\xc3\"}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":01}",
        b"/**/{}",
    ];
    for document in documents {
        target.refuses(&target.token().raw_header(document).build(), Reason::HeaderMalformed).await;
        target.refuses(&target.token().raw_claims(document).build(), Reason::ClaimsMalformed).await;
    }
    target.accepts(&target.token().build()).await;
}

#[tokio::test]
async fn row_16_repeated_members() {
    let target = Target::new(Algorithm::ES256);
    let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}","x":{{}}}}"#, target.key.kid());
    let claims = target.token().claim("x", json!({})).claims().to_string();
    let inserted = |document: &str, at: &str, more: &str| document.replacen(at, &format!("{at}{more}"), 1);
    for more in [
        r#""alg":"ES256","#,
        r#""alg":"none","#,
        r#""\u0061lg":"ES256","#,
        r#""kid":"a","#,
        r#""typ":"JWT","#,
        r#""y":1,"y":1,"#,
        r#""y":{"z":1,"z":2},"#,
    ] {
        let token = target.token().raw_header(inserted(&header, "{", more)).build();
        target.refuses(&token, Reason::MemberDuplicated).await;
    }
    for more in [
        format!(r#""iss":"{ISSUER}","#),
        r#""iss":"https://evil.example","#.into(),
        r#""i\u0073s":"https://evil.example","#.into(),
        format!(r#""aud":"{AUDIENCE}","#),
        r#""exp":1,"#.into(),
        r#""sub":"admin","#.into(),
        r#""scope":"admin","#.into(),
        r#""y":[{"z":1,"z":1}],"#.into(),
    ] {
        // Whether it comes first or last.
        for (at, more) in [("{", more.clone()), ("\"x\":{}", format!(",{}", more.trim_end_matches(',')))] {
            let token = target.token().raw_claims(inserted(&claims, at, &more)).build();
            target.refuses(&token, Reason::MemberDuplicated).await;
        }
    }
    assert_eq!(target.http.total(), 0);
    let harmless = inserted(&claims, "{", r#""y":{"iss":1,"ISS":1},"Iss":2,"#);
    target.accepts(&target.token().raw_header(header).raw_claims(harmless).build()).await;
}

#[tokio::test]
async fn row_16_bytes_around_the_documents() {
    let target = Target::new(Algorithm::ES256);
    let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}"}}"#, target.key.kid());
    let claims = target.token().claims().to_string();
    let around = |before: &str, after: &str| {
        let header = target.token().raw_header(format!("{before}{header}{after}")).build();
        let claims = target.token().raw_claims(format!("{before}{claims}{after}")).build();
        (header, claims)
    };
    for (before, after) in [
        ("\u{feff}", ""),
        ("", "x"),
        ("", "\0"),
        ("", "{}"),
        ("", ","),
        ("\0", ""),
        ("\u{b}", ""),
        ("[", "]"),
    ] {
        let (header, claims) = around(before, after);
        target.refuses(&header, Reason::HeaderMalformed).await;
        target.refuses(&claims, Reason::ClaimsMalformed).await;
    }
    // White space of JSON is no trick (RFC 7519 §7.1 allows it).
    let (header, claims) = around(" \r\n", "\t ");
    target.accepts(&header).await;
    target.accepts(&claims).await;
}

/// Encodes with padding, or leaves bits behind where they do not count.
fn sloppy(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = *text.as_bytes().last().unwrap();
    let place = ALPHABET.iter().position(|letter| *letter == last).unwrap();
    assert!(!text.len().is_multiple_of(4), "no bits are left over");
    format!("{}{}", &text[..text.len() - 1], char::from(ALPHABET[place | 1]))
}

#[tokio::test]
async fn row_16_base64url_has_one_spelling() {
    let signer = key(Algorithm::ES256);
    let jwt = jwt(&[&signer]);
    // Of lengths at which bits are left over, and letters beyond 61 occur.
    let spaced = |document: String| {
        let fill = (0..3).find(|fill| (document.len() + fill) % 3 == 1).unwrap();
        encode(document + &" ".repeat(fill))
    };
    let header = spaced(format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}"}}"#, signer.kid()));
    let claims = spaced(token(&signer).claim("x", "\u{3f3f}???>>>~~~").claims().to_string());
    let signed = |header: &str, claims: &str| {
        let message = format!("{header}.{claims}");
        format!("{message}.{}", encode(signer.sign(message.as_bytes())))
    };
    let standard = GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new())
        .encode(token(&signer).claim("x", "???>>>~~~\u{3f3f}").claims().to_string());
    assert!(standard.contains(['+', '/']), "{standard}");
    let good = signed(&header, &claims);
    assert!(judge(&jwt, &good).await.is_ok());
    let variants = |text: &str| {
        [sloppy(text), format!("{text}="), format!("{text}=="), format!("{text} "), format!("{text}\n")]
    };
    for header in variants(&header).into_iter().chain([String::new(), format!("{header}A")]) {
        let verdict = judge(&jwt, &signed(&header, &claims)).await;
        assert_eq!(verdict.err(), Some(Reason::HeaderMalformed), "{header:?}");
    }
    for claims in variants(&claims).into_iter().chain([String::new(), standard]) {
        let verdict = judge(&jwt, &signed(&header, &claims)).await;
        assert_eq!(verdict.err(), Some(Reason::ClaimsMalformed), "{claims:?}");
    }
    let (message, signature) = good.rsplit_once('.').unwrap();
    for signature in variants(signature).into_iter().chain([format!("{signature}AAA")]) {
        let verdict = judge(&jwt, &format!("{message}.{signature}")).await;
        assert_eq!(verdict.err(), Some(Reason::SignatureMalformed), "{signature:?}");
    }
    assert_eq!(answer(&AuthLayer::new(jwt), &good).await, PASSED);
}
