//! The key for data that belongs to a caller.

use std::fmt;
use std::sync::Arc;

/// Tells one caller from another: see [`Principal::id`](crate::Principal::id).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrincipalId {
    authority: Authority,
    kind: IdKind,
    name: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Authority {
    Issuer(Arc<str>),
    Method(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum IdKind {
    Subject,
    Client,
}

impl PrincipalId {
    /// Subjects and clients are kept apart, and so are those of two authorities.
    pub(crate) fn new(
        issuer: Option<&Arc<str>>,
        method: &'static str,
        subject: Option<&str>,
        client: Option<&str>,
    ) -> Option<Self> {
        let (kind, name) = match (subject, client) {
            (Some(subject), _) => (IdKind::Subject, subject),
            (None, Some(client)) => (IdKind::Client, client),
            (None, None) => return None,
        };
        let authority = match issuer {
            Some(issuer) => Authority::Issuer(Arc::clone(issuer)),
            None => Authority::Method(method),
        };
        Some(Self { authority, kind, name: name.into() })
    }

    /// The subject or the client, whichever the credential named.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Shows whose word it is, never who: a name is personal data.
impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalId").field("authority", &self.authority).finish_non_exhaustive()
    }
}
