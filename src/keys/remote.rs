//! The keys of an issuer, cached and refreshed.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::fetch::{FetchError, Fetched, Location, Source};
use super::flight::{Flight, Landed, Landing, landing};
use super::set::{DEFAULT_RSA_ALGORITHM, KeySet};
use super::throttle::{Bucket, backoff};
use crate::error::{AuthError, ConfigError, Reason};
use crate::http_client::{HttpClient, Limits, default_client};
use crate::jose::Algorithm;
use crate::time::{Clock, OncePerSecond, SystemClock};

/// For how long keys are fresh where neither the application nor the server says.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);

/// What a server may say by `Cache-Control`: less would hammer it, more would keep removed keys alive.
const FRESH_AT_LEAST: Duration = Duration::from_secs(60);
const FRESH_AT_MOST: Duration = Duration::from_secs(24 * 3600);

/// For how long keys that are no longer fresh serve while they cannot be fetched.
const STALE_FOR: Duration = Duration::from_secs(24 * 3600);

/// From sending the first request to having parsed the keys.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of a document. A hundred keys of the longest kind fit.
const MAX_DOCUMENT: usize = 256 * 1024;

/// Requests that may wait for a fetch at once; those beyond get 503.
const MAX_WAITING: usize = 1000;

/// How long a request with a known key waits for keys that ran out while nobody came. A slow issuer delays nobody longer.
const FRESH_WAIT: Duration = Duration::from_millis(500);

/// A fetch may vanish with its runtime this often before a request gives up.
const MAX_VANISHED: u32 = 3;

/// The keys of an issuer: fetched when first needed, refreshed before they run out, kept while the issuer is away.
///
/// A request whose key is known never waits: the keys are refreshed beside it, once four fifths of their time are over. If
/// they ran out because nobody came for that long, the next request waits for fresh ones, half a second at most. A failed
/// refresh changes nothing; it is tried again after 1, 2 and then every 4 seconds, and the old keys serve for another 24
/// hours. A `kid` that is not known is looked for by a fetch that is sent after the request arrived: at most two at once, and
/// one more every 5 seconds, whatever is thrown at it. Where that is used up, or a fetch fails, the answer is 503: nobody is
/// refused whom we could not judge.
///
/// All clones share the keys.
#[derive(Clone)]
pub struct RemoteKeySet {
    shared: Arc<Shared>,
}

/// Builds a [`RemoteKeySet`]. Building does no I/O.
#[derive(Debug)]
#[must_use]
pub struct RemoteKeySetBuilder {
    place: Place,
    http: Option<Arc<dyn HttpClient>>,
    clock: Arc<dyn Clock>,
    allow_http: bool,
    fresh_for: Option<Duration>,
    stale_for: Duration,
    timeout: Duration,
    rsa: Algorithm,
}

#[derive(Debug)]
enum Place {
    JwksUri(String),
    Issuer(String),
}

struct Shared {
    source: Arc<Source>,
    clock: Arc<dyn Clock>,
    /// What `fresh_for` said; else the server decides.
    fresh_for: Option<Duration>,
    stale_for: Duration,
    timeout: Duration,
    snapshot: ArcSwapOption<Snapshot>,
    beginning: Instant,
    /// Milliseconds since the beginning before which no refresh needs to be thought about; spares the lock.
    retry_at: AtomicU64,
    waiting: AtomicUsize,
    state: Mutex<State>,
    outcry: OncePerSecond,
}

#[derive(Debug)]
struct State {
    flight: Option<Flight>,
    sent: u64,
    bucket: Bucket,
    failures: u32,
    last_error: Option<FetchError>,
}

/// The keys of one moment.
#[derive(Debug)]
struct Snapshot {
    keys: KeySet,
    /// The fetch that brought them.
    flight: u64,
    /// Moves only when a key was removed or altered.
    generation: u64,
    fetched_at: Instant,
    fresh_for: Duration,
}

