//! Tokens that an authority is asked about (RFC 7662).

pub(crate) mod builder;
pub(crate) mod client;
pub(crate) mod client_assertion;
pub(crate) mod client_auth;
pub(crate) mod client_secret;
pub(crate) mod endpoint;
pub(crate) mod response;
pub(crate) mod signed_response;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

pub use builder::IntrospectionAuthenticatorBuilder;
pub use client_auth::ClientAuth;
pub use endpoint::IntrospectionStatus;

use client::{Failure, Parameters};
use endpoint::{Authority, Said};
use response::{Answer, Judged, KnownAudience, Rules, Unreadable};
use signed_response::{Profile, Unopened};

use super::future::AuthFuture;
use super::{Authenticator, Match};
use crate::clock::Clock;
use crate::clock::timestamp::{Timestamp, UnixTime};
use crate::context::RequestContext;
use crate::credential::{Credential, looks_like_jwt};
use crate::error::{AuthError, Reason};
use crate::keys::url::shown;
use crate::principal::Principal;
use crate::principal::confirmation::Confirmed;
use crate::principal::validity::Grace;
use crate::upstream::detached::GRACE;
use crate::verdict::Verdict;

/// Judges bearer tokens by asking the authorization server that issued them (RFC 7662).
///
/// What it answers is judged, not believed: `active` must be the JSON value `true`; `iss`, where it is there, the issuer; `aud`
/// one of the audiences; `exp`, `nbf` and `iat` must hold; a token that is bound to its sender (`cnf`) is refused, and so is one of
/// another type than a bearer token. A verdict is used again for 30 seconds at most, and never beyond `exp`; that a token is not
/// active, for 10 seconds. So a token that is revoked may live for 30 seconds on routes that do not ask for more with
/// [`verified_within`](crate::RequireLayer::verified_within).
///
/// All who present the same new token are answered by one call. At most 64 calls are under way, 1,000 wait, and whoever comes
/// beyond that gets 503. After five failures in a row, or five answers that were too slow, nobody asks for 1, then 2, then every 4
/// seconds, and then one call finds out whether the authority is there again; who needs it meanwhile gets 503 at once. Whatever goes
/// wrong there is never the caller's fault: a 503 for him, an error in the log for you.
///
/// Not checked: whether the token belongs to whoever sends it, `jti` for repetition, and every other member. JWTs, encrypted ones
/// too, are not sent unless [`introspect_jwts`](IntrospectionAuthenticatorBuilder::introspect_jwts) says so: a token of somebody
/// else's issuer is nothing to show to this one.
///
/// Clones are the same authenticator.
///
/// ```
/// use portcullis::{AuthLayer, Authenticator, ClientAuth, IntrospectionAuthenticator, Issuer, JwtAuthenticator};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let api = "https://api.example.com";
/// let issuer = Issuer::discover("https://id.example.com");
/// let opaque = IntrospectionAuthenticator::builder(issuer.clone(), ClientAuth::basic("todo-api", "secret"))
///     .audience(api)
///     .build()?;
/// let jwt = JwtAuthenticator::builder(issuer.clone(), api).with_introspection(opaque.clone()).build()?;
/// let auth = AuthLayer::new(jwt.or(opaque));
/// // Found when the server starts, not when it serves:
/// assert!(IntrospectionAuthenticator::builder(issuer, ClientAuth::basic("todo-api", "")).build().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IntrospectionAuthenticator {
    inner: Arc<Inner>,
}

struct Inner {
    authority: Authority,
    issuer: Arc<str>,
    rules: Rules,
    profile: Option<Profile>,
    max_token_len: usize,
    introspect_jwts: bool,
    context: Option<Box<Context>>,
    reuse_for: Duration,
    inactive_for: Duration,
    grace: Option<Arc<Grace>>,
    own_clock: Option<Arc<dyn Clock>>,
}

type Context = dyn Fn(&RequestContext<'_>) -> Parameters + Send + Sync;

impl IntrospectionAuthenticator {
    /// How the authority is.
    #[must_use]
    pub fn status(&self) -> IntrospectionStatus {
        let served = self.inner.grace.as_ref().map_or(0, |grace| grace.served.load(Ordering::Relaxed));
        self.inner.authority.status(served)
    }

    pub(super) fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// What is sent with the token, if facts about the request are.
    pub(super) fn parameters(&self, context: &RequestContext<'_>) -> Option<Parameters> {
        self.inner.context.as_ref().map(|facts| facts(context))
    }

    /// How long a call may take, the time in line included.
    pub(super) fn limit(&self) -> Duration {
        self.inner.authority.limit().saturating_add(GRACE)
    }

    /// Asks about a token that was judged otherwise already. `parameters`: as [`parameters`](Self::parameters) says.
    pub(super) async fn confirm(
        &self,
        token: &str,
        parameters: Option<&Parameters>,
    ) -> Result<Confirmed, AuthError> {
        let confirmed = |_: &str, answer: &Judged<'_>, asked| Confirmed {
            asked,
            subject: answer.subject().map(Into::into),
            scopes: answer.scopes.clone(),
            exp: answer.exp().map(Into::into),
        };
        let reusable = parameters.is_none() && !self.inner.reuse_for.is_zero();
        self.inner.ask(token, parameters, reusable, KnownAudience::FromToken, confirmed).await
    }
}

