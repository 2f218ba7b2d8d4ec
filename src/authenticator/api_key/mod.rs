//! API keys, looked up in the application's own store.

pub(crate) mod builder;
pub(crate) mod credential_text;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use builder::ApiKeyAuthenticatorBuilder;

use super::future::AuthFuture;
use super::{Authenticator, Match};
use crate::api_key::format::is_key;
use crate::api_key::keys::ApiKeys;
use crate::api_key::record::{ApiKeyRecord, ApiKeyState, StoredApiKey};
use crate::clock::Clock;
use crate::clock::timestamp::Timestamp;
use crate::context::RequestContext;
use crate::credential::Credential;
use crate::credential::location::Presentation;
use crate::error::{AuthError, Reason};
use crate::principal::Principal;
use crate::principal::validity::Grace;
use crate::response::challenge::Challenge;
use crate::revocation::Mark;
use crate::upstream::bulkhead::Bulkhead;
use crate::upstream::detached::GRACE;
use crate::upstream::store_fault::StoreFault;
use crate::verdict::Verdict;
use credential_text::{canonical, has, key_of, scheme};

/// Judges the API keys of an application: their form here, at once, and what they are good for by its [`ApiKeys`].
///
/// A key stands in `Authorization: ApiKey KEY` or in a header of its own, `X-API-Key`; as a bearer token or as HTTP Basic
/// credentials where the [builder](Self::builder) says so. A text of another form, or with a wrong checksum, is refused without
/// asking anybody. A key is told from tokens by its form alone, and never given to another authenticator of the layer, wherever it
/// stands: also not one that was made for another environment, or one in a place that is not read.
///
/// What the store says is used again for 10 seconds, refusals too, and all who present the same key meanwhile are answered by
/// one look-up. So a key that is revoked by another process lives for 10 seconds on routes that do not ask for more with
/// [`verified_within`](crate::RequireLayer::verified_within); one that is revoked through the same [`ApiKeys`], not at all. At most 64
/// look-ups are under way, 1,000 wait; after five failures in a row nobody asks for 1, then 2, then every 4 seconds. Whatever goes
/// wrong there is a 503 for the caller and an error in the log for you; keys whose verdict is known keep working.
///
/// The principal has the method `api-key`, no issuer, the key's owner as subject, and [`ApiKeyClaims`] as claims. `jti` in them is
/// the key's id, so [`Mark::jti`](crate::Mark::jti)`("api-key", id)` revokes it in a list. So does
/// [`Mark::token`](crate::Mark::token) of the key, wherever the key stands in a request.
///
/// Not checked: who sends it, and from where. A key is a bearer's: TLS is yours.
///
/// Clones are the same authenticator.
///
/// ```
/// use portcullis::{ApiKeyAuthenticator, ApiKeys, AuthLayer, MemoryApiKeyStore};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let keys = ApiKeys::builder("todo_live", MemoryApiKeyStore::new()).build()?;
/// let auth = AuthLayer::new(ApiKeyAuthenticator::builder(keys.clone()).accept_bearer().build()?);
/// // Found when the server starts, not when it serves:
/// let everywhere = http::header::AUTHORIZATION;
/// assert!(ApiKeyAuthenticator::builder(keys).header(everywhere).build().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ApiKeyAuthenticator {
    inner: Arc<Inner>,
}

struct Inner {
    keys: ApiKeys,
    header: Option<HeaderName>,
    accept_bearer: bool,
    accept_basic: bool,
    bulkhead: Bulkhead<StoreFault>,
    reuse_for: Duration,
    refuse_for: Duration,
    grace: Option<Arc<Grace>>,
}

