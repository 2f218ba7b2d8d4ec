//! The claims of an access token (RFC 7519, RFC 9068).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::client_claims::{ClientClaims, OtherClient};
use super::header::Typ;
use super::json::{Members, Mixed, Repeat, Skip, Text, parse_object};
use super::scope_claim::ScopeClaim;
use super::token_kind::{is_access_token_type, is_access_token_use};
use crate::clock::timestamp::UnixTime;
use crate::error::Reason;
use crate::scope::ScopeSet;

/// What a verifier demands.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) typ: Typ,
    pub(crate) audiences: Vec<String>,
    pub(crate) client_claims: ClientClaims,
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Duration,
    /// sub, client_id, iat and jti (RFC 9068 §2.2).
    pub(crate) all_rfc9068_claims: bool,
}

/// The claims that count. What is here has the right type; what is missing is decided by [`Claims::judge`].
#[derive(Default)]
pub(crate) struct Claims<'b> {
    pub(crate) iss: Option<Cow<'b, str>>,
    sub: Option<Cow<'b, str>>,
    client_id: Option<Cow<'b, str>>,
    azp: Option<Cow<'b, str>>,
    other_client: OtherClient<'b>,
    audience: Option<bool>,
    pub(crate) exp: Option<UnixTime>,
    nbf: Option<UnixTime>,
    iat: Option<UnixTime>,
    jti: Option<Cow<'b, str>>,
    scope: Option<ScopeClaim<'b>>,
    scp: Option<ScopeClaim<'b>>,
    token_use: Option<Mixed<'b>>,
    typ: Option<Mixed<'b>>,
    bound: bool,
    foreign: bool,
}

impl<'b> Claims<'b> {
    /// Reads them all, where there were none.
    pub(super) fn read(&mut self, document: &'b [u8], rules: &Rules) -> Result<(), Reason> {
        let mut reader = Reader { claims: self, rules };
        parse_object(document, &mut reader).map_err(|fault| fault.reason(Reason::ClaimsMalformed))
    }

    /// Judges everything but the issuer and the signature: cheap, and before any key is looked for.
    pub(crate) fn judge(&self, rules: &Rules, now: UnixTime) -> Result<(), Reason> {
        let exp = self.exp.ok_or(Reason::ClaimMissing)?;
        let missing = rules.all_rfc9068_claims
            && (self.subject().is_none()
                || self.client_id.is_none()
                || self.iat.is_none()
                || self.jti.is_none());
        if missing {
            return Err(Reason::ClaimMissing);
        }
        if self.foreign || self.names_another_kind() {
            return Err(Reason::NotAnAccessToken);
        }
        match self.audience {
            None => return Err(Reason::ClaimMissing),
            Some(false) => return Err(Reason::AudienceRefused),
            Some(true) => {}
        }
        // RFC 7800: a token with a confirmation is for whoever proves that key. Nobody proves one here yet.
        if self.bound {
            return Err(Reason::SenderConstrained);
        }
        self.judge_times(exp, rules, now)
    }

    fn judge_times(&self, exp: UnixTime, rules: &Rules, now: UnixTime) -> Result<(), Reason> {
        let latest = now.saturating_add(rules.leeway);
        if now.saturating_sub(rules.leeway) >= exp {
            return Err(Reason::TokenExpired);
        }
        if self.nbf.is_some_and(|nbf| nbf > latest) {
            return Err(Reason::TokenNotYetValid);
        }
        if self.iat.is_some_and(|iat| iat > latest) {
            return Err(Reason::IssuedInFuture);
        }
        // Without `iat` the clock of the issuer is unknown, hence the leeway.
        let born = self.iat.unwrap_or(latest);
        if exp > born.saturating_add(rules.max_lifetime) {
            return Err(Reason::LifetimeTooLong);
        }
        Ok(())
    }

    /// Returns whether a claim names another kind of token than an access token.
    fn names_another_kind(&self) -> bool {
        let used_otherwise =
            self.token_use.as_ref().is_some_and(|value| !value.text().is_some_and(is_access_token_use));
        // `typ` is a common word, so a claim of another type than a string is an application's own.
        let typed_otherwise =
            self.typ.as_ref().and_then(Mixed::text).is_some_and(|typ| !is_access_token_type(typ));
        used_otherwise || typed_otherwise
    }

