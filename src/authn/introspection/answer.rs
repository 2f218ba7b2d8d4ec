//! What an authority says about a token (RFC 7662 §2.2): parsed strictly, judged, never merely believed.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::error::Reason;
use crate::jose::{Audience, Fault, Members, NumericDate, Repeat, ScopeClaim, Skip, Text, parse_object};
use crate::scope::{InvalidScope, ScopeSet};
use crate::time::UnixTime;

/// What an answer must say.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    /// The names of this server; none: tokens for anybody.
    pub(super) audiences: Vec<String>,
    pub(super) audience_may_be_missing: bool,
    pub(super) leeway: Duration,
}

/// An answer, as far as it counts. What a server leaves out it may also send as `null`.
#[derive(Default)]
pub(super) struct Answer<'a> {
    active: Option<bool>,
    iss: Member<'a>,
    sub: Member<'a>,
    client_id: Member<'a>,
    azp: Member<'a>,
    token_type: Member<'a>,
    token_use: Member<'a>,
    /// Whether it names this server.
    audience: Option<Option<bool>>,
    exp: Option<Option<NumericDate>>,
    nbf: Option<Option<NumericDate>>,
    iat: Option<Option<NumericDate>>,
    scope: Option<Option<ScopeClaim<'a>>>,
    bound: bool,
}

type Member<'a> = Option<Option<Text<'a>>>;

impl<'a> Answer<'a> {
    /// Parses it. An error means that the authority does not say anything that can be used.
    pub(super) fn parse(document: &'a [u8], rules: &Rules) -> Result<Self, Fault> {
        let mut reader = Reader { answer: Self::default(), audiences: &rules.audiences };
        match parse_object(document, &mut reader) {
            Ok(()) if reader.answer.active.is_some() => Ok(reader.answer),
            Ok(()) => Err(Fault::Malformed),
            // RFC 7662 §2.2: where a token is not active nothing else counts, so it need not be right either.
            Err(fault) => {
                let mut only = OnlyActive(None);
                let inactive = parse_object(document, &mut only).is_ok() && only.0 == Some(false);
                if inactive { Ok(Self { active: Some(false), ..Self::default() }) } else { Err(fault) }
            }
        }
    }

    pub(super) fn judge(&self, rules: &Rules, now: UnixTime) -> Result<(), Reason> {
        if self.active != Some(true) {
            return Err(Reason::TokenInactive);
        }
        if text(&self.iss).is_some_and(|iss| iss != rules.issuer) {
            return Err(Reason::IssuerRefused);
        }
        // RFC 7662 §2.2 names the type as RFC 6749 §5.1 does. What is bound to a sender, or is a refresh token, is none to be borne.
        let is = |member: &Member<'_>, names: [&str; 2]| {
            text(member).is_none_or(|text| names.iter().any(|name| text.eq_ignore_ascii_case(name)))
        };
        if !is(&self.token_type, ["Bearer", "access_token"])
            || !is(&self.token_use, ["access_token", "access"])
        {
            return Err(Reason::NotAnAccessToken);
        }
        match self.audience.flatten() {
            Some(true) => {}
            None if rules.audience_may_be_missing => {}
            _ if rules.audiences.is_empty() => {}
            None => return Err(Reason::ClaimMissing),
            Some(false) => return Err(Reason::AudienceRefused),
        }
        if self.bound {
            return Err(Reason::SenderConstrained);
        }
        self.judge_times(rules.leeway, now)
    }

    fn judge_times(&self, leeway: Duration, now: UnixTime) -> Result<(), Reason> {
        let latest = now.saturating_add(leeway);
        if self.exp().is_some_and(|exp| now.saturating_sub(leeway) >= exp) {
            return Err(Reason::TokenExpired);
        }
        if time(&self.nbf).is_some_and(|nbf| nbf > latest) {
            return Err(Reason::TokenNotYetValid);
        }
        if time(&self.iat).is_some_and(|iat| iat > latest) {
            return Err(Reason::IssuedInFuture);
        }
        Ok(())
    }

    pub(super) fn exp(&self) -> Option<UnixTime> {
        time(&self.exp)
    }

    pub(super) fn subject(&self) -> Option<&str> {
        text(&self.sub)
    }

    pub(super) fn client(&self) -> Option<&str> {
        text(&self.client_id).or_else(|| text(&self.azp))
    }

    /// `None` where the authority says nothing about scopes.
    pub(super) fn scopes(&self) -> Result<Option<ScopeSet>, Reason> {
        let scope = self.scope.as_ref().and_then(Option::as_ref);
        scope.map(|scope| scope.parse().map_err(|InvalidScope| Reason::ScopeMalformed)).transpose()
    }
}

/// An empty name names nobody.
fn text<'a>(member: &'a Member<'_>) -> Option<&'a str> {
    member.as_ref().and_then(Option::as_ref).map(|Text(text)| &**text).filter(|text| !text.is_empty())
}

fn time(member: &Option<Option<NumericDate>>) -> Option<UnixTime> {
    member.as_ref().and_then(Option::as_ref).map(|NumericDate(time)| *time)
}

struct Reader<'a, 'r> {
    answer: Answer<'a>,
    audiences: &'r [String],
}

impl<'de> Members<'de> for Reader<'de, '_> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        let answer = &mut self.answer;
        match name {
            "active" => skip.once(&mut answer.active, map.next_value()?),
            "iss" => skip.once(&mut answer.iss, map.next_value()?),
            "sub" => skip.once(&mut answer.sub, map.next_value()?),
            "client_id" => skip.once(&mut answer.client_id, map.next_value()?),
            "azp" => skip.once(&mut answer.azp, map.next_value()?),
            "token_type" => skip.once(&mut answer.token_type, map.next_value()?),
            "token_use" => skip.once(&mut answer.token_use, map.next_value()?),
            "aud" => {
                skip.once(&mut answer.audience, map.next_value_seed(Nullable(Audience(self.audiences)))?)
            }
            "exp" => skip.once(&mut answer.exp, map.next_value()?),
            "nbf" => skip.once(&mut answer.nbf, map.next_value()?),
            "iat" => skip.once(&mut answer.iat, map.next_value()?),
            "scope" => skip.once(&mut answer.scope, map.next_value()?),
            // RFC 7800: it is for whoever proves that key, and nobody proves one here yet.
            "cnf" => {
                answer.bound = true;
                skip.over(map)
            }
            _ => skip.over(map),
        }
    }
}

/// Reads `null` as nothing.
struct Nullable<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

struct OnlyActive(Option<bool>);

impl<'de> Members<'de> for OnlyActive {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        if name == "active" { skip.once(&mut self.0, map.next_value()?) } else { skip.over(map) }
    }
}
