//! The plain way of writing JSON, read fast.
//!
//! Nearly all tokens are written without white space, escapes, fractions or anything beyond ASCII. This reads that subset and
//! nothing else; whatever does not belong to it, or is refused, is read again by serde_json, which has the last word. It halves
//! what a token costs beside its signature.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::alphabet::{all, beyond};

/// Reads from one end to the other.
pub(super) struct Plain<'de> {
    rest: &'de str,
}

/// Not plain, or not right: serde_json will tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotPlain;

impl<'de> Plain<'de> {
    /// `None` if a byte stands in the document that has no place in a plain one: then a string ends at the next quote.
    pub(super) fn new(text: &'de str) -> Option<Self> {
        let beside = |byte| beyond(byte, b' ', b'~') | 1_u8.saturating_sub(byte ^ b'\\');
        all(text.as_bytes(), beside).then_some(Self { rest: text })
    }

    /// Nothing may follow.
    pub(super) const fn end(&self) -> Result<(), NotPlain> {
        if self.rest.is_empty() { Ok(()) } else { Err(NotPlain) }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn take(&mut self, mark: char) -> Result<(), NotPlain> {
        self.rest = self.rest.strip_prefix(mark).ok_or(NotPlain)?;
        Ok(())
    }

    fn string(&mut self) -> Result<&'de str, NotPlain> {
        let text = self.rest.strip_prefix('"').ok_or(NotPlain)?;
        let len = before_quote(text.as_bytes()).ok_or(NotPlain)?;
        let (text, behind) = text.split_at_checked(len).ok_or(NotPlain)?;
        self.rest = behind.strip_prefix('"').ok_or(NotPlain)?;
        Ok(text)
    }

    /// Digits without sign, fraction or exponent, so few that they surely fit into 64 bits.
    #[inline]
    fn integer(&mut self) -> Result<u64, NotPlain> {
        const MOST: usize = 19;
        let text = self.rest.as_bytes();
        let (mut value, mut digits) = match text.first_chunk().and_then(eight_digits) {
            Some(value) => (value, 8),
            None => (0, 0_usize),
        };
        for byte in text.iter().skip(digits) {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value.wrapping_mul(10).wrapping_add(digit.into());
            digits = digits.wrapping_add(1);
        }
        if !(1..=MOST).contains(&digits) || digits > 1 && self.peek() == Some(b'0') {
            return Err(NotPlain);
        }
        self.rest = self.rest.get(digits..).ok_or(NotPlain)?;
        Ok(value)
    }

    fn literal(&mut self, literal: &str) -> Result<(), NotPlain> {
        self.rest = self.rest.strip_prefix(literal).ok_or(NotPlain)?;
        Ok(())
    }
}

