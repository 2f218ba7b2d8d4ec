//! Text of others in the texts of errors.

use std::fmt;
use std::fmt::Write as _;

/// Characters that are shown, escapes included.
const MAX_SHOWN: usize = 64;

/// The beginning of a text, escaped, for use between backticks.
///
/// An error reaches logs and terminals: a line end or a control sequence must not, nor megabytes.
pub(crate) struct Excerpt<'a>(pub(crate) &'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = MAX_SHOWN;
        for character in self.0.chars() {
            // What ends the excerpt for a reader must not stand in it as it is.
            let backslash = (character == '`').then_some('\\');
            let escaped = backslash.into_iter().chain(character.escape_debug());
            let Some(left) = room.checked_sub(escaped.clone().count()) else {
                return f.write_char('…');
            };
            room = left;
            for shown in escaped {
                f.write_char(shown)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_plain_is_shown_as_it_is() {
        for text in ["", "0", "https://id.example/a?b=c", "größer", "a b"] {
            assert_eq!(Excerpt(text).to_string(), text);
        }
    }

    #[test]
    fn text_that_could_mislead_is_escaped() {
        for (text, shown) in [
            ("a\nb\r\0", "a\\nb\\r\\0"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{85}\u{2028}\u{202e}", "\\u{85}\\u{2028}\\u{202e}"),
            ("a`: b", "a\\`: b"),
            ("\"'\\", "\\\"\\'\\\\"),
        ] {
            assert_eq!(Excerpt(text).to_string(), shown);
        }
    }

    #[test]
    fn text_that_is_long_is_cut_before_an_escape() {
        let whole = "é".repeat(64);
        assert_eq!(Excerpt(&whole).to_string(), whole);
        assert_eq!(Excerpt(&format!("{whole}é")).to_string(), format!("{whole}…"));
        let before = "a".repeat(62);
        assert_eq!(Excerpt(&format!("{before}\n")).to_string(), format!("{before}\\n"));
        assert_eq!(Excerpt(&format!("a{before}\n")).to_string(), format!("a{before}…"));
    }
}
