//! What of an answer is believed, and what is not.

use portcullis::Reason;
use serde_json::{Value, json};

use super::{ACCEPTED, Answer, Builder, Script, refused, unavailable};
use crate::support::{AUDIENCE, ISSUER};

/// What this body makes of a request, by a server that was never asked anything before.
async fn judged_by(configure: impl FnOnce(Builder) -> Builder, body: &str) -> Answer {
    let script = Script::new(configure);
    script.says_raw(body.to_owned());
    let answer = script.ask("token").await;
    assert_eq!(script.calls(), 1);
    answer
}

async fn judged(body: &str) -> Answer {
    judged_by(|builder| builder, body).await
}

/// An active answer for this server, with further members.
fn with(members: &str) -> String {
    format!(r#"{{"active":true,"sub":"ann","aud":"{AUDIENCE}",{members}}}"#)
}

const UNUSABLE: Answer = unavailable(Reason::AuthorityUnavailable);

#[tokio::test]
async fn only_the_json_value_true_is_active() {
    let of = |active: &str| format!(r#"{{"active":{active},"sub":"ann","aud":"{AUDIENCE}"}}"#);
    assert_eq!(judged(&of("true")).await, ACCEPTED);
    assert_eq!(judged(&of("false")).await, refused(Reason::TokenInactive));
    for wrong in [r#""true""#, r#""false""#, "1", "0", "null", "[]", "[true]", "{}", r#""""#, "1.0"] {
        assert_eq!(judged(&of(wrong)).await, UNUSABLE, "{wrong}");
    }
    for name in ["Active", "ACTIVE", "active ", "is_active"] {
        let body = of("true").replace(r#""active""#, &format!("{name:?}"));
        assert_eq!(judged(&body).await, UNUSABLE, "{name}");
    }
    for missing in ["{}".to_owned(), format!(r#"{{"sub":"ann","aud":"{AUDIENCE}"}}"#)] {
        assert_eq!(judged(&missing).await, UNUSABLE, "{missing}");
    }
}

#[tokio::test]
async fn a_member_stands_once_at_any_depth() {
    for twin in ["\"x\":1", r#""x":{"a":1,"b":1}"#, r#""x":[{"a":1},{"a":1}]"#] {
        assert_eq!(judged(&with(twin)).await, ACCEPTED, "{twin}");
    }
    for doubled in [
        r#""active":true"#,
        r#""active":false"#,
        r#""\u0061ctive":true"#,
        r#""sub":"ann""#,
        r#""sub":null"#,
        r#""aud":null"#,
        r#""iss":null,"iss":null"#,
        r#""exp":null,"exp":null"#,
        r#""cnf":{},"cnf":{}"#,
        r#""x":1,"x":1"#,
        r#""x":{"a":1,"a":1}"#,
        r#""x":[[{"a":1,"\u0061":2}]]"#,
    ] {
        assert_eq!(judged(&with(doubled)).await, UNUSABLE, "{doubled}");
    }
    for first in [r#"{"active":false,"active":true}"#, r#"{"active":false,"active":false}"#] {
        assert_eq!(judged(first).await, UNUSABLE, "{first}");
    }
}

#[tokio::test]
async fn an_answer_is_one_object_that_is_not_nested_without_end() {
    let nested = |depth: usize| with(&format!(r#""x":{}1{}"#, "[".repeat(depth), "]".repeat(depth)));
    assert_eq!(judged(&nested(15)).await, ACCEPTED);
    assert_eq!(judged(&nested(16)).await, UNUSABLE);
    assert_eq!(judged(&nested(20_000)).await, UNUSABLE);
    let good = with(r#""x":1"#);
    assert_eq!(judged(&format!(" \r\n\t{good}\n")).await, ACCEPTED);
    for broken in [
        String::new(),
        "null".into(),
        "true".into(),
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("{good},"),
        format!("\u{feff}{good}"),
        good.replace('}', ""),
        good.replace('"', "'"),
        with(r#""x":1,"#),
        with(r#""x":NaN"#),
        with(r#""x":"\ud800""#),
    ] {
        assert_eq!(judged(&broken).await, UNUSABLE, "{broken:.60}");
    }
    let mut latin = good.into_bytes();
    *latin.iter_mut().find(|byte| **byte == b'n').unwrap() = 0xe9;
    let script = Script::new(|builder| builder);
    script.says_raw(latin);
    assert_eq!(script.ask("token").await, UNUSABLE);
}

/// RFC 7662 §2.2: an authority should say no more of a token that is not active, and what it says does not count.
#[tokio::test]
async fn an_inactive_token_is_refused_whatever_stands_beside_it() {
    for beside in [
        r#""iss":"https://other.example""#,
        r#""aud":42"#,
        r#""exp":"never""#,
        r#""scope":1"#,
        r#""cnf":{"jkt":"x"}"#,
        r#""sub":{}"#,
        r#""token_type":7"#,
    ] {
        let (before, behind) =
            (format!(r#"{{{beside},"active":false}}"#), format!(r#"{{"active":false,{beside}}}"#));
        for body in [before, behind] {
            assert_eq!(judged(&body).await, refused(Reason::TokenInactive), "{body}");
            let body = body.replace("false", "true");
            assert_ne!(judged(&body).await, refused(Reason::TokenInactive), "{body}");
            assert_ne!(judged(&body).await, ACCEPTED, "{body}");
        }
    }
    assert_eq!(judged(r#"{"active":false,"x":}"#).await, UNUSABLE);
}

#[tokio::test]
async fn the_issuer_is_ours_where_the_answer_names_one() {
    for good in [format!(r#""iss":"{ISSUER}""#), r#""iss":null"#.into(), r#""x":1"#.into()] {
        assert_eq!(judged(&with(&good)).await, ACCEPTED, "{good}");
    }
    for other in ["https://other.example", "https://id.example/", "https://ID.example", "id.example", " "] {
        let body = with(&format!(r#""iss":"{other}""#));
        assert_eq!(judged(&body).await, refused(Reason::IssuerRefused), "{other}");
    }
    for wrong in ["1", "true", &format!(r#"["{ISSUER}"]"#)] {
        assert_eq!(judged(&with(&format!(r#""iss":{wrong}"#))).await, UNUSABLE, "{wrong}");
    }
}

#[tokio::test]
async fn the_audience_is_ours_if_there_is_one() {
    type Configure = fn(Builder) -> Builder;
    let [named, two, lenient]: [Configure; 3] =
        [|builder| builder, |builder| builder.audience("other"), Builder::accept_missing_audience];
    let (other, missing) = (refused(Reason::AudienceRefused), refused(Reason::AudienceMissing));
    let ours = format!("{AUDIENCE:?}");
    let among = format!(r#"["x",{AUDIENCE:?}]"#);
    for (aud, expected) in [
        (Some(ours.as_str()), [ACCEPTED; 3]),
        (Some(&among), [ACCEPTED; 3]),
        (Some(r#""other""#), [other, ACCEPTED, other]),
        (Some(r#"["other"]"#), [other, ACCEPTED, other]),
        (Some(r#""https://api.example/""#), [other; 3]),
        (Some(r#""https://api.example other""#), [other; 3]),
        (Some("[]"), [other; 3]),
        (Some(r#""""#), [other; 3]),
        (Some("null"), [missing, missing, ACCEPTED]),
        (None, [missing, missing, ACCEPTED]),
        (Some("42"), [UNUSABLE; 3]),
        (Some("{}"), [UNUSABLE; 3]),
        (Some(&format!("[{AUDIENCE:?},1]")), [UNUSABLE; 3]),
    ] {
        let aud_member = aud.map_or(String::new(), |aud| format!(r#","aud":{aud}"#));
        let body = format!(r#"{{"active":true{aud_member}}}"#);
        for (configure, expected) in [named, two, lenient].into_iter().zip(expected) {
            assert_eq!(judged_by(configure, &body).await, expected, "{body}");
        }
    }
}

#[tokio::test]
async fn without_a_configured_audience_tokens_for_anybody_are_accepted() {
    for aud in [json!("other"), json!(["x", "y"]), json!([]), json!(""), Value::Null] {
        for (script, accepts) in
            [(Script::bare(|builder| builder), true), (Script::new(|builder| builder), false)]
        {
            script.says(&json!({"active": true, "aud": aud}));
            assert_eq!(script.ask("token").await == ACCEPTED, accepts, "{aud}");
        }
    }
    let script = Script::bare(|builder| builder);
    script.says(&json!({"active": true, "aud": 42}));
    assert_eq!(script.ask("token").await, UNUSABLE);
}

/// RFC 7800, RFC 8705 §3.2, RFC 9449 §6.2: for whoever proves that key, and nobody does.
#[tokio::test]
async fn a_token_that_is_bound_to_its_sender_is_refused() {
    for cnf in [r#"{"jkt":"x"}"#, r##"{"x5t#S256":"x"}"##, "{}", "1", r#""x""#, "[null]"] {
        let body = with(&format!(r#""cnf":{cnf}"#));
        assert_eq!(judged(&body).await, refused(Reason::SenderConstrained), "{body}");
        assert_eq!(judged(&body.replace("cnf", "cnf2")).await, ACCEPTED, "{body}");
        assert_eq!(judged(&with(r#""cnf":null"#)).await, ACCEPTED, "as good as left out");
    }
}

#[tokio::test]
async fn a_token_is_one_to_be_borne_and_no_other() {
    for good in [
        r#""token_type":"Bearer""#,
        r#""token_type":"bearer""#,
        r#""token_type":"BEARER""#,
        r#""token_type":"access_token""#,
        r#""token_type":null"#,
        r#""token_use":"access_token""#,
        r#""token_use":"access""#,
        r#""token_use":null,"token_type":"Bearer""#,
    ] {
        assert_eq!(judged(&with(good)).await, ACCEPTED, "{good}");
    }
    for bad in [
        r#""token_type":"DPoP""#,
        r#""token_type":"dpop""#,
        r#""token_type":"mac""#,
        r#""token_type":"PoP""#,
        r#""token_type":"refresh_token""#,
        r#""token_type":"id_token""#,
        r#""token_type":"N_A""#,
        r#""token_type":"Bearer ""#,
        r#""token_use":"refresh_token""#,
        r#""token_use":"refresh""#,
        r#""token_use":"id""#,
        r#""token_type":"Bearer","token_use":"refresh_token""#,
        r#""token_type":"DPoP","token_use":"access_token""#,
    ] {
        assert_eq!(judged(&with(bad)).await, refused(Reason::NotAnAccessToken), "{bad}");
    }
    for wrong in [r#""token_type":1"#, r#""token_type":["Bearer"]"#, r#""token_use":{}"#] {
        assert_eq!(judged(&with(wrong)).await, UNUSABLE, "{wrong}");
    }
}

#[tokio::test]
async fn an_empty_name_of_the_issuer_or_a_type_is_another_one() {
    for (name, reason) in [
        ("iss", Reason::IssuerRefused),
        ("token_type", Reason::NotAnAccessToken),
        ("token_use", Reason::NotAnAccessToken),
    ] {
        assert_eq!(judged(&with(&format!(r#""{name}":null"#))).await, ACCEPTED, "{name}");
        assert_eq!(judged(&with(&format!(r#""{name}":"""#))).await, refused(reason), "{name}");
    }
}
