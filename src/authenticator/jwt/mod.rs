//! JWT access tokens, judged here with the issuer's keys.

pub(crate) mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub use builder::JwtAuthenticatorBuilder;

use super::future::AuthFuture;
#[cfg(feature = "introspection")]
use super::introspection::IntrospectionAuthenticator;
use super::{Authenticator, Match};
use crate::clock::timestamp::UnixTime;
use crate::clock::{Clock, SystemClock};
use crate::context::RequestContext;
use crate::credential::Credential;
use crate::credential::location::Presentation;
use crate::error::{AuthError, Reason};
use crate::jose::claims::{Claims, Rules};
use crate::jose::{Buffers, Parts, Token, Verified};
use crate::keys::issuer::Keys;
use crate::keys::key_set::Find;
use crate::keys::lookup::{Lack, Patience, Stop};
use crate::principal::Principal;
use crate::verdict::Verdict;

/// Judges JWT access tokens (RFC 9068) by their signature and their claims, with the keys of the issuers that it knows.
///
/// Checked: the form of the token, strictly; `typ`; `iss`, `aud` and `exp`, all required; `nbf`, `iat`, a maximum lifetime; the
/// scopes' grammar; the claims `token_use` (`access` or `access_token`) and `typ` (`Bearer`,
/// `at+jwt`, `application/at+jwt`, `access` or `access_token`, if it is a string), regardless of
/// case, where present; the signature, with the algorithm that the issuer's key fixes. A token with
/// `cnf` is bound to a key of its
/// sender and refused, since nobody proves that key. Tokens of issuers that are not listed cause no I/O.
///
/// Not checked: whether the issuer called a token back (see [`with_introspection`](JwtAuthenticatorBuilder::with_introspection) and
/// [`AuthLayer::revocations`](crate::AuthLayer::revocations)), `jti` for repetition, and every other claim. Of keys that
/// share a `kid`, or of a token without one, four of its algorithm are tried at most. New key material under an old `kid` is
/// noticed with the next refresh of the keys, not by the first token.
///
/// If the keys are cached, the verdict is ready immediately. Clones are the same authenticator.
///
/// ```
/// use portcullis::{AuthLayer, Issuer, JwtAuthenticator};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let issuer = Issuer::discover("https://id.example.com");
/// let auth = AuthLayer::new(JwtAuthenticator::builder(issuer, "https://api.example.com").build()?);
/// // Found when the server starts, not when it serves:
/// assert!(JwtAuthenticator::builder(Issuer::discover("http://plain"), "https://api.example.com").build().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JwtAuthenticator {
    judge: Arc<Judge>,
    #[cfg(feature = "introspection")]
    authority: Option<IntrospectionAuthenticator>,
}

struct Judge {
    issuers: Box<[Trusted]>,
    rules: Rules,
    subjectless_is_client: bool,
    max_token_len: usize,
    /// The application's, if it brought one.
    own_clock: Option<Arc<dyn Clock>>,
}

struct Trusted {
    id: Arc<str>,
    keys: Keys,
}

impl JwtAuthenticator {
    /// Judges as ever, and has the authority confirm it: for a route that asks for that.
    #[cfg(feature = "introspection")]
    fn confirm(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        let Some(authority) = self.authority.clone() else {
            return AuthFuture::ready(Err(AuthError::authority_missing()));
        };
        let parameters = authority.parameters(context);
        let (shared, limit) = (parameters.is_none(), authority.limit().saturating_add(KEYS_LIMIT));
        let (judge, token) = (Arc::clone(&self.judge), credential.to_secret());
        let confirmed = async move {
            let verdict = judge.judge_to_the_end(&token).await?;
            let confirmed = authority.confirm(&token, parameters.as_ref()).await?;
            verdict.confirmed(confirmed, shared)
        };
        if shared { AuthFuture::shared(limit, confirmed) } else { AuthFuture::boxed(confirmed) }
    }

    #[cfg(not(feature = "introspection"))]
    fn confirm(&self, _credential: &Credential<'_>, _context: &RequestContext<'_>) -> AuthFuture {
        AuthFuture::ready(Err(AuthError::authority_missing()))
    }
}