impl Authenticator for IntrospectionAuthenticator {
    /// Takes any bearer token that nobody is more certain of; JWTs only if they are to be introspected.
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        if self.inner.is_asked_about(credential.expose()) { Match::Generic } else { Match::No }
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        let (inner, token) = (&self.inner, credential.expose());
        if token.len() > inner.max_token_len {
            return AuthFuture::ready(Err(Reason::TokenTooLong.into()));
        }
        if !inner.is_asked_about(token) {
            return AuthFuture::ready(Err(Reason::JwtUnexpected.into()));
        }
        let parameters = self.parameters(context);
        let reusable = parameters.is_none() && !inner.reuse_for.is_zero();
        let (inner, token) = (Arc::clone(inner), credential.to_secret());
        let judged = async move { inner.judge(&token, parameters.as_ref(), reusable).await };
        if reusable { AuthFuture::shared(self.limit(), judged) } else { AuthFuture::boxed(judged) }
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.inner.own_clock.clone()
    }
}

impl Inner {
    fn is_asked_about(&self, token: &str) -> bool {
        self.introspect_jwts || !looks_like_jwt(token)
    }

    async fn judge(
        &self,
        token: &str,
        parameters: Option<&Parameters>,
        reusable: bool,
    ) -> Result<Verdict, AuthError> {
        let verdict = |document: &str, answer: &Judged<'_>, asked: Timestamp| {
            let principal = self.principal(document, answer, asked.wall());
            if !reusable {
                return Verdict::once(principal).asked_at(asked.instant());
            }
            let cap = asked.wall().checked_add(self.reuse_for).unwrap_or(asked.wall());
            let until = principal.expires_at().map_or(cap, |exp| exp.min(cap));
            Verdict::until(principal, until).with_grace(self.grace.clone()).asked_at(asked.instant())
        };
        self.ask(token, parameters, reusable, KnownAudience::FromResponse, verdict).await
    }

    /// Asks, judges what is answered, and makes something of it if it is right. What is said about one request alone is not
    /// `reusable`, and neither is a refusal then.
    async fn ask<T>(
        &self,
        token: &str,
        parameters: Option<&Parameters>,
        reusable: bool,
        known: KnownAudience,
        accept: impl FnOnce(&str, &Judged<'_>, Timestamp) -> T,
    ) -> Result<T, AuthError> {
        let read = async |said: Said| {
            let (asked, url) = (said.asked, shown(said.by.as_str()));
            let document = self.document(said).await?;
            let answer = Answer::parse(document.as_bytes(), &self.rules).map_err(|fault| match fault {
                Unreadable::NoJson => Failure::NoJson { url: url.clone() },
                Unreadable::NoAnswer => Failure::NoAnswer { url: url.clone() },
            })?;
            let now = UnixTime::from(self.authority.clock().now());
            let judged = answer.judge(&self.rules, known, now);
            Ok((judged.map(|answer| accept(&document, &answer, asked)), asked))
        };
        let (judged, asked) = self.authority.ask(token, parameters, read).await?;
        judged.map_err(|reason| {
            let until = asked.wall().checked_add(self.inactive_for).unwrap_or(asked.wall());
            if reusable { AuthError::from(reason).until(until) } else { reason.into() }
        })
    }

    /// The answer as JSON, out of its signature where it has one.
    async fn document(&self, said: Said) -> Result<String, Failure> {
        let url = || shown(said.by.as_str());
        let text = String::from_utf8(said.body.into()).map_err(|_| Failure::NoJson { url: url() })?;
        let Some(profile) = &self.profile else { return Ok(text) };
        let opened = profile.open(text.trim(), said.asked.wall().into(), self.authority.clock()).await;
        opened.map_err(|unopened| match unopened {
            Unopened::Refused(reason) => Failure::Signature { url: url(), reason },
            Unopened::NoKeys => Failure::Keys,
        })
    }

    fn principal(&self, document: &str, answer: &Judged<'_>, asked: SystemTime) -> Principal {
        let mut principal = Principal::builder("introspection")
            .issuer(Arc::clone(&self.issuer))
            .client_is_identity(answer.client_is_identity)
            .scopes(answer.scopes.clone().unwrap_or_default())
            .verified_at(asked)
            .claims(document);
        if let Some(subject) = answer.subject() {
            principal = principal.subject(subject);
        }
        if let Some(client) = answer.client {
            principal = principal.client_id(client);
        }
        if let Some(exp) = answer.exp() {
            principal = principal.expires_at(exp.into());
        }
        principal.build()
    }
}

impl fmt::Debug for IntrospectionAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionAuthenticator")
            .field("issuer", &shown(&self.inner.issuer))
            .finish_non_exhaustive()
    }
}
