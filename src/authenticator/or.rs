//! Two authenticators side by side.

use std::sync::Arc;

use super::future::AuthFuture;
use super::{Authenticator, Match, Or, Side};
use crate::clock::Clock;
use crate::context::RequestContext;
use crate::credential::Credential;
use crate::credential::location::Presentation;
use crate::error::{AuthError, Reason};
use crate::response::challenge::Challenge;
use crate::revocation::Mark;

impl<A: Authenticator> Side<A> {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        let reads = self.presentations.contains(credential.presentation());
        match self.authenticator.recognizes(credential) {
            Match::Specific if !reads => Match::Barred,
            Match::Generic if !reads => Match::No,
            matched => matched,
        }
    }
}

impl<A: Authenticator, B: Authenticator> Authenticator for Or<A, B> {
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        self.left.recognizes(credential).max(self.right.recognizes(credential))
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        match self.choose(credential) {
            Ok(Choice::Left(left)) => left.authenticate(credential, context),
            Ok(Choice::Right(right)) => right.authenticate(credential, context),
            Err(reason) => AuthFuture::ready(Err(AuthError::from(reason))),
        }
    }

    fn presentations(&self) -> Vec<Presentation> {
        union(&self.left.presentations, &self.right.presentations)
    }

    fn challenges(&self) -> Vec<Challenge> {
        union(&self.left.authenticator.challenges(), &self.right.authenticator.challenges())
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.left.authenticator.clock().or_else(|| self.right.authenticator.clock())
    }

    fn token_mark(&self, credential: &Credential<'_>) -> Mark {
        match self.choose(credential) {
            Ok(Choice::Left(left)) => left.token_mark(credential),
            Ok(Choice::Right(right)) => right.token_mark(credential),
            // Nobody accepts it.
            Err(_) => Mark::token(credential.expose()),
        }
    }
}

/// The one of two authenticators that is responsible for a credential.
enum Choice<'a, A, B> {
    Left(&'a A),
    Right(&'a B),
}

impl<A: Authenticator, B: Authenticator> Or<A, B> {
    fn choose(&self, credential: &Credential<'_>) -> Result<Choice<'_, A, B>, Reason> {
        let left = self.left.recognizes(credential);
        let right = if left == Match::Specific { Match::No } else { self.right.recognizes(credential) };
        match left.max(right) {
            Match::No => Err(Reason::CredentialUnrecognized),
            Match::Barred => Err(Reason::CredentialMisplaced),
            _ if left >= right => Ok(Choice::Left(&self.left.authenticator)),
            _ => Ok(Choice::Right(&self.right.authenticator)),
        }
    }
}

fn union<T: Clone + PartialEq>(left: &[T], right: &[T]) -> Vec<T> {
    once_each([left, right].concat())
}

/// Leaves out what is there already.
pub(crate) fn once_each<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    items.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}
