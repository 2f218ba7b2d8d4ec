//! What a client says in a token that it made for one request.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, MapAccess};

use crate::clock::timestamp::UnixTime;
use crate::error::Reason;
use crate::jose::claims::NumericDate;
use crate::jose::hmac::Tag;
use crate::jose::json::{Members, Repeat, Skip, Text, parse_object};

/// Bytes of the name of a client, and of a `jti`.
pub(crate) const MAX_NAME_LEN: usize = 256;

/// What a token must say.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// How far `iat` may be from the present, on either side.
    pub(super) window: Duration,
    pub(super) request_binding: bool,
    pub(super) body_binding: bool,
    pub(super) max_token_len: usize,
}

/// The claims that count. What is here has the right type; what is missing is decided by [`Claims::judge`].
#[derive(Default)]
pub(super) struct Claims<'b> {
    iss: Option<Cow<'b, str>>,
    iat: Option<UnixTime>,
    exp: Option<UnixTime>,
    nbf: Option<UnixTime>,
    jti: Option<Cow<'b, str>>,
    req: Option<Tag>,
    pay: Option<Tag>,
    addressed: bool,
    bound: bool,
}

/// Claims that hold at this moment, if the client made them.
pub(super) struct Said<'b> {
    pub(super) client: Cow<'b, str>,
    pub(super) jti: Option<Cow<'b, str>>,
    /// The tag of method and path, and that of the body.
    pub(super) req: Option<Tag>,
    pub(super) pay: Option<Tag>,
    /// Until when they hold.
    pub(super) ends: UnixTime,
}

impl<'b> Claims<'b> {
    pub(super) fn parse(document: &'b [u8]) -> Result<Self, Reason> {
        let mut claims = Self::default();
        parse_object(document, &mut claims).map_err(|fault| fault.reason(Reason::ClaimsMalformed))?;
        Ok(claims)
    }

    /// Judges everything that needs no secret.
    pub(super) fn judge(self, rules: &Rules, now: UnixTime) -> Result<Said<'b>, Reason> {
        let (client, iat) = self.iss.zip(self.iat).ok_or(Reason::ClaimMissing)?;
        // RFC 7519 §4.1.3: whoever is not named in an `aud` must refuse. So no assertion that a client made for its
        // authorization server, with the same secret, opens anything here.
        if self.addressed {
            return Err(Reason::AudienceRefused);
        }
        if self.bound {
            return Err(Reason::SenderConstrained);
        }
        if rules.request_binding && self.req.is_none() || rules.body_binding && self.pay.is_none() {
            return Err(Reason::BindingMissing);
        }
        let latest = now.saturating_add(rules.window);
        if iat < now.saturating_sub(rules.window) {
            return Err(Reason::TokenStale);
        }
        if iat > latest {
            return Err(Reason::IssuedInFuture);
        }
        // To the letter: it can only shorten the time, and who wants that means it.
        if self.exp.is_some_and(|exp| exp <= now) {
            return Err(Reason::TokenExpired);
        }
        if self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(Reason::TokenNotYetValid);
        }
        let ends = iat.saturating_add(rules.window);
        let ends = self.exp.map_or(ends, |exp| exp.min(ends));
        Ok(Said { client, jti: self.jti, req: self.req, pay: self.pay, ends })
    }
}

impl<'de> Members<'de> for Claims<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        match name {
            "iss" => skip.once(&mut self.iss, name_of(map)?),
            "iat" => skip.once(&mut self.iat, map.next_value::<NumericDate>()?.0),
            "exp" => skip.once(&mut self.exp, map.next_value::<NumericDate>()?.0),
            "nbf" => skip.once(&mut self.nbf, map.next_value::<NumericDate>()?.0),
            "jti" => skip.once(&mut self.jti, name_of(map)?),
            "req" => skip.once(&mut self.req, tag_of(map)?),
            "pay" => skip.once(&mut self.pay, tag_of(map)?),
            "aud" => {
                self.addressed = true;
                skip.over(map)
            }
            // RFC 7800, as for tokens of issuers.
            "cnf" => {
                self.bound = true;
                skip.over(map)
            }
            _ => skip.over(map),
        }
    }
}

fn name_of<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Cow<'de, str>, A::Error> {
    let Text(name) = map.next_value()?;
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return Err(A::Error::custom("a name is empty or too long"));
    }
    Ok(name)
}

