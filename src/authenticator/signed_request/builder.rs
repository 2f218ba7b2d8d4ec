//! The settings of an authenticator for tokens that clients sign.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::claims::Rules;
use super::client_store::ClientSecrets;
use super::replay::SingleUse;
use super::replay::memory::MemorySingleUse;
use super::replay_guard::OnceOnly;
use super::{Judge, SignedRequestAuthenticator};
use crate::clock::{Clock, SystemClock};
use crate::error::ConfigError;
use crate::jose::hmac::HmacKey;
use crate::upstream::bulkhead::Bulkhead;

/// How far the clock of a client may be from this server's.
const WINDOW: Duration = Duration::from_secs(30);

/// A longer window hides a broken clock, and is the time in which a token can be stolen and used.
const MAX_WINDOW: Duration = Duration::from_secs(300);

/// From asking a store to its answer; and as long again in line before that.
const TIMEOUT: Duration = Duration::from_secs(2);

/// With longer ones a token might be marked as used when it is no longer remembered.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a whole token.
const MAX_TOKEN_LEN: usize = 8 * 1024;

impl SignedRequestAuthenticator {
    /// Judges the tokens of these clients, with the usual settings.
    #[must_use]
    pub fn new(secrets: impl ClientSecrets) -> Self {
        Self::builder(secrets).assemble()
    }

    /// Starts with where the secrets of clients are found.
    pub fn builder(secrets: impl ClientSecrets) -> SignedRequestAuthenticatorBuilder {
        SignedRequestAuthenticatorBuilder::new(secrets)
    }
}

/// Builds a [`SignedRequestAuthenticator`].
#[must_use]
pub struct SignedRequestAuthenticatorBuilder {
    secrets: Box<dyn ClientSecrets>,
    rules: Rules,
    single_use: Option<Store>,
    timeout: Duration,
    clock: Option<Arc<dyn Clock>>,
}

enum Store {
    /// In memory, by the clock that this builder ends up with.
    Own,
    Given(Box<dyn SingleUse>),
}

impl SignedRequestAuthenticatorBuilder {
    fn new(secrets: impl ClientSecrets) -> Self {
        Self {
            secrets: Box::new(secrets),
            rules: Rules {
                window: WINDOW,
                request_binding: false,
                body_binding: false,
                max_token_len: MAX_TOKEN_LEN,
            },
            single_use: None,
            timeout: TIMEOUT,
            clock: None,
        }
    }

    /// Demands that tokens are bound to method and path of their request (`req`).
    pub fn require_request_binding(mut self) -> Self {
        self.rules.request_binding = true;
        self
    }

    /// Demands that tokens are bound to the body of their request (`pay`), an empty one too. The layer must read bodies.
    pub fn require_body_binding(mut self) -> Self {
        self.rules.body_binding = true;
        self
    }

    /// Accepts each token once, and remembers it in the memory of this process: see [`MemorySingleUse`].
    ///
    /// Clients need a `jti`, or two requests that are alike in all that is signed are one token if they are made in the same second:
    /// the second one is refused. So is a request that passes two layers with this authenticator. A token is used up when it is
    /// accepted here, whatever becomes of its request: who tries again signs again. One that waits for its body until it is half a minute
    /// older than the window allows is refused.
    pub fn single_use(mut self) -> Self {
        self.single_use = Some(Store::Own);
        self
    }

    /// Accepts each token once, and remembers it in a store of your own, which several processes may share.
    pub fn single_use_in(mut self, store: impl SingleUse) -> Self {
        self.single_use = Some(Store::Given(Box::new(store)));
        self
    }

    /// Sets how far `iat` may be from the present, on either side; 30 seconds by default, 5 minutes at most.
    ///
    /// # Security
    /// A token that is stolen opens what it is made for until then.
    pub fn window(mut self, window: Duration) -> Self {
        self.rules.window = window;
        self
    }

    /// Sets the length of the longest token, in bytes; 8 KiB by default.
    pub fn max_token_len(mut self, bytes: usize) -> Self {
        self.rules.max_token_len = bytes;
        self
    }

    /// Sets how long a store may take to answer, of secrets or of used tokens; 2 seconds by default, 10 at most. Before that a
    /// question may be in line for as long.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Brings a clock, for the layer too, and for the store of [`single_use`](Self::single_use).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The authenticator. Nothing is asked yet.
    ///
    /// # Errors
    /// If the window is zero or longer than 5 minutes, or the timeout zero or longer than 10 seconds.
    pub fn build(self) -> Result<SignedRequestAuthenticator, ConfigError> {
        let wrong = |setting, time: Duration, problem| {
            let value = Some(format!("{time:?}"));
            ConfigError::Setting { setting, value, problem }
        };
        if self.rules.window.is_zero() || self.rules.window > MAX_WINDOW {
            let problem = "must be greater than zero, and not longer than 5 minutes";
            return Err(wrong("window", self.rules.window, problem));
        }
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            let problem = "must be greater than zero, and not longer than 10 seconds";
            return Err(wrong("timeout", self.timeout, problem));
        }
        Ok(self.assemble())
    }

    /// The same, where the settings are known to be right.
    fn assemble(self) -> SignedRequestAuthenticator {
        let Self { secrets, rules, single_use, timeout, clock } = self;
        let store = single_use.map(|store| match (store, &clock) {
            (Store::Given(store), _) => store,
            (Store::Own, Some(clock)) => Box::new(MemorySingleUse::default().clocked(Arc::clone(clock))),
            (Store::Own, None) => Box::new(MemorySingleUse::default()),
        });
        let time = clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let bulkhead = |failed| Bulkhead::new(failed, Arc::clone(&time), timeout, timeout);
        let once_only = store.map(|store| {
            Arc::new(OnceOnly::new(store, bulkhead("the store of used tokens failed"), clock.clone()))
        });
        let lookups = bulkhead("the store of client secrets failed").at_once(secrets.at_once());
        let nobody = HmacKey::new(&[0; 32]);
        let judge = Judge { secrets, lookups, rules, once_only, nobody, own_clock: clock };
        SignedRequestAuthenticator { judge: Arc::new(judge) }
    }
}

impl fmt::Debug for SignedRequestAuthenticatorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequestAuthenticatorBuilder")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
