//! A challenge that a layer offers, and what it has written of it: a flood of bad credentials has the same few values sent again
//! and again.

use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use smallvec::{SmallVec, smallvec};

use crate::challenge::Challenge;
use crate::error::Reason;

/// Challenges of one layer.
pub(crate) type Offers = Arc<[Offered]>;

#[derive(Debug)]
pub(crate) struct Offered {
    challenge: Challenge,
    /// As it is where nothing is told.
    bare: OnceLock<HeaderValue>,
    /// With each reason.
    told: Box<[OnceLock<HeaderValue>]>,
}

impl Offered {
    pub(crate) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The field value that tells nothing but the challenge. `None` cannot happen, nor below.
    pub(crate) fn bare(&self) -> Option<HeaderValue> {
        written(&self.bare, || self.challenge.to_header_value(&[]))
    }

    /// The field value with the code of RFC 6750 §3.1 that the reason comes to. `scope`: what would be enough.
    pub(crate) fn telling(&self, code: &str, reason: Reason, scope: Option<&str>) -> Option<HeaderValue> {
        let write = || {
            let mut more: SmallVec<[_; 3]> =
                smallvec![("error", code), ("error_description", reason.description())];
            more.extend(scope.map(|scope| ("scope", scope)));
            self.challenge.to_header_value(&more)
        };
        match reason.place().and_then(|place| self.told.get(place)) {
            Some(told) if scope.is_none() => written(told, write),
            _ => write(),
        }
    }
}

/// Writes it once. Two who do so at once write the same.
fn written(
    place: &OnceLock<HeaderValue>,
    write: impl FnOnce() -> Option<HeaderValue>,
) -> Option<HeaderValue> {
    if let Some(value) = place.get() {
        return Some(value.clone());
    }
    let value = write()?;
    let _ = place.set(value.clone());
    Some(value)
}

impl From<Challenge> for Offered {
    fn from(challenge: Challenge) -> Self {
        let told = (0..Reason::COUNT).map(|_| OnceLock::new()).collect();
        Self { challenge, bare: OnceLock::new(), told }
    }
}
