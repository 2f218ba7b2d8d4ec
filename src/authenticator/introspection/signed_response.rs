//! Answers that the authority signs (RFC 9701 §5), under a profile of their own: nothing that holds for access tokens holds here.

use std::time::Duration;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use crate::clock::Clock;
use crate::clock::timestamp::UnixTime;
use crate::error::Reason;
use crate::jose::claims::{Audience, NumericDate};
use crate::jose::header::Typ;
use crate::jose::json::{Members, Repeat, Skip, Text, parse_object};
use crate::jose::{Buffers, Opened, Parts};
use crate::keys::issuer::Keys;
use crate::keys::key_set::Find;
use crate::keys::lookup::{Patience, Stop};

/// Bytes of a signed answer.
pub(super) const MAX_LEN: usize = 64 * 1024;

/// What a signed answer must say.
pub(super) struct Profile {
    pub(super) keys: Keys,
    pub(super) issuer: String,
    /// By which the authority may know this server: its client id, and the audiences.
    pub(super) audiences: Vec<String>,
    pub(super) leeway: Duration,
}

/// The part of a signed answer that counts beside the signature. `exp` and `sub` have no business here (RFC 9701 §5); where there
/// is an `exp`, it has to hold all the same.
#[derive(Default)]
struct Envelope<'a> {
    iss: Option<Text<'a>>,
    audience: Option<bool>,
    iat: Option<NumericDate>,
    exp: Option<NumericDate>,
    answer: Option<&'a RawValue>,
}

/// Why a signed answer says nothing.
pub(super) enum Unopened {
    Refused(Reason),
    /// The keys to verify it with could not be fetched.
    NoKeys,
}

/// Fetching keys may take some rounds: fresh ones, a fetch under way, one for this very key.
const MAX_ROUNDS: u32 = 4;

impl Profile {
    /// The answer inside, as JSON: only what stands in `token_introspection` is one. `asked`: an older answer is a replay.
    pub(super) async fn open(
        &self,
        answer: &str,
        asked: UnixTime,
        clock: &dyn Clock,
    ) -> Result<String, Unopened> {
        let mut patience = Patience::NONE;
        for _ in 0..MAX_ROUNDS {
            let lack = match self.try_open(answer, patience, asked, clock.now().into()) {
                Ok(inner) => return Ok(inner),
                Err(Stop::Refuse(reason)) => return Err(Unopened::Refused(reason)),
                Err(Stop::Wait(lack)) => lack,
            };
            patience = lack.wait().await.map_err(|_| Unopened::NoKeys)?;
        }
        Err(Unopened::NoKeys)
    }

    fn try_open(
        &self,
        answer: &str,
        patience: Patience,
        asked: UnixTime,
        now: UnixTime,
    ) -> Result<String, Stop> {
        let mut buffers = Buffers::default();
        let parts = Parts::split(answer.as_bytes(), MAX_LEN)?;
        let opened = Opened::open(parts, &mut buffers, Typ::IntrospectionAnswer)?;
        let mut reader = Reader { envelope: Envelope::default(), audiences: &self.audiences };
        parse_object(opened.claims, &mut reader).map_err(|_| Reason::ClaimsMalformed)?;
        let inner = reader.envelope.judge(self, asked, now)?;
        let (kid, algorithm) = (opened.header.kid(), opened.algorithm);
        let verified = self.keys.judge(patience, |keys| match keys.find(kid, algorithm) {
            Find::Candidates(candidates) => Some(opened.seal.verify(candidates).map(|_| ())),
            Find::OtherAlgorithm => Some(Err(Reason::KeyMismatch)),
            Find::Unknown => None,
        })?;
        verified.ok_or(Reason::KeyUnknown)??;
        Ok(inner.to_owned())
    }
}

impl<'a> Envelope<'a> {
    fn judge(&self, profile: &Profile, asked: UnixTime, now: UnixTime) -> Result<&'a str, Reason> {
        let Some(Text(iss)) = &self.iss else { return Err(Reason::ClaimMissing) };
        if **iss != profile.issuer {
            return Err(Reason::IssuerRefused);
        }
        match self.audience {
            Some(true) => {}
            Some(false) => return Err(Reason::AudienceRefused),
            None => return Err(Reason::ClaimMissing),
        }
        let Some(NumericDate(iat)) = self.iat else { return Err(Reason::ClaimMissing) };
        if iat > now.saturating_add(profile.leeway) {
            return Err(Reason::IssuedInFuture);
        }
        let over =
            self.exp.as_ref().is_some_and(|NumericDate(exp)| now.saturating_sub(profile.leeway) >= *exp);
        // It is given in whole seconds.
        let earliest = asked.saturating_sub(profile.leeway.saturating_add(Duration::from_secs(1)));
        if over || iat < earliest {
            return Err(Reason::TokenExpired);
        }
        self.answer.map(RawValue::get).ok_or(Reason::ClaimMissing)
    }
}

struct Reader<'a, 'r> {
    envelope: Envelope<'a>,
    audiences: &'r [String],
}

impl<'de> Members<'de> for Reader<'de, '_> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
        skip: Skip<'_>,
    ) -> Result<Repeat, A::Error> {
        let envelope = &mut self.envelope;
        match name {
            "iss" => skip.once(&mut envelope.iss, map.next_value()?),
            "aud" => skip.once(&mut envelope.audience, map.next_value_seed(Audience(self.audiences))?),
            "iat" => skip.once(&mut envelope.iat, map.next_value()?),
            "exp" => skip.once(&mut envelope.exp, map.next_value()?),
            "token_introspection" => skip.once(&mut envelope.answer, map.next_value()?),
            _ => skip.over(map),
        }
    }
}
