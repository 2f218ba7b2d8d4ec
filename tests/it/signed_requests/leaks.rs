//! What nobody gets to read: secrets, and tokens.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use portcullis::{
    Authenticator, ClientSecret, Credential, MemorySingleUse, Presentation, Reason, RequestContext,
    SignedRequestAuthenticator, problem_json,
};
use tower::{Layer as _, ServiceExt as _};
use tracing_subscriber::filter::LevelFilter;

use super::{NOW, OTHER_SECRET, SECRET, Scene, client, encode, request};
use crate::log::Log;

fn assert_silent(text: &str, token: &str) {
    let parts = token.split('.').filter(|part| part.len() > 20);
    let secrets = [SECRET.to_owned(), OTHER_SECRET.to_owned(), encode(SECRET), "sesame".to_owned()];
    let numbers = format!("{:?}", SECRET.as_bytes());
    for secret in secrets.iter().map(String::as_str).chain(parts).chain([numbers.trim_matches(['[', ']'])]) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn no_secret_and_no_token_is_told_anywhere() {
    let (log, _guard) = Log::capture(LevelFilter::TRACE);
    let scene = Scene::with(|builder| builder.single_use_in(MemorySingleUse::new(1)));
    scene.clients.put("app", client([OTHER_SECRET, SECRET]));
    let layer = scene.layer.clone().on_reject(problem_json::<Full<Bytes>>);
    let token = || scene.token().claim("sesame", "sesame");
    let mut refusals = 0;
    for token in [
        token().claim("jti", "sesame"),
        token().claim("jti", "sesame"),
        token().claim("jti", "sesame-2"),
        token().signed_by("sesame-sesame-sesame-sesame-sesame"),
        token().claim("iss", "sesame"),
        token().bound_to("GET /sesame?sesame=1"),
        token().bound_to("GET /b?sesame"),
        token().around("sesame"),
        token().claim("iat", NOW - 31),
        token().claim("aud", "sesame"),
        token().header("alg", "HSsesame"),
    ] {
        let token = token.build();
        let inner = tower::service_fn(async |_: http::Request<Full<Bytes>>| {
            Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::default()))
        });
        let response = layer.layer(inner).oneshot(request("GET /a?sesame", &token)).await.unwrap();
        refusals += usize::from(!response.status().is_success());
        let (parts, body) = response.into_parts();
        assert_silent(&format!("{parts:?}"), &token);
        let body = body.collect().await.unwrap().to_bytes();
        assert_silent(std::str::from_utf8(&body).unwrap(), &token);
        let logged = log.take();
        assert_silent(&logged, &token);
        // The twin of the search: what is logged can be found.
        assert!(parts.status.is_success() || logged.contains("reason"), "{logged}");
    }
    assert_eq!(refusals, 10);
}

#[tokio::test]
async fn debug_shows_neither_secrets_nor_clients() {
    let scene = Scene::new();
    scene.clients.put("sesame", client([SECRET]));
    let builder = SignedRequestAuthenticator::builder(scene.clients.clone()).single_use();
    let store = MemorySingleUse::new(10);
    let before = format!("{builder:?}");
    let signed = builder.clock(scene.clock.clone()).build().unwrap();
    let (token, request) = (scene.token().build(), http::Request::new(()));
    let credential = Credential::new(&Presentation::BEARER, &token);
    let future = signed.authenticate(&credential, &RequestContext::new(&request));
    let waiting = format!("{future:?}");
    let verdict = future.verdict().await.unwrap();
    let known = client([SECRET, OTHER_SECRET]);
    for shown in [
        before,
        waiting,
        format!("{signed:?}"),
        format!("{:?}", scene.layer),
        format!("{:?}", scene.clients),
        format!("{known:?}"),
        format!("{:?}", known.secrets),
        format!("{store:?}"),
        format!("{verdict:?}"),
    ] {
        assert_silent(&shown, &token);
        assert!(!shown.contains("app"), "{shown}");
    }
    assert_eq!(known.secrets[0].expose(), SECRET.as_bytes(), "they are there, to be found");
}

#[test]
fn an_error_does_not_repeat_the_secret_that_is_wrong() {
    let error = ClientSecret::new("sesame").unwrap_err();
    assert_silent(&format!("{error} {error:?}"), "");
    assert!(Reason::ClientUnknown.description().contains("client"));
}
