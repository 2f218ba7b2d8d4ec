//! Introspection that fails, is late or waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use portcullis::test_util::Fault;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Scene, send};

#[tokio::test]
async fn faults_are_answered_until_they_are_switched_off() {
    let scene = Scene::start().await;
    let token = scene.server.opaque_token(scene.server.token());
    let json = "application/json";
    for (fault, expected) in [
        (Fault::Status(StatusCode::UNAUTHORIZED), (401, "", "")),
        (Fault::Body("{".into()), (200, json, "{")),
        (Fault::Oversize(3), (200, json, "   ")),
        (Fault::Answer { content_type: "text/html".into(), body: "<p>".into() }, (200, "text/html", "<p>")),
    ] {
        scene.server.set_introspection_fault(fault.clone());
        let (status, content_type, body) = send(scene.question(&token)).await;
        assert_eq!((status.as_u16(), content_type.as_str(), body.as_str()), expected, "{fault:?}");
        // The keys are elsewhere.
        let keys = scene.http.get(scene.server.jwks_uri()).send().await.unwrap();
        assert!(keys.json::<Value>().await.unwrap()["keys"].is_array(), "{fault:?}");
        scene.server.set_introspection_fault(None);
        assert!(scene.is_active(&token).await, "{fault:?}");
    }
    assert_eq!(scene.server.counts().introspection, 8);
}

#[tokio::test]
async fn a_fault_may_say_when_to_come_back_or_where_to_go() {
    let scene = Scene::start().await;
    let no_redirects = reqwest::redirect::Policy::none();
    let http = reqwest::Client::builder().no_proxy().redirect(no_redirects).build().unwrap();
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    for (fault, status, name, value) in [
        (Fault::RetryAfter(busy, "7".into()), busy, "retry-after", Some("7")),
        (Fault::Status(busy), busy, "retry-after", None),
        (
            Fault::Redirect("http://a.example/".into()),
            StatusCode::FOUND,
            "location",
            Some("http://a.example/"),
        ),
    ] {
        scene.server.set_introspection_fault(fault.clone());
        let answer = http.post(scene.server.introspection_endpoint()).send().await.unwrap();
        assert_eq!(answer.status(), status, "{fault:?}");
        let header = answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header, value, "{fault:?}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_never_answers() {
    let scene = Scene::start().await;
    let question = || scene.question("unknown").timeout(Duration::from_secs(1)).send();
    scene.server.set_introspection_fault(Fault::Hang);
    assert!(question().await.unwrap_err().is_timeout());
    scene.server.set_introspection_fault(None);
    assert_eq!(question().await.unwrap().status(), StatusCode::OK);

    scene.server.set_fault(Fault::Hang);
    let keys = || scene.http.get(scene.server.jwks_uri()).timeout(Duration::from_secs(1)).send();
    assert!(keys().await.unwrap_err().is_timeout());
    scene.server.set_fault(None);
    assert_eq!(keys().await.unwrap().status(), StatusCode::OK);
}

/// A question that is under way.
fn ask(scene: &Arc<Scene>, token: &str) -> JoinHandle<bool> {
    let (scene, token) = (Arc::clone(scene), token.to_owned());
    tokio::spawn(async move { scene.is_active(&token).await })
}

async fn until_asked(scene: &Scene, times: usize) {
    let asked = async {
        while scene.server.counts().introspection < times {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
}

#[tokio::test]
async fn what_comes_late_says_what_was_so_when_it_was_asked() {
    let scene = Arc::new(Scene::start().await);
    let token = scene.server.opaque_token(scene.server.token());
    let delay = Duration::from_millis(300);
    scene.server.set_introspection_delay(delay);
    let start = Instant::now();
    let answer = ask(&scene, &token);
    until_asked(&scene, 1).await;
    scene.server.revoke(&token);
    scene.server.set_introspection_delay(Duration::ZERO);
    assert!(!ask(&scene, &token).await.unwrap());
    assert!(answer.await.unwrap());
    assert!(start.elapsed() >= delay);
}

#[tokio::test]
async fn a_gate_holds_answers_back_until_it_is_opened() {
    let scene = Arc::new(Scene::start().await);
    let token = scene.server.opaque_token(scene.server.token());
    let gate = scene.server.hold_introspection();
    let held = [ask(&scene, &token), ask(&scene, &token)];
    gate.waiting(2).await;
    scene.server.revoke(&token);
    // Faults count from the question on, like all else.
    scene.server.set_introspection_fault(Fault::Status(StatusCode::BAD_GATEWAY));
    assert!(held.iter().all(|answer| !answer.is_finished()));
    gate.open();
    for answer in held {
        assert!(answer.await.unwrap());
    }
    scene.server.set_introspection_fault(None);
    assert!(!scene.is_active(&token).await);
}

#[tokio::test]
async fn a_gate_that_is_dropped_is_open() {
    let scene = Arc::new(Scene::start().await);
    let gate = scene.server.hold_introspection();
    let answer = ask(&scene, "unknown");
    gate.waiting(1).await;
    drop(gate);
    assert!(!answer.await.unwrap());
    assert!(!scene.is_active("unknown").await);
}

#[tokio::test]
async fn who_gives_up_waits_at_no_gate() {
    let scene = Arc::new(Scene::start().await);
    let gate = scene.server.hold_introspection();
    let gone = ask(&scene, "unknown");
    gate.waiting(1).await;
    gone.abort();
    let waiting = async {
        while gate.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
    let answer = ask(&scene, "unknown");
    gate.waiting(1).await;
    assert_eq!(gate.count(), 1);
    gate.open();
    assert!(!answer.await.unwrap());
}
