//! Signed answers (RFC 9701): an authority that signs is believed by its signature alone, or not at all.

use std::sync::Arc;

use portcullis::test_util::TokenBuilder;
use portcullis::{Algorithm, IntrospectionAuthenticatorBuilder, Reason};
use serde_json::{Value, json};

use super::{ACCEPTED, Answer, Scene, principal, refused, unavailable};
use crate::support::{AUDIENCE, key, outcome};

const SIGNED: &str = "application/token-introspection+jwt";

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

/// An authority that signs, and a resource server that asks for it.
async fn signing() -> Scene {
    let scene = Scene::with(IntrospectionAuthenticatorBuilder::signed_answers).await;
    scene.server.sign_answers(true);
    scene
}

/// Another resource server of the same authority.
fn fresh(scene: &Scene) -> Scene {
    Scene::of(&scene.server, IntrospectionAuthenticatorBuilder::signed_answers)
}

/// What a token is that introspects with this alone wrong, or what may differ.
async fn judged(
    scene: &Scene,
    sign: impl Fn(TokenBuilder) -> String + Send + Sync + 'static,
) -> (Answer, String) {
    let scene = fresh(scene);
    let token = scene.token();
    scene.server.sign_answers_with(sign);
    let answer = scene.ask(&token).await;
    scene.server.sign_answers(true);
    let error = scene.last_error();
    assert_eq!(scene.ask(&token).await, ACCEPTED, "{error}");
    (answer, error)
}

