//! The scopes of a token or response.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

use super::json::Text;
use crate::scope::{InvalidScope, ScopeSet};

/// Scopes as one string (RFC 8693 §4.2) or as the list that some providers send.
pub(crate) enum ScopeClaim<'b> {
    Joined(Cow<'b, str>),
    Listed(Vec<Cow<'b, str>>),
}

impl ScopeClaim<'_> {
    pub(crate) fn parse(&self) -> Result<ScopeSet, InvalidScope> {
        match self {
            Self::Joined(text) => ScopeSet::parse(text),
            Self::Listed(members) => ScopeSet::from_members(members.iter().map(Cow::as_ref)),
        }
    }
}

impl<'de> Deserialize<'de> for ScopeClaim<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScopeVisitor;

        impl<'de> Visitor<'de> for ScopeVisitor {
            type Value = ScopeClaim<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<ScopeClaim<'de>, E> {
                Ok(ScopeClaim::Joined(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<ScopeClaim<'de>, E> {
                Ok(ScopeClaim::Joined(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ScopeClaim<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(member)) = seq.next_element()? {
                    members.push(member);
                }
                Ok(ScopeClaim::Listed(members))
            }
        }

        deserializer.deserialize_any(ScopeVisitor)
    }
}
