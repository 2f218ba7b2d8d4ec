//! What an authority says about a token (RFC 7662 §2.2): parsed strictly, judged, never merely believed.

use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::clock::timestamp::UnixTime;
use crate::error::Reason;
use crate::jose::claims::{Audience, NumericDate};
use crate::jose::client_claims::{ClientClaims, OtherClient};
use crate::jose::json::{Members, Repeat, Skip, Text, parse_object};
use crate::jose::scope_claim::ScopeClaim;
use crate::jose::token_kind::is_access_token_use;
use crate::scope::{InvalidScope, ScopeSet};

/// What an answer must say.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) issuer: String,
    /// The names of this server; none: tokens for anybody.
    pub(super) audiences: Vec<String>,
    pub(super) audience_may_be_missing: bool,
    pub(super) client_claims: ClientClaims,
    /// `None`: the response decides, by the members of users that it has.
    pub(super) subjectless_is_client: Option<bool>,
    pub(super) leeway: Duration,
}

/// How the audience of a token is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownAudience {
    /// From the response alone: an opaque token.
    FromResponse,
    /// From the token itself, which is a JWT with a verified `aud`.
    FromToken,
}

/// An answer, as far as it counts. What a server leaves out it may also send as `null`.
#[derive(Default)]
pub(super) struct Answer<'a> {
    active: Option<bool>,
    iss: Member<'a>,
    sub: Member<'a>,
    client_id: Member<'a>,
    azp: Member<'a>,
    other_client: OtherClient<'a>,
    /// Whether a member that only tokens of users have is there.
    names_user: bool,
    token_type: Member<'a>,
    token_use: Member<'a>,
    /// Whether it names this server.
    audience: Option<Option<bool>>,
    exp: Option<Option<NumericDate>>,
    nbf: Option<Option<NumericDate>>,
    iat: Option<Option<NumericDate>>,
    scope: Option<Option<ScopeClaim<'a>>>,
    /// RFC 7800: it is for whoever proves that key, and nobody proves one here yet.
    cnf: Option<Option<()>>,
}

type Member<'a> = Option<Option<Text<'a>>>;

/// Why an authority says nothing that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    NoJson,
    /// JSON of another shape, which may be due to this one token.
    NoAnswer,
}

/// An answer about a token that is accepted.
pub(super) struct Judged<'a> {
    answer: &'a Answer<'a>,
    /// From the most preferred claim that names one.
    pub(super) client: Option<&'a str>,
    /// Whether the client is the identity where there is no subject.
    pub(super) client_is_identity: bool,
    /// `None` where the authority says nothing about scopes.
    pub(super) scopes: Option<ScopeSet>,
}

impl<'a> Answer<'a> {
    pub(super) fn parse(document: &'a [u8], rules: &Rules) -> Result<Self, Unreadable> {
        let mut reader = Reader { answer: Self::default(), rules };
        if parse_object(document, &mut reader).is_ok() && reader.answer.active.is_some() {
            return match reader.answer.granted() {
                Ok(_) => Ok(reader.answer),
                // Where a token is not active nothing else counts.
                Err(_) if reader.answer.active == Some(false) => Ok(reader.answer),
                Err(_) => Err(Unreadable::NoAnswer),
            };
        }
        // RFC 7662 §2.2: where a token is not active nothing else counts, so it need not be right either.
        let mut only = OnlyActive(None);
        match parse_object(document, &mut only) {
            Ok(()) if only.0 == Some(false) => Ok(Self { active: Some(false), ..Self::default() }),
            _ if serde_json::from_slice::<IgnoredAny>(document).is_ok() => Err(Unreadable::NoAnswer),
            _ => Err(Unreadable::NoJson),
        }
    }

