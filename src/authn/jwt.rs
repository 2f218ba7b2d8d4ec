//! JWT access tokens, judged here with the issuer's keys.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

#[cfg(feature = "introspection")]
use super::introspection::IntrospectionAuthenticator;
use super::{AuthFuture, Authenticator, Lease, Match, RequestContext, Verdict};
use crate::credential::{Credential, Presentation};
use crate::error::{AuthError, ConfigError, Reason};
use crate::jose::{Buffers, Parts, Rules, Token, Typ, Verified};
use crate::keys::{Find, Issuer, Keys, Lack, Patience};
use crate::principal::Principal;
use crate::time::{Clock, SystemClock, UnixTime};

/// Tolerated between the clocks of the issuer and of this server.
const LEEWAY: Duration = Duration::from_secs(30);

/// More leeway than this hides a broken clock.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// No access token should live longer: it cannot be called back.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Bytes of a whole token.
const MAX_TOKEN_LEN: usize = 8 * 1024;

/// Judges JWT access tokens (RFC 9068) by their signature and their claims, with the keys of the issuers that it knows.
///
/// Checked: the form of the token, strictly; `typ`; `iss`, `aud` and `exp`, all required; `nbf`, `iat`, a maximum lifetime; the
/// scopes' grammar; the signature, with the algorithm that the issuer's key fixes. A token with `cnf` is bound to a key of its
/// sender and refused, since nobody proves that key. Tokens of issuers that are not listed cause no I/O.
///
/// Not checked: whether the issuer called a token back (see [`with_introspection`](JwtAuthenticatorBuilder::with_introspection) and
/// [`AuthLayer::revocations`](crate::AuthLayer::revocations)), `jti` for repetition, and every other claim. Of keys that
/// share a `kid`, or of a token without one, four of its algorithm are tried at most. New key material under an old `kid` is
/// noticed with the next refresh of the keys, not by the first token.
///
/// With the keys known the verdict is ready at once. Clones are the same authenticator.
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

/// Builds a [`JwtAuthenticator`].
#[derive(Debug)]
#[must_use]
pub struct JwtAuthenticatorBuilder {
    issuers: Vec<Issuer>,
    rules: Rules,
    max_token_len: usize,
    clock: Option<Arc<dyn Clock>>,
    #[cfg(feature = "introspection")]
    authority: Option<IntrospectionAuthenticator>,
}

struct Judge {
    issuers: Box<[Trusted]>,
    rules: Rules,
    max_token_len: usize,
    /// The application's, if it brought one.
    own_clock: Option<Arc<dyn Clock>>,
}

struct Trusted {
    id: Arc<str>,
    keys: Keys,
}

/// Why there is no verdict, or not yet.
pub(super) enum Stop {
    Refuse(Reason),
    Wait(Lack),
}

impl JwtAuthenticator {
    /// Starts with an issuer, and the audience by which that issuer knows this server.
    pub fn builder(issuer: Issuer, audience: impl Into<String>) -> JwtAuthenticatorBuilder {
        JwtAuthenticatorBuilder {
            issuers: vec![issuer],
            rules: Rules {
                typ: Typ::AccessToken,
                audiences: vec![audience.into()],
                leeway: LEEWAY,
                max_lifetime: MAX_LIFETIME,
                all_rfc9068_claims: false,
            },
            max_token_len: MAX_TOKEN_LEN,
            clock: None,
            #[cfg(feature = "introspection")]
            authority: None,
        }
    }

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
        match Parts::split(credential.expose(), self.judge.max_token_len) {
            Ok(parts) if parts.is_asymmetric() => Match::Specific,
            _ => Match::No,
        }
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        if context.not_before().is_some() {
            return self.confirm(credential, context);
        }
        match self.judge.judge(credential.expose(), Patience::NONE) {
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
    fn now(&self) -> SystemTime {
        self.own_clock.as_ref().map_or_else(|| SystemClock.now(), |clock| clock.now())
    }

    /// Judges with the keys at hand, or says which are needed.
    fn judge(&self, token: &str, patience: Patience) -> Result<Verdict, Stop> {
        let mut buffers = Buffers::default();
        let (principal, expires_at, lease) = self.accept(token, &mut buffers, patience)?;
        Ok(Verdict::until(principal.with_claims(buffers.into_claims()?), expires_at).under(lease))
    }

    /// Everything that needs no key comes first, so that only a token that is right in all else costs a signature or a fetch.
    fn accept<'b>(
        &self,
        token: &'b str,
        buffers: &'b mut Buffers,
        patience: Patience,
    ) -> Result<(Principal, SystemTime, Option<Arc<Lease>>), Stop> {
        let parts = Parts::split(token, self.max_token_len)?;
        let Token { header, algorithm, unverified } = Token::parse(parts, buffers, &self.rules)?;
        let claims = &unverified.claims;
        let name = claims.iss.as_deref().ok_or(Reason::ClaimMissing)?;
        let issuer = self.issuers.iter().find(|issuer| *issuer.id == *name).ok_or(Reason::IssuerRefused)?;
        let now = UnixTime::from(self.now());
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
        let (principal, expires_at) = principal(&verified, issuer, now)?;
        Ok((principal, expires_at, lease))
    }

    /// Judges, and waits for keys if it must.
    #[cfg(feature = "introspection")]
    async fn judge_to_the_end(&self, token: &str) -> Result<Verdict, AuthError> {
        match self.judge(token, Patience::NONE) {
            Ok(verdict) => Ok(verdict),
            Err(Stop::Refuse(reason)) => Err(reason.into()),
            Err(Stop::Wait(lack)) => self.judge_patiently(token, lack).await,
        }
    }

