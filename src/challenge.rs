//! `WWW-Authenticate` challenges that cannot be malformed.

use std::fmt::Write as _;

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

    /// The field value. `None` cannot happen: everything written is visible ASCII or a space.
    pub(crate) fn to_header_value(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(self.to_string()).ok()
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.scheme)?;
        for (index, (name, value)) in self.params.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", " })?;
            write!(f, "{name}=\"")?;
            for character in value.chars() {
                match character {
                    '"' | '\\' => {
                        f.write_char('\\')?;
                        f.write_char(character)?;
                    }
                    ' '..='~' => f.write_char(character)?,
                    _ => f.write_char('?')?,
                }
            }
            f.write_char('"')?;
        }
        Ok(())
    }
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
}
