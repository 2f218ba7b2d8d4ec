//! The header `Forwarded` (RFC 7239 §4), read from the right.

use std::borrow::Cow;
use std::iter;
use std::net::{IpAddr, Ipv4Addr};

use crate::credential::charset::is_token;

/// The elements of a line, the last one first. Those that follow its grammar are found whatever stands on their left.
pub(super) fn elements(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    iter::from_fn(move || {
        let line = rest.take()?;
        let Some(comma) = last_comma(line) else { return Some(line) };
        let (left, right) = line.split_at_checked(comma)?;
        rest = Some(left);
        right.strip_prefix(b",")
    })
}

/// The last comma outside of quotes. Looked for from the right, or a caller could open a quote that hides what a proxy appends.
fn last_comma(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (index, byte) in line.iter().enumerate().rev() {
        match byte {
            b',' if !quoted => return Some(index),
            b'"' if !quoted => quoted = true,
            // One that opens stands behind an equals sign, one inside behind its backslash.
            b'"' => quoted = line.get(..index).is_some_and(|before| before.ends_with(b"\\")),
            _ => {}
        }
    }
    None
}

/// The address that an element is for: `None` if there is none, or two, or the element does not follow the grammar.
pub(super) fn address(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element.trim_ascii();
    while !rest.is_empty() {
        // A pair may be left out, its semicolon stays.
        if !rest.starts_with(b";") {
            let (name, value, after) = pair(rest)?;
            if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
                return None;
            }
            rest = after;
        }
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(b";")? };
    }
    node(std::str::from_utf8(&unescape(found?)).ok()?)
}

/// A name, its value with escapes but without quotes, and what stands behind.
fn pair(text: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let (name, value) = text.split_at_checked(text.iter().position(|byte| *byte == b'=')?)?;
    let value = value.strip_prefix(b"=")?;
    let (value, rest) = match value.strip_prefix(b"\"") {
        Some(value) => {
            let mut escaped = false;
            let end = value.iter().position(|byte| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            })?;
            let (value, rest) = value.split_at_checked(end)?;
            (value, rest.strip_prefix(b"\"")?)
        }
        None => {
            let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
            let (value, rest) = value.split_at_checked(end)?;
            (token(value)?.as_bytes(), rest)
        }
    };
    Some((token(name)?, value, rest))
}

fn token(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| is_token(text))
}

fn unescape(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\\') {
        return value.into();
    }
    let mut escaped = false;
    let kept = value.iter().copied().filter(|byte| {
        escaped = *byte == b'\\' && !escaped;
        !escaped
    });
    kept.collect()
}

/// The address of a node (RFC 7239 §6): IPv4, or IPv6 in brackets, with a port or without. A zone makes it none: it says
/// something on the proxy's machine alone.
pub(super) fn node(text: &str) -> Option<IpAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, port) = text.split_once(']')?;
            (IpAddr::V6(address.parse().ok()?), port)
        }
        None => {
            let (address, port) = text.split_at_checked(text.find(':').unwrap_or(text.len()))?;
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    let is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_good.then_some(address)
}

