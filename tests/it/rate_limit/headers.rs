//! What callers are told of their quotas, read by a parser of structured fields that is not ours, and computed by hand.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use http::{Response, StatusCode};
use portcullis::test_util::ManualClock;
use portcullis::{
    AuthLayer, LegacyNames, Quota, Quotas, RateLimitHeaders, RateLimitLayer, ResetUnit, require_scopes,
};
use sfv::{BareItem, List, ListEntry, Parser};

use super::TOO_OFTEN;
use crate::stub::{Stub, ask, header};
use crate::vectors;

/// The moment at which tests begin, in seconds since the Unix epoch.
const NOW: u64 = 1_800_000_000;

/// Names of quotas with numbers about them, in order.
type Members = Vec<(String, BTreeMap<String, i64>)>;

/// A field whose members are Strings with Integers, all lines of it taken together (RFC 9651 §4.2); `None` if there is none.
fn members(response: &Response<Body>, name: &str) -> Option<Members> {
    let lines: Vec<_> = response.headers().get_all(name).iter().map(|line| line.to_str().unwrap()).collect();
    let list: List = (!lines.is_empty()).then(|| Parser::new(&lines.join(", ")).parse().unwrap())?;
    let member = |entry: ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("an inner list: {lines:?}") };
        let BareItem::String(name) = item.bare_item else { panic!("not a String: {lines:?}") };
        let numbers = item.params.iter().map(|(key, value)| {
            let BareItem::Integer(number) = value else { panic!("not an Integer: {lines:?}") };
            (key.to_string(), i64::from(*number))
        });
        (name.to_string(), numbers.collect())
    };
    Some(list.into_iter().map(member).collect())
}

/// `RateLimit-Policy` and `RateLimit`, in short: `(name, q, w)` and `(name, r, t)`. All that the draft asks of the two holds.
type Told = (Vec<(String, i64, i64)>, Vec<(String, i64, i64)>);

fn told(response: &Response<Body>) -> Option<Told> {
    let (policy, standing) = (members(response, "ratelimit-policy"), members(response, "ratelimit"));
    assert_eq!(policy.is_some(), standing.is_some());
    let short = |members: Members, [first, second]: [&str; 2]| {
        let short = |(name, numbers): (String, BTreeMap<String, i64>)| {
            assert_eq!(numbers.len(), 2, "{name}: {numbers:?}");
            (name, numbers[first], numbers[second])
        };
        members.into_iter().map(short).collect::<Vec<_>>()
    };
    let (policy, standing) = (short(policy?, ["q", "w"]), short(standing?, ["r", "t"]));
    let names = |list: &[(String, i64, i64)]| list.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&policy), names(&standing));
    assert!(policy.iter().all(|(_, quota, window)| *quota > 0 && *window > 0), "{policy:?}");
    assert!(standing.iter().all(|(_, room, next)| *room >= 0 && *next >= 0), "{standing:?}");
    Some((policy, standing))
}

fn list(entries: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
    entries.iter().map(|(name, first, second)| ((*name).to_owned(), *first, *second)).collect()
}

fn has_any(response: &Response<Body>) -> bool {
    response.headers().keys().any(|name| name.as_str().contains("rate"))
}

/// `/N` answers with the status N.
fn routes() -> Router {
    Router::new()
        .route("/{status}", get(async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap()))
}

fn app(limit: RateLimitLayer) -> Router {
    routes().layer(limit).layer(AuthLayer::new(Stub::new("stub")))
}

async fn get_200(app: &Router) -> Response<Body> {
    ask(app, "GET /200", "ann").await
}

#[tokio::test]
async fn the_numbers_are_those_that_a_hand_computes() {
    let clock = ManualClock::at(NOW);
    let quotas = Quotas::from_static([
        ("burst", Quota::per_second(10).unwrap().burst(20).unwrap()),
        ("daily", Quota::per_day(5_000).unwrap()),
        ("odd", Quota::new(7, Duration::from_secs(3)).unwrap()),
        ("short", Quota::new(5, Duration::from_millis(100)).unwrap()),
    ]);
    let app = app(RateLimitLayer::per_subject(quotas).clock(clock.clone()));
    // A tenth of a second is a window of one.
    let policy = list(&[("burst", 20, 2), ("daily", 5000, 86_400), ("odd", 7, 3), ("short", 5, 1)]);
    let told_now = async || {
        let (policy_now, standing) = told(&get_200(&app).await).unwrap();
        assert_eq!(policy_now, policy);
        standing
    };
    // One of 5,000 a day comes back every 17.28 seconds.
    let first = list(&[("burst", 19, 1), ("daily", 4999, 18), ("odd", 6, 1), ("short", 4, 1)]);
    assert_eq!(told_now().await, first);
    let second = list(&[("burst", 18, 1), ("daily", 4998, 18), ("odd", 5, 1), ("short", 3, 1)]);
    assert_eq!(told_now().await, second);
    clock.advance(Duration::from_secs(10));
    // 3 × 17.28 - 10 seconds are missing of a whole day: two requests, and 7.28 seconds of a third.
    let third = list(&[("burst", 19, 1), ("daily", 4997, 8), ("odd", 6, 1), ("short", 4, 1)]);
    assert_eq!(told_now().await, third);
}

