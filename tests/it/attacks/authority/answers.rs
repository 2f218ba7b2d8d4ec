//! Rows 25, 45 to 47, 59 to 61 and 64: what an authority says, what is none of it, and whom it is told of.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use portcullis::http_client::HttpError;
use portcullis::{Algorithm, AuthLayer, Authenticator as _, Principal, Reason, require_scopes};
use serde_json::json;
use tower::{Layer as _, ServiceExt as _};

use super::{Builder, CLOSED, ENDPOINT, active, ask, asking, asking_about, json_answer};
use crate::attacks::{PASSED, at_once, handler, request, unauthorized, unavailable};
use crate::support::{AUDIENCE, bearer, jwt, key, outcome, send, token};

#[tokio::test]
async fn row_25_an_answer_without_audience_is_for_nobody_unless_that_is_allowed() {
    for (aud, by_default, lenient) in [
        (None, unauthorized(Reason::AudienceMissing), PASSED),
        (Some(json!(null)), unauthorized(Reason::AudienceMissing), PASSED),
        (Some(json!([])), unauthorized(Reason::AudienceRefused), unauthorized(Reason::AudienceRefused)),
        (Some(json!("")), unauthorized(Reason::AudienceRefused), unauthorized(Reason::AudienceRefused)),
        (Some(json!("app")), unauthorized(Reason::AudienceRefused), unauthorized(Reason::AudienceRefused)),
        (Some(json!(42)), CLOSED, CLOSED),
        (Some(json!(["app", AUDIENCE])), PASSED, PASSED),
        (Some(json!(AUDIENCE)), PASSED, PASSED),
    ] {
        let mut answer = active();
        answer.as_object_mut().unwrap().remove("aud");
        if let Some(aud) = &aud {
            answer["aud"] = aud.clone();
        }
        let (opaque, _) = asking_about(answer.clone(), |builder| builder);
        assert_eq!(ask(&AuthLayer::new(opaque), "good").await, by_default, "{aud:?}");
        let (opaque, _) = asking_about(answer, Builder::accept_missing_audience);
        assert_eq!(ask(&AuthLayer::new(opaque), "good").await, lenient, "{aud:?}");
    }
}