    pub(super) fn judge(
        &self,
        rules: &Rules,
        known: KnownAudience,
        now: UnixTime,
    ) -> Result<Judged<'_>, Reason> {
        if self.active != Some(true) {
            return Err(Reason::TokenInactive);
        }
        if text(&self.iss).is_some_and(|iss| iss != rules.issuer) {
            return Err(Reason::IssuerRefused);
        }
        // RFC 7662 §2.2 names the type as RFC 6749 §5.1 does. What is bound to a sender, or is a refresh token, is none to be borne.
        let is_bearer =
            |text: &str| ["Bearer", "access_token"].iter().any(|name| text.eq_ignore_ascii_case(name));
        if !text(&self.token_type).is_none_or(is_bearer)
            || !text(&self.token_use).is_none_or(is_access_token_use)
        {
            return Err(Reason::NotAnAccessToken);
        }
        match self.audience.flatten() {
            Some(true) => {}
            None if rules.audience_may_be_missing || known == KnownAudience::FromToken => {}
            _ if rules.audiences.is_empty() => {}
            None => return Err(Reason::AudienceMissing),
            Some(false) => return Err(Reason::AudienceRefused),
        }
        if self.cnf.flatten().is_some() {
            return Err(Reason::SenderConstrained);
        }
        self.judge_times(rules.leeway, now)?;
        let scopes = self.granted().map_err(|_| Reason::ScopeMalformed)?;
        let (client_id, azp) = (name(&self.client_id), name(&self.azp));
        let client = rules.client_claims.choose(client_id, azp, &self.other_client);
        let acts_for_itself = client_id.is_some() && !self.names_user;
        let client_is_identity = rules.subjectless_is_client.unwrap_or(acts_for_itself);
        Ok(Judged { answer: self, client, client_is_identity, scopes })
    }

    fn judge_times(&self, leeway: Duration, now: UnixTime) -> Result<(), Reason> {
        let latest = now.saturating_add(leeway);
        if time(&self.exp).is_some_and(|exp| now.saturating_sub(leeway) >= exp) {
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

    fn granted(&self) -> Result<Option<ScopeSet>, InvalidScope> {
        self.scope.as_ref().and_then(Option::as_ref).map(ScopeClaim::parse).transpose()
    }
}

impl Judged<'_> {
    pub(super) fn exp(&self) -> Option<UnixTime> {
        time(&self.answer.exp)
    }

    pub(super) fn subject(&self) -> Option<&str> {
        name(&self.answer.sub)
    }
}

fn text<'a>(member: &'a Member<'_>) -> Option<&'a str> {
    member.as_ref().and_then(Option::as_ref).map(|Text(text)| &**text)
}

/// An empty name names nobody.
fn name<'a>(member: &'a Member<'_>) -> Option<&'a str> {
    text(member).filter(|name| !name.is_empty())
}

fn time(member: &Option<Option<NumericDate>>) -> Option<UnixTime> {
    member.as_ref().and_then(Option::as_ref).map(|NumericDate(time)| *time)
}

struct Reader<'a, 'r> {
    answer: Answer<'a>,
    rules: &'r Rules,
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
            "aud" => skip
                .once(&mut answer.audience, map.next_value_seed(Nullable(Audience(&self.rules.audiences)))?),
            "exp" => skip.once(&mut answer.exp, map.next_value()?),
            "nbf" => skip.once(&mut answer.nbf, map.next_value()?),
            "iat" => skip.once(&mut answer.iat, map.next_value()?),
            "scope" => skip.once(&mut answer.scope, map.next_value()?),
            "cnf" => skip.once(&mut answer.cnf, map.next_value_seed(Nullable(skip))?),
            "username" | "sid" | "auth_time" | "acr" | "email" | "preferred_username" => {
                answer.names_user |= !map.next_value_seed(skip.mixed())?.is_empty();
                Ok(Repeat::ByName)
            }
            _ => match self.rules.client_claims.rank(name) {
                Some(rank) => {
                    answer.other_client.offer(rank, map.next_value_seed(skip.mixed())?);
                    Ok(Repeat::ByName)
                }
                None => skip.over(map),
            },
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
