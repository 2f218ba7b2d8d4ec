//! The certified authorization server in trouble: that is never the caller's fault.

use std::time::Duration;

use portcullis::BreakerState;
use portcullis::test_util::ManualClock;

use super::{Api, asking};
use crate::harness::Provider;

/// What `server.mjs` can be made to do, and what the operator is told of it.
const FAULTS: [(&str, &str); 8] = [
    ("500", "answered with status 500"),
    ("503", "answered with status 503"),
    ("401", "refused this server's own credentials with status 401"),
    ("html", "did not answer with the content type `application/json`"),
    ("garbage", "did not answer with JSON"),
    ("oversize", "large"),
    ("redirect", "answered with status 302"),
    ("hang", "in time"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_the_provider_is_held_against_a_token() {
    let Some(provider) = Provider::start().await else { return };
    for (fault, told) in FAULTS {
        // What is waited for in vain is not waited for long.
        let timeout = Duration::from_secs(if fault == "hang" { 1 } else { 10 });
        let opaque = asking(&provider, "basic").timeout(timeout).build().unwrap();
        let api = Api::behind(opaque.clone()).await;
        let (known, new) =
            (provider.token("opaque", "todo:read").await, provider.token("opaque", "todo:read").await);
        assert_eq!(api.status("/any", &known).await, 200, "{fault}");

        provider.trouble_introspection(0, fault).await;
        api.cannot_judge("/any", &new, fault).await;
        api.cannot_judge("/now", &known, fault).await;
        api.cannot_judge("/any", "unheard-of", fault).await;
        assert_eq!(api.status("/any", &known).await, 200, "{fault}: the verdict holds");
        let status = opaque.status();
        let error = status.last_error.unwrap();
        assert!(error.contains(told), "{fault}: {error}");
        assert!(!error.contains(&new) && !error.contains(&known), "{fault}: {error}");
        assert_eq!((status.calls, status.failures), (4, 3), "{fault}");

        provider.trouble_introspection(0, "none").await;
        assert_eq!((api.status("/any", &new).await, api.status("/now", &known).await), (200, 200));
        assert_eq!(api.status("/any", "unheard-of").await, 401, "{fault}: nothing of it was remembered");
        assert_eq!(opaque.status().last_error, None, "{fault}");
    }
    assert_eq!(provider.requests("elsewhere").await, 0, "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_fails_is_left_alone_until_one_call_finds_it_again() {
    let Some(provider) = Provider::start().await else { return };
    let clock = ManualClock::now();
    let opaque = asking(&provider, "basic").clock(clock.clone()).build().unwrap();
    let api = Api::behind(opaque.clone()).await;
    let known = provider.token("opaque", "todo:read").await;
    assert_eq!(api.status("/any", &known).await, 200);
    // By this clock that was just now, which no route could call too long ago.
    clock.advance(Duration::from_millis(1));
    provider.trouble_introspection(0, "503").await;
    for number in 0..8 {
        let state = opaque.status().breaker;
        assert_eq!(state, if number < 5 { BreakerState::Closed } else { BreakerState::Open }, "{number}");
        api.cannot_judge("/now", &known, "in trouble").await;
        assert_eq!(api.status("/any", &known).await, 200);
    }
    assert_eq!(provider.requests("introspection").await, 6);

    // One finds out that it is still away, the next that it is back.
    clock.advance(Duration::from_secs(1));
    assert_eq!(opaque.status().breaker, BreakerState::HalfOpen);
    for _ in 0..3 {
        api.cannot_judge("/now", &known, "still in trouble").await;
    }
    assert_eq!(provider.requests("introspection").await, 7);
    provider.trouble_introspection(0, "none").await;
    api.cannot_judge("/now", &known, "nobody knows that it is over").await;
    clock.advance(Duration::from_secs(2));
    assert_eq!(api.status("/now", &known).await, 200);
    assert_eq!(opaque.status().breaker, BreakerState::Closed);
    assert_eq!(provider.requests("introspection").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_slow_is_left_alone_too() {
    let Some(provider) = Provider::start().await else { return };
    let opaque = |slow_after| asking(&provider, "basic").slow_after(slow_after).build().unwrap();
    let (impatient, patient) = (opaque(Duration::from_millis(50)), opaque(Duration::from_secs(2)));
    provider.trouble_introspection(100, "none").await;
    for (opaque, state) in [(impatient, BreakerState::Open), (patient, BreakerState::Closed)] {
        let api = Api::behind(opaque.clone()).await;
        let good = provider.token("opaque", "todo:read").await;
        for _ in 0..5 {
            assert_eq!(api.status("/now", &good).await, 200, "what it says counts all the same");
        }
        assert_eq!(opaque.status().breaker, state);
    }
}
