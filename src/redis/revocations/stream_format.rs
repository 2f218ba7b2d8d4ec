//! How revocations stand in Redis, for other versions and languages to read and write.
//!
//! They are the entries of one stream, `NAMESPACE:revocations:1`. The number is the version: whatever changes so that these rules
//! do not hold any more is another stream. Fields that are not told of here are left alone.
//!
//! | field | |
//! |---|---|
//! | `mark` | what is called back ([`Mark`]), as 64 hexadecimal digits |
//! | `before` | milliseconds since the Unix epoch: what was issued before; without this field all is |
//! | `stays` | milliseconds that the entry counts after it was entered; without this field as long as its reader has it |
//!
//! The id is made by the server (`*`), so that its clock says when an entry was entered. Several entries may have one mark: the
//! most that any of them calls back is called back. Nothing takes an entry back. It is deleted when it counts no longer, by any reader.
//!
//! ```text
//! XADD portcullis:revocations:1 * mark 70b8…1f before 1800000000000
//! ```

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::{Cmd, Value, cmd};

use crate::redis::hex;
use crate::revocation::Mark;
use crate::revocation::memory::RevocationsEntry;

pub(super) fn stream_of(namespace: &str) -> String {
    format!("{namespace}:revocations:1")
}

/// Where an entry stands in the stream: milliseconds by the server's clock, and a number within these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) millis: u64,
    number: u64,
}

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (millis, number) = text.split_once('-')?;
        Some(Self { millis: millis.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

pub(super) struct Entry {
    pub(super) id: Id,
    /// `None` if it is none.
    pub(super) says: Option<Revocation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Revocation {
    pub(super) mark: Mark,
    pub(super) before: Option<SystemTime>,
    /// From when it was entered.
    pub(super) stays: Option<Duration>,
}

/// The command that enters it.
pub(super) fn enter(stream: &str, entry: &RevocationsEntry) -> Cmd {
    let mut command = cmd("XADD");
    command.arg(stream).arg("*").arg("mark").arg(hex(entry.mark.as_bytes()));
    if let Some(before) = entry.before {
        command.arg("before").arg(millis_up(before.duration_since(UNIX_EPOCH).unwrap_or_default()));
    }
    command.arg("stays").arg(millis_up(entry.stays));
    command
}

/// Rounded up: what is called back here is called back everywhere.
fn millis_up(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// The entries of an answer to `XREAD` for one stream; `None` if it is no such answer.
pub(super) fn read(answer: Value) -> Option<Vec<Entry>> {
    let streams = match answer {
        Value::Nil => return Some(Vec::new()),
        Value::Map(streams) => streams.into_iter().map(|(_, entries)| entries).collect(),
        Value::Array(streams) => streams.into_iter().map(second).collect::<Option<Vec<_>>>()?,
        _ => return None,
    };
    let [Value::Array(entries)] = <[Value; 1]>::try_from(streams).ok()? else { return None };
    entries.into_iter().map(entry).collect()
}

fn second(pair: Value) -> Option<Value> {
    let Value::Array(pair) = pair else { return None };
    <[Value; 2]>::try_from(pair).ok().map(|[_, second]| second)
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(id), fields] = <[Value; 2]>::try_from(parts).ok()? else { return None };
    let id = Id::parse(std::str::from_utf8(&id).ok()?)?;
    Some(Entry { id, says: revocation(&fields) })
}

fn revocation(fields: &Value) -> Option<Revocation> {
    let Value::Array(fields) = fields else { return None };
    let (mut mark, mut before, mut stays) = (None, None, None);
    for field in fields.chunks(2) {
        let [Value::BulkString(name), Value::BulkString(value)] = field else { return None };
        let known = match name.as_slice() {
            b"mark" => &mut mark,
            b"before" => &mut before,
            b"stays" => &mut stays,
            _ => continue,
        };
        // One that stands there twice may mean either.
        if known.replace(value.as_slice()).is_some() {
            return None;
        }
    }
    let mark = Mark::from_bytes(digits(mark?)?);
    let before = match before {
        Some(before) => Some(UNIX_EPOCH.checked_add(millis(before)?)?),
        None => None,
    };
    let stays = match stays {
        Some(stays) => Some(millis(stays)?),
        None => None,
    };
    Some(Revocation { mark, before, stays })
}

fn digits(text: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let pairs = text.chunks_exact(2);
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = <[u8; 2]>::try_from(pair).ok()?.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high?.checked_mul(16)?.checked_add(low?)?).ok()?;
    }
    Some(bytes)
}

fn millis(text: &[u8]) -> Option<Duration> {
    let plain = text.iter().all(u8::is_ascii_digit);
    let millis = plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()?;
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn said(fields: &[&str]) -> Option<Revocation> {
        revocation(&Value::Array(fields.iter().copied().map(bulk).collect()))
    }

    #[test]
    fn what_is_written_is_read() {
        let (mark, stays) = (Mark::subject("i", "s"), Duration::from_micros(1_500_001));
        for before in [None, Some(UNIX_EPOCH + Duration::from_nanos(1_000_001))] {
            let command = enter("s", &RevocationsEntry { mark, before, stays });
            let words = command.args_iter().map(|word| match word {
                ::redis::Arg::Simple(word) => String::from_utf8(word.to_vec()).unwrap(),
                _ => String::new(),
            });
            let words: Vec<String> = words.collect();
            let fields: Vec<&str> = words.iter().skip(3).map(String::as_str).collect();
            let before = before.map(|_| UNIX_EPOCH + Duration::from_millis(2));
            let stays = Some(Duration::from_millis(1501));
            assert_eq!(said(&fields), Some(Revocation { mark, before, stays }), "rounded up");
        }
    }

    #[test]
    fn what_is_no_revocation_is_none() {
        let mark = "0a".repeat(32);
        let whole = said(&["mark", &mark]).unwrap();
        assert_eq!(whole, Revocation { mark: Mark::from_bytes([10; 32]), before: None, stays: None });
        assert_eq!(said(&["mark", &mark.to_uppercase(), "since", "2030"]), Some(whole));
        for fields in [
            &[][..],
            &["mark"],
            &["mark", ""],
            &["mark", &mark[1..]],
            &["mark", &format!("{mark}0")],
            &["mark", &format!("{}+1", &mark[2..])],
            &["mark", &mark, "before", ""],
            &["mark", &mark, "before", "-1"],
            &["mark", &mark, "before", "+1"],
            &["mark", &mark, "before", "1.5"],
            &["mark", &mark, "before", "99999999999999999999"],
            &["mark", &mark, "stays", "x"],
            &["mark", &mark, "mark", &mark],
        ] {
            assert_eq!(said(fields), None, "{fields:?}");
        }
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        let entry = || Value::Array(vec![bulk("5-1"), Value::Array(vec![bulk("mark"), bulk("x")])]);
        let entries = || Value::Array(vec![entry(), entry()]);
        for answer in [
            Value::Array(vec![Value::Array(vec![bulk("s"), entries()])]),
            Value::Map(vec![(bulk("s"), entries())]),
        ] {
            let read = read(answer).unwrap();
            assert!(read.len() == 2 && read[0].id.to_string() == "5-1" && read[0].says.is_none());
        }
        assert!(read(Value::Nil).is_some_and(|entries| entries.is_empty()));
        for answer in [Value::Okay, Value::Array(vec![entry()]), bulk("5-1"), Value::Array(vec![Value::Nil])]
        {
            assert!(read(answer).is_none());
        }
    }
}