/// Why a request cannot be judged with the keys at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// There are none, or they are too old.
    Any,
    /// They ran out while nobody came.
    Fresh,
    /// None of them fits: a rotation, or a lie.
    Newer,
}

/// What a token needs that is not at hand, and where to wait for it.
#[derive(Debug)]
pub(crate) struct Lack {
    keys: RemoteKeySet,
    need: Need,
}

/// How long a request has been waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Fetches that were sent before it arrived: they cannot speak about keys that it names.
    sent_before: Option<u64>,
    /// It has waited for fresh keys already.
    waited: bool,
}

impl Patience {
    /// Of a request that has not waited yet.
    pub(crate) const NONE: Self = Self { sent_before: None, waited: false };
}

impl Lack {
    /// Notes that the request arrived just now.
    pub(crate) fn arrival(&self) -> Patience {
        Patience { sent_before: Some(self.keys.sent()), waited: false }
    }

    /// Waits until there may be better keys; `Ok` says that it is worth judging again.
    pub(crate) async fn wait(&self, patience: &mut Patience) -> Result<(), AuthError> {
        self.keys.wait(self.need).await?;
        patience.waited |= self.need == Need::Fresh;
        Ok(())
    }
}

/// The keys could not be fetched.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeysError(String);

/// The state of a [`RemoteKeySet`], for health checks and dashboards.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeysStatus {
    /// How many keys can be used now; zero before the first fetch.
    pub keys: usize,
    /// How many keys of the document were left out.
    pub skipped: usize,
    /// How long ago they were fetched.
    pub age: Option<Duration>,
    /// Counts how often a key was removed or altered.
    pub generation: u64,
    /// Fetches sent so far.
    pub fetches: u64,
    /// Why the last fetch failed; `None` if it did not.
    pub last_error: Option<String>,
}

impl RemoteKeySet {
    /// Keys at a known address: no discovery.
    pub fn builder(jwks_uri: impl Into<String>) -> RemoteKeySetBuilder {
        RemoteKeySetBuilder::new(Place::JwksUri(jwks_uri.into()))
    }

    /// Keys at the address that the metadata of `issuer` names (RFC 8414, then OpenID Connect Discovery). Metadata in which
    /// another issuer stands is not used.
    pub fn discover(issuer: impl Into<String>) -> RemoteKeySetBuilder {
        RemoteKeySetBuilder::new(Place::Issuer(issuer.into()))
    }

    /// Fetches the keys if there are none yet, so that the first request need not wait. An application may go on if this
    /// fails: keys are fetched again when they are needed.
    ///
    /// # Errors
    /// If the keys cannot be fetched.
    pub async fn warm_up(&self) -> Result<(), KeysError> {
        if self.shared.snapshot.load().is_some() {
            return Ok(());
        }
        self.refresh().await
    }

    /// Fetches the keys now, whatever their age: after a rotation for cause, when waiting is no option.
    ///
    /// # Errors
    /// If the keys cannot be fetched; the old ones stay.
    pub async fn refresh(&self) -> Result<(), KeysError> {
        let sent_before = self.sent();
        for _ in 0..MAX_VANISHED {
            let (number, landed) =
                self.shared.board_for_refresh().map_err(|error| KeysError(error.to_string()))?;
            match landing(landed).await {
                Some(_) if number <= sent_before => {}
                Some(Landing::Keys) => return Ok(()),
                Some(Landing::Failed) => break,
                None => {}
            }
        }
        let error = self.shared.state().last_error.clone();
        Err(KeysError(error.map_or_else(|| "the fetch was cut off".into(), |error| error.to_string())))
    }

