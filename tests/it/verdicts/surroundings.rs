//! Guards that ask again, where they stand: in axum, in bare hyper, in other middleware.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::handler::Handler as _;
use axum::routing::post;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use portcullis::{Principal, Reason, RequireLayer, require_scopes};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _};

use super::{ACCEPTED, Answer, Scene, misconfigured, refused, seconds};
use crate::stub::{request, text};
use crate::support::{bearer, outcome};

fn fresh() -> RequireLayer {
    require_scopes(["todo:read"]).verified_within(Duration::ZERO)
}

async fn echo(caller: Principal, body: String) -> String {
    format!("{} {body}", caller.subject().unwrap())
}

async fn post_to(router: &Router, path: &str, token: &str) -> (Answer, String) {
    let mut request = request(&[("authorization", &format!("Bearer {token}"))], Body::from("the body"));
    (*request.method_mut(), *request.uri_mut()) = (http::Method::POST, path.parse().unwrap());
    let response = router.clone().oneshot(request).await.unwrap();
    (outcome(&response), text(response).await)
}

#[tokio::test]
async fn in_axum_on_handlers_and_beneath_a_nested_router() {
    let scene = Scene::new();
    let inner = Router::new().route("/fresh", post(echo.layer(fresh()))).route("/plain", post(echo));
    let router = Router::new()
        .route("/fresh", post(echo.layer(fresh())))
        .nest("/api", inner.clone())
        .nest("/guarded", Router::new().route("/", post(echo)).layer(fresh()))
        .layer(scene.layer.clone());
    let mut calls = 0;
    for path in ["/fresh", "/api/fresh", "/guarded", "/api/fresh"] {
        scene.later();
        assert_eq!(post_to(&router, path, "a").await, (ACCEPTED, "a the body".into()), "{path}");
        calls += 1;
        assert_eq!(scene.calls(), calls, "{path}");
        assert_eq!(post_to(&router, "/api/plain", "a").await, (ACCEPTED, "a the body".into()));
        assert_eq!(scene.calls(), calls);
    }
    scene.authority.revoke("a");
    scene.later();
    assert_eq!(post_to(&router, "/api/plain", "a").await.0, ACCEPTED);
    assert_eq!(post_to(&router, "/guarded", "a").await.0, refused(Reason::TokenInactive));
    assert_eq!(post_to(&router, "/api/plain", "a").await.0, refused(Reason::TokenInactive));
}

#[tokio::test]
async fn a_verdict_that_is_fresh_can_still_lack_the_scope() {
    let scene = Scene::new();
    assert_eq!(scene.plain("a").await, ACCEPTED);
    scene.later();
    let mut less = super::active("a");
    less["scope"] = "todo:list".into();
    scene.authority.answer("a", less);
    let router = Router::new()
        .route("/fresh", post(echo.layer(fresh())))
        .route("/plain", post(echo.layer(require_scopes(["todo:read"]))))
        .layer(scene.layer.clone());
    let lacking = (StatusCode::FORBIDDEN, Some(Reason::ScopeInsufficient));
    assert_eq!(post_to(&router, "/plain", "a").await.0, ACCEPTED);
    assert_eq!(post_to(&router, "/fresh", "a").await.0, lacking);
    // What the authority said last counts on the other route too.
    assert_eq!((post_to(&router, "/plain", "a").await.0, scene.calls()), (lacking, 2));
}

#[tokio::test]
async fn in_bare_hyper_over_a_socket_a_body_that_waited_arrives_whole() {
    let scene = Scene::new();
    let service = ServiceBuilder::new().layer(scene.layer.clone()).layer(fresh()).service_fn(
        async |request: Request<hyper::body::Incoming>| {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        },
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = hyper::server::conn::http1::Builder::new();
        connection.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body: Bytes = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    // Held back in the layer, and then in the guard.
    for calls in 1..=2 {
        scene.later();
        let gate = scene.authority.gate();
        let (mut request, whole) = (bearer("a"), body.clone());
        *request.body_mut() = Full::new(whole);
        request.headers_mut().insert("host", "api.example".parse().unwrap());
        let answer = tokio::spawn(sender.send_request(request));
        super::until(|| scene.calls() == calls).await;
        drop(gate);
        let response = answer.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    }
}

#[tokio::test]
async fn a_credential_that_is_gone_cannot_be_judged_again() {
    let scene = Scene::new();
    let removed = HeaderName::from_static("x-other");
    for (header, expected) in [(removed, ACCEPTED), (AUTHORIZATION, misconfigured(Reason::CredentialRemoved))]
    {
        let remove = move |mut request: Request<Full<Bytes>>| {
            request.headers_mut().remove(&header);
            request
        };
        let service = ServiceBuilder::new()
            .layer(scene.layer.clone())
            .map_request(remove)
            .layer(fresh())
            .service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
        assert_eq!(scene.plain("a").await, ACCEPTED);
        scene.later();
        assert_eq!(outcome(&service.clone().oneshot(bearer("a")).await.unwrap()), expected);
    }
    assert_eq!(scene.calls(), 2);
}

/// A guard may be far from the layer: what counts is when the request arrived there.
#[tokio::test]
async fn what_was_asked_on_the_way_to_the_guard_is_fresh() {
    let scene = Scene::new();
    let (clock, other) = (scene.clock.clone(), scene.layer.clone());
    let slow = tower::service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = ServiceBuilder::new()
        .layer(scene.layer.clone())
        .map_future(move |future| {
            let (clock, other) = (clock.clone(), other.clone());
            async move {
                // Somebody else has it asked while this one is held up.
                clock.advance(seconds(1));
                assert_eq!(outcome(&super::guarded(&other, Duration::ZERO, bearer("a")).await), ACCEPTED);
                clock.advance(seconds(1));
                future.await
            }
        })
        .service(Late(fresh().layer(slow)));
    assert_eq!(scene.plain("a").await, ACCEPTED);
    scene.later();
    assert_eq!(outcome(&service.oneshot(bearer("a")).await.unwrap()), ACCEPTED);
    assert_eq!(scene.calls(), 2);
}

/// Calls its service when its future is polled, and not before.
#[derive(Clone)]
struct Late<S>(S);

impl<S, B> Service<Request<B>> for Late<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(self.0.clone().oneshot(request))
    }
}