/// One to five digits, or a name in place of them (RFC 7239 §6.3).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(element: &str) -> Option<String> {
        address(element.as_bytes()).map(|address| address.to_string())
    }

    #[test]
    fn the_grammar_accepts() {
        let good = [
            "for=192.0.2.1",
            "FOR=192.0.2.1",
            " for=192.0.2.1\t",
            "for=\"192.0.2.1\"",
            "for=\"192.0.2.1:80\"",
            "for=\"192.0.2.1:_a.b-C\"",
            "for=\"\\1\\92.0.2.1\"",
            "for=192.0.2.1;proto=http;by=203.0.113.43",
            "by=_x;for=192.0.2.1",
            ";;for=192.0.2.1;;by=_x;",
            "host=\"a;for=6.6.6.6,\\\"\\\\\";for=192.0.2.1",
            "host=\"\";for=192.0.2.1;host=\"\u{e9}\"",
        ];
        for element in good {
            assert_eq!(read(element).as_deref(), Some("192.0.2.1"), "{element}");
        }
        assert_eq!(address(b"host=\"\xff\";for=192.0.2.1"), Some([192, 0, 2, 1].into()));
        for element in ["for=\"[2001:db8::1]\"", "for=\"[2001:db8::1]:4711\"", "for=\"[2001:db8:0::1]\\:1\""]
        {
            assert_eq!(read(element).as_deref(), Some("2001:db8::1"), "{element}");
        }
    }

    #[test]
    fn the_grammar_refuses() {
        let bad = [
            "",
            ";",
            "for",
            "for=",
            "for=\"\"",
            "=192.0.2.1",
            "192.0.2.1",
            "by=192.0.2.1",
            "for=192.0.2.1;for=192.0.2.1",
            "for=192.0.2.1;For=unknown",
            "for=192.0.2.1;proto",
            "for=192.0.2.1; by=_x",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=192.0.2.1 by=_x",
            "for=\"192.0.2.1\"x",
            "for=\"192.0.2.1\"by=_x",
            "for=\"192.0.2.1",
            "for=\"192.0.2.1\\\"",
            "for=192.0.2.1\"",
            "for=\" 192.0.2.1\"",
            "for=\"192.0.2.\\\\1\"",
            "for=192.0.2.1:80",
            "for=[2001:db8::1]",
            "for=unknown",
            "for=_hidden",
            "for=\"[192.0.2.1]\"",
            "for=\"2001:db8::1\"",
            "for=192.0.2.1;h\u{e9}=a",
            "for=192.0.2.1;host=\u{e9}",
        ];
        for element in bad {
            assert_eq!(read(element), None, "{element}");
        }
    }

    #[test]
    fn a_node_is_an_address_and_perhaps_a_port() {
        for good in ["192.0.2.1", "192.0.2.1:0", "192.0.2.1:65535", "192.0.2.1:_p"] {
            assert_eq!(node(good), Some([192, 0, 2, 1].into()), "{good}");
        }
        for good in ["[fe80::1]", "[fe80::1]:1", "[FE80:0::1]:_1"] {
            assert_eq!(node(good), Some("fe80::1".parse().unwrap()), "{good}");
        }
        let bad = [
            "",
            ":80",
            "192.0.2.1:",
            "192.0.2.1:+80",
            "192.0.2.1:123456",
            "192.0.2.1:_",
            "192.0.2.1:_a b",
            "192.0.2.1:80:80",
            "192.0.2.01",
            "192.0.2",
            "192.0.2.256",
            "3221225985",
            "fe80::1",
            "[fe80::1",
            "[fe80::1]1",
            "[fe80::1%eth0]",
            "[fe80::1%1]:80",
            "[]",
            "unknown",
            "_a",
        ];
        for text in bad {
            assert_eq!(node(text), None, "{text}");
        }
    }

    #[test]
    fn commas_in_quotes_divide_nothing() {
        let split = |line: &'static str| -> Vec<_> {
            elements(line.as_bytes()).map(|element| std::str::from_utf8(element).unwrap()).collect()
        };
        assert_eq!(split("a, b,c"), ["c", " b", "a"]);
        assert_eq!(split(""), [""]);
        assert_eq!(split("a,"), ["", "a"]);
        assert_eq!(split(r#"a,b="x,y""#), [r#"b="x,y""#, "a"]);
        assert_eq!(split(r#"a,b="x\",y\\""#), [r#"b="x\",y\\""#, "a"]);
        assert_eq!(split(r#"a,b="\\\",""#), [r#"b="\\\",""#, "a"]);
        // What a caller leaves open, and what it closes, is its own.
        assert_eq!(split(r#"b=",c"#), ["c", r#"b=""#]);
        assert_eq!(split(r#"b="\,c=",""#), [r#"c=",""#, r#"b="\"#]);
    }
}