    /// How the keys are.
    #[must_use]
    pub fn status(&self) -> KeysStatus {
        let snapshot = self.shared.snapshot.load_full();
        let state = self.shared.state();
        let now = self.shared.clock.instant();
        KeysStatus {
            keys: snapshot.as_ref().map_or(0, |snapshot| snapshot.keys.len()),
            skipped: snapshot.as_ref().map_or(0, |snapshot| snapshot.keys.skipped()),
            age: snapshot.as_ref().map(|snapshot| now.saturating_duration_since(snapshot.fetched_at)),
            generation: snapshot.as_ref().map_or(0, |snapshot| snapshot.generation),
            fetches: state.sent,
            last_error: state.last_error.as_ref().map(ToString::to_string),
        }
    }

    /// The issuer whose metadata led here.
    pub(super) fn discovered_issuer(&self) -> Option<&str> {
        match &self.shared.source.location {
            Location::Pinned(_) => None,
            Location::Discovered { issuer, .. } => Some(issuer),
        }
    }

    /// How many fetches were sent before now.
    fn sent(&self) -> u64 {
        self.shared.state().sent
    }

    /// Lets `judge` look at the keys at hand. It gives `None` if none of them fits, and so does this where that is final: the
    /// keys were asked for after the request arrived.
    pub(super) fn judge<T>(
        &self,
        patience: Patience,
        judge: impl FnOnce(&KeySet) -> Option<T>,
    ) -> Result<Option<T>, Lack> {
        let lack = |need| Lack { keys: self.clone(), need };
        let loaded = self.current(patience.waited).map_err(lack)?;
        let Some(snapshot) = &*loaded else { return Err(lack(Need::Any)) };
        let judged = judge(&snapshot.keys);
        let final_word = patience.sent_before.is_some_and(|before| snapshot.flight > before);
        if judged.is_none() && !final_word { Err(lack(Need::Newer)) } else { Ok(judged) }
    }

    /// The keys to judge with now; sets off a refresh beside it when it is time. `waited`: fresh ones were waited for already.
    fn current(&self, waited: bool) -> Result<Guard<Option<Arc<Snapshot>>>, Need> {
        let shared = &self.shared;
        let loaded = shared.snapshot.load();
        let Some(snapshot) = &*loaded else { return Err(Need::Any) };
        let age = shared.clock.instant().saturating_duration_since(snapshot.fetched_at);
        if age < snapshot.refresh_after() {
            return Ok(loaded);
        }
        if age >= snapshot.fresh_for.saturating_add(shared.stale_for) {
            return Err(Need::Any);
        }
        if age >= snapshot.fresh_for && !waited && shared.is_forgotten() {
            return Err(Need::Fresh);
        }
        shared.refresh_ahead();
        Ok(loaded)
    }

    async fn wait(&self, need: Need) -> Result<(), AuthError> {
        let _place = self.shared.queue()?;
        for _ in 0..MAX_VANISHED {
            let landed = self.shared.board(need)?;
            let landing = match need {
                Need::Fresh => match timeout(FRESH_WAIT, landing(landed)).await {
                    Ok(Some(_)) | Err(_) => return Ok(()),
                    Ok(None) => None,
                },
                Need::Any | Need::Newer => landing(landed).await,
            };
            match landing {
                Some(Landing::Keys) => return Ok(()),
                Some(Landing::Failed) => break,
                None => {}
            }
        }
        Err(self.shared.unavailable())
    }
}

