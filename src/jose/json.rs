//! JSON as RFC 8259 and RFC 7515 §4 want it: complete, without repeated members at any depth, not nested without end.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;

use crate::error::Reason;

/// How deeply objects and arrays may lie in each other, the outermost included. Claims of the field need five or six.
const MAX_DEPTH: u8 = 16;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not JSON, not an object, or a member of a wrong type.
    Malformed,
    /// A member stands twice in one object.
    Duplicate,
    /// Nested beyond [`MAX_DEPTH`].
    TooDeep,
}

impl Fault {
    /// As the reason of a refusal; `malformed` says which part it was.
    pub(crate) const fn reason(self, malformed: Reason) -> Reason {
        match self {
            Self::Malformed => malformed,
            Self::Duplicate => Reason::MemberDuplicated,
            Self::TooDeep => Reason::NestingTooDeep,
        }
    }
}

/// Takes the members of an object, one by one.
pub(crate) trait Members<'de> {
    /// Must consume exactly the value of this member: one of interest with [`Skip::once`], any other with [`Skip::over`].
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error>;
}

/// How it is noticed that a member stands twice.
pub(crate) enum Repeat {
    /// It has been: its place was still empty.
    Noticed,
    /// By its name, which is compared with the others in the end.
    ByName,
}

/// Parses a whole document, which must be an object.
pub(crate) fn parse_object<'de, M: Members<'de>>(document: &'de [u8], members: &mut M) -> Result<(), Fault> {
    // Checked once here, so that serde_json does not check each string.
    let text = std::str::from_utf8(document).map_err(|_| Fault::Malformed)?;
    let fault = Cell::new(Fault::Malformed);
    let mut json = serde_json::Deserializer::from_str(text);
    let skip = Skip { depth: MAX_DEPTH, fault: &fault };
    json.deserialize_map(Object { members, skip }).and_then(|()| json.end()).map_err(|_| fault.get())
}

struct Object<'m, 'f, M> {
    members: &'m mut M,
    skip: Skip<'f>,
}

impl<'de, M: Members<'de>> Visitor<'de> for Object<'_, '_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.skip.deeper()?;
        let mut names = Names::default();
        while let Some(Text(name)) = map.next_key()? {
            if let Repeat::ByName = self.members.member(&name, &mut map, inner)? {
                names.0.push(name);
            }
        }
        names.all_different(self.skip)
    }
}

/// So many names are compared each with each.
const FEW_NAMES: usize = 8;

/// Member names of one object. More than a dozen or two spill to the heap.
#[derive(Default)]
struct Names<'de>(SmallVec<[Cow<'de, str>; 24]>);

impl Names<'_> {
    /// Compares after unescaping, as RFC 7515 §5.3 asks. Few names are compared each with each; sorting keeps a document full of
    /// members cheap.
    fn all_different<E: serde::de::Error>(&mut self, skip: Skip<'_>) -> Result<(), E> {
        let names = &mut *self.0;
        let repeated = if names.len() > FEW_NAMES {
            names.sort_unstable();
            names.iter().zip(names.iter().skip(1)).any(|(one, next)| one == next)
        } else {
            names.iter().zip(1..).any(|(one, next)| names.iter().skip(next).any(|other| one == other))
        };
        if repeated { Err(skip.fail(Fault::Duplicate)) } else { Ok(()) }
    }
}

/// Walks over any value without keeping it, as strictly as over one that is kept.
#[derive(Clone, Copy)]
pub(crate) struct Skip<'f> {
    depth: u8,
    fault: &'f Cell<Fault>,
}

impl<'f> Skip<'f> {
    /// Fills the place of a member that may stand once.
    pub(crate) fn once<T, E: serde::de::Error>(self, place: &mut Option<T>, value: T) -> Result<Repeat, E> {
        if place.is_some() {
            return Err(self.fail(Fault::Duplicate));
        }
        *place = Some(value);
        Ok(Repeat::Noticed)
    }

    /// Walks over a member that is of no interest.
    pub(crate) fn over<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<Repeat, A::Error> {
        map.next_value_seed(self)?;
        Ok(Repeat::ByName)
    }

