//! axum: extractors, nesting, where layers go, and the traps of putting them elsewhere.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::handler::Handler as _;
use axum::http::HeaderValue;
use axum::routing::{get, post};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioExecutor;
use portcullis::{
    AuthError, AuthFuture, AuthLayer, Authenticator, Credential, Match, Principal, Reason, RequestContext,
    Verdict, require_scopes,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{Any, CorsLayer};
use tower_http::trace::TraceLayer;

use crate::stub::{Stub, ask, header, offers, request, text};
use crate::support::outcome;

fn auth() -> AuthLayer<Stub> {
    AuthLayer::new(Stub::new("stub"))
}

#[derive(Deserialize)]
struct Tenant {
    tenant: String,
}

#[derive(Deserialize)]
struct Numbered {
    #[serde(rename = "tenant")]
    _number: u64,
}

async fn greet(caller: Option<Principal>) -> String {
    format!("hello {}", caller.as_ref().and_then(Principal::subject).unwrap_or("visitor"))
}

async fn subject(caller: Principal) -> Result<String, AuthError> {
    Ok(caller.require_subject()?.to_owned())
}

#[tokio::test]
async fn handlers_take_the_caller_as_an_argument() {
    let app = Router::new()
        .route("/greet", get(greet))
        .route("/subject", get(subject))
        .route(
            "/tenant",
            get(async |caller: Principal| caller.claims::<Tenant>().map(|claims| claims.tenant)),
        )
        .route("/numbered", get(async |caller: Principal| caller.claims::<Numbered>().map(|_| ())))
        .layer(auth().optional());
    for (line, secret, expected) in [
        ("GET /greet", Some("ann"), Ok("hello ann")),
        ("GET /greet", None, Ok("hello visitor")),
        ("GET /greet", Some("bad"), Err(Reason::Custom("bad"))),
        ("GET /subject", Some("ann"), Ok("ann")),
        ("GET /subject", None, Err(Reason::CredentialMissing)),
        // An empty subject is none.
        ("GET /subject", Some("~a"), Err(Reason::SubjectMissing)),
        ("GET /tenant", Some("ann"), Ok("ann")),
        ("GET /numbered", Some("ann"), Err(Reason::ClaimsMismatch)),
    ] {
        let response = ask(&app, line, secret).await;
        match expected {
            Ok(body) => assert_eq!(text(response).await, body, "{line} {secret:?}"),
            Err(reason) => assert_eq!(outcome(&response), (AuthError::from(reason).status(), Some(reason))),
        }
    }
}

/// Takes a secret for the path that it was made for, as a signed request would be.
struct PathBound;

impl Authenticator for PathBound {
    fn recognizes(&self, _: &Credential<'_>) -> Match {
        Match::Generic
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        let bound = context.original_uri().path_and_query().is_some_and(|path| path == credential.expose());
        AuthFuture::ready(if bound {
            Ok(Verdict::once(Principal::builder("path").build()))
        } else {
            Err(AuthError::invalid_token("other_path"))
        })
    }
}

#[tokio::test]
async fn a_nested_layer_sees_the_uri_that_the_client_asked_for() {
    let seen = async |uri: Uri, _: Principal| uri.path().to_owned();
    let inner = Router::new().route("/todo", get(seen)).layer(AuthLayer::new(PathBound));
    let app = Router::new().nest("/v1", inner);
    let response = ask(&app, "GET /v1/todo", "/v1/todo").await;
    // The router has shortened the path by then.
    assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::OK, "/todo"));
    for shortened in ["/todo", "todo", "/v2/todo"] {
        let refused = ask(&app, "GET /v1/todo", shortened).await;
        assert_eq!(outcome(&refused).1, Some(Reason::Custom("other_path")), "{shortened}");
    }
    // Around the whole router it is the same.
    let outside = AuthLayer::new(PathBound).layer(Router::new().route("/v1/todo", get(async || "")));
    let mut request = request(&[("authorization", "Bearer /v1/todo")], Body::empty());
    *request.uri_mut() = Uri::from_static("/v1/todo");
    assert_eq!(outside.oneshot(request).await.unwrap().status(), StatusCode::OK);
}

async fn list() {}

async fn create() {}

async fn status(app: &Router, line: &str) -> u16 {
    ask(app, line, "ann").await.status().as_u16()
}

#[tokio::test]
async fn guards_belong_on_handlers() {
    let read = || require_scopes(["todo:read"]);
    let write = || require_scopes(["todo:write"]);
    let on_handlers = get(list.layer(read())).post(create.layer(write()));
    let app = Router::new().route("/", on_handlers).layer(auth());
    assert_eq!(status(&app, "GET /").await, 403);
    assert_eq!(status(&app, "POST /").await, 403);
    assert_eq!(status(&app, "DELETE /").await, 405);
    assert_eq!(ask(&app, "POST /", "ann~todo.write").await.status(), StatusCode::OK);
    assert_eq!(ask(&app, "POST /", "ann~todo.read").await.status(), StatusCode::FORBIDDEN);
}

