//! What a service hands to each request, in several copies: a count of references that all threads write to goes from one core to
//! the other and back at each request.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;

use super::calls::Outcome;
use super::settings::Settings;
use super::verifier::{Demand, Judged, Origin, Verifier};
use super::{Authenticator, RequestContext};
use crate::error::AuthError;
use crate::principal::Admission;
use crate::scope::Rule;
use crate::time::Timestamp;

/// Threads that have a copy of their own; more share them. A power of two.
const COUNT: usize = 16;

/// The copies of one layer, its clones and its services.
pub(super) struct Stripes<A, R> {
    first: Arc<Stripe<A, R>>,
    others: Box<[Arc<Stripe<A, R>>]>,
}

/// Settings, and what principals carry of them to the guards beneath.
///
/// Aligned so that no two counts lie in one line of the processor's cache, nor in two that it fetches together.
#[repr(align(128))]
pub(super) struct Stripe<A, R> {
    settings: Arc<Settings<A, R>>,
    pub(super) origin: Arc<dyn Origin>,
}

#[repr(align(128))]
struct Relay<A>(Arc<Verifier<A>>);

impl<A: Authenticator, R> Stripes<A, R> {
    pub(super) fn new(settings: &Arc<Settings<A, R>>) -> Self {
        let stripe = || {
            let origin = Arc::new(Relay(Arc::clone(&settings.verifier)));
            Arc::new(Stripe { settings: Arc::clone(settings), origin })
        };
        Self { first: stripe(), others: (1..COUNT).map(|_| stripe()).collect() }
    }
}

impl<A, R> Stripes<A, R> {
    /// That of this thread.
    pub(super) fn mine(&self) -> &Arc<Stripe<A, R>> {
        thread_local! {
            static PLACE: usize = {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                NEXT.fetch_add(1, Ordering::Relaxed) & COUNT.saturating_sub(1)
            };
        }
        let place = PLACE.try_with(|place| *place).unwrap_or_default();
        self.others.get(place).unwrap_or(&self.first)
    }
}

impl<A, R> Stripe<A, R> {
    /// Puts the outcome into the request, or says why it may not go on.
    pub(super) fn admit<B>(
        &self,
        outcome: Outcome,
        arrival: Timestamp,
        request: &mut Request<B>,
    ) -> Result<(), AuthError> {
        // Replaces a principal that somebody else planted.
        let admission = Admission { origin: Arc::clone(&self.origin), arrival };
        request.extensions_mut().insert(outcome?.admitted(admission));
        Ok(())
    }
}

impl<A, R> Deref for Stripe<A, R> {
    type Target = Settings<A, R>;

    fn deref(&self) -> &Settings<A, R> {
        &self.settings
    }
}

impl<A: Authenticator> Origin for Relay<A> {
    fn rule(&self) -> Option<&Rule> {
        self.0.rule()
    }

    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn judge_again(&self, context: &RequestContext<'_>, demand: Demand) -> Judged {
        self.0.judge_again(context, demand)
    }
}