/// What a principal that came with an API key says of it: `principal.claims::<ApiKeyClaims>()`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiKeyClaims {
    /// The key's id.
    pub jti: String,
    /// When it was issued, in seconds since the epoch.
    pub iat: u64,
    /// What its owner calls it.
    pub label: String,
    /// A name for its quotas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Whatever the application wanted to know of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Authenticator for ApiKeyAuthenticator {
    /// Certain of what begins with the prefix; any other text with the form and the checksum of a key is barred. What stands where
    /// nothing but keys does is meant for it, too.
    fn recognizes(&self, credential: &Credential<'_>) -> Match {
        if has(credential, |text| self.inner.keys.prefix().claims(text)) {
            Match::Specific
        } else if has(credential, is_key) {
            Match::Barred
        } else if credential.presentation().scheme_name().eq_ignore_ascii_case(scheme::API_KEY) {
            Match::Generic
        } else {
            Match::No
        }
    }

    fn authenticate(&self, credential: &Credential<'_>, _context: &RequestContext<'_>) -> AuthFuture {
        let malformed = || AuthFuture::ready(Err(Reason::ApiKeyMalformed.into()));
        let Some(text) = key_of(credential) else { return malformed() };
        let Some(id) = self.inner.keys.prefix().id(&text).map(str::to_owned) else { return malformed() };
        let (inner, text) = (Arc::clone(&self.inner), text.into_secret());
        let limit = inner.bulkhead.limit().saturating_add(GRACE);
        AuthFuture::shared(limit, async move { inner.judge(&text, &id).await })
    }

    fn presentations(&self) -> Vec<Presentation> {
        let Inner { header, accept_bearer, accept_basic, .. } = &*self.inner;
        let mut presentations = vec![Presentation::scheme(scheme::API_KEY)];
        if let Some(name) = header {
            presentations.push(Presentation::header(name.clone(), scheme::API_KEY));
        }
        presentations.extend(accept_bearer.then_some(Presentation::BEARER));
        presentations.extend(accept_basic.then(|| Presentation::scheme(scheme::BASIC)));
        presentations
    }

    fn challenges(&self) -> Vec<Challenge> {
        let Inner { accept_bearer, accept_basic, .. } = &*self.inner;
        let mut challenges = vec![Challenge::new(scheme::API_KEY)];
        challenges.extend(accept_bearer.then(Challenge::bearer));
        // RFC 7617 §2.1.
        challenges.extend(accept_basic.then(|| Challenge::new(scheme::BASIC).with("charset", "UTF-8")));
        challenges
    }

    fn clock(&self) -> Option<Arc<dyn Clock>> {
        self.inner.keys.own_clock()
    }

    /// The mark of the key, wherever it stands.
    fn token_mark(&self, credential: &Credential<'_>) -> Mark {
        Mark::token(&canonical(credential))
    }
}

impl Inner {
    async fn judge(&self, text: &str, id: &str) -> Result<Verdict, AuthError> {
        // Taken before the store is asked: what is changed while it answers ends it.
        let lease = self.keys.lease(id);
        let look_up = async |asked| {
            let stored = self.keys.look_up(id).await.map_err(StoreFault::Store)?;
            Ok((asked, stored))
        };
        let (asked, stored): (Timestamp, _) = self.bulkhead.ask(look_up).await?;
        let wall = asked.wall();
        let refused = |reason: Reason| AuthError::from(reason).until(later(wall, self.refuse_for));
        let stored = stored.ok_or_else(|| refused(Reason::ApiKeyUnknown))?;
        match self.keys.is_text_of(text, &stored) {
            Ok(true) => {}
            Ok(false) => return Err(refused(Reason::ApiKeyUnknown)),
            Err(_) => return Err(Reason::PepperMissing.into()),
        }
        let record = &stored.record;
        match record.state(self.keys.now()) {
            ApiKeyState::Active => {}
            ApiKeyState::NotYetValid => {
                let soon = later(wall, self.refuse_for).min(record.not_before.unwrap_or(wall));
                return Err(AuthError::from(Reason::ApiKeyNotYetValid).until(soon));
            }
            ApiKeyState::Expired => return Err(refused(Reason::ApiKeyExpired)),
            ApiKeyState::Disabled => return Err(refused(Reason::ApiKeyDisabled)),
            ApiKeyState::Revoked => return Err(refused(Reason::ApiKeyRevoked)),
        }
        self.keys.used(text, &stored, wall);
        let until = later(wall, self.reuse_for);
        let until = record.expires_at.map_or(until, |time| time.min(until));
        Ok(Verdict::until(principal(stored, wall), until)
            .under(Some(lease))
            .with_grace(self.grace.clone())
            .asked_at(asked.instant()))
    }
}

fn later(time: SystemTime, by: Duration) -> SystemTime {
    time.checked_add(by).unwrap_or(time)
}

fn principal(stored: StoredApiKey, asked: SystemTime) -> Principal {
    let ApiKeyRecord { id, label, owner, client_id, scopes, plan, metadata, created_at, expires_at, .. } =
        stored.record;
    let iat = created_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = ApiKeyClaims { jti: id, iat, label, plan, metadata };
    let mut principal = Principal::builder("api-key")
        .subject(owner)
        .client_id(client_id.unwrap_or_default())
        .plan(claims.plan.as_deref().unwrap_or_default())
        .api_key_id(&*claims.jti)
        .scopes(scopes)
        .verified_at(asked)
        .claims(serde_json::to_string(&claims).unwrap_or_default());
    if let Some(time) = expires_at {
        principal = principal.expires_at(time);
    }
    principal.build()
}

impl fmt::Debug for ApiKeyAuthenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyAuthenticator").field("keys", &self.inner.keys).finish_non_exhaustive()
    }
}
