//! Who is counted together, and who is told to wait.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use http::{Request, StatusCode};
use portcullis::test_util::ManualClock;
use portcullis::{AuthLayer, PeerAddr, Principal, Quota, RateKey, RateLimitLayer, Reason, require_scopes};
use tower::ServiceExt as _;

use super::{TOO_OFTEN, app, parties, statuses};
use crate::stub::{Stub, ask, challenges, header, request};
use crate::support::outcome;

/// axum calls `Layer::layer` once for each route: counts made there would multiply.
#[tokio::test]
async fn a_quota_is_one_for_all_routes_and_clones() {
    let limit = RateLimitLayer::per_client(Quota::per_hour(2).unwrap());
    let one = app(limit.clone(), parties("stub"));
    assert_eq!(
        statuses(&one, &["GET /a", "GET /b", "GET /a", "GET /b", "POST /a"], "~c~").await,
        [200, 200, 429, 429, 429]
    );
    let other = app(limit.clone(), parties("stub"));
    assert_eq!(statuses(&other, &["GET /a", "GET /nowhere"], "~c~").await, [429, 429]);
    assert_eq!(statuses(&other, &["GET /a", "GET /nowhere", "GET /b"], "~d~").await, [200, 404, 429]);
    // A layer of its own counts for itself.
    let own = app(RateLimitLayer::per_client(Quota::per_hour(2).unwrap()), parties("stub"));
    assert_eq!(statuses(&own, &["GET /a"], "~c~").await, [200]);
}

fn address(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 4711)
}

/// Who calls, from where.
type Caller = (Option<&'static str>, Option<&'static str>);

/// Whether a second caller finds the quota of one request spent by the first.
async fn share(limit: RateLimitLayer, callers: [Caller; 2]) -> bool {
    let app = app(limit, parties("stub"));
    let mut last = StatusCode::OK;
    for (index, (secret, from)) in callers.into_iter().enumerate() {
        assert_eq!(last, StatusCode::OK);
        let header = secret.map(|secret| format!("Bearer {secret}"));
        let lines: Vec<_> = header.iter().map(|value| ("authorization", value.as_str())).collect();
        let mut request: Request<Body> = request(&lines, Body::empty());
        *request.uri_mut() = "/a".parse().unwrap();
        // What the two kinds of server insert is the same address.
        match from.map(address) {
            Some(address) if index == 0 => drop(request.extensions_mut().insert(PeerAddr(address))),
            Some(address) => drop(request.extensions_mut().insert(ConnectInfo(address))),
            None => {}
        }
        // Free to choose for a caller, so it counts for nothing.
        request.headers_mut().insert("x-forwarded-for", format!("198.51.100.{index}").parse().unwrap());
        last = app.clone().oneshot(request).await.unwrap().status();
    }
    assert!(last == StatusCode::OK || last == TOO_OFTEN);
    last == TOO_OFTEN
}