impl Snapshot {
    fn refresh_after(&self) -> Duration {
        self.fresh_for.mul_f32(0.8)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.beginning).as_millis()).unwrap_or(u64::MAX)
    }

    /// Keys that ran out: false if a refresh failed since, or one is under way that was sent in time. Only when nobody came
    /// for so long that none was sent must a request wait.
    fn is_forgotten(&self) -> bool {
        let state = self.state();
        let ahead = state.flight.as_ref().is_some_and(|flight| flight.ahead && flight.is_under_way());
        state.failures == 0 && !ahead
    }

    fn refresh_ahead(self: &Arc<Self>) {
        let now = self.clock.instant();
        if self.millis(now) < self.retry_at.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state();
        if state.flight.as_ref().is_some_and(Flight::is_under_way) {
            return;
        }
        // Without a runtime there is nothing to do it in; requests are still judged.
        let _ = self.send(&mut state, now, true);
    }

    /// Joins the flight under way, or sends one if that is allowed.
    fn board(self: &Arc<Self>, need: Need) -> Result<Landed, AuthError> {
        let mut state = self.state();
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.is_under_way()) {
            return Ok(flight.landed.clone());
        }
        let now = self.clock.instant();
        match need {
            Need::Newer => state
                .bucket
                .spend(now)
                .map_err(|after| AuthError::from(Reason::KeysThrottled).with_retry_after(after))?,
            Need::Any | Need::Fresh => {
                if state.failures > 0 && self.millis(now) < self.retry_at.load(Ordering::Relaxed) {
                    return Err(self.unavailable());
                }
            }
        }
        self.send(&mut state, now, false)
    }

    fn board_for_refresh(self: &Arc<Self>) -> Result<(u64, Landed), AuthError> {
        let mut state = self.state();
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.is_under_way()) {
            return Ok((flight.number, flight.landed.clone()));
        }
        let landed = self.send(&mut state, self.clock.instant(), false)?;
        Ok((state.sent, landed))
    }

    fn send(self: &Arc<Self>, state: &mut State, now: Instant, ahead: bool) -> Result<Landed, AuthError> {
        let runtime = Handle::try_current().map_err(|_| AuthError::from(Reason::RuntimeMissing))?;
        let number = state.sent.saturating_add(1);
        let (land, landed) = watch::channel(None);
        let (source, owner, limit) = (Arc::clone(&self.source), Arc::downgrade(self), self.timeout);
        let task = runtime.spawn(async move {
            let fetched = timeout(limit, source.fetch()).await.unwrap_or(Err(FetchError::Timeout));
            if let Some(landing) = Weak::upgrade(&owner).map(|shared| shared.land(number, fetched)) {
                land.send_replace(Some(landing));
            }
        });
        state.sent = number;
        // Should the task vanish with its runtime, somebody looks again after this.
        let again = now.checked_add(self.timeout).map_or(u64::MAX, |again| self.millis(again));
        self.retry_at.store(again.saturating_add(1), Ordering::Relaxed);
        state.flight = Some(Flight { number, ahead, landed: landed.clone(), task: task.abort_handle() });
        Ok(landed)
    }

    fn land(&self, number: u64, fetched: Result<Fetched, FetchError>) -> Landing {
        let mut state = self.state();
        let now = self.clock.instant();
        match fetched {
            Ok(Fetched { keys, max_age }) => {
                let before = self.snapshot.load();
                let generation = before.as_ref().map_or(0, |before| {
                    before.generation.saturating_add(u64::from(!before.keys.is_kept_by(&keys)))
                });
                let by_server = max_age.map(|age| age.clamp(FRESH_AT_LEAST, FRESH_AT_MOST));
                let fresh_for = self.fresh_for.or(by_server).unwrap_or(FRESH_FOR);
                let snapshot = Snapshot { keys, flight: number, generation, fetched_at: now, fresh_for };
                self.snapshot.store(Some(Arc::new(snapshot)));
                state.failures = 0;
                state.last_error = None;
                self.retry_at.store(0, Ordering::Relaxed);
                Landing::Keys
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let again =
                    now.checked_add(backoff(state.failures)).map_or(u64::MAX, |again| self.millis(again));
                self.retry_at.store(again, Ordering::Relaxed);
                if self.outcry.allows() {
                    let failures = state.failures;
                    tracing::error!(target: "portcullis", %error, failures, "keys could not be fetched");
                }
                state.last_error = Some(error);
                Landing::Failed
            }
        }
    }

    fn unavailable(&self) -> AuthError {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        let left = retry_at.saturating_sub(self.millis(self.clock.instant()));
        AuthError::from(Reason::KeysUnavailable).with_retry_after(Duration::from_millis(left))
    }

    fn queue(&self) -> Result<WaitingPlace<'_>, AuthError> {
        let place = WaitingPlace(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING {
            Ok(place)
        } else {
            Err(AuthError::from(Reason::WaitersExceeded).with_retry_after(Duration::from_secs(1)))
        }
    }
}