    /// Waits for keys and judges again, until there is a verdict or none is to be had.
    async fn judge_patiently(&self, token: &str, mut lack: Lack) -> Result<Verdict, AuthError> {
        for _ in 0..MAX_ROUNDS {
            let patience = lack.wait().await?;
            match self.judge(token, patience) {
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

/// The one way from a token to a principal: only a verified one has it.
fn principal(
    verified: &Verified<'_>,
    issuer: &Trusted,
    now: UnixTime,
) -> Result<(Principal, SystemTime), Reason> {
    let claims = &verified.claims;
    let expires_at = claims.exp.ok_or(Reason::ClaimMissing)?.into();
    let mut principal = Principal::builder("jwt")
        .issuer(Arc::clone(&issuer.id))
        .scopes(claims.scopes()?)
        .expires_at(expires_at)
        .judged_at(now.into());
    if let Some(subject) = claims.sub.as_deref() {
        principal = principal.subject(subject);
    }
    if let Some(client) = claims.client() {
        principal = principal.client_id(client);
    }
    Ok((principal.build(), expires_at))
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refuse(reason)
    }
}

impl From<Lack> for Stop {
    fn from(lack: Lack) -> Self {
        Self::Wait(lack)
    }
}

impl fmt::Debug for JwtAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<&str> = self.judge.issuers.iter().map(|issuer| &*issuer.id).collect();
        f.debug_struct("JwtAuthenticator").field("issuers", &issuers).finish_non_exhaustive()
    }
}

impl JwtAuthenticatorBuilder {
    /// Accepts tokens of another issuer too.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Accepts tokens for another audience too: `aud` must hold one of them.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// Accepts tokens whose `typ` is `JWT` or missing, besides `at+jwt`: for providers that do not follow RFC 9068, such as
    /// Keycloak or Entra ID. Any other explicit type is refused as ever.
    ///
    /// # Security
    /// ID tokens have that type too. They are told apart by their audience, and by `at_hash`, `c_hash` and `events` where
    /// present: use an audience that is no client's id.
    pub fn accept_typ_jwt(mut self) -> Self {
        self.rules.typ = Typ::AccessTokenOrJwt;
        self
    }

    /// Demands all claims that RFC 9068 §2.2 does: besides `iss`, `aud` and `exp` also `sub`, `client_id`, `iat` and `jti`.
    pub fn require_rfc9068_claims(mut self) -> Self {
        self.rules.all_rfc9068_claims = true;
        self
    }

    /// Sets the tolerance between clocks, for `exp`, `nbf` and `iat`; 30 seconds by default, 5 minutes at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// Sets the longest lifetime (`exp` − `iat`, without `iat` from now on); 24 hours by default.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.rules.max_lifetime = lifetime;
        self
    }

    /// Sets the length of the longest token, in bytes; 8 KiB by default.
    pub fn max_token_len(mut self, bytes: usize) -> Self {
        self.max_token_len = bytes;
        self
    }

    /// Gives it an authority for routes that ask for a fresh verdict
    /// ([`verified_within`](crate::RequireLayer::verified_within)): a token is then judged here as ever, and its issuer is asked
    /// whether it is still active. Other routes go on without asking. The same introspection may stand beside this authenticator, for
    /// opaque tokens.
    ///
    /// The caller stays who the token says; if the authority names another subject the token is refused. Where the authority
    /// names scopes, these count. That it refuses a token is remembered for as long as the authority's authenticator says
    /// (`inactive_for`, 10 seconds); after that, routes that do not ask go by the signature again.
    ///
    /// # Security
    /// With one issuer only: the authority of one would be asked about the tokens of all.
    #[cfg(feature = "introspection")]
    pub fn with_introspection(mut self, authority: IntrospectionAuthenticator) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Brings a clock, for the layer too.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The authenticator. Nothing is fetched yet.
    ///
    /// # Errors
    /// If an issuer cannot be used or is listed twice, an audience is empty, or the leeway is longer than 5 minutes.
    pub fn build(self) -> Result<JwtAuthenticator, ConfigError> {
        let wrong = |setting, problem| ConfigError::Setting { setting, problem };
        if self.rules.audiences.iter().any(String::is_empty) {
            return Err(wrong("audience", "must not be empty"));
        }
        if self.rules.leeway > MAX_LEEWAY {
            return Err(wrong("leeway", "must not be longer than 5 minutes"));
        }
        let mut issuers: Vec<Trusted> = Vec::with_capacity(self.issuers.len());
        for issuer in &self.issuers {
            let keys = issuer.keys().map_err(Clone::clone)?.clone();
            if issuer.id().is_empty() {
                return Err(wrong("issuer", "must not be empty"));
            }
            if issuers.iter().any(|other| *other.id == *issuer.id()) {
                return Err(wrong("issuer", "is listed twice"));
            }
            issuers.push(Trusted { id: Arc::clone(issuer.shared_id()), keys });
        }
        #[cfg(feature = "introspection")]
        if let Some(authority) = &self.authority
            && issuers.iter().any(|issuer| *issuer.id != *authority.issuer())
        {
            return Err(wrong("with_introspection", "asks the authority of another issuer"));
        }
        let Self { rules, max_token_len, clock, .. } = self;
        Ok(JwtAuthenticator {
            #[cfg(feature = "introspection")]
            authority: self.authority,
            judge: Arc::new(Judge { issuers: issuers.into(), rules, max_token_len, own_clock: clock }),
        })
    }
}
