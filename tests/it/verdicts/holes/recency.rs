//! What counts as fresh, and for how long what was said counts.

use std::time::{Duration, UNIX_EPOCH};

use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::Full;
use portcullis::test_util::ManualClock;
use portcullis::{Algorithm, Clock as _, Principal, Reason, require_authenticated};
use tower::{ServiceBuilder, ServiceExt as _};

use super::super::{
    ACCEPTED, Authority, Scene, active, guarded, misconfigured, refused, seconds, unavailable,
};
use super::{INACTIVE, Line, confirmed};
use crate::support::{bearer, key, outcome, send, token};

const ZERO: Duration = Duration::ZERO;

/// As a machine that slept finds it: the stopwatch stood still.
fn sleep(clock: &ManualClock, time: Duration) {
    clock.set_wall(clock.now() + time);
}

#[tokio::test]
async fn what_was_asked_before_the_machine_slept_is_not_fresh() {
    for (slept, fresh) in [(seconds(3600), false), (seconds(62), false), (seconds(59), true)] {
        let expected = if fresh { (ACCEPTED, 1) } else { (INACTIVE, 2) };
        // Of long life, so that nothing but its age counts.
        let scene = Scene::with(|builder| builder.reuse_for(seconds(7200)));
        assert_eq!((scene.within(seconds(60), "a").await, scene.calls()), (ACCEPTED, 1));
        sleep(&scene.clock, slept);
        scene.authority.revoke("a");
        assert_eq!((scene.within(seconds(60), "a").await, scene.calls()), expected, "{slept:?}");

        let (key, clock, authority) = (key(Algorithm::Ed25519), ManualClock::now(), Authority::default());
        let layer = confirmed(&key, &clock, authority.clone(), |builder| builder);
        let long = token(&key).expires_in(7200).build();
        authority.answer(&long, active("ann"));
        assert_eq!(outcome(&guarded(&layer, seconds(60), bearer(&long)).await), ACCEPTED);
        sleep(&clock, slept);
        authority.revoke(&long);
        let answer = outcome(&guarded(&layer, seconds(60), bearer(&long)).await);
        assert_eq!((answer, authority.calls()), expected, "{slept:?}, a JWT");
    }
}

#[tokio::test]
async fn what_is_over_is_not_served_after_the_machine_slept() {
    let down = unavailable(Reason::AuthorityUnavailable);
    for (slept, expected) in [(seconds(3600), down), (seconds(90), down), (seconds(89), ACCEPTED)] {
        let line = Line::default();
        let scene = line.scene(|builder| builder.serve_stale(seconds(60)));
        assert_eq!(scene.plain("a").await, ACCEPTED);
        line.cut(true);
        sleep(&scene.clock, slept);
        assert_eq!(scene.plain("a").await, expected, "{slept:?}");
    }
}

#[tokio::test]
async fn a_confirmed_jwt_ends_when_its_authority_says() {
    const NOW: u64 = 1_800_000_000;
    let expired = refused(Reason::TokenExpired);
    // How long after the confirmation, and with which end: the authority's, the token's own, or none that it names.
    for (exp, later, expected) in [
        (Some(5), 4, (ACCEPTED, 1)),
        (Some(5), 5, (expired, 2)),
        (Some(5), 40, (expired, 2)),
        (Some(50), 40, (ACCEPTED, 1)),
        (Some(500), 40, (ACCEPTED, 1)),
        (None, 40, (ACCEPTED, 1)),
    ] {
        let (key, clock, authority) = (key(Algorithm::Ed25519), ManualClock::at(NOW), Authority::default());
        let layer = confirmed(&key, &clock, authority.clone(), |builder| builder.leeway(ZERO));
        let token = token(&key).issued_at(clock.now()).build();
        let mut answer = active("ann");
        if let Some(exp) = exp {
            answer["exp"] = (NOW + exp).into();
        }
        authority.answer(&token, answer);
        let ask = async || guarded(&layer, seconds(60), bearer(&token)).await;
        let response = ask().await;
        assert_eq!((outcome(&response), authority.calls()), (ACCEPTED, 1));
        let end = response.extensions().get::<Principal>().unwrap().expires_at();
        assert_eq!(end, Some(UNIX_EPOCH + seconds(NOW + exp.unwrap_or(60).min(60))));
        clock.advance(seconds(later));
        assert_eq!((outcome(&ask().await), authority.calls()), expected, "{exp:?} {later}");
    }
}

/// Each call lands while a later one is under way, whose word counts more.
#[tokio::test]
async fn a_stream_of_fresh_questions_hides_no_refusal_from_the_others() {
    for revoked in [true, false] {
        let scene = Scene::new();
        let expected = if revoked { INACTIVE } else { ACCEPTED };
        assert_eq!(scene.plain("a").await, ACCEPTED);
        if revoked {
            scene.authority.revoke("a");
        }
        // Those for whom the layer already knows go no further.
        let gates = [(); 3].map(|()| scene.authority.gate());
        let mut stream = Vec::new();
        for _ in 0..3 {
            scene.later();
            stream.push(scene.start(Some(ZERO), "a").await);
        }
        assert_eq!((scene.plain("a").await, scene.calls()), (ACCEPTED, 4));
        for (gate, request) in gates.into_iter().zip(stream) {
            drop(gate);
            assert_eq!(request.await.unwrap(), expected);
            assert_eq!((scene.plain("a").await, scene.calls()), (expected, 4));
        }
    }
}

#[tokio::test]
async fn another_credential_put_into_the_request_on_its_way_to_the_guard_is_noticed() {
    for (other, expected) in
        [("Bearer b", misconfigured(Reason::CredentialRemoved)), ("Bearer ann-again", ACCEPTED)]
    {
        let scene = Scene::new();
        scene.authority.answer("ann", active("ann"));
        scene.authority.answer("ann-again", active("ann"));
        assert_eq!(scene.plain("ann").await, ACCEPTED);
        scene.later();
        let service = ServiceBuilder::new()
            .layer(scene.layer.clone())
            .map_request(|mut request: Request<Full<bytes::Bytes>>| {
                request.headers_mut().insert(AUTHORIZATION, other.parse().unwrap());
                request
            })
            .layer(require_authenticated().verified_within(ZERO))
            .service_fn(async |_| {
                Ok::<_, std::convert::Infallible>(Response::new(Full::<bytes::Bytes>::default()))
            });
        assert_eq!(outcome(&service.oneshot(bearer("ann")).await.unwrap()), expected, "{other}");
        // Whether it was judged in this very call or is known by now.
        assert_eq!(outcome(&send(&scene.layer, bearer("ann")).await), ACCEPTED);
    }
}