/// One of the places in which a request may wait.
struct WaitingPlace<'s>(&'s AtomicUsize);

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for RemoteKeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeySet").field("location", &self.shared.source.location).finish_non_exhaustive()
    }
}

impl RemoteKeySetBuilder {
    fn new(place: Place) -> Self {
        Self {
            place,
            http: None,
            clock: Arc::new(SystemClock),
            allow_http: false,
            fresh_for: None,
            stale_for: STALE_FOR,
            timeout: FETCH_TIMEOUT,
            rsa: DEFAULT_RSA_ALGORITHM,
        }
    }

    /// Allows plain http, for a provider on the same machine and for tests.
    ///
    /// # Security
    /// Whoever sits on the way can then give you keys, and with them any token.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    /// Sets for how long keys are fresh, whatever the server's `Cache-Control` says. By default that decides, between one
    /// minute and 24 hours, and 10 minutes if it says nothing.
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = Some(time);
        self
    }

    /// Sets for how long keys that are no longer fresh serve while they cannot be fetched; 24 hours by default.
    pub fn stale_for(mut self, time: Duration) -> Self {
        self.stale_for = time;
        self
    }

    /// Sets how long a fetch may take in all, discovery included; 5 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets what RSA keys that name no `alg` are for; [`Algorithm::RS256`] by default.
    pub fn rsa_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.rsa = algorithm;
        self
    }

    /// Brings an HTTP client, in place of the one of the feature `reqwest`.
    pub fn http_client(mut self, client: impl HttpClient) -> Self {
        self.http = Some(Arc::new(client));
        self
    }

    /// Brings a clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The key set. Nothing is fetched yet.
    ///
    /// # Errors
    /// If the address cannot be used, a time is zero, the algorithm is not one of RSA, or there is no HTTP client.
    pub fn build(self) -> Result<RemoteKeySet, ConfigError> {
        let location = match &self.place {
            Place::JwksUri(url) => Location::pinned(url, self.allow_http)?,
            Place::Issuer(issuer) => Location::discovered(issuer, self.allow_http)?,
        };
        let wrong = |setting, problem| ConfigError::Setting { setting, problem };
        if self.fresh_for.is_some_and(|time| time.is_zero()) {
            return Err(wrong("fresh_for", "must be longer than nothing"));
        }
        if self.timeout.is_zero() {
            return Err(wrong("timeout", "must be longer than nothing"));
        }
        if !self.rsa.is_rsa() {
            return Err(wrong("rsa_algorithm", "must be an algorithm of RSA keys"));
        }
        let http = match self.http {
            Some(client) => client,
            None => default_client()?,
        };
        let beginning = self.clock.instant();
        let source = Source {
            location,
            http,
            limits: Limits::new(self.timeout, MAX_DOCUMENT),
            allow_http: self.allow_http,
            rsa: self.rsa,
            found: Mutex::new(None),
        };
        let state =
            State { flight: None, sent: 0, bucket: Bucket::full(beginning), failures: 0, last_error: None };
        let shared = Shared {
            source: Arc::new(source),
            clock: self.clock,
            fresh_for: self.fresh_for,
            stale_for: self.stale_for,
            timeout: self.timeout,
            snapshot: ArcSwapOption::empty(),
            beginning,
            retry_at: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(state),
            outcry: OncePerSecond::new(),
        };
        Ok(RemoteKeySet { shared: Arc::new(shared) })
    }
}
