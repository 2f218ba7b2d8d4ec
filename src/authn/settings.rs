//! What a layer and its services share, and what they do with a verdict.

use std::sync::Arc;

use http::{Request, Response};

use super::{Anonymous, Verdict};
use crate::challenge::Challenge;
use crate::credential::Presentation;
use crate::error::AuthError;
use crate::principal::Principal;
use crate::reject::{Offer, Reject, refuse, render_from_beneath};
use crate::scope::SharedRule;

pub(crate) struct Settings<A, R> {
    pub(super) authenticator: Arc<A>,
    pub(super) presentations: Arc<[Presentation]>,
    pub(super) challenges: Arc<[Challenge]>,
    pub(super) rule: SharedRule,
    pub(super) optional: bool,
    pub(super) reject: R,
}

/// Which of the layer's presentations the credential used: an index, so that nothing is cloned.
pub(super) type Presented = usize;

impl<A, R> Settings<A, R> {
    /// Puts the outcome into the request, or says why it may not go on.
    pub(super) fn admit<B>(
        &self,
        verdict: Result<Verdict, AuthError>,
        request: &mut Request<B>,
    ) -> Result<(), AuthError> {
        // Replaces a principal that somebody else planted.
        request.extensions_mut().insert(verdict?.principal.with_rule(&self.rule));
        Ok(())
    }

    /// No credential, and none is needed.
    pub(super) fn admit_anonymous<B>(request: &mut Request<B>) {
        request.extensions_mut().remove::<Principal>();
        request.extensions_mut().insert(Anonymous);
    }

    pub(super) fn refuse<B>(&self, error: &AuthError, presented: Option<Presented>) -> Response<B>
    where
        R: Reject<B>,
    {
        refuse(error, self.offer(presented), &self.reject)
    }

    pub(super) fn render_from_beneath<B>(
        &self,
        response: Response<B>,
        presented: Option<Presented>,
    ) -> Response<B>
    where
        R: Reject<B>,
    {
        render_from_beneath(response, self.offer(presented), &self.reject)
    }

    fn offer(&self, presented: Option<Presented>) -> Offer<'_> {
        let presentation = presented.and_then(|index| self.presentations.get(index));
        Offer { challenges: &self.challenges, presented: presentation.map(Presentation::scheme_name) }
    }
}

impl<A, R: Clone> Clone for Settings<A, R> {
    fn clone(&self) -> Self {
        Self {
            authenticator: Arc::clone(&self.authenticator),
            presentations: Arc::clone(&self.presentations),
            challenges: Arc::clone(&self.challenges),
            rule: self.rule.clone(),
            optional: self.optional,
            reject: self.reject.clone(),
        }
    }
}