    /// Returns the subject. An empty one counts as absent.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.sub.as_deref().filter(|subject| !subject.is_empty())
    }

    /// Returns the client, from the most preferred claim that names one.
    pub(crate) fn client(&self, claims: &ClientClaims) -> Option<&str> {
        claims.choose(self.client_id.as_deref(), self.azp.as_deref(), &self.other_client)
    }

    /// `scope`, or `scp` if there is no `scope`.
    pub(crate) fn scopes(&self) -> Result<ScopeSet, Reason> {
        match self.scope.as_ref().or(self.scp.as_ref()) {
            None => Ok(ScopeSet::default()),
            Some(claim) => claim.parse().map_err(|_| Reason::ScopeMalformed),
        }
    }
}

struct Reader<'r, 'b> {
    claims: &'r mut Claims<'b>,
    rules: &'r Rules,
}

impl<'de> Members<'de> for Reader<'_, 'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        let claims = &mut *self.claims;
        match name.as_bytes() {
            b"iss" => skip.once(&mut claims.iss, map.next_value::<Text<'_>>()?.0),
            b"sub" => skip.once(&mut claims.sub, map.next_value::<Text<'_>>()?.0),
            b"client_id" => skip.once(&mut claims.client_id, named(map)?),
            b"azp" => skip.once(&mut claims.azp, named(map)?),
            b"aud" => skip.once(&mut claims.audience, map.next_value_seed(Audience(&self.rules.audiences))?),
            b"exp" => skip.once(&mut claims.exp, map.next_value::<NumericDate>()?.0),
            b"nbf" => skip.once(&mut claims.nbf, map.next_value::<NumericDate>()?.0),
            b"iat" => skip.once(&mut claims.iat, map.next_value::<NumericDate>()?.0),
            b"jti" => skip.once(&mut claims.jti, map.next_value::<Text<'_>>()?.0),
            b"scope" => skip.once(&mut claims.scope, map.next_value()?),
            b"scp" => skip.once(&mut claims.scp, map.next_value()?),
            b"token_use" => skip.once(&mut claims.token_use, map.next_value_seed(skip.mixed())?),
            b"typ" => skip.once(&mut claims.typ, map.next_value_seed(skip.mixed())?),
            b"cnf" => {
                claims.bound = true;
                skip.over(map)
            }
            // Marks of ID tokens (OpenID Connect Core §3.1.3.6), of logout tokens and security events (RFC 8417), and of
            // introspection answers (RFC 9701), which name this very server as their audience.
            b"at_hash" | b"c_hash" | b"events" | b"token_introspection" => {
                claims.foreign = true;
                skip.over(map)
            }
            _ => match self.rules.client_claims.rank(name) {
                Some(rank) => {
                    claims.other_client.offer(rank, map.next_value_seed(skip.mixed())?);
                    Ok(Repeat::ByName)
                }
                None => skip.over(map),
            },
        }
    }
}

/// A name of a party: a string that is not empty.
fn named<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Cow<'de, str>, A::Error> {
    let Text(name) = map.next_value()?;
    if name.is_empty() { Err(A::Error::custom("empty name")) } else { Ok(name) }
}

/// Seconds since the epoch, possibly with a fraction (RFC 7519 §2).
pub(crate) struct NumericDate(pub(crate) UnixTime);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DateVisitor;

        impl Visitor<'_> for DateVisitor {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate(UnixTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))))
            }

            fn visit_i64<E>(self, seconds: i64) -> Result<NumericDate, E> {
                Ok(NumericDate(UnixTime::from_secs(seconds)))
            }

            fn visit_f64<E>(self, seconds: f64) -> Result<NumericDate, E> {
                Ok(NumericDate(UnixTime::from_secs_f64(seconds)))
            }
        }

        // `f64` rather than `any`: it reads numbers alike whatever features other crates turn on in serde_json.
        deserializer.deserialize_f64(DateVisitor)
    }
}

/// Reads `aud`: a string, or a list of strings. True if one of them names this server.
pub(crate) struct Audience<'r>(pub(crate) &'r [String]);

impl Audience<'_> {
    fn names_us(&self, audience: &str) -> bool {
        self.0.iter().any(|ours| ours == audience)
    }
}

impl<'de> DeserializeSeed<'de> for Audience<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Audience<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E>(self, audience: &str) -> Result<bool, E> {
        Ok(self.names_us(audience))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(Text(audience)) = seq.next_element()? {
            found |= self.names_us(&audience);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_000_000);

    fn rules() -> Rules {
        Rules {
            typ: Typ::AccessToken,
            audiences: vec!["api".into()],
            client_claims: ClientClaims::default(),
            leeway: Duration::from_secs(30),
            max_lifetime: Duration::from_secs(86_400),
            all_rfc9068_claims: false,
        }
    }