#[tokio::test]
async fn who_is_counted_together() {
    const HERE: Option<&str> = Some("192.0.2.1");
    const THERE: Option<&str> = Some("192.0.2.2");
    let rows: &[(&str, [Caller; 2], bool, bool)] = &[
        // Whether they share a quota per client, and one per subject.
        ("users of a client", [(Some("i~c~s"), HERE), (Some("i~c~t"), HERE)], true, false),
        ("clients of a user", [(Some("i~c~s"), HERE), (Some("i~d~s"), HERE)], false, true),
        ("addresses of a caller", [(Some("i~c~s"), HERE), (Some("i~c~s"), THERE)], true, true),
        ("two issuers", [(Some("i~c~s"), HERE), (Some("j~c~s"), HERE)], false, false),
        ("an issuer and none", [(Some("i~c~s"), HERE), (Some("~c~s"), HERE)], false, false),
        ("no client: by subject", [(Some("i~~s"), HERE), (Some("i~~s"), THERE)], true, true),
        ("no client, two subjects", [(Some("i~~s"), HERE), (Some("i~~t"), HERE)], false, false),
        ("no subject: by client", [(Some("i~c~"), HERE), (Some("i~c~"), THERE)], true, true),
        ("no subject, two clients", [(Some("i~c~"), HERE), (Some("i~d~"), HERE)], false, false),
        ("a client and a subject of one name", [(Some("i~x~"), HERE), (Some("i~~x"), HERE)], false, false),
        ("neither: by address", [(Some("i~~"), HERE), (Some("i~~"), HERE)], true, true),
        ("neither, two addresses", [(Some("i~~"), HERE), (Some("i~~"), THERE)], false, false),
        ("anonymous by address", [(None, HERE), (None, HERE)], true, true),
        ("anonymous, two addresses", [(None, HERE), (None, THERE)], false, false),
        ("anonymous and known", [(None, HERE), (Some("i~c~s"), HERE)], false, false),
        // One caller has a whole /64, and IPv4 may come dressed as IPv6.
        ("a /64", [(None, Some("2001:db8::1")), (None, Some("2001:db8::ffff:2"))], true, true),
        ("two /64", [(None, Some("2001:db8::1")), (None, Some("2001:db8:0:1::1"))], false, false),
        ("mapped", [(None, HERE), (None, Some("::ffff:192.0.2.1"))], true, true),
    ];
    for (name, callers, per_client, per_subject) in rows {
        let quota = Quota::per_hour(1).unwrap();
        assert_eq!(
            share(RateLimitLayer::per_client(quota), *callers).await,
            *per_client,
            "{name}, per client"
        );
        assert_eq!(
            share(RateLimitLayer::per_subject(quota), *callers).await,
            *per_subject,
            "{name}, per subject"
        );
    }
}

#[tokio::test]
async fn equal_names_of_two_authenticators_are_two_callers() {
    for limit in [RateLimitLayer::per_client, RateLimitLayer::per_subject] {
        let limit = limit(Quota::per_hour(1).unwrap());
        for (method, expected) in [("jwt", 200), ("key", 200), ("jwt", 429)] {
            assert_eq!(statuses(&app(limit.clone(), parties(method)), &["GET /a"], "~c~s").await, [expected]);
        }
    }
}

