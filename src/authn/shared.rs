//! What a layer and its services share, and what they do with a verdict.

use std::sync::Arc;

use http::{Request, Response};

use super::failed_attempts::{Attempt, Failures};
use crate::authenticator::Authenticator;
use crate::clock::timestamp::Timestamp;
use crate::context::Anonymous;
use crate::credential::location::Presentation;
use crate::error::AuthError;
use crate::principal::Principal;
use crate::principal::origin::{Admission, Origin, Outcome};
use crate::response::cache_control::keep_private;
use crate::response::challenge::Offered;
use crate::response::{Offer, Reject, refuse, render_from_beneath};
use crate::verdict::verifier::Verifier;

pub(crate) struct Settings<A, R> {
    pub(super) verifier: Arc<Verifier<A>>,
    /// The verifier, as principals carry it to the guards beneath.
    pub(super) origin: Arc<dyn Origin>,
    pub(super) offers: Arc<[Offered]>,
    pub(super) optional: bool,
    pub(super) failures: Failures,
    pub(super) reject: R,
}

/// Which of the layer's presentations the credential used: an index, so that nothing is cloned.
pub(super) type Presented = usize;

impl<A: Authenticator, R> Settings<A, R> {
    pub(super) fn new(verifier: Verifier<A>, offers: Arc<[Offered]>, reject: R) -> Self {
        let verifier = Arc::new(verifier);
        let origin: Arc<dyn Origin> = Arc::<Verifier<A>>::clone(&verifier);
        Self { verifier, origin, offers, optional: false, failures: Failures::default(), reject }
    }

    /// Changes how credentials are judged. What is remembered stays shared with the clones that were made before.
    pub(super) fn change_verifier(&mut self, change: impl FnOnce(&mut Verifier<A>)) {
        let mut verifier = Verifier::clone(&self.verifier);
        change(&mut verifier);
        self.verifier = Arc::new(verifier);
        self.origin = Arc::<Verifier<A>>::clone(&self.verifier);
    }
}

impl<A, R> Settings<A, R> {
    /// No credential, and none is needed.
    pub(super) fn admit_anonymous<B>(request: &mut Request<B>) {
        request.extensions_mut().remove::<Principal>();
        request.extensions_mut().insert(Anonymous);
    }

    /// Inserts the principal into the request, or gives the error.
    pub(super) fn admit<B>(
        &self,
        outcome: Outcome,
        arrival: Timestamp,
        request: &mut Request<B>,
    ) -> Result<(), AuthError> {
        // Replaces a principal that somebody else planted.
        let admission = Admission { origin: Arc::clone(&self.origin), arrival };
        request.extensions_mut().insert(Principal::admitted(outcome?, admission));
        Ok(())
    }

    /// The one way out for what this layer refuses. `attempt`: of whom that may be a failure.
    pub(super) fn refuse<B>(
        &self,
        error: &AuthError,
        presented: Option<Presented>,
        attempt: Attempt,
    ) -> Response<B>
    where
        R: Reject<B>,
    {
        self.failures.count(attempt, error);
        refuse(error, self.offer(presented), &self.reject)
    }

    /// What came from beneath, on its way out.
    pub(super) fn hand_out<B>(&self, response: &mut Response<B>, presented: Option<Presented>)
    where
        R: Reject<B>,
    {
        if response.extensions().get::<AuthError>().is_some() {
            render_from_beneath(response, self.offer(presented), &self.reject);
        }
        if self.presentation(presented).is_some_and(|presentation| presentation.header_name().is_some()) {
            keep_private(response.headers_mut());
        }
    }

    fn presentation(&self, presented: Option<Presented>) -> Option<&Presentation> {
        self.verifier.presentations.get(presented?)
    }

    fn offer(&self, presented: Option<Presented>) -> Offer<'_> {
        let presented = self.presentation(presented).map(Presentation::scheme_name);
        Offer { challenges: &self.offers, presented }
    }
}

impl<A, R: Clone> Clone for Settings<A, R> {
    fn clone(&self) -> Self {
        Self {
            verifier: Arc::clone(&self.verifier),
            origin: Arc::clone(&self.origin),
            offers: Arc::clone(&self.offers),
            optional: self.optional,
            failures: self.failures.clone(),
            reject: self.reject.clone(),
        }
    }
}
