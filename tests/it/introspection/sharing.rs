//! One call for requests that want different things of it, while the authority is away.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use portcullis::{Reason, require_authenticated};
use tokio::sync::Notify;
use tower::{Layer as _, ServiceExt as _};

use super::{ACCEPTED, Answer, Script, handler, seconds, settle, unavailable};
use crate::support::{bearer, outcome};

const DOWN: Answer = unavailable(Reason::AuthorityUnavailable);

/// One that serves stale verdicts, has accepted `token` just now for so long, and whose authority went away then.
async fn abandoned(reuse_for: Duration) -> Script {
    let script = Script::new(|builder| builder.serve_stale(seconds(60)).reuse_for(reuse_for));
    assert_eq!(script.ask("token").await, ACCEPTED);
    script.fails(500);
    script
}

/// A guarded route and a plain one, with one token while the authority is away: each gets what it would get alone.
#[tokio::test]
async fn who_shares_a_call_with_a_stricter_route_is_served_as_ever() {
    let script = abandoned(seconds(30)).await;
    script.clock.advance(seconds(29));
    script.http.hold();
    let strict = require_authenticated().verified_within(Duration::ZERO);
    let service = script.layer.layer(strict.layer(handler()));
    let strict = tokio::spawn(service.oneshot(bearer("token")));
    settle().await;
    assert_eq!(script.calls(), 2);
    script.clock.advance(seconds(1));
    let plain = script.start("token").await;
    assert_eq!(script.calls(), 2, "one call for both");
    script.http.release();
    assert_eq!(outcome(&strict.await.unwrap().unwrap()), DOWN);
    assert_eq!((plain.await.unwrap(), script.opaque.status().served_stale), (ACCEPTED, 1));
}

/// The other way round: the call is one that a plain request has sent.
#[tokio::test]
async fn who_shares_a_call_with_a_laxer_route_is_told_that_the_authority_is_away() {
    let script = abandoned(seconds(10)).await;
    script.clock.advance(seconds(9));
    // Lets go on in the middle, between layer and guard.
    let go_on = Arc::new(Notify::new());
    let guard = require_authenticated().verified_within(seconds(5)).layer(handler());
    let middle = tower::service_fn({
        let go_on = Arc::clone(&go_on);
        move |request: Request<Full<Bytes>>| {
            let (go_on, guard) = (Arc::clone(&go_on), guard.clone());
            async move {
                go_on.notified().await;
                guard.oneshot(request).await
            }
        }
    });
    let strict = tokio::spawn(script.layer.layer(middle).oneshot(bearer("token")));
    settle().await;
    script.clock.advance(seconds(2));
    script.http.hold();
    let plain = script.start("token").await;
    go_on.notify_one();
    settle().await;
    assert_eq!(script.calls(), 2, "one call for both");
    script.http.release();
    assert_eq!((plain.await.unwrap(), script.opaque.status().served_stale), (ACCEPTED, 1));
    assert_eq!(outcome(&strict.await.unwrap().unwrap()), DOWN);
}