#[tokio::test]
async fn a_refusal_tells_the_same_and_when_to_come_again() {
    let clock = ManualClock::at(NOW);
    let quotas = Quotas::from_static([
        ("hourly", Quota::per_hour(1).unwrap()),
        ("daily", Quota::per_day(5_000).unwrap()),
    ]);
    let app = app(RateLimitLayer::per_subject(quotas).clock(clock.clone()));
    let admitted = get_200(&app).await;
    assert_eq!(told(&admitted).unwrap().1, list(&[("hourly", 0, 3600), ("daily", 4999, 18)]));
    assert_eq!(header(&admitted, "retry-after"), None);
    clock.advance(Duration::from_millis(1_800_500));
    let refused = get_200(&app).await;
    assert_eq!(refused.status(), TOO_OFTEN);
    let (policy, standing) = told(&refused).unwrap();
    assert_eq!(policy, list(&[("hourly", 1, 3600), ("daily", 5000, 86_400)]));
    // 1,799.5 seconds are left. Of a whole quota nothing comes back.
    assert_eq!(standing, list(&[("hourly", 0, 1800), ("daily", 5000, 0)]));
    assert_eq!(header(&refused, "retry-after"), Some("1800"));
    clock.advance(Duration::from_millis(1_799_500));
    assert_eq!(get_200(&app).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn each_layer_on_the_way_out_adds_its_own() {
    let clock = ManualClock::at(NOW);
    let limit = |name, count| {
        let quotas = Quotas::from_static([(name, Quota::per_minute(count).unwrap())]);
        RateLimitLayer::per_subject(quotas).clock(clock.clone())
    };
    let app =
        routes().layer(limit("inner", 1)).layer(limit("outer", 2)).layer(AuthLayer::new(Stub::new("stub")));
    let both = list(&[("inner", 1, 60), ("outer", 2, 60)]);
    let response = get_200(&app).await;
    assert_eq!(told(&response), Some((both.clone(), list(&[("inner", 0, 60), ("outer", 1, 30)]))));
    // Refused by the inner one, which the outer one has admitted.
    let response = get_200(&app).await;
    assert_eq!(response.status(), TOO_OFTEN);
    assert_eq!(told(&response), Some((both, list(&[("inner", 0, 60), ("outer", 0, 30)]))));
    assert_eq!(header(&response, "retry-after"), Some("60"));
    // Refused by the outer one: what is beneath was not asked.
    let response = get_200(&app).await;
    assert_eq!(told(&response), Some((list(&[("outer", 2, 60)]), list(&[("outer", 0, 30)]))));
    assert_eq!(header(&response, "retry-after"), Some("30"));
}

#[tokio::test]
async fn redirections_tell_nothing_and_other_answers_do() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(100).unwrap());
    let both = limit
        .headers(RateLimitHeaders::draft_11().and_legacy(LegacyNames::XRateLimit, ResetUnit::DeltaSeconds));
    let app = app(both);
    for status in [301, 302, 303, 307, 308, 200, 204, 300, 304, 404, 500, 503] {
        let response = ask(&app, &format!("GET /{status}"), "ann").await;
        assert_eq!(response.status(), status);
        assert_eq!(has_any(&response), ![301, 302, 303, 307, 308].contains(&status), "{status}");
        assert_eq!(told(&response).is_some(), header(&response, "x-ratelimit-limit").is_some(), "{status}");
    }
}

#[tokio::test]
async fn who_observes_only_or_writes_none_tells_nothing() {
    let limit = || RateLimitLayer::per_subject(Quota::per_hour(1).unwrap());
    // A limit, and how the second request is answered.
    let rows = [
        (limit(), true, TOO_OFTEN),
        (limit().headers(RateLimitHeaders::none()), false, TOO_OFTEN),
        (limit().observe_only(), false, StatusCode::OK),
    ];
    for (limit, tells, second) in rows {
        let app = app(limit);
        for status in [StatusCode::OK, second] {
            let response = get_200(&app).await;
            assert_eq!((response.status(), has_any(&response)), (status, tells));
            let waits = (status == TOO_OFTEN).then_some("3600");
            assert_eq!(header(&response, "retry-after"), waits);
        }
    }
}

