//! The settings of a JWT authenticator.

use std::sync::Arc;
use std::time::Duration;

use super::{Judge, JwtAuthenticator, Trusted};
#[cfg(feature = "introspection")]
use crate::authenticator::introspection::IntrospectionAuthenticator;
use crate::clock::Clock;
use crate::error::ConfigError;
use crate::jose::claims::Rules;
use crate::jose::client_claims::ClientClaims;
use crate::jose::header::Typ;
use crate::keys::issuer::Issuer;
use crate::keys::url::shown;

/// Tolerated between the clocks of the issuer and of this server.
const LEEWAY: Duration = Duration::from_secs(30);

/// More leeway than this hides a broken clock.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// No access token should live longer: it cannot be called back.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Bytes of a whole token.
const MAX_TOKEN_LEN: usize = 8 * 1024;

impl JwtAuthenticator {
    /// Starts with an issuer, and the audience by which that issuer knows this server.
    pub fn builder(issuer: Issuer, audience: impl Into<String>) -> JwtAuthenticatorBuilder {
        JwtAuthenticatorBuilder::new(issuer, audience.into())
    }
}

/// Builds a [`JwtAuthenticator`].
#[derive(Debug)]
#[must_use]
pub struct JwtAuthenticatorBuilder {
    issuers: Vec<Issuer>,
    rules: Rules,
    subjectless_is_client: bool,
    max_token_len: usize,
    clock: Option<Arc<dyn Clock>>,
    #[cfg(feature = "introspection")]
    authority: Option<IntrospectionAuthenticator>,
}

impl JwtAuthenticatorBuilder {
    fn new(issuer: Issuer, audience: String) -> Self {
        Self {
            issuers: vec![issuer],
            rules: Rules {
                typ: Typ::AccessToken,
                audiences: vec![audience],
                client_claims: ClientClaims::default(),
                leeway: LEEWAY,
                max_lifetime: MAX_LIFETIME,
                all_rfc9068_claims: false,
            },
            subjectless_is_client: false,
            max_token_len: MAX_TOKEN_LEN,
            clock: None,
            #[cfg(feature = "introspection")]
            authority: None,
        }
    }

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
    /// ID tokens have that type too. This authenticator recognizes them by their audience, by
    /// `at_hash`, `c_hash` and `events`, and by the claims `token_use` and `typ`. Not every
    /// provider sends one of these claims, so use an audience that is no client's id.
    pub fn accept_typ_jwt(mut self) -> Self {
        self.rules.typ = Typ::AccessTokenOrJwt;
        self
    }

    /// Demands all claims that RFC 9068 §2.2 does: besides `iss`, `aud` and `exp` also `sub`, `client_id`, `iat` and `jti`.
    pub fn require_rfc9068_claims(mut self) -> Self {
        self.rules.all_rfc9068_claims = true;
        self
    }

    /// Sets which claims name the client: the first of them that names one counts. Defaults to
    /// `client_id`, `azp`, `cid` (Okta) and `appid` (Entra ID).
    ///
    /// Limits per client (`RateLimitLayer::per_client`) and
    /// [`Principal::client_id`](crate::Principal::client_id) use it. `client_id` and `azp` must be
    /// strings if they are present; another claim that is no string, or is empty, names nobody.
    ///
    /// ```
    /// # use portcullis::{Issuer, JwtAuthenticator};
    /// # fn f(issuer: Issuer) {
    /// let builder = JwtAuthenticator::builder(issuer, "https://api.example.com")
    ///     .client_claims(["azp", "application_id"]);
    /// # }
    /// ```
    pub fn client_claims(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.rules.client_claims = ClientClaims::new(names);
        self
    }

    /// Sets whether a token without `sub` has the identity of its client
    /// ([`Principal::id`](crate::Principal::id)). Defaults to `false`: RFC 9068 §2.2 requires
    /// `sub`, so a token without one has no identity. An empty `sub` counts as absent.
    ///
    /// # Security
    /// Set it only if the issuer leaves `sub` out for clients that act for themselves. If it leaves
    /// `sub` out for users too, all users of a client share their data.
    pub fn subjectless_is_client(mut self, is_client: bool) -> Self {
        self.subjectless_is_client = is_client;
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
    /// The response must be active, and its `iss`, `exp` and token type must fit. The token itself
    /// has a verified `aud`, so the response needs none. If it names one, this must fit too.
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
    /// If an issuer cannot be used or is listed twice, an audience is empty, a client claim cannot
    /// be used, or the leeway is longer than 5 minutes.
    pub fn build(self) -> Result<JwtAuthenticator, ConfigError> {
        let wrong = |setting, value, problem| ConfigError::Setting { setting, value, problem };
        if self.rules.audiences.iter().any(String::is_empty) {
            return Err(wrong("audience", None, "must not be empty"));
        }
        self.rules.client_claims.check()?;
        if self.rules.leeway > MAX_LEEWAY {
            let value = Some(format!("{:?}", self.rules.leeway));
            return Err(wrong("leeway", value, "must not be longer than 5 minutes"));
        }
        let mut issuers: Vec<Trusted> = Vec::with_capacity(self.issuers.len());
        for issuer in &self.issuers {
            let keys = issuer.keys().map_err(Clone::clone)?.clone();
            if issuer.id().is_empty() {
                return Err(wrong("issuer", None, "must not be empty"));
            }
            if issuers.iter().any(|other| *other.id == *issuer.id()) {
                return Err(wrong("issuer", Some(shown(issuer.id())), "must not be listed twice"));
            }
            issuers.push(Trusted { id: Arc::clone(issuer.shared_id()), keys });
        }
        #[cfg(feature = "introspection")]
        if let Some(authority) = &self.authority
            && issuers.iter().any(|issuer| *issuer.id != *authority.issuer())
        {
            let value = Some(shown(authority.issuer()));
            return Err(wrong("with_introspection", value, "must be the authority of the same issuer"));
        }
        let Self { rules, subjectless_is_client, max_token_len, clock, .. } = self;
        Ok(JwtAuthenticator {
            #[cfg(feature = "introspection")]
            authority: self.authority,
            judge: Arc::new(Judge {
                issuers: issuers.into(),
                rules,
                subjectless_is_client,
                max_token_len,
                own_clock: clock,
            }),
        })
    }
}
