//! The settings of introspection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::client::{Endpoint, Exchange};
use super::client_auth::ClientAuth;
use super::endpoint::Authority;
use super::response::Rules;
use super::signed_response::{MAX_LEN, Profile};
use super::{Context, Inner, IntrospectionAuthenticator};
use crate::clock::{Clock, SystemClock};
use crate::context::RequestContext;
use crate::error::ConfigError;
use crate::http_client::default_client::default_client;
use crate::http_client::{HttpClient, Limits};
use crate::jose::client_claims::ClientClaims;
use crate::keys::discovery::Discovery;
use crate::keys::issuer::Issuer;
use crate::keys::metadata_client::Documents;
use crate::keys::remote_key_set::RemoteKeySet;
use crate::keys::url::checked;
use crate::principal::validity::Grace;

/// Tolerated between the clocks of the authority and of this server.
const LEEWAY: Duration = Duration::from_secs(30);

/// More leeway than this hides a broken clock.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// For how long a verdict may be used again: how late a revocation may be noticed.
const REUSE_FOR: Duration = Duration::from_secs(30);

/// For how long a refusal may be: short, since a server that copies its data late may not know a new token yet.
const INACTIVE_FOR: Duration = Duration::from_secs(10);

/// From sending to the last byte, discovery included; and as long again in line before that.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Calls that take longer open the breaker in the end, even if they succeed: an authority this slow is about to fall.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// Bytes of a whole token.
const MAX_TOKEN_LEN: usize = 8 * 1024;

impl IntrospectionAuthenticator {
    /// Starts with the issuer, whose metadata names the endpoint unless
    /// [`endpoint`](IntrospectionAuthenticatorBuilder::endpoint) does, and with how this server proves who it is.
    pub fn builder(issuer: Issuer, client: ClientAuth) -> IntrospectionAuthenticatorBuilder {
        IntrospectionAuthenticatorBuilder::new(issuer, client)
    }
}

/// Builds an [`IntrospectionAuthenticator`]. Building does no I/O.
#[must_use]
pub struct IntrospectionAuthenticatorBuilder {
    issuer: Issuer,
    client: ClientAuth,
    endpoint: Option<String>,
    allow_http: bool,
    http: Option<Arc<dyn HttpClient>>,
    own_clock: Option<Arc<dyn Clock>>,
    audiences: Vec<String>,
    audience_may_be_missing: bool,
    client_claims: ClientClaims,
    subjectless_is_client: Option<bool>,
    leeway: Duration,
    signed: bool,
    type_hint: bool,
    introspect_jwts: bool,
    max_token_len: usize,
    context: Option<Box<Context>>,
    reuse_for: Duration,
    inactive_for: Duration,
    serve_stale: Option<Duration>,
    timeout: Duration,
    slow_after: Duration,
}

impl IntrospectionAuthenticatorBuilder {
    fn new(issuer: Issuer, client: ClientAuth) -> Self {
        Self {
            issuer,
            client,
            endpoint: None,
            allow_http: false,
            http: None,
            own_clock: None,
            audiences: Vec::new(),
            audience_may_be_missing: false,
            client_claims: ClientClaims::default(),
            subjectless_is_client: None,
            leeway: LEEWAY,
            signed: false,
            type_hint: false,
            introspect_jwts: false,
            max_token_len: MAX_TOKEN_LEN,
            context: None,
            reuse_for: REUSE_FOR,
            inactive_for: INACTIVE_FOR,
            serve_stale: None,
            timeout: TIMEOUT,
            slow_after: SLOW_AFTER,
        }
    }

    /// Sets where the authority is asked, in place of what the issuer's metadata says.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Allows plain http, for an authority on the same machine and for tests. An issuer whose keys may be fetched over http allows it
    /// too.
    ///
    /// # Security
    /// Whoever sits on the way then reads all tokens and this server's secret, and can answer in the authority's name.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Demands that a token is for this audience: `aud` of the answer must be there and hold it, or one of several. Without any
    /// audience, tokens for anybody are accepted. A response that confirms a JWT
    /// ([`with_introspection`](crate::JwtAuthenticatorBuilder::with_introspection)) may lack `aud`.
    ///
    /// # Security
    /// Leave it out only where the authority answers `active` for nothing but the tokens of this very server; else a token that its
    /// owner gave to another service opens this one.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Accepts answers without `aud` although audiences are set. One that is there must still fit.
    pub fn accept_missing_audience(mut self) -> Self {
        self.audience_may_be_missing = true;
        self
    }