impl Authenticator for JwtAuthenticator {
    /// Certain of three-part tokens with the algorithm of a public key.
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        match Parts::split(credential.bytes(), self.judge.max_token_len) {
            Ok(parts) if parts.is_asymmetric() => Match::Specific,
            _ => Match::No,
        }
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        if context.not_before().is_some() {
            return self.confirm(credential, context);
        }
        let time = if self.judge.own_clock.is_none() { context.time() } else { None };
        let now = time.unwrap_or_else(|| self.judge.now());
        match self.judge.judge(credential.bytes(), now, Patience::NONE) {
            Ok(verdict) => AuthFuture::ready(Ok(verdict)),
            Err(Stop::Refuse(reason)) => AuthFuture::ready(Err(reason.into())),
            Err(Stop::Wait(lack)) => {
                let (judge, token) = (Arc::clone(&self.judge), credential.to_secret());
                AuthFuture::boxed(async move { judge.judge_patiently(&token, lack).await })
            }
        }
    }

    fn presentations(&self) -> Vec<Presentation> {
        vec![Presentation::BEARER]
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        let own_clock = self.judge.own_clock.clone();
        #[cfg(feature = "introspection")]
        let own_clock = own_clock.or_else(|| self.authority.as_ref().and_then(Authenticator::clock));
        own_clock
    }
}

impl Judge {
    fn now(&self) -> UnixTime {
        self.own_clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now()).into()
    }

    /// Judges with the keys at hand, or says which are needed. Everything that needs no key comes first, so that only a token
    /// that is right in all else costs a signature or a fetch.
    fn judge(&self, token: &[u8], now: UnixTime, patience: Patience) -> Result<Verdict, Stop> {
        let parts = Parts::split(token, self.max_token_len)?;
        let (mut buffers, mut claims) = (Buffers::default(), Claims::default());
        let token = Token::parse(parts, &mut buffers, &mut claims, &self.rules)?;
        let Token { header, algorithm, unverified } = token;
        let claims = unverified.claims;
        let name = claims.iss.as_deref().ok_or(Reason::ClaimMissing)?;
        let issuer = self.issuers.iter().find(|issuer| *issuer.id == *name).ok_or(Reason::IssuerRefused)?;
        claims.judge(&self.rules, now)?;
        let verified = issuer.keys.judge(patience, |keys| match keys.find(header.kid(), algorithm) {
            Find::Candidates(candidates) => {
                Some(unverified.verify(candidates).map(|(verified, key)| (verified, key.lease.clone())))
            }
            Find::OtherAlgorithm => Some(Err(Reason::KeyMismatch)),
            Find::Unknown => None,
        })?;
        let (verified, lease) = verified.ok_or(Reason::KeyUnknown)??;
        header.judge_typ(self.rules.typ)?;
        let (principal, expires_at) = self.principal(&verified, issuer, now)?;
        Ok(Verdict::until(principal, expires_at).under(lease))
    }

    /// The one way from a token to a principal: only a verified one has it.
    fn principal(
        &self,
        verified: &Verified<'_, '_>,
        issuer: &Trusted,
        now: UnixTime,
    ) -> Result<(Principal, SystemTime), Reason> {
        let claims = verified.claims;
        let expires_at = claims.exp.ok_or(Reason::ClaimMissing)?;
        // An empty name counts as none.
        let principal = Principal::builder("jwt")
            .document(verified.document.clone())
            .issuer(Arc::clone(&issuer.id))
            .subject(claims.subject().unwrap_or_default())
            .client_id(claims.client(&self.rules.client_claims).unwrap_or_default())
            .client_is_identity(self.subjectless_is_client)
            .scopes(claims.scopes()?)
            .ends_at(expires_at)
            .judged_at(now);
        Ok((principal.build(), expires_at.into()))
    }

    /// Judges, and waits for keys if it must.
    #[cfg(feature = "introspection")]
    async fn judge_to_the_end(&self, token: &str) -> Result<Verdict, AuthError> {
        match self.judge(token.as_bytes(), self.now(), Patience::NONE) {
            Ok(verdict) => Ok(verdict),
            Err(Stop::Refuse(reason)) => Err(reason.into()),
            Err(Stop::Wait(lack)) => self.judge_patiently(token, lack).await,
        }
    }

    /// Waits for keys and judges again, until there is a verdict or none is to be had.
    async fn judge_patiently(&self, token: &str, mut lack: Lack) -> Result<Verdict, AuthError> {
        for _ in 0..MAX_ROUNDS {
            let patience = lack.wait().await?;
            match self.judge(token.as_bytes(), self.now(), patience) {
                Ok(verdict) => return Ok(verdict),
                Err(Stop::Refuse(reason)) => return Err(reason.into()),
                Err(Stop::Wait(still)) => lack = still,
            }
        }
        Err(AuthError::from(Reason::KeysUnavailable).with_retry_after(Duration::from_secs(1)))
    }
}

/// How long a confirmation may be held up by keys that have to be fetched first.
#[cfg(feature = "introspection")]
const KEYS_LIMIT: Duration = Duration::from_secs(6);

/// Fresh keys, then a fetch that was under way, then one that was sent after the request arrived; and one to spare.
const MAX_ROUNDS: u32 = 4;

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<&str> = self.judge.issuers.iter().map(|issuer| &*issuer.id).collect();
        f.debug_struct("JwtAuthenticator").field("issuers", &issuers).finish_non_exhaustive()
    }
}
