//! Holes that a hostile reading found, each closed for good.

mod lists;
mod others;
mod recency;
mod revoked;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::Request;
use portcullis::http_client::{HttpClient, HttpError, HttpFuture, Limits};
use portcullis::test_util::{ManualClock, SigningKey};
use portcullis::{AuthLayer, IntrospectionAuthenticatorBuilder, JwtAuthenticator, Reason, Revocations};

use super::{Answer, Authority, Scene, introspection, refused};
use crate::support::{AUDIENCE, issuer_of};

const INACTIVE: Answer = refused(Reason::TokenInactive);
const REVOKED: Answer = refused(Reason::TokenRevoked);

type Builder = IntrospectionAuthenticatorBuilder;

/// A line to an authority that can be cut: what is asked meanwhile is asked, and its answer is lost.
#[derive(Clone, Debug, Default)]
struct Line {
    authority: Authority,
    cut: Arc<AtomicBool>,
}

impl Line {
    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }

    fn scene(&self, configure: impl FnOnce(Builder) -> Builder) -> Scene {
        let scene = Scene::with(|builder| configure(builder.http_client(self.clone())));
        Scene { authority: self.authority.clone(), ..scene }
    }
}

impl HttpClient for Line {
    fn send(&self, request: Request<Bytes>, limits: Limits) -> HttpFuture {
        let (answer, cut) = (self.authority.send(request, limits), self.cut.load(Ordering::SeqCst));
        Box::pin(async move {
            let answer = answer.await;
            if cut { Err(HttpError::Transport("cut".into())) } else { answer }
        })
    }
}

/// The same scene through a clone of its layer that has a list.
fn listed(scene: &Scene, list: impl Revocations) -> Scene {
    let layer = scene.layer.clone().revocations(list);
    Scene { authority: scene.authority.clone(), clock: scene.clock.clone(), layer }
}

/// A layer for JWTs that are confirmed by their authority where a route asks for that.
fn confirmed(
    key: &Arc<SigningKey>,
    clock: &ManualClock,
    http: impl HttpClient,
    configure: impl FnOnce(Builder) -> Builder,
) -> AuthLayer<JwtAuthenticator> {
    // Of the same issuer; its keys are not needed to ask.
    let authority = configure(introspection(http).clock(clock.clone())).build().unwrap();
    let jwt = JwtAuthenticator::builder(issuer_of(&[key]), AUDIENCE).clock(clock.clone());
    AuthLayer::new(jwt.with_introspection(authority).build().unwrap())
}
