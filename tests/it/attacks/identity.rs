//! Rows 53 to 58: who is asked for, and who is believed to be calling.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::handler::Handler as _;
use axum::routing::{get, post};
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use portcullis::{
    Algorithm, AuthLayer, PeerAddr, Principal, Quota, RateLimitLayer, Reason, ScopeSet,
    require_authenticated, require_scopes,
};
use tower::{Layer as _, ServiceExt as _};

use super::{Answer, PASSED, Target, handler, request, unauthorized};
use crate::support::{bearer, jwt, key, outcome, send, token};

async fn text(response: axum::response::Response) -> (StatusCode, String) {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn row_53_guards_hang_on_what_was_matched() {
    let signer = key(Algorithm::ES256);
    let auth = AuthLayer::new(jwt(&[&signer]));
    let admin = || (async || "secret").layer(require_scopes(["admin"]));
    let nested = Router::new().route("/keys", get(admin())).route("/{id}", get(admin()));
    let app = Router::new()
        .route("/admin/keys", get(admin()).post(admin()))
        .route("/admin/keys/{id}", get(admin()))
        .route("/files/{*path}", get(admin()))
        .nest("/v1/admin", nested)
        .layer(auth)
        .route("/public/{*path}", get(async || "public"));
    let call = async |method: &Method, uri: &Uri, token: Option<String>| {
        let mut request = Request::builder().method(method).uri(uri.clone());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        text(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    };
    let tricks = [
        "/admin/keys",
        "//admin/keys",
        "/admin//keys",
        "/admin/keys/",
        "/admin/keys//",
        "/./admin/keys",
        "/admin/./keys",
        "/x/../admin/keys",
        "/public/../admin/keys",
        "/public/%2e%2e/admin/keys",
        "/public/..%2fadmin/keys",
        "/public%2f..%2fadmin%2fkeys",
        "/admin%2Fkeys",
        "/admin%2fkeys",
        "/admin%5Ckeys",
        "/%61dmin/keys",
        "/admin/keys%00",
        "/admin/keys%20",
        "/admin/keys%0a",
        "/admin/keys;x",
        "/admin/keys;/public/x",
        "/admin;x=y/keys",
        "/admin/keys?/public/x",
        "/admin/keys?path=/public/x",
        "/admin/keys/1",
        "/admin/keys/..%2f..%2fpublic%2fx",
        "/admin/keys.json",
        "/ADMIN/keys",
        "/Admin/Keys",
        "/files/public/x",
        "/files/..%2fpublic",
        "/v1/admin/keys",
        "/v1//admin/keys",
        "/v1/admin/%6beys",
        "/v1/admin/..%2fpublic",
        "http://evil.test/admin/keys",
        "http://evil.test//admin/keys",
    ];
    let reader = || Some(token(&signer).scope("todo:read").build());
    for trick in tricks {
        let uri: Uri = trick.parse().unwrap();
        for method in
            [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::from_bytes(b"get").unwrap()]
        {
            for token in [None, reader(), Some("a.b.c".into())] {
                let (status, body) = call(&method, &uri, token).await;
                let public = uri.path().starts_with("/public/") && body == "public";
                let head = method == Method::HEAD && uri.path().starts_with("/public/");
                assert!(status != StatusCode::OK || public || head, "{method} {trick}: {status} {body}");
                assert_ne!(body, "secret", "{method} {trick}");
            }
        }
    }
    for path in ["/admin/keys", "/admin/keys/1", "/files/a/b", "/v1/admin/keys", "/admin/keys?x"] {
        let admin = Some(token(&signer).scope("admin").build());
        let (status, _) = call(&Method::GET, &path.parse().unwrap(), admin).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn row_54_the_host_decides_nothing() {
    let target = Target::new(Algorithm::ES256);
    let hosts = ["api.example", "API.EXAMPLE", "localhost", "evil.test", "a\"b", "x@api.example/public", ""];
    for host in hosts {
        for name in ["host", "x-forwarded-host", "forwarded", "x-original-url", "x-rewrite-url", ":authority"]
        {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
            let mut anonymous = request(&[]);
            anonymous.headers_mut().insert(name.clone(), host.parse().unwrap());
            let refused = send(&target.layer, anonymous).await;
            assert_eq!(outcome(&refused), unauthorized(Reason::CredentialMissing), "{name}: {host}");
            // Nor is it shown to the next one.
            assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer realm=\"api\"");
            let mut known = bearer(&target.token().build());
            known.headers_mut().insert(name, host.parse().unwrap());
            assert_eq!(outcome(&send(&target.layer, known).await), PASSED);
        }
    }
}

#[tokio::test]
async fn row_55_no_request_is_skipped() {
    let target = Target::new(Algorithm::ES256);
    let paths =
        ["/", "/health", "/healthz", "/ping", "/metrics", "/favicon.ico", "/.well-known/x", "/a?skip=1"];
    for path in paths {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"] {
            for agent in ["", "kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0"] {
                let request = || {
                    Request::builder()
                        .method(method)
                        .uri(path)
                        .header("user-agent", agent)
                        .header("x-skip-auth", "1")
                        .header("upgrade", "websocket")
                };
                let anonymous = request().body(Full::default()).unwrap();
                let refused = outcome(&send(&target.layer, anonymous).await);
                assert_eq!(refused, unauthorized(Reason::CredentialMissing), "{method} {path} {agent}");
                let token = format!("Bearer {}", target.token().build());
                let known = request().header(AUTHORIZATION, token).body(Full::default()).unwrap();
                assert_eq!(outcome(&send(&target.layer, known).await), PASSED);
            }
        }
    }
}

#[tokio::test]
async fn row_56_forwarded_headers_make_nobody_another_caller() {
    let signer = key(Algorithm::ES256);
    let service = AuthLayer::new(jwt(&[&signer]))
        .optional()
        .layer(RateLimitLayer::per_client(Quota::per_hour(1).unwrap()).layer(handler()));
    let from = async |peer: &str, name: &str, value: &str| {
        let mut request = request(&[(name, value.as_bytes())]);
        request.extensions_mut().insert(PeerAddr(peer.parse::<SocketAddr>().unwrap()));
        outcome(&service.clone().oneshot(request).await.unwrap())
    };
    assert_eq!(from("192.0.2.1:1", "x-none", "").await, PASSED);
    let exceeded: Answer = (StatusCode::TOO_MANY_REQUESTS, Some(Reason::QuotaExceeded));
    for name in
        ["x-forwarded-for", "x-real-ip", "forwarded", "true-client-ip", "cf-connecting-ip", "client-ip"]
    {
        for value in ["198.51.100.7", "for=198.51.100.7", "127.0.0.1", "198.51.100.7, 192.0.2.9"] {
            assert_eq!(from("192.0.2.1:2", name, value).await, exceeded, "{name}: {value}");
        }
    }
    // Another connection is another caller, whatever it claims.
    assert_eq!(from("192.0.2.2:1", "x-forwarded-for", "192.0.2.1").await, PASSED);
}

const IDENTITY_HEADERS: [&str; 10] = [
    "x-user",
    "x_user",
    "x-user-id",
    "x-forwarded-user",
    "x-auth-request-user",
    "remote-user",
    "x-remote-user",
    "x-principal",
    "x-consumer-username",
    "x-amzn-oidc-identity",
];

#[tokio::test]
async fn row_57_connection_takes_no_identity_away() {
    let target = Target::new(Algorithm::ES256);
    for listed in ["authorization", "x-user, authorization", "close, Authorization", "keep-alive"] {
        let mut request = bearer(&target.token().build());
        request.headers_mut().insert("connection", listed.parse().unwrap());
        request.headers_mut().insert("x-user", "root".parse().unwrap());
        let response = send(&target.layer, request).await;
        assert_eq!(response.extensions().get::<Principal>().unwrap().subject(), Some("ann"), "{listed}");
        let mut anonymous = self::request(&[("x-user", b"root")]);
        anonymous.headers_mut().insert("connection", listed.parse().unwrap());
        let refused = outcome(&send(&target.layer, anonymous).await);
        assert_eq!(refused, unauthorized(Reason::CredentialMissing), "{listed}");
    }
}

fn planted() -> Principal {
    Principal::builder("planted").subject("root").scopes(ScopeSet::parse("admin").unwrap()).build()
}

#[tokio::test]
async fn row_58_a_planted_principal_is_removed() {
    let signer = key(Algorithm::ES256);
    let guarded = require_scopes(["admin"]).layer(handler());
    let plant = |mut request: Request<Full<Bytes>>| {
        request.extensions_mut().insert(planted());
        request
    };
    let strict = AuthLayer::new(jwt(&[&signer]));
    let missing = unauthorized(Reason::CredentialMissing);
    assert_eq!(outcome(&send(&strict, plant(request(&[]))).await), missing);
    let optional = strict.clone().optional();
    let anonymous = send(&optional, plant(request(&[]))).await;
    assert_eq!(outcome(&anonymous), PASSED);
    assert!(anonymous.extensions().get::<Principal>().is_none());
    // The verdict takes its place, whether it was ready or had to be waited for.
    let waiting = Target::new(Algorithm::ES256);
    let reader = |key| plant(bearer(&token(key).scope("read").build()));
    for (layer, key) in [(&strict, &signer), (&optional, &signer), (&waiting.layer, &waiting.key)] {
        let response = send(layer, reader(key)).await;
        assert_eq!(response.extensions().get::<Principal>().unwrap().subject(), Some("ann"));
        let answer = outcome(&layer.layer(guarded.clone()).oneshot(reader(key)).await.unwrap());
        assert_eq!(answer, (StatusCode::FORBIDDEN, Some(Reason::ScopeInsufficient)));
        let admin = plant(bearer(&token(key).scope("admin").build()));
        assert_eq!(outcome(&layer.layer(guarded.clone()).oneshot(admin).await.unwrap()), PASSED);
    }
    let answer = outcome(&optional.layer(guarded).oneshot(plant(request(&[]))).await.unwrap());
    assert_eq!(answer, missing);
}

#[tokio::test]
async fn row_58_identity_headers_of_the_client_are_no_identity() {
    let target = Target::new(Algorithm::ES256);
    let optional = target.layer.clone().optional();
    for name in IDENTITY_HEADERS {
        let header = [(name, &b"root"[..])];
        let refused = outcome(&send(&target.layer, request(&header)).await);
        assert_eq!(refused, unauthorized(Reason::CredentialMissing), "{name}");
        let anonymous = send(&optional, request(&header)).await;
        assert!(anonymous.extensions().get::<Principal>().is_none(), "{name}");
        let mut known = bearer(&target.token().build());
        known.headers_mut().insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), "root".parse().unwrap());
        let response = send(&target.layer, known).await;
        assert_eq!(response.extensions().get::<Principal>().unwrap().subject(), Some("ann"), "{name}");
    }
}

#[tokio::test]
async fn row_58_guards_see_only_what_the_layer_above_them_found() {
    let signer = key(Algorithm::ES256);
    let app = Router::new()
        .route(
            "/me",
            get((async |who: Principal| who.subject().unwrap_or("nobody").to_owned())
                .layer(require_authenticated())),
        )
        .route("/me", post(async |who: Option<Principal>| format!("{}", who.is_some())))
        .layer(AuthLayer::new(jwt(&[&signer])).optional());
    let call = async |method: Method, token: Option<String>| {
        let mut request = Request::builder().method(method).uri("/me").extension(planted());
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        text(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    };
    assert_eq!(call(Method::GET, None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(call(Method::POST, None).await, (StatusCode::OK, "false".into()));
    assert_eq!(call(Method::GET, Some(token(&signer).build())).await, (StatusCode::OK, "ann".into()));
    assert_eq!(call(Method::POST, Some(token(&signer).build())).await, (StatusCode::OK, "true".into()));
}
