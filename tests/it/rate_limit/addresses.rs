//! Limits by address: servers without connect info, and the forms of one address.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use portcullis::{AuthLayer, PeerAddr, Quota, Quotas, RateLimitLayer, Reason};
use tower::ServiceExt as _;
use tracing_subscriber::filter::LevelFilter;

use super::{TOO_OFTEN, parties};
use crate::log::Log;
use crate::stub::request;
use crate::support::outcome;

const ADDRESS: &str = "192.0.2.1";
const NO_ADDRESS: Option<&str> = None;
const PASSED: (StatusCode, Option<Reason>) = (StatusCode::OK, None);
const MISSING: (StatusCode, Option<Reason>) =
    (StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::AddressMissing));

fn once() -> Quota {
    Quota::per_hour(1).unwrap()
}

fn bare(limit: RateLimitLayer) -> Router {
    Router::new().route("/", get(async || "")).layer(limit)
}

fn authenticated(limit: RateLimitLayer) -> Router {
    bare(limit).layer(AuthLayer::new(parties("stub")).optional())
}

async fn send(app: &Router, secret: Option<&str>, from: Option<&str>) -> Response<Body> {
    let line = secret.map(|secret| format!("Bearer {secret}"));
    let lines: Vec<_> = line.iter().map(|line| ("authorization", line.as_str())).collect();
    let mut request: Request<Body> = request(&lines, Body::empty());
    if let Some(from) = from {
        request.extensions_mut().insert(PeerAddr((from.parse::<std::net::IpAddr>().unwrap(), 4711).into()));
    }
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn per_address_without_connect_info_is_500() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let app = bare(RateLimitLayer::per_address(once()));
    assert_eq!(outcome(&send(&app, None, NO_ADDRESS).await), MISSING);
    let text = log.take();
    assert!(text.contains("into_make_service_with_connect_info"), "{text}");
    assert!(text.contains("address_missing"), "{text}");
    assert_eq!(outcome(&send(&app, None, Some(ADDRESS)).await), PASSED);
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn nameless_caller_without_connect_info_is_500() {
    let limits = [
        RateLimitLayer::per_client,
        RateLimitLayer::per_subject,
        RateLimitLayer::per_client_and_subject,
        RateLimitLayer::per_api_key,
    ];
    for limit in limits {
        for nameless in [None, Some("~~"), Some("id.example~~")] {
            let app = authenticated(limit(once()));
            assert_eq!(outcome(&send(&app, nameless, NO_ADDRESS).await), MISSING, "{nameless:?}");
            assert_eq!(outcome(&send(&app, nameless, Some(ADDRESS)).await), PASSED, "{nameless:?}");
        }
        // A caller with a name needs no address.
        let app = authenticated(limit(once()));
        assert_eq!(outcome(&send(&app, Some("~app~"), NO_ADDRESS).await), PASSED);
        assert_eq!(send(&app, Some("~app~"), NO_ADDRESS).await.status(), TOO_OFTEN);
    }
}

#[tokio::test]
async fn caller_without_quota_needs_no_address() {
    let limit = |quotas: Quotas| RateLimitLayer::per_address(quotas).plan("free", once());
    assert_eq!(outcome(&send(&bare(limit(Quotas::unlimited())), None, NO_ADDRESS).await), PASSED);
    assert_eq!(outcome(&send(&bare(limit(once().into())), None, NO_ADDRESS).await), MISSING);
}

/// A limit that only observes rejects no request. The log has the mistake all the same.
#[tokio::test]
async fn observed_limit_without_connect_info_logs_and_passes() {
    let (log, _guard) = Log::capture(LevelFilter::ERROR);
    let app = bare(RateLimitLayer::per_address(once()).observe_only());
    assert_eq!(outcome(&send(&app, None, NO_ADDRESS).await), PASSED);
    let text = log.take();
    assert!(text.contains("into_make_service_with_connect_info"), "{text}");
    assert_eq!(outcome(&send(&app, None, Some(ADDRESS)).await), PASSED);
    assert_eq!(log.take(), "");
}

#[tokio::test]
async fn forms_of_an_ipv4_address_share_a_quota() {
    for (second, expected) in [
        ("192.0.2.1", TOO_OFTEN),
        ("::ffff:192.0.2.1", TOO_OFTEN),
        ("64:ff9b::192.0.2.1", TOO_OFTEN),
        ("192.0.2.2", StatusCode::OK),
        ("::ffff:192.0.2.2", StatusCode::OK),
        ("64:ff9b::192.0.2.2", StatusCode::OK),
        // Outside of the prefix, by one bit before and one bit behind it.
        ("64:ff9b::1:192.0.2.1", StatusCode::OK),
        ("64:ff9b:1::192.0.2.1", StatusCode::OK),
        ("64:ff9a::192.0.2.1", StatusCode::OK),
    ] {
        let app = bare(RateLimitLayer::per_address(once()));
        assert_eq!(outcome(&send(&app, None, Some("192.0.2.1")).await), PASSED);
        assert_eq!(send(&app, None, Some(second)).await.status(), expected, "{second}");
    }
}

/// All clients behind one NAT64 share a /64, and they are not one caller.
#[tokio::test]
async fn clients_behind_nat64_have_quotas_of_their_own() {
    let app = bare(RateLimitLayer::per_address(once()));
    assert_eq!(outcome(&send(&app, None, Some("64:ff9b::192.0.2.1")).await), PASSED);
    assert_eq!(outcome(&send(&app, None, Some("64:ff9b::192.0.2.2")).await), PASSED);
    assert_eq!(send(&app, None, Some("64:ff9b::192.0.2.1")).await.status(), TOO_OFTEN);
}