    /// Sets which claims name the client: the first of them that names one counts. Defaults to
    /// `client_id`, `azp`, `cid` (Okta) and `appid` (Entra ID).
    ///
    /// Limits per client (`RateLimitLayer::per_client`) and
    /// [`Principal::client_id`](crate::Principal::client_id) use it.
    ///
    /// ```
    /// # use portcullis::{ClientAuth, IntrospectionAuthenticator, Issuer};
    /// # fn f(issuer: Issuer, client: ClientAuth) {
    /// let builder = IntrospectionAuthenticator::builder(issuer, client)
    ///     .client_claims(["azp", "application_id"]);
    /// # }
    /// ```
    pub fn client_claims(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.client_claims = ClientClaims::new(names);
        self
    }

    /// Sets whether a response without `sub` has the identity of its client
    /// ([`Principal::id`](crate::Principal::id)). By default it does if it has `client_id` and none
    /// of `username`, `sid`, `auth_time`, `acr`, `email` and `preferred_username`: many servers
    /// answer so for a client that acts for itself. Empty and `null` members count as absent.
    ///
    /// # Security
    /// With `true`, all users of a client share their data if the server leaves `sub` out for
    /// users.
    pub fn subjectless_is_client(mut self, is_client: bool) -> Self {
        self.subjectless_is_client = Some(is_client);
        self
    }