#[tokio::test]
async fn a_closure_decides_with_or_without_a_layer_above() {
    let by_path = RateLimitLayer::by(Quota::per_hour(1).unwrap(), |principal, request| {
        RateKey::of(&[principal.and_then(Principal::subject).unwrap_or(""), request.original_uri().path()])
    });
    let app = app(by_path.clone(), Stub::new("stub"));
    assert_eq!(statuses(&app, &["GET /a", "GET /a", "GET /b"], "ann").await, [200, 429, 200]);
    assert_eq!(statuses(&app, &["GET /a"], "bob").await, [200]);
    let bare = Router::new().route("/bare", get(async || "")).layer(by_path);
    assert_eq!(statuses(&bare, &["GET /bare", "GET /bare"], "ann").await, [200, 429]);
    // Complete though no layer stands above: this is how strangers are limited before anything is judged.
    let response = ask(&bare, "GET /bare", None).await;
    assert_eq!((response.status(), header(&response, "retry-after")), (TOO_OFTEN, Some("3600")));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_limit_that_no_layer_covers_is_our_fault() {
    for limit in [RateLimitLayer::per_client, RateLimitLayer::per_subject] {
        let limit = limit(Quota::per_hour(1).unwrap());
        let route = || Router::new().route("/", get(async || "fine"));
        let auth = AuthLayer::new(Stub::new("stub"));
        let uncovered = [route().layer(limit.clone()), route().layer(auth.clone()).layer(limit.clone())];
        for app in uncovered {
            let response = ask(&app, "GET /", "ann").await;
            let expected = (StatusCode::INTERNAL_SERVER_ERROR, Some(Reason::LayerMissing));
            assert_eq!(outcome(&response), expected);
        }
        assert_eq!(ask(&route().layer(limit).layer(auth), "GET /", "ann").await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn who_waits_as_told_is_admitted() {
    // Requests and seconds of a quota; how long the next one waits, in whole seconds rounded up.
    for (count, window, seconds) in [(1, 1, 1), (2, 3, 2), (3, 1, 1), (1, 3600, 3600), (7, 60, 9)] {
        let clock = ManualClock::now();
        let quota = Quota::new(count, Duration::from_secs(window)).unwrap();
        let app = app(RateLimitLayer::per_client(quota).clock(clock.clone()), Stub::new("stub"));
        for _ in 0..count {
            assert_eq!(ask(&app, "GET /a", "ann").await.status(), StatusCode::OK);
        }
        let response = ask(&app, "GET /a", "ann").await;
        assert_eq!(outcome(&response), (TOO_OFTEN, Some(Reason::QuotaExceeded)));
        assert_eq!(header(&response, "retry-after"), Some(seconds.to_string().as_str()), "{quota:?}");
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        assert!(challenges(&response).is_empty(), "no other credential would help");
        // Refusals cost nothing: asking on does not put it off.
        clock.advance(Duration::from_secs(seconds - 1));
        let early = ask(&app, "GET /a", "ann").await;
        assert_eq!(header(&early, "retry-after"), Some("1"), "{quota:?}");
        clock.advance(Duration::from_secs(1));
        assert_eq!(ask(&app, "GET /a", "ann").await.status(), StatusCode::OK, "{quota:?}");
    }
}

#[tokio::test]
async fn a_burst_is_apart_from_the_rate() {
    let clock = ManualClock::now();
    let quota = Quota::per_second(1).unwrap().burst(3).unwrap();
    let app = app(RateLimitLayer::per_client(quota).clock(clock.clone()), Stub::new("stub"));
    assert_eq!(statuses(&app, &["GET /a"; 4], "ann").await, [200, 200, 200, 429]);
    clock.advance(Duration::from_secs(1));
    assert_eq!(statuses(&app, &["GET /a"; 2], "ann").await, [200, 429]);
}

/// Nobody spends the quota of another with a credential that is refused.
#[tokio::test]
async fn a_refused_credential_spends_nothing_and_a_missing_scope_does() {
    let guarded = || {
        let limit = RateLimitLayer::per_subject(Quota::per_hour(1).unwrap());
        let stub = Stub::new("stub");
        let asked = stub.asked();
        let app = Router::new()
            .route("/", get(async || ""))
            .route_layer(require_scopes(["a"]))
            .layer(limit)
            .layer(AuthLayer::new(stub));
        (app, asked)
    };
    let (app, asked) = guarded();
    for secret in ["bad", "busy", "two words"] {
        assert!(ask(&app, "GET /", secret).await.status() != TOO_OFTEN, "{secret}");
    }
    assert_eq!(statuses(&app, &["GET /"; 2], "ann~a").await, [200, 429]);
    assert_eq!(asked.times(), 4, "the malformed one was not judged");
    // The guard stands beneath the limit: what it refuses was a request like any other.
    let (app, _) = guarded();
    assert_eq!(statuses(&app, &["GET /"; 2], "ann").await, [403, 429]);
}

/// A flood of newcomers finds no room and shares one cell: nobody is unlimited, and who was limited stays so.
#[tokio::test]
async fn beyond_the_capacity_newcomers_share() {
    let limit = RateLimitLayer::per_client(Quota::per_hour(1).unwrap()).capacity(1);
    let app = app(limit, parties("stub"));
    assert_eq!(statuses(&app, &["GET /a"; 2], "~first~").await, [200, 429]);
    let mut admitted = 0;
    for newcomer in 0..500 {
        let status = ask(&app, "GET /a", format!("~{newcomer}~").as_str()).await.status();
        admitted += usize::from(status == StatusCode::OK);
    }
    assert!(admitted < 100, "{admitted} of 500");
    assert_eq!(statuses(&app, &["GET /a"], "~first~").await, [429]);
}

#[test]
fn addresses_are_plain_data() {
    let v4: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(RateKey::address(v4), RateKey::address(v4));
    assert_ne!(RateKey::address(v4), RateKey::anonymous());
    assert_ne!(RateKey::of(&["a", "b"]), RateKey::of(&["ab"]));
}
