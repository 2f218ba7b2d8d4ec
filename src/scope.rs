//! Scopes: what a credential grants, and what a route asks for.

use std::sync::Arc;
use std::{fmt, mem};

use smallvec::SmallVec;

use crate::error::excerpt::Excerpt;

/// One scope-token (RFC 6749 §3.3): visible ASCII without `"` and `\`, compared with case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Box<str>);

impl Scope {
    /// A scope written in the program.
    ///
    /// # Panics
    /// If it is not a scope-token.
    #[must_use]
    #[track_caller]
    pub fn from_static(scope: &'static str) -> Self {
        assert!(is_scope_token(scope.as_bytes()), "`{scope}` is not a scope-token (RFC 6749 §3.3)");
        Self(scope.into())
    }

    /// The scope as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for Scope {
    type Error = InvalidScope;

    fn try_from(scope: &str) -> Result<Self, InvalidScope> {
        if is_scope_token(scope.as_bytes()) { Ok(Self(scope.into())) } else { Err(InvalidScope::of(scope)) }
    }
}

/// A text, or a member of a list, that is not a scope-token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a scope-token (RFC 6749 §3.3): visible ASCII without quotes and backslashes",
    Excerpt(.member)
)]
#[non_exhaustive]
pub struct InvalidScope {
    /// The text or member, as it was given. The error's own text shows its beginning, escaped.
    pub member: Box<str>,
}

impl InvalidScope {
    fn of(member: &str) -> Self {
        Self { member: member.into() }
    }
}

/// A set of scopes, such as the grant of a token.
///
/// Order and repetition do not count. The text is parsed once and kept sorted; clones share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ScopeSet {
    text: Arc<str>,
    /// Where each scope ends in the text, so that a comparison does not split it again.
    ends: SmallVec<[u32; 6]>,
}

impl ScopeSet {
    /// Parses the `scope` form of OAuth: scope-tokens divided by spaces. Repeated spaces are tolerated, other white space is
    /// not: a tab or a line break never divides scopes.
    ///
    /// # Errors
    /// If a member is not a scope-token.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        match Self::from_canonical(text) {
            Some(set) => Ok(set),
            None => Self::from_members(text.split(' ').filter(|member| !member.is_empty())),
        }
    }

    /// Collects single scope-tokens; a member that holds a space is refused, not divided.
    ///
    /// # Errors
    /// If a member is not a scope-token.
    pub fn from_members<'a>(members: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidScope> {
        let mut sorted: SmallVec<[&str; 16]> = SmallVec::new();
        for member in members {
            if !is_scope_token(member.as_bytes()) {
                return Err(InvalidScope::of(member));
            }
            sorted.push(member);
        }
        sorted.sort_unstable();
        sorted.dedup();
        // Fails on a text of four gigabytes alone.
        if sorted.is_empty() {
            Ok(Self::default())
        } else {
            Self::from_canonical(&sorted.join(" ")).ok_or_else(|| InvalidScope::of(""))
        }
    }

    /// Reads a text that is sorted, without repetition and with single spaces, as most are; `None` for any other.
    fn from_canonical(text: &str) -> Option<Self> {
        let (mut ends, mut end, mut last) = (SmallVec::new(), 0_usize, &b""[..]);
        for member in text.as_bytes().split(|byte| *byte == b' ') {
            if !is_scope_token(member) || last >= member {
                return None;
            }
            last = member;
            end = end.saturating_add(member.len());
            ends.push(u32::try_from(end).ok()?);
            end = end.saturating_add(1);
        }
        Some(Self { text: text.into(), ends })
    }

    /// The scopes, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0_usize;
        self.ends.iter().filter_map(move |end| {
            let end = usize::try_from(*end).ok()?;
            let member = self.text.get(start..end);
            start = end.saturating_add(1);
            member
        })
    }

    /// Whether exactly this scope is in the set; no hierarchy is applied.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        let (text, scope) = (self.text.as_bytes(), scope.as_bytes());
        let mut start = 0_usize;
        self.ends.iter().any(|end| {
            let Ok(end) = usize::try_from(*end) else { return false };
            let from = mem::replace(&mut start, end.saturating_add(1));
            end.saturating_sub(from) == scope.len() && text.get(from..end) == Some(scope)
        })
    }

    /// Whether one of the set covers this scope by a rule of the application.
    pub(crate) fn is_covered(&self, scope: &str, rule: &Rule) -> bool {
        self.iter().any(|granted| rule(granted, scope))
    }

    /// Whether no scope is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The scopes in alphabetical order, divided by single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Bytes of memory that it holds.
    pub(crate) fn bytes(&self) -> usize {
        let ends =
            if self.ends.spilled() { self.ends.capacity().saturating_mul(size_of::<u32>()) } else { 0 };
        self.text.len().saturating_add(ends)
    }
}