/// Reads base64 with padding, in its one form.
fn tag_of<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Tag, A::Error> {
    let Text(text) = map.next_value()?;
    // One byte more than a tag has, for that is what 44 characters may hold.
    let mut bytes = [0; 33];
    let tag =
        STANDARD.decode_slice(&*text, &mut bytes).ok().and_then(|len| bytes.get(..len)?.try_into().ok());
    tag.ok_or_else(|| A::Error::custom("not the base64 of an HMAC-SHA-256"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);
    const RULES: Rules = Rules {
        window: Duration::from_secs(30),
        request_binding: false,
        body_binding: false,
        max_token_len: 8192,
    };

    fn judge(json: &str) -> Result<UnixTime, Reason> {
        Claims::parse(json.as_bytes())?.judge(&RULES, NOW).map(|said| said.ends)
    }

    fn with(more: &str) -> Result<UnixTime, Reason> {
        judge(&format!(r#"{{"iss":"app","iat":1000000{more}}}"#))
    }

    #[test]
    fn times_of_every_kind() {
        let at = |iat: &str| judge(&format!(r#"{{"iss":"app","iat":{iat}}}"#));
        for (iat, ends) in [
            ("1000000", 1_000_030.0),
            ("999970", 1_000_000.0),
            ("999970.001", 1_000_000.001),
            ("1000030", 1_000_060.0),
            ("1e6", 1_000_030.0),
        ] {
            assert_eq!(at(iat), Ok(UnixTime::from_secs_f64(ends)), "{iat}");
        }
        for (iat, reason) in [
            ("999969", Reason::TokenStale),
            ("999969.999", Reason::TokenStale),
            ("0", Reason::TokenStale),
            ("-1e308", Reason::TokenStale),
            ("1000030.001", Reason::IssuedInFuture),
            ("1000031", Reason::IssuedInFuture),
            ("1e308", Reason::IssuedInFuture),
            ("18446744073709551615", Reason::IssuedInFuture),
            // Milliseconds, as clocks of some languages give them.
            ("1000000000", Reason::IssuedInFuture),
        ] {
            assert_eq!(at(iat), Err(reason), "{iat}");
        }
        for (more, expected) in [
            (r#","exp":1000001"#, Ok(1_000_001)),
            (r#","exp":1000031"#, Ok(1_000_030)),
            (r#","exp":1000000"#, Err(Reason::TokenExpired)),
            (r#","exp":999999"#, Err(Reason::TokenExpired)),
            (r#","nbf":1000030"#, Ok(1_000_030)),
            (r#","nbf":1000031"#, Err(Reason::TokenNotYetValid)),
        ] {
            assert_eq!(with(more), expected.map(UnixTime::from_secs), "{more}");
        }
    }

    #[test]
    fn claims_have_the_right_type_and_stand_once() {
        let tag = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let (longest, too_long) = ("j".repeat(256), "j".repeat(257));
        for good in [
            String::new(),
            r#","sub":"ann","scope":1,"x":{"iss":"other"}"#.to_owned(),
            format!(r#","jti":"{longest}","req":"{tag}","pay":"{tag}""#),
        ] {
            assert!(with(&good).is_ok(), "{good}");
        }
        for bad in [
            r#","jti":"""#,
            r#","jti":1"#,
            r#","jti":null"#,
            &format!(r#","jti":"{too_long}""#),
            r#","exp":"1000001""#,
            r#","nbf":null"#,
            r#","req":null"#,
            r#","pay":"""#,
        ] {
            assert_eq!(with(bad), Err(Reason::ClaimsMalformed), "{bad}");
        }
        for name in ["iss", "iat", "exp", "nbf", "jti", "req", "pay", "aud", "cnf", "x"] {
            let value = match name {
                "iss" | "jti" => "\"app\"",
                "req" | "pay" => &format!("\"{tag}\""),
                _ => "1000001",
            };
            let twice = format!(r#","{name}":{value},"{name}":{value}"#);
            assert_eq!(with(&twice), Err(Reason::MemberDuplicated), "{name}");
        }
        for (bad, reason) in [
            (r#"{"iat":1000000}"#, Reason::ClaimMissing),
            (r#"{"iss":"app"}"#, Reason::ClaimMissing),
            (r#"{"iss":"","iat":1000000}"#, Reason::ClaimsMalformed),
            (r#"{"iss":["app"],"iat":1000000}"#, Reason::ClaimsMalformed),
            (r#"{"iss":"app","iat":"1000000"}"#, Reason::ClaimsMalformed),
            (r#"{"iss":"app","iat":1000000,"aud":"api"}"#, Reason::AudienceRefused),
            (r#"{"iss":"app","iat":1000000,"aud":[]}"#, Reason::AudienceRefused),
            (r#"{"iss":"app","iat":1000000,"cnf":{}}"#, Reason::SenderConstrained),
        ] {
            assert_eq!(judge(bad), Err(reason), "{bad}");
        }
    }

    #[test]
    fn tags_are_in_the_one_form_of_base64() {
        let tag = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert!(with(&format!(r#","req":"{tag}""#)).is_ok());
        for bad in [
            tag.trim_end_matches('=').to_owned(),
            tag.replace('+', "-").replace('/', "_"),
            // The same bytes but for two that no byte has.
            tag.replace("FU=", "FV="),
            format!("{tag}="),
            format!(" {tag}"),
            format!(r"{tag}\n"),
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==".to_owned(),
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA".to_owned(),
            "A".repeat(400),
        ] {
            assert_eq!(with(&format!(r#","req":"{bad}""#)), Err(Reason::ClaimsMalformed), "{bad}");
        }
    }
}
