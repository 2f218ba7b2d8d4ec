//! Tokens that a client signs itself, one for each request.

#[cfg(test)]
mod body_tests;
pub(crate) mod builder;
pub(crate) mod claims;
pub(crate) mod client_store;
pub(crate) mod replay;
pub(crate) mod replay_guard;
pub(crate) mod secret;
pub(crate) mod token;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use builder::SignedRequestAuthenticatorBuilder;
pub use client_store::{ClientSecrets, MemoryClientSecrets};
pub use replay::memory::MemorySingleUse;
pub use replay::{SingleUse, SingleUseToken, Spend};
pub use secret::{ClientSecret, SigningClient};

use claims::Rules;
use replay_guard::{OnceOnly, Unspent};
use token::{RequestToken, Target};

use super::future::AuthFuture;
use super::{Authenticator, Match};
use crate::clock::{Clock, SystemClock};
use crate::context::RequestContext;
use crate::credential::Credential;
use crate::error::{AuthError, Reason};
use crate::jose::hmac::HmacKey;
use crate::jose::{Buffers, Parts};
use crate::principal::Principal;
use crate::store::State;
use crate::upstream::bulkhead::Bulkhead;
use crate::upstream::store_fault::StoreFault;
use crate::verdict::Verdict;

/// Judges tokens that a client makes for each request and signs with a secret that it shares with this server: JWTs with HS256, as
/// the clients of GOV.UK Notify send them. The secret itself is never sent.
///
/// A token is `Authorization: Bearer`, of type `JWT` or without one. Its claims:
///
/// | claim | | meaning |
/// |---|---|---|
/// | `iss` | required | the name of the client, 1 to 256 bytes |
/// | `iat` | required | when it was made: within 30 seconds of the present, on either side |
/// | `exp` | | ends it earlier, to the second |
/// | `nbf` | | must not lie further ahead than `iat` may |
/// | `jti` | | tells it from others, at most 256 bytes |
/// | `req` | can be required | the HMAC-SHA-256 of `METHOD PATH?QUERY` |
/// | `pay` | can be required | the HMAC-SHA-256 of the body |
///
/// Both tags are made with the secret that signs the token, and are base64 with padding, in standard alphabet. Path and query
/// count exactly as they stand on the request line, also inside of `Router::nest`. Whoever binds a token binds it: `req` and `pay`
/// are checked wherever they are, required or not. A layer that does not read bodies answers 500 to a token with `pay`.
///
/// A client may have several secrets while it changes from one to another. A verdict holds for its request alone: it is never used
/// again, and secrets are looked up each time, so one that is taken away opens nothing from then on. Since this server itself is the
/// authority, routes with [`verified_within`](crate::RequireLayer::verified_within) are content with that. The
/// [`Principal`] has the client's name as `client_id`, its scopes, the claims of the token, and no subject.
///
/// Checked besides: the form of the token, strictly, as for all JWTs; the algorithm, which is fixed. A token with `aud` is meant for
/// somebody else and refused, and so is one with `cnf`. HS384 and HS512 are refused, and not left to other authenticators either.
///
/// Not checked: whether the token was used before (see [`single_use`](SignedRequestAuthenticatorBuilder::single_use)), header fields,
/// the host, and every other claim. What a client says in `sub` or `scope` is not believed.
///
/// Clones are the same authenticator.
///
/// # Security
/// TLS is needed all the same: a token that is not bound opens every route to whoever reads it, until it is too old, and `req` alone
/// leaves the body open. Whoever has a client send a body of his choice together with `pay`, and sees the token, has an HMAC of that
/// body: clients must not sign bodies that have the form of a token's first two parts. Who can read the store of secrets can sign in every client's name.
///
/// ```
/// use http::Request;
/// use portcullis::{
///     Authenticator, ClientSecret, Credential, MemoryClientSecrets, Presentation, Reason, RequestContext,
///     ScopeSet, SignedRequestAuthenticator, SigningClient,
/// };
/// # use aws_lc_rs::hmac;
/// # use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
/// # use std::time::{SystemTime, UNIX_EPOCH};
/// # fn sign(secret: &str, claims: &str) -> String {
/// #     let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
/// #     let signed = format!("{}.{}", encode(br#"{"alg":"HS256"}"#), encode(claims.as_bytes()));
/// #     let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
/// #     format!("{signed}.{}", encode(tag.as_ref()))
/// # }
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = "3d844edf-8d35-48ac-975b-e847b4f122b0";
/// let client = SigningClient::new([ClientSecret::new(secret)?], ScopeSet::default());
/// let signed = SignedRequestAuthenticator::new(MemoryClientSecrets::from_iter([("dashboard", client)]));
///
/// let request = Request::get("/todo").body(())?;
/// let judge = async |token: &str| {
///     let credential = Credential::new(&Presentation::BEARER, token);
///     signed.authenticate(&credential, &RequestContext::new(&request)).verdict().await
/// };
/// let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
/// let claims = format!(r#"{{"iss":"dashboard","iat":{now}}}"#);
/// // The client signs `claims`, and so does somebody who only guesses the secret.
/// let verdict = judge(&sign(secret, &claims)).await?;
/// assert_eq!(verdict.principal.client_id(), Some("dashboard"));
/// let refused = judge(&sign("00000000-0000-0000-0000-000000000000", &claims)).await.unwrap_err();
/// assert_eq!(refused.reason(), Reason::ClientUnknown);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(f()).unwrap();
/// ```
#[derive(Clone)]
pub struct SignedRequestAuthenticator {
    judge: Arc<Judge>,
}

