//! `WWW-Authenticate` challenges that cannot be malformed.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;

use crate::credential::charset::is_token;
use crate::error::Reason;

/// What a 401 names as the protected space, unless [`AuthLayer::realm`](crate::AuthLayer::realm) says better. A challenge must carry a parameter (RFC
/// 6750 §3).
pub(crate) const DEFAULT_REALM: &str = "api";

/// One challenge (RFC 9110 §11.6.1): a scheme and its parameters, each at most once, each quoted.
///
/// ```
/// use portcullis::Challenge;
/// let challenge = Challenge::bearer().with("scope", "todo:read");
/// assert_eq!(challenge.to_string(), r#"Bearer scope="todo:read""#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: &'static str,
    params: Vec<(&'static str, String)>,
}

impl Challenge {
    /// The challenge of RFC 6750 §3.
    #[must_use]
    pub const fn bearer() -> Self {
        Self { scheme: "Bearer", params: Vec::new() }
    }

    /// A challenge of another scheme.
    ///
    /// # Panics
    /// If `scheme` is not a token (RFC 9110 §5.6.2).
    #[must_use]
    #[track_caller]
    pub fn new(scheme: &'static str) -> Self {
        assert!(is_token(scheme), "`{scheme}` is not an authentication scheme");
        Self { scheme, params: Vec::new() }
    }

    /// Sets a parameter, in place of an earlier one of that name.
    ///
    /// What may not stand in a quoted string (control characters, anything beyond ASCII) becomes `?`, so that no value can
    /// break out of the header; quotes and backslashes are escaped.
    ///
    /// # Panics
    /// If `name` is not a token (RFC 9110 §5.6.2).
    #[must_use]
    #[track_caller]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        assert!(is_token(name), "`{name}` is not a parameter name");
        self.params.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.params.push((name, value.into()));
        self
    }

    /// The authentication scheme.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        self.scheme
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.params.iter().any(|(present, _)| present.eq_ignore_ascii_case(name))
    }

    /// The field value. `None` cannot happen: everything written is visible ASCII or a space.
    fn to_header_value(&self) -> Option<HeaderValue> {
        let mut text = self.scheme.to_owned();
        for (index, (name, value)) in self.params.iter().enumerate() {
            text.push_str(if index == 0 { " " } else { ", " });
            push_param(&mut text, name, value);
        }
        HeaderValue::try_from(text).ok()
    }
}

fn push_param(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(if matches!(character, ' '..='~') { character } else { '?' });
    }
    text.push('"');
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_header_value();
        f.write_str(value.as_ref().and_then(|value| value.to_str().ok()).unwrap_or(self.scheme))
    }
}

/// A challenge of a layer, with what is the same in all its field values written beforehand.
#[derive(Clone, Debug)]
pub(crate) struct Offered {
    challenge: Challenge,
    /// `None` cannot happen, nor below: see [`Challenge::to_header_value`].
    plain: Option<HeaderValue>,
    /// The field value without the parameters that an error adds, and the separator behind it.
    base: String,
}

impl Offered {
    pub(crate) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// The field value without an error code.
    pub(crate) fn plain(&self) -> Option<HeaderValue> {
        self.plain.clone()
    }

    /// The field value with an error code (RFC 6750 §3.1). `scope` lists the scopes that would be enough: scope-tokens,
    /// which like codes and descriptions need no escape.
    pub(crate) fn with_error(&self, code: &str, reason: Reason, scope: Option<&str>) -> Option<HeaderValue> {
        let narrowed =
            scope.filter(|_| self.challenge.has("scope")).map(|_| base(&self.challenge, &["scope"]));
        let (before_scope, scope, end) = scope.map_or(("", "", ""), |scope| (", scope=\"", scope, "\""));
        let parts = [
            narrowed.as_deref().unwrap_or(&self.base),
            "error=\"",
            code,
            "\", error_description=\"",
            reason.description(),
            "\"",
            before_scope,
            scope,
            end,
        ];
        // A text of its exact size becomes the field value without a copy.
        HeaderValue::from_maybe_shared(Bytes::from(parts.concat())).ok()
    }
}

impl From<Challenge> for Offered {
    fn from(challenge: Challenge) -> Self {
        let plain = challenge.to_header_value();
        Self { base: base(&challenge, &[]), challenge, plain }
    }
}

/// The field value without parameters of these names and those of an error, and the separator behind it.
fn base(challenge: &Challenge, without: &[&str]) -> String {
    let mut own = challenge.clone();
    let names = ["error", "error_description"];
    own.params.retain(|(name, _)| !names.iter().chain(without).any(|other| name.eq_ignore_ascii_case(other)));
    let separator = if own.params.is_empty() { " " } else { ", " };
    format!("{own}{separator}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_quoted_value() {
        let challenge = Challenge::bearer().with("realm", "a\"b\\c\r\nX: y\u{e9}\u{7f}");
        assert_eq!(challenge.to_string(), r#"Bearer realm="a\"b\\c??X: y??""#);
        assert!(challenge.to_header_value().is_some());
    }

    #[test]
    fn a_parameter_stands_once() {
        let challenge = Challenge::bearer().with("error", "a").with("scope", "s").with("error", "b");
        assert_eq!(challenge.to_string(), r#"Bearer scope="s", error="b""#);
    }

    #[test]
    fn an_error_replaces_parameters_of_its_names() {
        let value = |challenge: Challenge, scope| {
            let reason = Reason::TokenExpired;
            Offered::from(challenge).with_error("invalid_token", reason, scope).unwrap()
        };
        let told = r#"error="invalid_token", error_description="the token has expired""#;
        assert_eq!(value(Challenge::bearer(), None), format!("Bearer {told}"));
        let own = Challenge::bearer().with("Error", "x").with("scope", "y").with("realm", "a\"b");
        assert_eq!(value(own.clone(), None), format!(r#"Bearer scope="y", realm="a\"b", {told}"#));
        assert_eq!(value(own, Some("s t")), format!(r#"Bearer realm="a\"b", {told}, scope="s t""#));
    }
}