#[tokio::test]
async fn a_refused_credential_sees_nobodys_quota() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(9).unwrap());
    let guarded = routes().route_layer(require_scopes(["a"])).layer(limit);
    let app = guarded.layer(AuthLayer::new(Stub::new("stub")));
    for (secret, status, tells) in [
        (Some("ann~a"), 200, true),
        // Refused beneath the limit: it was counted, and is told.
        (Some("ann"), 403, true),
        (Some("bad"), 401, false),
        (Some("busy"), 503, false),
        (Some("two words"), 400, false),
        (None, 401, false),
    ] {
        let response = ask(&app, "GET /200", secret).await;
        assert_eq!((response.status().as_u16(), has_any(&response)), (status, tells), "{secret:?}");
    }
}

#[tokio::test]
async fn who_has_no_limit_is_told_none() {
    let limit = RateLimitLayer::per_subject(Quota::per_hour(1).unwrap())
        .headers(RateLimitHeaders::draft_11().and_legacy(LegacyNames::XRateLimit, ResetUnit::DeltaSeconds))
        .plan("internal", Quotas::unlimited())
        .plan_by(|principal| principal.subject().map(str::to_owned));
    let app = app(limit);
    for _ in 0..3 {
        let response = ask(&app, "GET /200", "internal").await;
        assert_eq!((response.status(), has_any(&response)), (StatusCode::OK, false));
    }
    assert!(has_any(&get_200(&app).await));
}

/// The older headers as numbers: limit, remaining, reset.
fn legacy(response: &Response<Body>, prefix: &str) -> [u64; 3] {
    ["limit", "remaining", "reset"].map(|name| {
        let lines: Vec<_> = response.headers().get_all(format!("{prefix}-{name}")).iter().collect();
        assert_eq!(lines.len(), 1, "{prefix}-{name}");
        lines[0].to_str().unwrap().parse().unwrap()
    })
}

#[tokio::test]
async fn the_older_headers_in_both_spellings_and_units() {
    let rows = [
        (LegacyNames::XRateLimit, "x-ratelimit", "x-rate-limit"),
        (LegacyNames::XRateLimitHyphenated, "x-rate-limit", "x-ratelimit"),
    ];
    for (names, prefix, other) in rows {
        for (unit, zero) in [(ResetUnit::DeltaSeconds, 0), (ResetUnit::EpochSeconds, NOW)] {
            let clock = ManualClock::at(NOW);
            let limit = RateLimitLayer::per_subject(Quota::per_minute(6).unwrap()).clock(clock.clone());
            let app = app(limit.headers(RateLimitHeaders::legacy(names, unit)));
            let response = get_200(&app).await;
            assert_eq!(legacy(&response, prefix), [6, 5, zero + 10], "{prefix}, {unit:?}");
            assert!(response.headers().keys().all(|name| !name.as_str().starts_with(other)));
            assert_eq!(told(&response), None);
            // 17.5 seconds are left; half a second of them is a whole one.
            clock.advance(Duration::from_millis(2_500));
            let then = if zero == 0 { 18 } else { NOW + 20 };
            assert_eq!(legacy(&get_200(&app).await, prefix), [6, 4, then], "{prefix}, {unit:?}");
            // Half a second after the last was back: ten seconds from now, and that second is not a whole one.
            clock.advance(Duration::from_secs(18));
            let then = if zero == 0 { 10 } else { NOW + 31 };
            assert_eq!(legacy(&get_200(&app).await, prefix), [6, 5, then], "{prefix}, {unit:?}");
        }
    }
}

/// The epoch is that of the clock on the wall, and what it shows changes nothing about the quota.
#[tokio::test]
async fn the_second_of_the_reset_goes_by_the_clock_on_the_wall() {
    let clock = ManualClock::at(NOW);
    let limit = RateLimitLayer::per_subject(Quota::per_hour(1).unwrap()).clock(clock.clone());
    let legacy_epoch =
        RateLimitHeaders::draft_11().and_legacy(LegacyNames::XRateLimit, ResetUnit::EpochSeconds);
    let app = app(limit.headers(legacy_epoch));
    assert_eq!(legacy(&get_200(&app).await, "x-ratelimit"), [1, 0, NOW + 3600]);
    clock.set_wall(UNIX_EPOCH + Duration::from_secs(NOW + 100_000));
    let refused = get_200(&app).await;
    assert_eq!(refused.status(), TOO_OFTEN);
    assert_eq!(legacy(&refused, "x-ratelimit"), [1, 0, NOW + 103_600]);
    assert_eq!(told(&refused).unwrap().1, list(&[("default", 0, 3600)]));
}

