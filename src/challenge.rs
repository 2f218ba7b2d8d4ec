//! `WWW-Authenticate` challenges that cannot be malformed.

use std::fmt;

use http::HeaderValue;

use crate::credential::is_token;

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

    /// The field value, with these parameters in place of those of the same names. `None` cannot happen: everything written is
    /// visible ASCII or a space.
    pub(crate) fn to_header_value(&self, more: &[(&'static str, &str)]) -> Option<HeaderValue> {
        // One piece of memory for nearly all: this is what a flood of bad credentials has made.
        let mut text = String::with_capacity(160);
        text.push_str(self.scheme);
        let is_replaced = |name: &str| more.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let own = self.params.iter().filter(|(name, _)| !is_replaced(name));
        let params = own.map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied());
        for (index, (name, value)) in params.enumerate() {
            text.push_str(if index == 0 { " " } else { ", " });
            push_param(&mut text, name, value);
        }
        HeaderValue::try_from(text).ok()
    }
}

fn push_param(text: &mut String, name: &str, value: &str) {
    text.push_str(name);
    text.push_str("=\"");
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if value.as_bytes().iter().all(is_plain) {
        text.push_str(value);
    } else {
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(if matches!(character, ' '..='~') { character } else { '?' });
        }
    }
    text.push('"');
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_header_value(&[]);
        f.write_str(value.as_ref().and_then(|value| value.to_str().ok()).unwrap_or(self.scheme))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_a_quoted_value() {
        let challenge = Challenge::bearer().with("realm", "a\"b\\c\r\nX: y\u{e9}\u{7f}");
        assert_eq!(challenge.to_string(), r#"Bearer realm="a\"b\\c??X: y??""#);
        assert!(challenge.to_header_value(&[]).is_some());
    }

    #[test]
    fn a_parameter_stands_once() {
        let challenge = Challenge::bearer().with("error", "a").with("scope", "s").with("error", "b");
        assert_eq!(challenge.to_string(), r#"Bearer scope="s", error="b""#);
        let value = challenge.to_header_value(&[("Error", "c"), ("x", "\"")]).unwrap();
        assert_eq!(value, r#"Bearer scope="s", Error="c", x="\"""#);
    }
}