impl<'de> Deserializer<'de> for &mut Plain<'de> {
    type Error = NotPlain;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        match self.peek().ok_or(NotPlain)? {
            b'"' => visitor.visit_borrowed_str(self.string()?),
            b'0'..=b'9' => visitor.visit_u64(self.integer()?),
            b'{' => {
                self.take('{')?;
                visitor.visit_map(Inside { plain: self, first: true })
            }
            b'[' => {
                self.take('[')?;
                visitor.visit_seq(Inside { plain: self, first: true })
            }
            b't' => self.literal("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.literal("false").and_then(|()| visitor.visit_bool(false)),
            b'n' => self.literal("null").and_then(|()| visitor.visit_unit()),
            _ => Err(NotPlain),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_borrowed_str(self.string()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NotPlain> {
        visitor.visit_u64(self.integer()?)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 char string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// How many bytes stand before the first quote, where all are ASCII. Names and values are short, so eight are looked at in one word.
fn before_quote(text: &[u8]) -> Option<usize> {
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = u64::from_ne_bytes([0x80; 8]);
    let (mut before, mut rest) = (0_usize, text);
    while let Some((word, behind)) = rest.split_first_chunk() {
        // The first byte that becomes zero is the first that borrows.
        let quotes = (u64::from_le_bytes(*word) ^ QUOTES).wrapping_sub(ONES) & HIGHEST;
        if quotes != 0 {
            return Some(before.wrapping_add(usize::try_from(quotes.trailing_zeros() / 8).ok()?));
        }
        (before, rest) = (before.wrapping_add(8), behind);
    }
    let last = rest.iter().position(|byte| *byte == b'"')?;
    Some(before.wrapping_add(last))
}

/// The number that eight digits are.
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    // Digits become 0 to 9, and all else that is ASCII more.
    let digits = u64::from_le_bytes(*text) ^ 0x3030_3030_3030_3030;
    if digits.wrapping_add(0x7676_7676_7676_7676) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Neighbours are joined to numbers of two digits, of four, and of eight.
    let twos = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

/// Within an object or an array. Who does not read it to its end leaves a rest, which is no plain document.
struct Inside<'p, 'de> {
    plain: &'p mut Plain<'de>,
    first: bool,
}

impl Inside<'_, '_> {
    /// Whether there is another element before the closing bracket.
    fn more(&mut self, close: char) -> Result<bool, NotPlain> {
        if let Some(behind) = self.plain.rest.strip_prefix(close) {
            self.plain.rest = behind;
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.plain.take(',')?;
        }
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = NotPlain;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotPlain> {
        if !self.more('}')? {
            return Ok(None);
        }
        let name = self.plain.string()?;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotPlain> {
        self.plain.take(':')?;
        seed.deserialize(&mut *self.plain)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = NotPlain;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotPlain> {
        if self.more(']')? { seed.deserialize(&mut *self.plain).map(Some) } else { Ok(None) }
    }
}

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not plain")
    }
}

impl std::error::Error for NotPlain {}

impl serde::de::Error for NotPlain {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    // The text of these would be written for nobody.
    fn invalid_type(_: serde::de::Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize as _;
    use serde_json::Value;

    use super::*;

    fn read(text: &str) -> Option<Value> {
        let mut plain = Plain::new(text)?;
        let value = Value::deserialize(&mut plain).ok()?;
        plain.end().ok().map(|()| value)
    }

    #[test]
    fn what_is_plain_is_read() {
        for text in [
            r#"{}"#,
            r#"{"a":"b","c":[],"d":[1,"x",{"e":null}],"f":true,"g":false,"h":0,"i":9999999999999999999}"#,
            r#""""#,
            "[[[]]]",
        ] {
            assert_eq!(read(text), Some(serde_json::from_str(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_others() {
        for text in [
            "",
            " {}",
            "{} ",
            "{}{}",
            "{",
            "}",
            "[",
            "[1",
            "[1,]",
            "[,1]",
            "[1 ]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a" :1}"#,
            r#"{1:1}"#,
            r#"{"a":1"b":2}"#,
            r#""a"#,
            r#""\n""#,
            "\"\t\"",
            "\"\u{7f}\"",
            "\"é\"",
            "01",
            "-1",
            "1.5",
            "1e3",
            "10000000000000000000",
            "00000000",
            "0000000000",
            "nul",
            "truefalse",
            "tru",
            "+1",
            "'a'",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    /// Eight bytes are looked at in one word.
    #[test]
    fn the_first_quote_is_found_behind_any_byte() {
        for byte in (0..0x80).filter(|byte| *byte != b'"') {
            for len in 0..=40 {
                assert_eq!(before_quote(&vec![byte; len]), None, "{byte} {len}");
                for place in 0..len {
                    let mut text = vec![byte; len];
                    text[place] = b'"';
                    assert_eq!(before_quote(&text), Some(place), "{byte} {len}");
                    text[place..].fill(b'"');
                    assert_eq!(before_quote(&text), Some(place), "{byte} {len}");
                }
            }
        }
    }

    #[test]
    fn eight_digits_are_nothing_else() {
        for place in 0..8 {
            for byte in 0..0x80 {
                let mut text = *b"98765432";
                text[place] = byte;
                let number = std::str::from_utf8(&text).ok().filter(|_| byte.is_ascii_digit());
                assert_eq!(eight_digits(&text), number.and_then(|number| number.parse().ok()), "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_of_any_length_are_read_alike(text in "[0-9]{1,21}", behind in "|[,\\]}. a-z-].{0,3}|[0-9e].{0,9}") {
            let document = format!("[{text}{behind}]");
            if let Some(value) = read(&document) {
                prop_assert_eq!(Some(value), serde_json::from_str(&document).ok());
            }
            let plain = text.len() <= 19 && (text == "0" || !text.starts_with('0'));
            prop_assert_eq!(read(&text).is_some(), plain, "{}", text);
        }

        /// Whatever is read here is read alike by serde_json.
        #[test]
        fn it_never_reads_more_than_json(text in r#"([\[\]{},:"tfn0-9\\ a-b.e\-]|true|false|null|"[a-z]*"|"a":){0,24}"#) {
            if let Some(value) = read(&text) {
                prop_assert_eq!(Some(value), serde_json::from_str(&text).ok());
            }
        }

        #[test]
        fn what_serde_json_writes_without_escapes_is_plain(names in proptest::collection::vec("[a-z_]{1,8}", 0..8), number in 0..10_u64.pow(19)) {
            let object: serde_json::Map<String, Value> =
                names.iter().map(|name| (name.clone(), serde_json::json!([name, number, {"x": name}, null]))).collect();
            let text = Value::Object(object).to_string();
            prop_assert_eq!(read(&text), serde_json::from_str(&text).ok());
        }
    }
}