impl Default for ScopeSet {
    fn default() -> Self {
        Self { text: Arc::default(), ends: SmallVec::new() }
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The hierarchy in which `user` covers `user:email` and `user:email:read`: a rule for
/// [`AuthLayer::scope_rule`](crate::AuthLayer::scope_rule).
///
/// ```
/// use portcullis::colon_hierarchy;
/// assert!(colon_hierarchy("user", "user:email"));
/// assert!(!colon_hierarchy("user:email", "user"));
/// assert!(!colon_hierarchy("use", "user"));
/// ```
#[must_use]
pub fn colon_hierarchy(granted: &str, needed: &str) -> bool {
    needed.strip_prefix(granted).is_some_and(|rest| rest.starts_with(':'))
}

/// Whether a scope that was granted covers one that is needed.
pub(crate) type Rule = dyn Fn(&str, &str) -> bool + Send + Sync;

/// A shared rule; `None` is the exact rule.
pub(crate) type SharedRule = Option<Arc<Rule>>;

fn is_scope_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_do_not_count() {
        assert_eq!(ScopeSet::parse("b a  b").unwrap(), ScopeSet::parse("a b").unwrap());
        assert_eq!(ScopeSet::parse("b a").unwrap().as_str(), "a b");
        assert!(ScopeSet::parse("").unwrap().is_empty());
    }

    #[test]
    fn members_are_found_exactly_in_any_order() {
        let text = "openid:profile admin todo:read todo:write a";
        let set = ScopeSet::parse(text).unwrap();
        for member in text.split(' ') {
            assert!(set.contains(member), "{member}");
            for other in [&member[1..], &format!("{member}x"), &member[..member.len() - 1]] {
                assert_eq!(set.contains(other), text.split(' ').any(|one| one == other), "{other}");
            }
        }
        assert!(!set.contains("a admin") && !set.contains("") && !set.contains(" "));
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            ["a", "admin", "openid:profile", "todo:read", "todo:write"]
        );
        let many: Vec<_> = (0..100).map(|number| format!("s{number}")).collect();
        let set = ScopeSet::parse(&many.join(" ")).unwrap();
        assert!(many.iter().all(|member| set.contains(member)) && !set.contains("s100"));
    }

    #[test]
    fn only_spaces_divide() {
        for smuggled in ["read\twrite", "read\nwrite", "read\u{a0}write", "re\"ad", "re\\ad", "lé"] {
            assert!(ScopeSet::parse(smuggled).is_err(), "{smuggled:?}");
        }
        assert!(ScopeSet::from_members(["read write"]).is_err());
        assert!(ScopeSet::from_members([""]).is_err());
    }

    #[test]
    fn invalid_scope_names_the_member() {
        let expected = |shown: &str| {
            format!(
                "`{shown}` is not a scope-token (RFC 6749 §3.3): visible ASCII without quotes and backslashes"
            )
        };
        for (text, member, shown) in [
            ("a read\twrite b", "read\twrite", "read\\twrite"),
            ("a \u{1b}[2J", "\u{1b}[2J", "\\u{1b}[2J"),
            ("a re\"ad", "re\"ad", "re\\\"ad"),
        ] {
            let error = ScopeSet::parse(text).unwrap_err();
            assert_eq!((&*error.member, error.to_string()), (member, expected(shown)));
            assert_eq!(Scope::try_from(member).unwrap_err(), error);
            assert_eq!(ScopeSet::from_members(["a", member]).unwrap_err(), error);
        }
        let long = "é".repeat(100);
        let error = ScopeSet::parse(&long).unwrap_err();
        assert_eq!(error.to_string(), expected(&format!("{}…", "é".repeat(64))));
        assert_eq!(Scope::try_from("").unwrap_err().to_string(), expected(""));
    }

    #[test]
    fn a_prefix_is_not_a_scope() {
        let granted = ScopeSet::parse("readwrite user").unwrap();
        for (scope, covered) in [("read", false), ("user:email", true), ("users", false), ("user", false)] {
            assert_eq!(granted.is_covered(scope, &colon_hierarchy), covered, "{scope}");
            assert_eq!(granted.contains(scope), scope == "user", "{scope}");
        }
        assert!(!granted.contains("Readwrite"));
    }
}
