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
    text: &'de str,
    at: usize,
}

/// Not plain, or not right: serde_json will tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotPlain;

impl<'de> Plain<'de> {
    /// `None` if a byte stands in the document that has no place in a plain one: then a string ends at the next quote.
    pub(super) fn new(text: &'de str) -> Option<Self> {
        let beside = |byte| beyond(byte, b' ', b'~') | 1_u8.saturating_sub(byte ^ b'\\');
        all(text.as_bytes(), beside).then_some(Self { text, at: 0 })
    }

    /// Nothing may follow.
    pub(super) const fn end(&self) -> Result<(), NotPlain> {
        if self.at == self.text.len() { Ok(()) } else { Err(NotPlain) }
    }

    fn rest(&self) -> &'de [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, len: usize) {
        self.at = self.at.saturating_add(len);
    }

    fn take(&mut self, byte: u8) -> Result<(), NotPlain> {
        if self.peek() != Some(byte) {
            return Err(NotPlain);
        }
        self.skip(1);
        Ok(())
    }

    /// A string that is short, as the names of members are.
    fn name(&mut self) -> Result<&'de str, NotPlain> {
        self.take(b'"')?;
        let len = self.rest().iter().position(|byte| *byte == b'"').ok_or(NotPlain)?;
        self.text_of(len)
    }

    fn string(&mut self) -> Result<&'de str, NotPlain> {
        self.take(b'"')?;
        let len = memchr::memchr(b'"', self.rest()).ok_or(NotPlain)?;
        self.text_of(len)
    }

    /// What stands before the quote that comes next.
    fn text_of(&mut self, len: usize) -> Result<&'de str, NotPlain> {
        let text = self.text.get(self.at..self.at.saturating_add(len)).ok_or(NotPlain)?;
        self.skip(len.saturating_add(1));
        Ok(text)
    }

    /// Digits without sign, fraction or exponent, few enough for 64 bits.
    fn integer(&mut self) -> Result<u64, NotPlain> {
        let (mut value, mut digits) = (0_u64, 0);
        for byte in self.rest().iter().take_while(|byte| byte.is_ascii_digit()) {
            let digit = u64::from(byte.wrapping_sub(b'0'));
            value = value.checked_mul(10).and_then(|value| value.checked_add(digit)).ok_or(NotPlain)?;
            digits = usize::saturating_add(digits, 1);
        }
        if digits > 1 && self.peek() == Some(b'0') {
            return Err(NotPlain);
        }
        self.skip(digits);
        Ok(value)
    }

    fn literal(&mut self, literal: &str) -> Result<(), NotPlain> {
        if !self.rest().starts_with(literal.as_bytes()) {
            return Err(NotPlain);
        }
        self.skip(literal.len());
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
                self.skip(1);
                visitor.visit_map(Inside { plain: self, first: true })
            }
            b'[' => {
                self.skip(1);
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

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// Within an object or an array. Who does not read it to its end leaves a rest, which is no plain document.
struct Inside<'p, 'de> {
    plain: &'p mut Plain<'de>,
    first: bool,
}

impl Inside<'_, '_> {
    /// Whether there is another element before the closing bracket.
    fn more(&mut self, close: u8) -> Result<bool, NotPlain> {
        if self.plain.peek() == Some(close) {
            self.plain.skip(1);
            return Ok(false);
        }
        if !std::mem::take(&mut self.first) {
            self.plain.take(b',')?;
        }
        Ok(true)
    }
}

impl<'de> MapAccess<'de> for Inside<'_, 'de> {
    type Error = NotPlain;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, NotPlain> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        let name = self.plain.name()?;
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, NotPlain> {
        self.plain.take(b':')?;
        seed.deserialize(&mut *self.plain)
    }
}

impl<'de> SeqAccess<'de> for Inside<'_, 'de> {
    type Error = NotPlain;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, NotPlain> {
        if self.more(b']')? { seed.deserialize(&mut *self.plain).map(Some) } else { Ok(None) }
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
            r#"{"a":"b","c":[],"d":[1,"x",{"e":null}],"f":true,"g":false,"h":0,"i":18446744073709551615}"#,
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
            "18446744073709551616",
            "nul",
            "truefalse",
            "tru",
            "+1",
            "'a'",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        /// Whatever is read here is read alike by serde_json.
        #[test]
        fn it_never_reads_more_than_json(text in r#"([\[\]{},:"tfn0-9\\ a-b.e\-]|true|false|null|"[a-z]*"|"a":){0,24}"#) {
            if let Some(value) = read(&text) {
                prop_assert_eq!(Some(value), serde_json::from_str(&text).ok());
            }
        }

        #[test]
        fn what_serde_json_writes_without_escapes_is_plain(names in proptest::collection::vec("[a-z_]{1,8}", 0..8), number: u64) {
            let object: serde_json::Map<String, Value> =
                names.iter().map(|name| (name.clone(), serde_json::json!([name, number, {"x": name}, null]))).collect();
            let text = Value::Object(object).to_string();
            prop_assert_eq!(read(&text), serde_json::from_str(&text).ok());
        }
    }
}
