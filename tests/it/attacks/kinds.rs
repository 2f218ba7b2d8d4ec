//! Rows 26 and 66: tokens of another kind, and tokens that are bound to their sender.

use portcullis::{Algorithm, JwtAuthenticatorBuilder, Reason};
use serde_json::{Value, json};

use super::{Target, unauthorized};
use crate::support::{ISSUER, bearer, key, outcome, send};

/// Tokens of other kinds by the same issuer and key, with everything else as an access token has it: `typ`, marks, and what they
/// meet by default and under `accept_typ_jwt`.
fn other_kinds() -> Vec<(&'static str, Option<&'static str>, Value, Reason, Reason)> {
    use Reason::{AudienceRefused, IssuerRefused, NotAnAccessToken, TypeRefused};
    let none = json!({});
    let events = json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    let client = json!({"iss": "app", "sub": "app", "aud": ISSUER});
    let proof = json!({"htm": "GET", "htu": "https://api.example/", "ath": "x"});
    vec![
        ("ID token", Some("JWT"), json!({"at_hash": "x"}), NotAnAccessToken, NotAnAccessToken),
        ("ID token without typ", None, json!({"at_hash": "x"}), NotAnAccessToken, NotAnAccessToken),
        (
            "ID token of a hybrid flow",
            Some("JWT"),
            json!({"c_hash": "x"}),
            NotAnAccessToken,
            NotAnAccessToken,
        ),
        ("ID token for its client", Some("JWT"), json!({"aud": "app"}), AudienceRefused, AudienceRefused),
        (
            "ID token in disguise",
            Some("at+jwt"),
            json!({"at_hash": null}),
            NotAnAccessToken,
            NotAnAccessToken,
        ),
        ("logout token", Some("logout+jwt"), events.clone(), TypeRefused, TypeRefused),
        ("old logout token", Some("JWT"), events.clone(), NotAnAccessToken, NotAnAccessToken),
        ("security event", Some("secevent+jwt"), events.clone(), TypeRefused, TypeRefused),
        ("old security event", None, events, NotAnAccessToken, NotAnAccessToken),
        ("DPoP proof", Some("dpop+jwt"), proof, TypeRefused, TypeRefused),
        ("client assertion", Some("client-authentication+jwt"), client.clone(), TypeRefused, TypeRefused),
        ("old client assertion", Some("JWT"), client, IssuerRefused, IssuerRefused),
        ("introspection", Some("token-introspection+jwt"), none.clone(), TypeRefused, TypeRefused),
        (
            "old introspection",
            Some("JWT"),
            json!({"token_introspection": {"active": true}}),
            NotAnAccessToken,
            NotAnAccessToken,
        ),
        ("request object", Some("oauth-authz-req+jwt"), none.clone(), TypeRefused, TypeRefused),
        ("assertion grant", Some("oauth-id-jag+jwt"), none.clone(), TypeRefused, TypeRefused),
        ("credential", Some("dc+sd-jwt"), none.clone(), TypeRefused, TypeRefused),
        ("entity statement", Some("entity-statement+jwt"), none.clone(), TypeRefused, TypeRefused),
        ("typ with a parameter", Some("at+jwt; v=1"), none.clone(), TypeRefused, TypeRefused),
        ("typ with a space", Some("at+jwt "), none.clone(), TypeRefused, TypeRefused),
        ("typ of another tree", Some("text/at+jwt"), none.clone(), TypeRefused, TypeRefused),
        ("empty typ", Some(""), none, TypeRefused, TypeRefused),
    ]
}

#[tokio::test]
async fn row_26_tokens_of_other_kinds_are_no_access_tokens() {
    let strict = Target::new(Algorithm::ES256);
    let lenient = Target::with(Algorithm::ES256, JwtAuthenticatorBuilder::accept_typ_jwt);
    for (kind, typ, marks, by_default, under_jwt) in other_kinds() {
        for (target, reason) in [(&strict, by_default), (&lenient, under_jwt)] {
            let mut token = target.token().without_header("typ");
            if let Some(typ) = typ {
                token = token.header("typ", typ);
            }
            for (name, value) in marks.as_object().unwrap() {
                token = token.claim(name, value.clone());
            }
            assert_eq!(target.answer(&token.build()).await, unauthorized(reason), "{kind}");
        }
    }
    assert_eq!((strict.http.total(), lenient.http.total()), (0, 0));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        strict.accepts(&strict.token().header("typ", typ).build()).await;
        lenient.accepts(&lenient.token().header("typ", typ).build()).await;
    }
    for typ in ["JWT", "jwt", "application/JWT"] {
        let token = |target: &Target| target.token().header("typ", typ).build();
        strict.refuses(&token(&strict), Reason::TypeJwtRefused).await;
        lenient.accepts(&token(&lenient)).await;
    }
    lenient.accepts(&lenient.token().without_header("typ").build()).await;
    lenient.refuses(&lenient.token().header("typ", json!(["JWT"])).build(), Reason::HeaderMalformed).await;
}