/// 503, and the operator is told this.
async fn is_our_failure(
    scene: &Scene,
    reason: &str,
    sign: impl Fn(TokenBuilder) -> String + Send + Sync + 'static,
) {
    let (answer, error) = judged(scene, sign).await;
    assert_eq!(answer, DOWN, "{reason}");
    assert!(error.ends_with(&format!("the signed answer is refused: {reason}")), "{error} is not {reason}");
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

#[tokio::test]
async fn a_signed_answer_is_asked_for_and_believed() {
    let scene = signing().await;
    let token = scene.server.opaque_token(scene.server.token().claim("tenant", "acme"));
    let response = scene.response(&token).await;
    assert_eq!(outcome(&response), ACCEPTED);
    assert_eq!(scene.server.asked()[0].headers["accept"], SIGNED);
    let principal = principal(&response);
    assert_eq!((principal.subject(), principal.scopes().as_str()), (Some("ann"), "todo:read"));
    let claims: Value = principal.claims().unwrap();
    assert_eq!((&claims["tenant"], &claims["active"]), (&json!("acme"), &json!(true)));
    assert!(claims.get("token_introspection").is_none(), "{claims}");
    assert_eq!(scene.ask("unknown").await, refused(Reason::TokenInactive));
    // What is inside is judged as ever.
    let other = scene.server.opaque_token(scene.server.token().claim("aud", "other"));
    assert_eq!(scene.ask(&other).await, refused(Reason::AudienceRefused));
}

#[tokio::test]
async fn only_the_type_of_signed_answers_is_one() {
    let scene = signing().await;
    for typ in ["token-introspection+jwt", "application/token-introspection+jwt", "Token-Introspection+JWT"] {
        assert_eq!(
            judged(&scene, move |answer| answer.header("typ", typ).build()).await.0,
            ACCEPTED,
            "{typ}"
        );
    }
    for typ in ["JWT", "at+jwt", "", "jwt", "token-introspection", "introspection+jwt", "secevent+jwt"] {
        is_our_failure(&scene, "type_refused", move |answer| answer.header("typ", typ).build()).await;
    }
    is_our_failure(&scene, "type_refused", |answer| answer.without_header("typ").build()).await;
    is_our_failure(&scene, "header_malformed", |answer| answer.header("typ", 1).build()).await;
}

#[tokio::test]
async fn an_answer_is_by_our_issuer_and_for_us() {
    let scene = signing().await;
    is_our_failure(&scene, "issuer_refused", |answer| answer.claim("iss", "https://other.example").build())
        .await;
    is_our_failure(&scene, "claim_missing", |answer| answer.without("iss").build()).await;
    is_our_failure(&scene, "claims_malformed", |answer| answer.claim("iss", Value::Null).build()).await;
    for aud in [json!("resource-server"), json!(AUDIENCE), json!(["other", "resource-server"])] {
        assert_eq!(judged(&scene, move |answer| answer.claim("aud", aud.clone()).build()).await.0, ACCEPTED);
    }
    for aud in [json!("other"), json!([]), json!("resource-server2"), json!("Resource-Server"), json!("")] {
        is_our_failure(&scene, "audience_refused", move |answer| answer.claim("aud", aud.clone()).build())
            .await;
    }
    is_our_failure(&scene, "claim_missing", |answer| answer.without("aud").build()).await;
    is_our_failure(&scene, "claims_malformed", |answer| answer.claim("aud", 1).build()).await;
}

#[tokio::test]
async fn an_answer_is_no_older_than_its_question() {
    let scene = signing().await;
    for seconds in [-20, 0, 20] {
        let sign = move |answer: TokenBuilder| answer.claim("iat", seconds_from_now(seconds)).build();
        assert_eq!(judged(&scene, sign).await.0, ACCEPTED, "{seconds}");
    }
    let issued = |seconds| move |answer: TokenBuilder| answer.claim("iat", seconds_from_now(seconds)).build();
    is_our_failure(&scene, "token_expired", issued(-40)).await;
    is_our_failure(&scene, "token_expired", issued(-3600)).await;
    is_our_failure(&scene, "issued_in_future", issued(40)).await;
    is_our_failure(&scene, "issued_in_future", issued(3600)).await;
    is_our_failure(&scene, "claim_missing", |answer| answer.without("iat").build()).await;
    is_our_failure(&scene, "claims_malformed", |answer| answer.claim("iat", "now").build()).await;
    let ends = |seconds| move |answer: TokenBuilder| answer.claim("exp", seconds_from_now(seconds)).build();
    assert_eq!(judged(&scene, ends(60)).await.0, ACCEPTED);
    is_our_failure(&scene, "token_expired", ends(-60)).await;
}

#[tokio::test]
async fn an_answer_is_signed_with_a_key_of_our_issuer() {
    let scene = signing().await;
    let (known, other) = (scene.server.keys().remove(0), key(Algorithm::ES256));
    let again = Arc::clone(&known);
    assert_eq!(judged(&scene, move |answer| answer.signed_by(&again).build()).await.0, ACCEPTED);
    let forger = Arc::clone(&other);
    is_our_failure(&scene, "signature_invalid", move |answer| answer.forged_by(&forger).build()).await;
    is_our_failure(&scene, "key_unknown", move |answer| answer.signed_by(&other).build()).await;
    let rsa = key(Algorithm::RS256);
    let kid = known.kid().to_owned();
    is_our_failure(&scene, "key_mismatch", move |answer| {
        answer.signed_by(&rsa).header("kid", kid.as_str()).build()
    })
    .await;
    for alg in ["none", "None", "HS256", "HS512", "", "ES256K"] {
        for signature in [&b""[..], &[7; 32]] {
            let signature = signature.to_vec();
            is_our_failure(&scene, "algorithm_refused", move |answer| {
                answer.header("alg", alg).build_with_signature(&signature)
            })
            .await;
        }
    }
    is_our_failure(&scene, "signature_invalid", |answer| answer.build_with_signature(&[])).await;
    is_our_failure(&scene, "algorithm_refused", |answer| answer.without_header("alg").build()).await;
    for name in ["crit", "b64"] {
        is_our_failure(&scene, "critical_header", move |answer| answer.header(name, json!(["x"])).build())
            .await;
    }
    is_our_failure(&scene, "compressed_token", |answer| answer.header("zip", "DEF").build()).await;
    is_our_failure(&scene, "nested_token", |answer| answer.header("cty", "JWT").build()).await;
    // RFC 9701 §5: encrypted answers are possible, and not for us.
    is_our_failure(&scene, "token_encrypted", |answer| format!("{}.AAAA.AAAA", answer.build())).await;
    is_our_failure(&scene, "token_malformed", |answer| answer.message()).await;
    is_our_failure(&scene, "token_malformed", |_| "anything".into()).await;
}

#[tokio::test]
async fn nothing_but_the_member_for_it_counts() {
    let scene = signing().await;
    is_our_failure(&scene, "claim_missing", |answer| {
        answer.without("token_introspection").claim("active", true).claim("sub", "ann").build()
    })
    .await;
    for top in [true, false] {
        let inner = json!({"active": !top, "aud": AUDIENCE});
        let sign = move |answer: TokenBuilder| {
            answer.claim("active", top).claim("token_introspection", inner.clone()).build()
        };
        let expected = if top { refused(Reason::TokenInactive) } else { ACCEPTED };
        let scene = fresh(&scene);
        scene.server.sign_answers_with(sign);
        assert_eq!(scene.ask(&scene.token()).await, expected);
    }
    let scene = fresh(&scene);
    scene.server.sign_answers_with(|answer| {
        let inner = json!({"active": true, "aud": AUDIENCE, "sub": "ann"});
        answer.claim("scope", "admin").claim("sub", "root").claim("token_introspection", inner).build()
    });
    let response = scene.response(&scene.token()).await;
    assert_eq!(principal(&response).subject(), Some("ann"));
    assert!(principal(&response).scopes().is_empty());
}

#[tokio::test]
async fn a_member_stands_once_outside_and_inside() {
    let scene = signing().await;
    let inner = format!(r#"{{"active":true,"aud":{AUDIENCE:?}}}"#);
    let whole = move |answer: &TokenBuilder, more: &str| {
        let claims = answer.claims();
        let (iss, iat) = (&claims["iss"], &claims["iat"]);
        format!(r#"{{"iss":{iss},"aud":"resource-server","iat":{iat},"token_introspection":{inner}{more}}}"#)
    };
    let once = whole.clone();
    assert_eq!(
        judged(&scene, move |answer| answer.clone().raw_claims(once(&answer, "")).build()).await.0,
        ACCEPTED
    );
    for doubled in [
        r#","token_introspection":{"active":true}"#,
        r#","iss":"https://other.example""#,
        r#","aud":"resource-server""#,
        r#","iat":0"#,
        r#","x":1,"x":2"#,
        r#","x":{"y":1,"y":2}"#,
    ] {
        let twice = whole.clone();
        is_our_failure(&scene, "claims_malformed", move |answer| {
            answer.clone().raw_claims(twice(&answer, doubled)).build()
        })
        .await;
    }
    for raw in [r#"{"active":true,"active":true}"#, "null", "true", r#""{\"active\":true}""#, "[]", "{}"] {
        let scene = fresh(&scene);
        scene.server.set_raw_answer("raw", raw);
        assert_eq!(scene.ask("raw").await, DOWN, "{raw}");
        scene.server.set_raw_answer("raw", format!(r#" {{"active":true,"aud":{AUDIENCE:?}}} "#));
        assert_eq!(scene.ask("raw").await, ACCEPTED);
    }
}