struct Judge {
    secrets: Box<dyn ClientSecrets>,
    lookups: Bulkhead<StoreFault>,
    rules: Rules,
    once_only: Option<Arc<OnceOnly>>,
    /// A key that belongs to no client.
    nobody: HmacKey,
    /// The application's, if it brought one.
    own_clock: Option<Arc<dyn Clock>>,
}

impl Authenticator for SignedRequestAuthenticator {
    /// Certain of three-part tokens that claim an HMAC, however long: nobody else has any business with them.
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        match Parts::split(credential.bytes(), usize::MAX) {
            Ok(parts) if parts.is_symmetric() => Match::Specific,
            _ => Match::No,
        }
    }

    fn authenticate(&self, credential: &Credential<'_>, context: &RequestContext<'_>) -> AuthFuture {
        self.judge.judge(credential, context).unwrap_or_else(|error| AuthFuture::ready(Err(error)))
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.judge.own_clock.clone()
    }
}

/// A token that was accepted, before it is marked as used.
struct Accepted {
    principal: Principal,
    ends: SystemTime,
    key: Option<[u8; 32]>,
}

impl Judge {
    /// Everything that needs no secret comes first, and the mark comes last: a token that is wrong in anything leaves none.
    fn judge(
        self: &Arc<Self>,
        credential: &Credential<'_>,
        context: &RequestContext<'_>,
    ) -> Result<AuthFuture, AuthError> {
        let (now, target) = (self.now(context), Target::of(context));
        let mut buffers = Buffers::default();
        let token = RequestToken::read(credential.bytes(), &mut buffers, &self.rules, now.into())?;
        let client = match self.secrets.find(&token.said.client).into_state() {
            State::Ready(said) => self.lookups.said(said.map_err(StoreFault::Store))?,
            State::Boxed(question) => {
                let (judge, target) = (Arc::clone(self), target.to_owned_for(&token.said));
                let credential = credential.to_secret();
                return Ok(AuthFuture::boxed(async move {
                    let client =
                        judge.lookups.ask(async |_| question.await.map_err(StoreFault::Store)).await?;
                    let mut buffers = Buffers::default();
                    let token =
                        RequestToken::read(credential.as_bytes(), &mut buffers, &judge.rules, now.into())?;
                    let accepted = judge.accept(&token, client.as_deref(), &target, now)?;
                    judge.admit(accepted)?.verdict().await
                }));
            }
        };
        let accepted = self.accept(&token, client.as_deref(), &target, now)?;
        self.admit(accepted)
    }

    /// The one way from a token to a principal. Looking for the secrets was asking the authority.
    fn accept(
        &self,
        token: &RequestToken<'_>,
        client: Option<&SigningClient>,
        target: &Target<'_>,
        asked: SystemTime,
    ) -> Result<Accepted, Reason> {
        let client = token.verify(client, &self.nobody, target)?;
        let ends = token.said.ends.into();
        let principal = Principal::builder("signed-request")
            .client_id(&*token.said.client)
            .plan(client.plan.as_deref().unwrap_or_default())
            .scopes(client.scopes.clone())
            .expires_at(ends)
            .verified_at(asked)
            .document(token.claims().clone())
            .build();
        Ok(Accepted { principal, ends, key: self.once_only.as_ref().map(|_| token.single_use_key()) })
    }

    /// Marks the token as used where that is wanted.
    fn admit(&self, accepted: Accepted) -> Result<AuthFuture, AuthError> {
        let Accepted { principal, ends, key } = accepted;
        let verdict = Verdict::once(principal);
        Ok(match (&self.once_only, key) {
            (Some(once_only), Some(key)) => once_only.admit(Unspent { key, ends, verdict }),
            _ => AuthFuture::ready(Ok(verdict)),
        })
    }

    /// Returns the time of arrival, but the present if the body was read since: a sender decides how long that takes.
    fn now(&self, context: &RequestContext<'_>) -> SystemTime {
        let arrival = context.time().filter(|_| context.body().is_none());
        match &self.own_clock {
            Some(clock) => clock.now(),
            None => arrival.map_or_else(|| SystemClock.now(), SystemTime::from),
        }
    }
}

impl fmt::Debug for SignedRequestAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequestAuthenticator").field("rules", &self.judge.rules).finish_non_exhaustive()
    }
}