    /// Asks for signed answers (RFC 9701), and accepts no others: verified with the issuer's keys, for this server's client id or
    /// one of its audiences, and not older than the question, but for the leeway.
    pub fn signed_answers(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Sends `token_type_hint=access_token` (RFC 7662 §2.1), for authorities that find a token faster with it.
    pub fn type_hint(mut self) -> Self {
        self.type_hint = true;
        self
    }

    /// Sends JWTs too. By default they are left to a [`JwtAuthenticator`](crate::JwtAuthenticator) beside this one, which comes
    /// first in any case.
    pub fn introspect_jwts(mut self) -> Self {
        self.introspect_jwts = true;
        self
    }

    /// Sends facts about the request with the token, as further parameters of the form: for authorities that judge resource, method
    /// or path as well. Since what they say holds for that request alone, such verdicts are never used again and calls never shared.
    /// Names that the question itself needs, such as `token` or `client_id`, are left out.
    ///
    /// ```
    /// # use portcullis::{ClientAuth, IntrospectionAuthenticator, Issuer};
    /// # fn f(issuer: Issuer, client: ClientAuth) {
    /// let builder = IntrospectionAuthenticator::builder(issuer, client).with_context(|request| {
    ///     vec![
    ///         ("method".into(), request.method().to_string()),
    ///         ("path".into(), request.original_uri().path().to_owned()),
    ///     ]
    /// });
    /// # }
    /// ```
    pub fn with_context(
        mut self,
        facts: impl Fn(&RequestContext<'_>) -> Vec<(String, String)> + Send + Sync + 'static,
    ) -> Self {
        self.context = Some(Box::new(facts));
        self
    }

    /// Sets for how long a verdict may be used again, at most until the token expires; 30 seconds by default. Counts from when the
    /// authority was asked: a revocation is noticed this much later at most. With zero every request asks.
    pub fn reuse_for(mut self, time: Duration) -> Self {
        self.reuse_for = time;
        self
    }

    /// Sets for how long a refusal may be used again; 10 seconds by default.
    pub fn inactive_for(mut self, time: Duration) -> Self {
        self.inactive_for = time;
        self
    }

    /// Lets a verdict serve for this much longer than [`reuse_for`](Self::reuse_for) while the authority cannot be asked; by
    /// default it does not. Never beyond the token's own end, and never where a route asks for a fresh verdict.
    /// [`status`](IntrospectionAuthenticator::status) counts how often.
    ///
    /// # Security
    /// Who can cut this server off from the authority keeps a revoked token alive for so long.
    pub fn serve_stale(mut self, time: Duration) -> Self {
        self.serve_stale = Some(time);
        self
    }

    /// Sets how long a call may take; 3 seconds by default. Before that a call may be in line for as long.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets from when on a call that succeeds counts as one that failed; 2 seconds by default. Five in a row open the breaker.
    pub fn slow_after(mut self, time: Duration) -> Self {
        self.slow_after = time;
        self
    }

    /// Sets the tolerance between clocks; 30 seconds by default, 5 minutes at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Sets the length of the longest token that is sent, in bytes; 8 KiB by default.
    pub fn max_token_len(mut self, bytes: usize) -> Self {
        self.max_token_len = bytes;
        self
    }

    /// Brings an HTTP client, in place of the one by which the issuer's keys are fetched.
    pub fn http_client(mut self, client: impl HttpClient) -> Self {
        self.http = Some(Arc::new(client));
        self
    }

    /// Brings a clock, for the layer too.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.own_clock = Some(Arc::new(clock));
        self
    }

    /// The authenticator. Nothing is asked yet.
    ///
    /// # Errors
    /// If the issuer, the endpoint or the way to prove who we are cannot be used, an audience is
    /// empty, a client claim cannot be used, the timeout is zero, the leeway longer than 5 minutes,
    /// or there is no HTTP client.
    pub fn build(self) -> Result<IntrospectionAuthenticator, ConfigError> {
        let wrong = |setting, value, problem| ConfigError::Setting { setting, value, problem };
        if self.audiences.iter().any(String::is_empty) {
            return Err(wrong("audience", None, "must not be empty"));
        }
        self.client_claims.check()?;
        if self.leeway > MAX_LEEWAY {
            let value = Some(format!("{:?}", self.leeway));
            return Err(wrong("leeway", value, "must not be longer than 5 minutes"));
        }
        if self.timeout.is_zero() {
            let value = Some(format!("{:?}", self.timeout));
            return Err(wrong("timeout", value, "must be greater than zero"));
        }
        if self.issuer.id().is_empty() {
            return Err(wrong("issuer", None, "must not be empty"));
        }
        self.client.check()?;
        let keys = self.issuer.keys().map_err(Clone::clone)?.clone();
        let fetched = self.issuer.remote_keys().map(|keys| keys.documents().clone());
        let allow_http = self.allow_http || fetched.as_ref().is_some_and(|documents| documents.allow_http);
        let http = match (self.http, fetched) {
            (Some(client), _) => client,
            (None, Some(documents)) => documents.http,
            (None, None) => default_client()?,
        };
        let limits = Limits::new(self.timeout, MAX_LEN);
        let endpoint = match &self.endpoint {
            Some(url) => Endpoint::Given(checked(url, allow_http)?),
            None => {
                let documents = Documents { http: Arc::clone(&http), limits, allow_http };
                // Metadata that is read for the keys is good here too, unless it is read more strictly.
                let as_lax = |keys: &&RemoteKeySet| !self.allow_http || keys.documents().allow_http;
                let found = self.issuer.remote_keys().filter(as_lax).and_then(RemoteKeySet::discovery);
                Endpoint::Discovered(match found {
                    Some(discovery) => discovery,
                    None => Arc::new(Discovery::new(self.issuer.id(), documents)?),
                })
            }
        };
        let own_names = self.client.client_id().map(ToOwned::to_owned).into_iter();
        let audiences: Vec<String> = own_names.chain(self.audiences.iter().cloned()).collect();
        if self.signed && audiences.is_empty() {
            return Err(wrong(
                "signed_answers",
                None,
                "needs a client id or an audience to which they are made out",
            ));
        }
        let issuer = Arc::clone(self.issuer.shared_id());
        let profile = Profile { keys, issuer: issuer.to_string(), audiences, leeway: self.leeway };
        let exchange = Exchange {
            endpoint,
            issuer: Arc::clone(&issuer),
            client: self.client,
            http,
            limits,
            signed: self.signed,
            type_hint: self.type_hint,
        };
        let clock = self.own_clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let rules = Rules {
            issuer: issuer.to_string(),
            audiences: self.audiences,
            audience_may_be_missing: self.audience_may_be_missing,
            client_claims: self.client_claims,
            subjectless_is_client: self.subjectless_is_client,
            leeway: self.leeway,
        };
        let grace = self.serve_stale.map(|time| Arc::new(Grace { time, served: AtomicU64::new(0) }));
        Ok(IntrospectionAuthenticator {
            inner: Arc::new(Inner {
                authority: Authority::new(exchange, clock, self.slow_after),
                issuer,
                rules,
                profile: self.signed.then_some(profile),
                max_token_len: self.max_token_len,
                introspect_jwts: self.introspect_jwts,
                context: self.context,
                reuse_for: self.reuse_for,
                inactive_for: self.inactive_for,
                grace,
                own_clock: self.own_clock,
            }),
        })
    }
}

/// Without the endpoint: it may hold a password until `build` refuses it.
impl fmt::Debug for IntrospectionAuthenticatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionAuthenticatorBuilder")
            .field("issuer", &self.issuer)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