    fn read<'b>(json: &'b str, rules: &Rules) -> Result<Claims<'b>, Reason> {
        let mut claims = Claims::default();
        claims.read(json.as_bytes(), rules).map(|()| claims)
    }

    fn judge(json: &str) -> Result<(), Reason> {
        let rules = rules();
        read(json, &rules)?.judge(&rules, NOW)
    }

    #[test]
    fn times_of_every_kind() {
        let with = |extra: &str| judge(&format!(r#"{{"aud":"api",{extra}}}"#));
        for good in [
            r#""exp":1000001"#,
            r#""exp":999970.5"#,
            r#""exp":1.0001e6"#,
            r#""exp":1086430"#,
            r#""exp":1000100,"nbf":1000030"#,
            r#""exp":1000100,"iat":1000030"#,
            r#""exp":1000100,"nbf":-1"#,
            r#""exp":1000100,"iat":913700"#,
        ] {
            assert_eq!(with(good), Ok(()), "{good}");
        }
        for (bad, reason) in [
            (r#""exp":999970"#, Reason::TokenExpired),
            (r#""exp":-1"#, Reason::TokenExpired),
            (r#""exp":-1e308"#, Reason::TokenExpired),
            (r#""exp":1086431"#, Reason::LifetimeTooLong),
            (r#""exp":1e308"#, Reason::LifetimeTooLong),
            (r#""exp":18446744073709551615"#, Reason::LifetimeTooLong),
            (r#""exp":1000100,"iat":0"#, Reason::LifetimeTooLong),
            (r#""exp":1000100,"nbf":1000031"#, Reason::TokenNotYetValid),
            (r#""exp":1000100,"iat":1000031"#, Reason::IssuedInFuture),
            (r#""iat":1"#, Reason::ClaimMissing),
        ] {
            assert_eq!(with(bad), Err(reason), "{bad}");
        }
        for name in ["exp", "nbf", "iat"] {
            for value in ["\"1000100\"", "true", "null", "[1000100]", "{}", "1e400", "NaN"] {
                assert_eq!(
                    with(&format!(r#""{name}":{value}"#)),
                    Err(Reason::ClaimsMalformed),
                    "{name} {value}"
                );
            }
        }
    }

    #[test]
    fn audiences_of_every_kind() {
        let with = |aud: &str| judge(&format!(r#"{{"exp":1000100,"aud":{aud}}}"#));
        for good in [r#""api""#, r#"["api"]"#, r#"["x","api","y"]"#] {
            assert_eq!(with(good), Ok(()), "{good}");
        }
        for bad in [r#""""#, r#""API""#, r#""api/""#, r#""ap""#, r#""api2""#, "[]", r#"["x"]"#] {
            assert_eq!(with(bad), Err(Reason::AudienceRefused), "{bad}");
        }
        for bad in ["42", "null", "true", "{}", r#"["api",1]"#, r#"[["api"]]"#] {
            assert_eq!(with(bad), Err(Reason::ClaimsMalformed), "{bad}");
        }
        assert_eq!(judge(r#"{"exp":1000100}"#), Err(Reason::ClaimMissing));
    }

    #[test]
    fn scopes_of_every_kind() {
        let scopes = |json: &str| read(json, &rules()).and_then(|claims| claims.scopes());
        for (json, expected) in [
            (r#"{}"#, ""),
            (r#"{"scope":"b a"}"#, "a b"),
            (r#"{"scope":["b","a"]}"#, "a b"),
            (r#"{"scp":"b a"}"#, "a b"),
            (r#"{"scp":["b","a"]}"#, "a b"),
            (r#"{"scope":"a","scp":"admin"}"#, "a"),
        ] {
            assert_eq!(scopes(json).unwrap().as_str(), expected, "{json}");
        }
        for bad in
            [r#"{"scope":"a\tb"}"#, r#"{"scope":["a b"]}"#, r#"{"scp":["a",""]}"#, r#"{"scope":"\u00e9"}"#]
        {
            assert_eq!(scopes(bad), Err(Reason::ScopeMalformed), "{bad}");
        }
        for bad in [r#"{"scope":1}"#, r#"{"scp":[["a"]]}"#, r#"{"scope":{"a":1}}"#, r#"{"scope":null}"#] {
            assert_eq!(scopes(bad), Err(Reason::ClaimsMalformed), "{bad}");
        }
    }
}
