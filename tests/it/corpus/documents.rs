//! Documents, their encoding, and the form of the token.

use serde_json::{Value, json};

use super::{Corpus, encode, signed, with_member};
use crate::support::{AUDIENCE, ISSUER};

/// How a document or a part is written.
type Way<I, O> = (&'static str, fn(&I) -> O);

impl Corpus<'_> {
    /// Both documents, as JSON that is not quite, or as JSON that should not be.
    pub(super) fn documents(&mut self) {
        let (header, claims) = (self.header(), self.good().claims());
        let ways: [Way<Value, Vec<u8>>; 24] = [
            ("spaces around", |it| format!(" \r\n\t{it}\n").into()),
            ("spaces inside", |it| serde_json::to_vec_pretty(it).unwrap()),
            ("escaped name", |it| {
                it.to_string().replace("\"iss\"", "\"\\u0069ss\"").replace("typ", "\\u0074yp").into()
            }),
            ("byte order mark", |it| format!("\u{feff}{it}").into()),
            ("in UTF-16", |it| it.to_string().encode_utf16().flat_map(u16::to_be_bytes).collect()),
            ("something behind", |it| format!("{it}x").into()),
            ("NUL behind", |it| format!("{it}\0").into()),
            ("another object behind", |it| format!("{it}{{}}").into()),
            ("comma behind the last member", |it| with_member(it, "").into()),
            ("comment", |it| format!("/**/{it}").into()),
            ("in a list", |it| format!("[{it}]").into()),
            ("in a string", |it| json!(it.to_string()).to_string().into()),
            ("cut", |it| it.to_string().strip_suffix('}').unwrap().into()),
            ("empty", |_| Vec::new()),
            ("empty object", |_| b"{}".to_vec()),
            ("null", |_| b"null".to_vec()),
            ("not UTF-8", |it| {
                [it.to_string().trim_end_matches('}').as_bytes(), b",\"x\":\"\xff\"}"].concat()
            }),
            ("lone surrogate", |it| with_member(it, r#""x":"\ud800""#).into()),
            ("lone surrogate in a name", |it| with_member(it, r#""\udc00":1"#).into()),
            ("number out of range", |it| with_member(it, "\"x\":1e400").into()),
            ("member twice", |it| with_member(it, "\"x\":1,\"x\":1").into()),
            ("member twice, spelled otherwise", |it| with_member(it, r#""x":1,"\u0078":2"#).into()),
            ("member twice, inside another", |it| with_member(it, r#""x":[{"a":1,"a":1}]"#).into()),
            ("equal members of different objects", |it| with_member(it, r#""x":{"x":1},"y":{"x":1}"#).into()),
        ];
        for (name, write) in ways {
            self.add(format!("header: {name}"), &self.good().raw_header(write(&header)));
            self.add(format!("claims: {name}"), &self.good().raw_claims(write(&claims)));
        }
        for depth in [16, 17, 100, 200] {
            let member = format!("\"x\":{}{}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            self.add(
                format!("header: depth {depth}"),
                &self.good().raw_header(with_member(&header, &member)),
            );
            self.add(
                format!("claims: depth {depth}"),
                &self.good().raw_claims(with_member(&claims, &member)),
            );
        }
        for (of, object) in [("header", &header), ("claims", &claims)] {
            for (name, value) in object.as_object().unwrap() {
                let twice = with_member(object, &format!("\"{name}\":{value}"));
                let good = self.good();
                let token = if of == "header" { good.raw_header(twice) } else { good.raw_claims(twice) };
                self.add(format!("{of}: {name} twice"), &token);
            }
        }
        let now = self.now;
        let list = json!([now + 60, now, "ann", ISSUER, AUDIENCE]);
        self.add("claims: a list in the order of jsonwebtoken's", &self.good().raw_claims(list.to_string()));
    }

    /// Base64url that is not exact; what is odd in header and claims is signed as it is.
    pub(super) fn encodings(&mut self) {
        let key = self.key();
        // Of each length that leaves bits over; `~` and `?` encode to characters in which the alphabets differ.
        let padded = |object: &Value, rest: usize| {
            let mut text = with_member(object, "\"x\":\"~~~???\"");
            while text.len() % 3 != rest {
                text.push(' ');
            }
            encode(text)
        };
        let ways: [Way<str, String>; 10] = [
            ("exact", |it| it.to_owned()),
            ("padded", |it| format!("{it}{}", "=".repeat((4 - it.len() % 4) % 4))),
            ("one equals sign", |it| format!("{it}=")),
            ("bits left over", |it| with_bits_left_over(it)),
            ("other alphabet", |it| it.replace('-', "+").replace('_', "/")),
            ("space behind", |it| format!("{it} ")),
            ("line break inside", |it| format!("{}\n{}", &it[..8], &it[8..])),
            ("NUL behind", |it| format!("{it}\0")),
            ("a character more", |it| format!("{it}A")),
            ("percent escape", |it| it.replacen('e', "%65", 1)),
        ];
        for (name, way) in ways {
            for rest in [1, 2] {
                let (header, claims) = (padded(&self.header(), rest), padded(&self.good().claims(), rest));
                self.push(
                    format!("header {rest} base64: {name}"),
                    &key,
                    signed(&key, &way(&header), &claims),
                );
                self.push(
                    format!("claims {rest} base64: {name}"),
                    &key,
                    signed(&key, &header, &way(&claims)),
                );
            }
            let message = self.good().message();
            let token = format!("{message}.{}", way(&encode(key.sign(message.as_bytes()))));
            self.push(format!("signature base64: {name}"), &key, token);
        }
    }

    /// Tokens that do not have three parts, and long ones.
    pub(super) fn forms(&mut self) {
        let key = self.key();
        let good = self.good().build();
        let parts: Vec<&str> = good.split('.').collect();
        let [header, claims, signature] = parts[..] else { panic!("{good}") };
        let json = json!({"protected": header, "payload": claims, "signature": signature}).to_string();
        for (name, token) in [
            ("nothing", String::new()),
            ("two dots", "..".into()),
            ("one part", header.into()),
            ("two parts", format!("{header}.{claims}")),
            ("no signature", format!("{header}.{claims}.")),
            ("four parts", format!("{good}.")),
            ("four parts, the last full", format!("{good}.{signature}")),
            ("five parts", format!("{good}.{signature}.{signature}")),
            ("dot in front", format!(".{good}")),
            ("header and claims swapped", signed(&key, claims, header)),
            ("space in front", format!(" {good}")),
            ("line break behind", format!("{good}\n")),
            ("scheme in front", format!("Bearer {good}")),
            ("in quotes", format!("\"{good}\"")),
            ("JSON serialization", json),
        ] {
            self.push(format!("form: {name}"), &key, token);
        }
        for len in [2048, 2049] {
            let padding = len - self.header().to_string().len();
            let header = format!("{}{}", self.header(), " ".repeat(padding));
            self.add(format!("header of {len} bytes"), &self.good().raw_header(header));
        }
        for len in [8192, 8194] {
            let claims = self.good().claims().to_string();
            let (fixed, wanted) = (good.len() - parts[1].len(), len - (good.len() - parts[1].len()));
            let token =
                self.good().raw_claims(format!("{claims}{}", " ".repeat(wanted * 3 / 4 - claims.len())));
            assert_eq!(token.build().len(), fixed + wanted, "a token of the wanted length");
            self.add(format!("token of {len} bytes"), &token);
        }
    }
}

/// Changes bits of the last character that no byte uses.
fn with_bits_left_over(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert_ne!(text.len() % 4, 0, "a length that leaves bits over");
    let last = *text.as_bytes().last().unwrap();
    let at = ALPHABET.iter().position(|byte| *byte == last).unwrap();
    format!("{}{}", &text[..text.len() - 1], char::from(ALPHABET[at ^ 1]))
}