/// Not how it should be: what happens if guards hang elsewhere. Should these change, the warnings in the docs can go.
#[tokio::test]
async fn the_trap_of_guards_on_method_routers() {
    // What is added behind the guard is not guarded.
    let early = get(list).layer(require_scopes(["todo:read"])).post(create);
    let app = Router::new().route("/", early).layer(auth());
    assert_eq!(status(&app, "GET /").await, 403);
    assert_eq!(status(&app, "POST /").await, 200);
    // What covers the whole method router answers before the method is known.
    let whole = get(list).post(create).layer(require_scopes(["todo:read"]));
    let app = Router::new().route("/", whole).layer(auth());
    assert_eq!(status(&app, "DELETE /").await, 403);
    // Its `route_layer` does better.
    let routes = get(list).post(create).route_layer(require_scopes(["todo:read"]));
    let app = Router::new().route("/", routes).layer(auth());
    assert_eq!((status(&app, "POST /").await, status(&app, "DELETE /").await), (403, 405));
}

#[tokio::test]
async fn layer_covers_unknown_paths_and_route_layer_does_not() {
    let app = Router::new().route("/", get(list));
    // 401 tells strangers nothing about which paths there are.
    for (app, unknown, method) in [(app.clone().layer(auth()), 401, 401), (app.route_layer(auth()), 404, 401)]
    {
        let status = async |line, secret| ask(&app, line, secret).await.status().as_u16();
        assert_eq!(status("GET /", Some("ann")).await, 200);
        assert_eq!(status("GET /", None).await, 401);
        assert_eq!(status("GET /unknown", None).await, unknown);
        assert_eq!(status("GET /unknown", Some("ann")).await, 404);
        assert_eq!(status("DELETE /", None).await, method);
    }
}

#[tokio::test]
async fn what_is_added_after_the_layer_is_not_covered() {
    let app = Router::new().route("/covered", get(list)).layer(auth()).route("/bare", get(list));
    assert_eq!(ask(&app, "GET /covered", None).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask(&app, "GET /bare", None).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn cors_and_trace_go_outside() {
    let cors = CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]).allow_headers(Any);
    let app = Router::new()
        .route("/", post(create.layer(require_scopes(["todo:write"]))))
        .route("/read", get(list));
    let outside = app.clone().layer(auth()).layer(cors.clone()).layer(TraceLayer::new_for_http());
    let inside = app.layer(cors).layer(auth());
    let send = async |app: &Router, lines: &[(&'static str, &str)], line: &str| -> Response<Body> {
        let mut request: Request<Body> = request(lines, Body::empty());
        let (method, path) = line.split_once(' ').unwrap();
        request.headers_mut().insert("origin", HeaderValue::from_static("https://app.example"));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        app.clone().oneshot(request).await.unwrap()
    };
    // A preflight carries no credential (Fetch §4.8), and is answered before anybody asks for one.
    let preflight =
        [("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
    let response = send(&outside, &preflight, "OPTIONS /read").await;
    assert_eq!(
        (response.status(), header(&response, "access-control-allow-origin")),
        (StatusCode::OK, Some("*"))
    );
    assert_eq!(send(&inside, &preflight, "OPTIONS /read").await.status(), StatusCode::UNAUTHORIZED);
    // A refusal without CORS headers looks like a network failure to a script.
    for (line, secret, status) in [
        ("GET /read", "ann", StatusCode::OK),
        ("GET /read", "bad", StatusCode::UNAUTHORIZED),
        ("GET /read", "a b", StatusCode::BAD_REQUEST),
        ("POST /", "ann", StatusCode::FORBIDDEN),
    ] {
        let response = send(&outside, &[("authorization", &format!("Bearer {secret}"))], line).await;
        assert_eq!(response.status(), status, "{line} {secret}");
        assert_eq!(header(&response, "access-control-allow-origin"), Some("*"), "{line} {secret}");
    }
}

#[tokio::test]
async fn head_is_guarded_as_get_is() {
    let app =
        Router::new().route("/", get((async || "body").layer(require_scopes(["todo:read"])))).layer(auth());
    for (secret, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("bad"), StatusCode::UNAUTHORIZED),
        (Some("ann"), StatusCode::FORBIDDEN),
        (Some("ann~todo.read"), StatusCode::OK),
    ] {
        let [head, get] = [ask(&app, "HEAD /", secret).await, ask(&app, "GET /", secret).await];
        assert_eq!((head.status(), get.status()), (expected, expected), "{secret:?}");
        assert_eq!(offers(&head), offers(&get));
        assert_eq!(text(head).await, "");
    }
}

#[tokio::test]
async fn the_address_of_a_connection_is_known_beneath_axum() {
    let seen = async |request: Request<Body>| format!("{:?}", RequestContext::new(&request).peer_addr());
    let app = Router::new().route("/", get(seen)).layer(auth().optional());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let service = app.clone().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, service).await });
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    let response = client.get(url.parse().unwrap()).await.unwrap().map(Body::new);
    assert_eq!(text(response).await, "Some(127.0.0.1)");
    assert_eq!(text(ask(&app, "GET /", None).await).await, "None");
}