    /// Reads a member of any type, as strictly as [`over`](Self::over), and keeps it if it is a
    /// string.
    pub(crate) const fn mixed(self) -> ReadMixed<'f> {
        ReadMixed(self)
    }

    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.fail(Fault::TooDeep)),
        }
    }

    fn fail<E: serde::de::Error>(self, fault: Fault) -> E {
        self.fault.set(fault);
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Skip<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // `any` looks into every string and number; `ignored_any` would let lone surrogates pass.
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Skip<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut names = Names::default();
        while let Some(Text(name)) = map.next_key()? {
            map.next_value_seed(inner)?;
            names.0.push(name);
        }
        names.all_different(self)
    }
}

/// A value of any type, as far as it matters where a claim has no fixed type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mixed<'de> {
    Null,
    Text(Cow<'de, str>),
    Other,
}

impl Mixed<'_> {
    /// Returns the string, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Other => None,
        }
    }

    /// Returns whether it is `null` or an empty string: what some servers send for an absent value.
    #[cfg(feature = "introspection")]
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::Other => false,
        }
    }
}

/// Reads a [`Mixed`]; see [`Skip::mixed`].
pub(crate) struct ReadMixed<'f>(Skip<'f>);

impl<'de> DeserializeSeed<'de> for ReadMixed<'_> {
    type Value = Mixed<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadMixed<'_> {
    type Value = Mixed<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Mixed::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Mixed::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Mixed::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Mixed::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Mixed::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Mixed::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Mixed::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        self.0.visit_seq(seq).map(|()| Mixed::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        self.0.visit_map(map).map(|()| Mixed::Other)
    }
}

/// A string, borrowed from the document where it holds no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl<'de> Members<'de> for Nothing {
        fn member<A: MapAccess<'de>>(
            &mut self,
            _: &str,
            map: &mut A,
            skip: Skip<'_>,
        ) -> Result<Repeat, A::Error> {
            skip.over(map)
        }
    }

    fn parse(document: impl AsRef<[u8]>) -> Result<(), Fault> {
        parse_object(document.as_ref(), &mut Nothing)
    }

    #[test]
    fn whole_objects_only() {
        assert_eq!(parse(" {\"a\":[1,{\"b\":null}]}\r\n"), Ok(()));
        for bad in
            ["", "[]", "null", "\"a\"", "{}x", "{} {}", "\u{feff}{}", "{\"a\":1e400}", "{\"a\":\"\\ud800\"}"]
        {
            assert_eq!(parse(bad), Err(Fault::Malformed), "{bad:?}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}"), Err(Fault::Malformed));
    }

    #[test]
    fn repeated_members_are_found_at_any_depth_and_in_any_spelling() {
        for bad in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"b":1,"c":2,"b":3}]}"#] {
            assert_eq!(parse(bad), Err(Fault::Duplicate), "{bad}");
        }
        assert_eq!(parse(r#"{"a":{"a":1},"b":{"a":1},"A":1}"#), Ok(()));
        let many: Vec<String> = (0..500).map(|number| format!("\"m{number}\":0")).collect();
        assert_eq!(parse(format!("{{{}}}", many.join(","))), Ok(()));
        assert_eq!(parse(format!("{{{},\"m250\":0}}", many.join(","))), Err(Fault::Duplicate));
    }

    #[test]
    fn repeated_members_are_found_among_few_and_many() {
        for len in 2..=FEW_NAMES + 4 {
            let names: Vec<String> = (0..len).map(|number| format!("\"m{number}\":0")).collect();
            assert_eq!(parse(format!("{{{}}}", names.join(","))), Ok(()), "{len}");
            for (one, other) in (0..len).flat_map(|other| (0..other).map(move |one| (one, other))) {
                let mut names = names.clone();
                names[other] = names[one].clone();
                assert_eq!(parse(format!("{{{}}}", names.join(","))), Err(Fault::Duplicate), "{one} {other}");
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(parse(nested(15)), Ok(()));
        assert_eq!(parse(nested(16)), Err(Fault::TooDeep));
        assert!(parse(nested(100_000)).is_err());
    }
}