/// Everything that is no verdict, each with a word that would let the caller in.
fn failures() -> Vec<(&'static str, Result<Response<Bytes>, HttpError>)> {
    let with = |status: u16, content_type: &str, body: String| {
        let answer = Response::builder().status(status).header(CONTENT_TYPE, content_type);
        Ok(answer.body(body.into()).unwrap())
    };
    let json = |status: u16| with(status, "application/json", active().to_string());
    let said = |body: &str| with(200, "application/json", body.to_owned());
    vec![
        ("201", json(201)),
        ("203", json(203)),
        ("206", json(206)),
        ("302", json(302)),
        ("400", json(400)),
        ("401", json(401)),
        ("403", json(403)),
        ("404", json(404)),
        ("429", json(429)),
        ("500", json(500)),
        ("a page", with(200, "text/html", active().to_string())),
        ("another JSON", with(200, "application/jwt", active().to_string())),
        ("nothing", said("")),
        ("an empty object", said("{}")),
        ("a list", said("[true]")),
        ("a word", said("true")),
        ("half of it", said(r#"{"active":true,"#)),
        ("it twice", said(&format!("{}{}", active(), active()))),
        ("no verdict", said(&json!({"aud": AUDIENCE}).to_string())),
        ("a string", said(&json!({"active": "true", "aud": AUDIENCE}).to_string())),
        ("a number", said(&json!({"active": 1, "aud": AUDIENCE}).to_string())),
        ("both", said(r#"{"active":false,"active":true}"#)),
        ("a connection that breaks", Err(HttpError::Transport("reset".into()))),
        ("a timeout", Err(HttpError::Timeout)),
        ("too much", Err(HttpError::TooLarge)),
    ]
}

#[tokio::test]
async fn rows_45_to_47_a_failure_lets_nobody_in_and_takes_nothing_away() {
    for (case, answer) in failures() {
        let (opaque, http) = asking();
        let layer = AuthLayer::new(opaque.clone());
        let fresh = require_scopes(["todo:read"]).verified_within(Duration::ZERO).layer(handler());
        let fresh = layer.layer(fresh);
        assert_eq!(ask(&layer, "good").await, PASSED, "{case}");
        http.answer_by(ENDPOINT, move |_| answer.clone());
        assert_eq!(ask(&layer, "new").await, CLOSED, "{case}");
        let again = fresh.oneshot(bearer("good")).await.unwrap();
        assert_eq!(outcome(&again), CLOSED, "{case}");
        assert!(again.headers().contains_key(RETRY_AFTER), "{case}");
        assert_eq!(at_once(ask(&layer, "good")), Some(PASSED), "{case}: the verdict holds");
        assert_eq!(opaque.status().failures, 2, "{case}");
        http.answer_by(ENDPOINT, |_| Ok(json_answer(active().to_string())));
        assert_eq!(ask(&layer, "new").await, PASSED, "{case}: nothing of it was remembered");
    }
}

#[tokio::test]
async fn row_59_an_optional_layer_lets_nobody_pass_as_anonymous_who_could_not_be_judged() {
    let (opaque, http) = asking();
    let optional = AuthLayer::new(opaque).optional();
    assert_eq!(ask(&optional, "bad").await, unauthorized(Reason::TokenInactive));
    let known = send(&optional, bearer("good")).await;
    assert!(known.extensions().get::<Principal>().is_some());
    http.fail(ENDPOINT, HttpError::Timeout);
    for number in 0..5 {
        assert_eq!(ask(&optional, &format!("new-{number}")).await, CLOSED);
    }
    let paused = unavailable(Reason::AuthorityPaused);
    assert_eq!(ask(&optional, "new").await, paused, "nor while nobody is asked");
    let anonymous = send(&optional, request(&[])).await;
    assert_eq!(outcome(&anonymous), PASSED);
    assert!(anonymous.extensions().get::<Principal>().is_none());
}

#[tokio::test]
async fn row_60_a_token_that_resembles_a_good_one_is_another_token() {
    let (opaque, http) = asking();
    let layer = AuthLayer::new(opaque);
    assert_eq!(ask(&layer, "good").await, PASSED);
    let others = ["Good", "good=", "good==", "goo", "goodx", "good.", "good+", "g", "good~good"];
    for other in others {
        assert_eq!(ask(&layer, other).await, unauthorized(Reason::TokenInactive), "{other}");
    }
    assert_eq!(http.total(), 1 + others.len(), "each was asked about");
    assert_eq!(ask(&layer, "good").await, PASSED);
    assert_eq!(http.total(), 1 + others.len());
}

#[tokio::test]
async fn row_61_nothing_that_an_authority_says_comes_out_again() {
    let nasty = "sesame\"\r\nset-cookie: sesame=1";
    for (member, value, expected) in [
        ("iss", json!(nasty), unauthorized(Reason::IssuerRefused)),
        ("aud", json!(nasty), unauthorized(Reason::AudienceRefused)),
        ("scope", json!(nasty), CLOSED),
        ("token_type", json!(nasty), unauthorized(Reason::NotAnAccessToken)),
        ("exp", json!(nasty), CLOSED),
        ("error", json!(nasty), PASSED),
        ("error_description", json!(nasty), PASSED),
        ("sub", json!(nasty), PASSED),
    ] {
        let mut answer = active();
        answer[member] = value;
        let (opaque, _) = asking_about(answer, |builder| builder);
        let response = send(&AuthLayer::new(opaque.clone()), bearer("good")).await;
        assert_eq!(outcome(&response), expected, "{member}");
        let shown = format!("{:?} {:?}", response.headers(), opaque.status());
        assert!(!shown.contains("sesame"), "{member}: {shown}");
    }
}

#[tokio::test]
async fn row_64_an_authority_is_shown_no_token_that_somebody_else_judges() {
    let signer = key(Algorithm::ES256);
    let good = token(&signer).build();
    let expired = token(&signer).expires_in(-60).build();
    let foreign = token(&signer).claim("iss", "https://evil.test").build();
    let symmetric = token(&signer).header("alg", "HS256").build();
    let none = token(&signer).header("alg", "none").build_with_signature(b"");
    let inactive = unauthorized(Reason::TokenInactive);
    let unrecognized = unauthorized(Reason::CredentialUnrecognized);
    for (presented, expected, asked, all_are_sent) in [
        (good.as_str(), PASSED, 0, false),
        // No second guess: what is a JWT is refused as one.
        (&expired, unauthorized(Reason::TokenExpired), 0, false),
        (&foreign, unauthorized(Reason::IssuerRefused), 0, false),
        (&symmetric, unrecognized, 0, false),
        (&none, unrecognized, 0, false),
        ("good", PASSED, 1, false),
        ("op.aq.ue", inactive, 1, false),
        (&good, PASSED, 0, true),
        (&expired, unauthorized(Reason::TokenExpired), 0, true),
        (&symmetric, inactive, 1, true),
        ("good", PASSED, 1, true),
    ] {
        let change = |builder: Builder| if all_are_sent { builder.introspect_jwts() } else { builder };
        for swapped in [false, true] {
            let ((opaque, http), jwt) = (asking_about(active(), change), jwt(&[&signer]));
            let answer = if swapped {
                ask(&AuthLayer::new(opaque.or(jwt)), presented).await
            } else {
                ask(&AuthLayer::new(jwt.or(opaque)), presented).await
            };
            assert_eq!((answer, http.total()), (expected, asked), "{presented}, {swapped}, {all_are_sent}");
        }
    }
}