#[tokio::test]
async fn row_26_claims_that_name_another_kind_are_rejected() {
    let strict = Target::new(Algorithm::ES256);
    let lenient = Target::with(Algorithm::ES256, JwtAuthenticatorBuilder::accept_typ_jwt);
    for (target, header) in [(&strict, "at+jwt"), (&lenient, "JWT")] {
        let with = |name: &str, value: &Value| {
            target.token().header("typ", header).claim(name, value.clone()).build()
        };
        for (name, kind) in [
            ("token_use", json!("id")),
            ("token_use", json!("refresh")),
            ("token_use", json!("ID")),
            ("token_use", json!("access ")),
            ("token_use", json!("")),
            ("token_use", json!(null)),
            ("token_use", json!(["access"])),
            ("token_use", json!({"access": true})),
            ("token_use", json!(1)),
            ("typ", json!("ID")),
            ("typ", json!("Refresh")),
            ("typ", json!("Offline")),
            ("typ", json!("Logout")),
            ("typ", json!("Serialized-ID")),
            ("typ", json!("id")),
            ("typ", json!("DPoP")),
            ("typ", json!("Bearer ")),
            ("typ", json!("")),
        ] {
            target.refuses(&with(name, &kind), Reason::NotAnAccessToken).await;
        }
    }
    for (target, header) in [(&strict, "at+jwt"), (&lenient, "JWT")] {
        let with = |name: &str, value: &Value| {
            target.token().header("typ", header).claim(name, value.clone()).build()
        };
        for (name, kind) in [
            ("token_use", json!("access")),
            ("token_use", json!("ACCESS")),
            ("token_use", json!("access_token")),
            ("typ", json!("Bearer")),
            ("typ", json!("bearer")),
            ("typ", json!("at+jwt")),
            ("typ", json!("application/at+jwt")),
            ("typ", json!("access")),
            ("typ", json!("access_token")),
            // A claim of another type is an application's own.
            ("typ", json!(null)),
            ("typ", json!(["ID"])),
            ("typ", json!({"ID": true})),
            ("typ", json!(1)),
        ] {
            target.accepts(&with(name, &kind)).await;
        }
    }
}

#[tokio::test]
async fn row_26_kinds_are_read_as_strictly_as_other_claims() {
    let target = Target::new(Algorithm::ES256);
    let claims = target.token().claims().to_string();
    let with = |more: &str| {
        let claims = format!("{},{more}}}", claims.strip_suffix('}').unwrap());
        target.token().raw_claims(claims).build()
    };
    for twice in [
        r#""typ":"Bearer","typ":"Bearer""#,
        r#""token_use":"access","token_use":"access""#,
        r#""typ":{"a":1,"a":1}"#,
    ] {
        target.refuses(&with(twice), Reason::MemberDuplicated).await;
    }
    target.accepts(&with(r#""typ":{"a":1,"b":1}"#)).await;
    target.accepts(&with(r#""typ":"Bearer","token_use":"access""#)).await;
}

#[tokio::test]
async fn row_66_a_bound_token_is_no_bearer_token() {
    let target = Target::new(Algorithm::ES256);
    for cnf in [
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        json!({"jwk": key(Algorithm::ES256).jwk()}),
        json!({"kid": "a"}),
        json!({"unheard-of": 1}),
        json!({}),
        json!(null),
        json!(""),
        json!([]),
    ] {
        target.refuses(&target.token().claim("cnf", cnf).build(), Reason::SenderConstrained).await;
    }
    // A proof beside it changes nothing while nobody checks it.
    let mut request = bearer(&target.token().claim("cnf", json!({"jkt": "x"})).build());
    request.headers_mut().insert("dpop", "a.b.c".parse().unwrap());
    let refused = outcome(&send(&target.layer, request).await);
    assert_eq!(refused, unauthorized(Reason::SenderConstrained));
    // Under the scheme of proofs nothing is taken at all.
    for token in [target.token(), target.token().claim("cnf", json!({"jkt": "x"}))] {
        let mut request = bearer("");
        let dpop = format!("DPoP {}", token.build());
        request.headers_mut().insert("authorization", dpop.parse().unwrap());
        let refused = outcome(&send(&target.layer, request).await);
        assert_eq!(refused, unauthorized(Reason::SchemeUnsupported));
    }
    assert_eq!(target.http.total(), 0);
    // Deeper down it is somebody else's confirmation.
    target.accepts(&target.token().claim("act", json!({"cnf": {"jkt": "x"}})).build()).await;
}