#[tokio::test]
async fn the_older_headers_tell_of_the_quota_with_the_least_left() {
    let legacy_delta = || RateLimitHeaders::legacy(LegacyNames::XRateLimit, ResetUnit::DeltaSeconds);
    let few = ("few", Quota::per_hour(3).unwrap());
    let many = ("many", Quota::per_second(1).unwrap().burst(5).unwrap());
    for quotas in [[few, many], [many, few]] {
        let limit = RateLimitLayer::per_subject(Quotas::from_static(quotas)).clock(ManualClock::at(NOW));
        let app = app(limit.headers(legacy_delta()));
        assert_eq!(legacy(&get_200(&app).await, "x-ratelimit"), [3, 2, 1200]);
    }
    // Of two with as much left, the one that takes longer.
    for quotas in
        [[few, ("brief", Quota::per_minute(3).unwrap())], [("brief", Quota::per_minute(3).unwrap()), few]]
    {
        let limit = RateLimitLayer::per_subject(Quotas::from_static(quotas)).clock(ManualClock::at(NOW));
        let app = app(limit.headers(legacy_delta()));
        assert_eq!(legacy(&get_200(&app).await, "x-ratelimit"), [3, 2, 1200]);
    }
    // And of two layers the tighter one, wherever it stands.
    let limit = |(name, quota)| {
        RateLimitLayer::per_subject(Quotas::from_static([(name, quota)]))
            .clock(ManualClock::at(NOW))
            .headers(legacy_delta())
    };
    for [inner, outer] in [[few, many], [many, few]] {
        let layers = routes().layer(limit(inner)).layer(limit(outer));
        let app = layers.layer(AuthLayer::new(Stub::new("stub")));
        assert_eq!(legacy(&get_200(&app).await, "x-ratelimit"), [3, 2, 1200]);
    }
}

/// What a handler writes there that is no number hides nothing.
#[tokio::test]
async fn the_older_headers_of_a_handler_are_replaced_unless_they_are_tighter() {
    for (theirs, expected) in [("many", "2"), ("99", "2"), ("-1", "2"), ("0", "0")] {
        let handler = get(async move || [("x-ratelimit-remaining", theirs)]);
        let headers = RateLimitHeaders::legacy(LegacyNames::XRateLimit, ResetUnit::DeltaSeconds);
        let limit = RateLimitLayer::per_subject(Quota::per_hour(3).unwrap()).headers(headers);
        let routes = Router::new().route("/", handler);
        let app = routes.layer(limit).layer(AuthLayer::new(Stub::new("stub")));
        let response = ask(&app, "GET /", "ann").await;
        assert_eq!(header(&response, "x-ratelimit-remaining"), Some(expected), "{theirs}");
    }
}

#[tokio::test]
async fn names_of_every_kind_come_through() {
    let long = "n".repeat(64);
    let names = ["a", "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", ",;=", &long];
    let quotas = Quotas::new(names.map(|name| (name.to_owned(), Quota::per_hour(9).unwrap()))).unwrap();
    let app = app(RateLimitLayer::per_subject(quotas).clock(ManualClock::at(NOW)));
    let expected = names.map(|name| (name, 9, 3600));
    assert_eq!(told(&get_200(&app).await).unwrap().0, list(&expected));
}

/// As the vectors write values.
fn plain(item: &BareItem) -> serde_json::Value {
    match item {
        BareItem::Integer(number) => i64::from(*number).into(),
        BareItem::String(text) => text.as_str().into(),
        BareItem::ByteSequence(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("bytes:{hex}").into()
        }
        other => panic!("{other:?}"),
    }
}

/// The parser that judges our fields reads the draft's own examples as another parser did.
#[test]
fn the_parser_of_these_tests_reads_the_examples_of_the_draft() {
    let Some(folder) = vectors::folder() else { return };
    let vectors = vectors::read(&folder, "rfc/ratelimit-headers-draft10.json");
    let mut read = 0;
    for case in vectors["cases"].as_array().unwrap() {
        if case["conforms_to_draft"] != true {
            continue;
        }
        let value = case["value"].as_str().unwrap();
        let entries: List = Parser::new(value).parse().unwrap_or_else(|error| panic!("{value}: {error}"));
        let expected = case["sf_members"].as_array().unwrap();
        assert_eq!(entries.len(), expected.len(), "{value}");
        for (entry, expected) in entries.iter().zip(expected) {
            let ListEntry::Item(item) = entry else { panic!("{value}") };
            assert!(matches!(item.bare_item, BareItem::String(_)), "{value}");
            assert_eq!(plain(&item.bare_item), expected["item"], "{value}");
            let parameters = item.params.iter().map(|(key, value)| (key.to_string(), plain(value)));
            let parameters: serde_json::Map<_, _> = parameters.collect();
            assert_eq!(serde_json::Value::Object(parameters), expected["params"], "{value}");
        }
        read += 1;
    }
    assert!(read >= 30, "{read}");
}
