//! What `AuthLayer` lets pass, over which services and bodies.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{AuthError, AuthLayer, Authenticator, Principal, Reason, Reject};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::stub::{Stub, challenges, request};
use crate::support::{outcome, send};

const ANN: (&str, &str) = ("authorization", "Bearer ann");
const BAD: (&str, &str) = ("authorization", "Bearer bad");

/// Neither `Send` nor `Clone`.
struct Upload(Rc<str>);

/// Has no default: there is no such thing as an empty one.
struct Page(&'static str);

/// What the service answers to an accepted and to a refused credential, ready at once and after a wait.
async fn answers<R, B>(layer: fn(Stub) -> AuthLayer<Stub, R>, page: fn(Rc<str>) -> B) -> Vec<(StatusCode, B)>
where
    R: Reject<B>,
{
    let mut answers = Vec::new();
    for stub in [Stub::new, |method| Stub::new(method).boxed()] {
        for line in [ANN, BAD] {
            let inner = service_fn(async |request: Request<Upload>| {
                Ok::<_, Infallible>(Response::new(page(request.into_body().0)))
            });
            let upload = request(&[line], Upload("up".into()));
            let response = layer(stub("stub")).layer(inner).oneshot(upload).await.unwrap();
            answers.push((response.status(), response.into_body()));
        }
    }
    answers
}

#[tokio::test]
async fn any_body_of_a_request_and_any_with_a_default_of_a_response() {
    let statuses = [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::OK, StatusCode::UNAUTHORIZED];
    let strings = answers(AuthLayer::new, |body| body.to_string()).await;
    assert_eq!(strings, std::iter::zip(statuses, ["up", "", "up", ""].map(String::from)).collect::<Vec<_>>());
    let full = answers(AuthLayer::new, |body| Full::new(Bytes::from(body.to_string()))).await;
    assert!(full.iter().map(|(status, _)| *status).eq(statuses));
    let axum = answers(AuthLayer::new, |body| axum::body::Body::from(body.to_string())).await;
    assert!(axum.iter().map(|(status, _)| *status).eq(statuses));
}

#[tokio::test]
async fn a_body_without_a_default_is_made_by_the_closure() {
    fn page(_: &AuthError) -> Response<Page> {
        Response::new(Page("refused"))
    }
    let pages = answers(|stub| AuthLayer::new(stub).on_reject(page), |_| Page("fine")).await;
    let pages: Vec<_> = pages.iter().map(|(status, page)| (status.as_u16(), page.0)).collect();
    assert_eq!(pages, [(200, "fine"), (401, "refused"), (200, "fine"), (401, "refused")]);
}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_unchanged() {
    #[derive(Debug, PartialEq)]
    struct Broken(u8);
    for stub in [Stub::new("stub"), Stub::new("stub").boxed()] {
        let inner = service_fn(async |_: Request<()>| Err::<Response<String>, _>(Broken(7)));
        let service = AuthLayer::new(stub).layer(inner);
        assert_eq!(service.clone().oneshot(request(&[ANN], ())).await.unwrap_err(), Broken(7));
        // A refusal is a response, whatever the error type.
        assert_eq!(service.oneshot(request(&[BAD], ())).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn optional_means_absent_and_nothing_else() {
    let rows: &[(&[(&str, &str)], _, _)] = &[
        // Lines, what a layer says that demands a credential, what an optional one says.
        (&[], Some(Reason::CredentialMissing), None),
        (&[ANN], None, None),
        (&[BAD], Some(Reason::Custom("bad")), Some(Reason::Custom("bad"))),
        (
            &[("authorization", "Bearer")],
            Some(Reason::AuthorizationMalformed),
            Some(Reason::AuthorizationMalformed),
        ),
        (
            &[("authorization", "")],
            Some(Reason::AuthorizationMalformed),
            Some(Reason::AuthorizationMalformed),
        ),
        (
            &[("authorization", "Basic YTpi")],
            Some(Reason::SchemeUnsupported),
            Some(Reason::SchemeUnsupported),
        ),
        (&[ANN, ANN], Some(Reason::SeveralCredentials), Some(Reason::SeveralCredentials)),
        (
            &[("authorization", "Bearer busy")],
            Some(Reason::AuthorityUnavailable),
            Some(Reason::AuthorityUnavailable),
        ),
        // A token in the query is ignored, not read (RFC 9700 §4.3.2); so is a header that nobody reads.
        (&[("x-api-key", "ann")], Some(Reason::CredentialMissing), None),
    ];
    let required = AuthLayer::new(Stub::new("stub"));
    let optional = required.clone().optional();
    for (lines, demanded, allowed) in rows {
        for (layer, expected) in [(&required, demanded), (&optional, allowed)] {
            let response = send(layer, request(lines, Full::default())).await;
            assert_eq!(outcome(&response).1, *expected, "{lines:?} {layer:?}");
            assert_eq!(response.status() == StatusCode::OK, expected.is_none(), "{lines:?} {layer:?}");
        }
    }
}

#[tokio::test]
async fn a_planted_principal_is_removed_or_replaced() {
    let seen = async |layer: &AuthLayer<Stub>, lines: &[(&'static str, &str)]| {
        let mut request = request(lines, Full::default());
        request.extensions_mut().insert(Principal::builder("planted").subject("root").build());
        send(layer, request).await.extensions().get::<Principal>().map(Principal::method)
    };
    let required = AuthLayer::new(Stub::new("stub"));
    let optional = required.clone().optional();
    assert_eq!(seen(&optional, &[]).await, None);
    assert_eq!(seen(&optional, &[ANN]).await, Some("stub"));
    assert_eq!(seen(&required, &[ANN]).await, Some("stub"));
    assert_eq!(seen(&AuthLayer::new(Stub::new("stub").boxed()), &[ANN]).await, Some("stub"));
    assert_eq!(seen(&required, &[]).await, None);
}

#[tokio::test]
async fn all_that_comes_of_one_layer_shares_its_authenticator() {
    let stub = Stub::new("stub");
    let asked = stub.asked();
    let layer = AuthLayer::new(stub);
    let optional = layer.clone().optional();
    let with_body = layer.clone().realm("other").on_reject(|_: &AuthError| Response::new(String::new()));
    send(&layer, request(&[ANN], Full::default())).await;
    send(&optional, request(&[ANN], Full::default())).await;
    let echo = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(String::new())));
    let service = with_body.layer(echo);
    service.clone().oneshot(request(&[ANN], ())).await.unwrap();
    assert_eq!(asked.times(), 3);
    assert_eq!(challenges(&service.oneshot(request(&[], ())).await.unwrap())[0].1["realm"], "other");
    // What was changed on a clone stays there.
    assert_eq!(send(&layer, request(&[], Full::default())).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn layers_within_layers_say_everything_once() {
    let outer = AuthLayer::new(Stub::new("outer")).realm("outer");
    let inner = AuthLayer::new(Stub::new("inner")).realm("inner");
    let echo = service_fn(async |request: Request<()>| {
        let principal = request.extensions().get::<Principal>().unwrap();
        Ok::<_, Infallible>(Response::new(principal.method().to_owned()))
    });
    let both = outer.clone().optional().layer(inner.layer(echo));
    assert_eq!(both.clone().oneshot(request(&[ANN], ())).await.unwrap().body(), "inner");
    for (lines, realm, error) in [(&[][..], "inner", None), (&[BAD], "outer", Some("invalid_token"))] {
        let response = both.clone().oneshot(request(lines, ())).await.unwrap();
        // Reads each field with a parser that refuses repeated parameters.
        let challenges = challenges(&response);
        assert_eq!(challenges.len(), 1, "{challenges:?}");
        // Whoever refuses speaks: nobody writes over it.
        assert_eq!(challenges[0].1["realm"], realm);
        assert_eq!(challenges[0].1.get("error").map(String::as_str), error);
    }
}

#[tokio::test]
async fn a_realm_is_quoted_and_there_is_always_one() {
    for (realm, expected) in [
        (None, "api"),
        (Some("todo"), "todo"),
        (Some(r#"a "b" \c"#), r#"a "b" \c"#),
        (Some("a\r\nX: y"), "a??X: y"),
    ] {
        let layer = AuthLayer::new(Stub::new("stub"));
        let layer = realm.into_iter().fold(layer, |layer, realm| layer.realm("first").realm(realm));
        let response = send(&layer, request(&[], Full::default())).await;
        assert_eq!(challenges(&response)[0].1["realm"], expected);
    }
}

#[tokio::test]
async fn one_credential_in_one_place() {
    const KEY: (&str, &str) = ("x-api-key", "bob");
    let several = (StatusCode::BAD_REQUEST, Some(Reason::SeveralCredentials));
    let fine = (StatusCode::OK, None);
    let rows: &[(&[(&str, &str)], _)] = &[
        (&[ANN], fine),
        (&[KEY], fine),
        (&[ANN, KEY], several),
        (&[KEY, ANN], several),
        (&[KEY, KEY], several),
        (&[ANN, ANN], several),
        (&[ANN, BAD], several),
        (&[("authorization", "Bearer ann, Bearer bad")], several),
        (&[ANN, ("authorization", "Basic YTpi")], several),
        // Judged by where it stands: a second scheme that nobody reads is still a second credential.
        (
            &[("authorization", "Basic YTpi"), KEY],
            (StatusCode::UNAUTHORIZED, Some(Reason::SchemeUnsupported)),
        ),
    ];
    for (lines, expected) in rows {
        let (bearer, key) = (Stub::new("bearer"), Stub::new("key").api_key());
        let asked = (bearer.asked(), key.asked());
        let layer = AuthLayer::new(bearer.or(key)).optional();
        let response = send(&layer, request(lines, Full::default())).await;
        assert_eq!(outcome(&response), *expected, "{lines:?}");
        assert_eq!(asked.0.times() + asked.1.times(), usize::from(*expected == fine), "{lines:?}");
        if *expected == fine {
            let method = response.extensions().get::<Principal>().map(Principal::method);
            assert_eq!(method, Some(if lines[0] == KEY { "key" } else { "bearer" }));
        }
    }
}
