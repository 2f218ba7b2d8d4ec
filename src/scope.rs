//! Scopes: what a credential grants, and what a route asks for.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

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
        assert!(is_scope_token(scope), "`{scope}` is not a scope-token (RFC 6749 §3.3)");
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
        if is_scope_token(scope) { Ok(Self(scope.into())) } else { Err(InvalidScope) }
    }
}

/// The text is not a scope-token, or not a list of them divided by single spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a scope-token (RFC 6749 §3.3): visible ASCII without quotes and backslashes")]
#[non_exhaustive]
pub struct InvalidScope;

/// A set of scopes, such as the grant of a token.
///
/// Order and repetition do not count. Kept as one string, sorted, that its clones share.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet(Arc<str>);

impl ScopeSet {
    /// Parses the `scope` form of OAuth: scope-tokens divided by spaces. Repeated spaces are tolerated, other white space is
    /// not: a tab or a line break never divides scopes.
    ///
    /// # Errors
    /// If a member is not a scope-token.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if Self::is_tidy(text) {
            return Ok(Self(text.into()));
        }
        Self::from_members(text.split(' ').filter(|member| !member.is_empty()))
    }

    /// Collects single scope-tokens; a member that holds a space is refused, not divided.
    ///
    /// # Errors
    /// If a member is not a scope-token.
    pub fn from_members<'a>(members: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidScope> {
        let mut sorted: SmallVec<[&str; 16]> = SmallVec::new();
        for member in members {
            if !is_scope_token(member) {
                return Err(InvalidScope);
            }
            sorted.push(member);
        }
        sorted.sort_unstable();
        sorted.dedup();
        Ok(Self(sorted.join(" ").into()))
    }

    /// Whether a text is as sets are kept, which most are when they come: then it need not be put together anew.
    fn is_tidy(text: &str) -> bool {
        let mut last: &[u8] = b"";
        let mut rises = |member| std::mem::replace(&mut last, member) < member;
        text.as_bytes().split(|byte| *byte == b' ').all(|member| are_scope_token(member) && rises(member))
    }

    /// The scopes, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|member| !member.is_empty())
    }

    /// Whether exactly this scope is in the set; no hierarchy is applied.
    #[must_use]
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|member| member == scope)
    }

    /// Whether no scope is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes in alphabetical order, divided by single spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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

/// Whether the grant covers one scope under a rule.
pub(crate) fn grants(granted: &ScopeSet, needed: &str, rule: Option<&Rule>) -> bool {
    granted.iter().any(|scope| scope == needed || rule.is_some_and(|rule| rule(scope, needed)))
}

fn is_scope_token(text: &str) -> bool {
    are_scope_token(text.as_bytes())
}

fn are_scope_token(bytes: &[u8]) -> bool {
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
    fn only_spaces_divide() {
        for smuggled in ["read\twrite", "read\nwrite", "read\u{a0}write", "re\"ad", "re\\ad", "lé"] {
            assert!(ScopeSet::parse(smuggled).is_err(), "{smuggled:?}");
        }
        assert!(ScopeSet::from_members(["read write"]).is_err());
        assert!(ScopeSet::from_members([""]).is_err());
    }

    #[test]
    fn a_prefix_is_not_a_scope() {
        let granted = ScopeSet::parse("readwrite user").unwrap();
        assert!(!grants(&granted, "read", Some(&colon_hierarchy)));
        assert!(!grants(&granted, "user:email", None));
        assert!(grants(&granted, "user:email", Some(&colon_hierarchy)));
        assert!(!grants(&granted, "users", Some(&colon_hierarchy)));
        assert!(!granted.contains("Readwrite"));
    }
}
