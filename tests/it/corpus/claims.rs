//! Claims: missing, of wrong types, around their limits.

use serde_json::{Value, json};

use super::{Corpus, with_member};
use crate::support::{AUDIENCE, ISSUER};

impl Corpus<'_> {
    pub(super) fn claims_of_every_type(&mut self) {
        let names =
            ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "scp", "cnf"];
        let values = ["null", "true", "1", "1.5", "\"\"", "\"x\"", "[]", "[\"x\"]", "[1]", "{}", "{\"x\":1}"];
        for name in names.into_iter().chain(["events", "at_hash", "c_hash", "act", "roles", "x"]) {
            self.add(format!("without {name}"), &self.good().without(name));
            for value in values {
                self.add_spelled(name, value);
            }
        }
    }

    pub(super) fn parties(&mut self) {
        let variants = |us: &str| {
            let list = format!("[\"https://evil.example\",\"{us}\"]");
            let listed = [format!("\"{us}\""), format!("[\"{us}\"]"), list, format!("[\"{us}\",\"{us}\"]")];
            let odd = [
                format!("[\"{us}\",1]"),
                format!("[\"{us}\",null]"),
                format!("[[\"{us}\"]]"),
                format!("{{\"{us}\":1}}"),
                format!("\"{us}/\""),
                format!("\"{us} \""),
                format!("\"{}\"", us.to_uppercase()),
                format!("\"{}\"", &us[..us.len() - 1]),
                format!("\"{us}.evil.example\""),
                format!("\"{}\"", us.replace('/', "\\/")),
                format!("\"{}\"", us.replace('e', "\\u0065")),
                format!("\"{us}\\u0000\""),
            ];
            listed.into_iter().chain(odd).collect::<Vec<_>>()
        };
        for (name, us) in [("iss", ISSUER), ("aud", AUDIENCE)] {
            for value in variants(us) {
                self.add_spelled(name, &value);
            }
        }
    }

    pub(super) fn times(&mut self) {
        let now = self.now;
        let mut at = |name: &str, label: &str, spelled: &str| {
            let good = self.good().without(name);
            let claims = with_member(&good.claims(), &format!("\"{name}\":{spelled}"));
            self.add(format!("{name} {label}"), &good.raw_claims(claims));
        };
        for name in ["exp", "nbf", "iat"] {
            for offset in [-86_400, -3600, -60, -31, -30, -29, 0, 29, 30, 31, 60, 3600, 86_400, 86_401] {
                at(name, &format!("now {offset:+}"), &now.saturating_add_signed(offset).to_string());
            }
            for (label, offset, fraction) in
                [("now -30.6", 31, 4), ("now -30.5", 31, 5), ("now -30.4", 31, 6), ("now -29.6", 30, 4)]
            {
                at(name, label, &format!("{}.{fraction}", now - offset));
            }
            for (label, offset, fraction) in
                [("now +30.4", 30, 4), ("now +30.5", 30, 5), ("now +29.6", 29, 6)]
            {
                at(name, label, &format!("{}.{fraction}", now + offset));
            }
            for (label, spelled) in [
                ("with .0", format!("{}.0", now + 10)),
                ("with e0", format!("{}e0", now + 10)),
                ("with E-1", format!("{}E-1", (now + 10) * 10)),
                ("with a plus", format!("+{}", now + 10)),
                ("with a zero in front", format!("0{}", now + 10)),
                ("in hexadecimal", format!("{:#x}", now + 10)),
                ("in a string", format!("\"{}\"", now + 10)),
                ("in milliseconds", format!("{}", (now + 10) * 1000)),
            ] {
                at(name, label, &spelled);
            }
            let extremes = ["0", "-0", "-1", "-0.5", "9223372036854775807", "9223372036854775808"];
            for spelled in extremes.into_iter().chain([
                "-9223372036854775809",
                "18446744073709551615",
                "18446744073709551616",
                "1e300",
                "-1e300",
                "1e400",
                "NaN",
            ]) {
                at(name, spelled, spelled);
            }
        }
        for (label, exp) in [("a day and the leeway", 86_430), ("a second more", 86_431)] {
            let token = self.good().without("iat").claim("exp", now + exp);
            self.add(format!("without iat, exp in {label}"), &token);
        }
        for (label, iat) in [("a day", 86_340), ("a second more", 86_341)] {
            self.add(format!("lifetime of {label}"), &self.good().claim("iat", now - iat));
        }
    }

    pub(super) fn scopes(&mut self) {
        let texts = ["a b", " a  b ", "a\tb", "a\"b", "a\\b", "\u{e9}", "a\u{0}", "a,b", "todo:read"]
            .map(Value::from);
        let lists = [json!(["a", "b"]), json!(["a b"]), json!(["a", ""]), json!([["a"]])];
        for value in texts.into_iter().chain(lists) {
            self.add_spelled("scope", &value.to_string());
            let alone = self.good().without("scope").claim("scp", value.clone());
            self.add(format!("scp alone {value}"), &alone);
            self.add(format!("scope and scp {value}"), &self.good().claim("scp", value));
        }
    }
}
