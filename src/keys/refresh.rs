//! The keys of an issuer at this moment, and how they are renewed: one fetch at a time, detached from all who wait for it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwapOption, Guard};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::fetch::{Fetched, Source};
use super::metadata_client::FetchError;
use super::snapshot::{Snapshot, fresh_for};
use super::token_bucket::Bucket;
use crate::clock::{Clock, OncePerSecond, SystemClock};
use crate::error::{AuthError, Reason};
use crate::principal::validity::Lease;
use crate::upstream::backoff::backoff;
use crate::upstream::detached::{Flight, GRACE, Landed, MAX_VANISHED, landing, runtime};

/// Requests that may wait for a fetch at once; those beyond get 503.
const MAX_WAITING: usize = 1000;

/// How long a request with a known key waits for keys that ran out while nobody came. A slow issuer delays nobody longer.
const FRESH_WAIT: Duration = Duration::from_millis(500);

/// What the builder decided.
pub(super) struct Settings {
    /// The application's, if it brought one.
    pub(super) own_clock: Option<Arc<dyn Clock>>,
    /// What `fresh_for` said; else the server decides.
    pub(super) fresh_for: Option<Duration>,
    pub(super) stale_for: Duration,
    pub(super) timeout: Duration,
}

/// What all clones of a key set share.
pub(super) struct Cache {
    source: Arc<Source>,
    settings: Settings,
    snapshot: ArcSwapOption<Snapshot>,
    beginning: Instant,
    /// Milliseconds since the beginning before which no refresh needs to be thought about; spares the lock.
    retry_at: AtomicU64,
    waiting: AtomicUsize,
    /// The last fetch failed: known without the lock, for the requests of an outage.
    failing: AtomicBool,
    /// Fetches sent so far; moves with the lock held.
    sent: AtomicU64,
    state: Mutex<State>,
    log_limit: OncePerSecond,
}

#[derive(Debug)]
struct State {
    fetch: Option<Fetch>,
    bucket: Bucket,
    failures: u32,
    last_error: Option<FetchError>,
}

/// The last fetch that was sent.
#[derive(Debug)]
struct Fetch {
    /// Counts up from one: who arrived when the count was lower arrived before this was sent.
    number: u64,
    /// Sent before the keys ran out, so nobody needs to wait for it.
    ahead: bool,
    flight: Flight<Landing>,
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    Keys,
    Failed,
}

/// Why a request cannot be judged with the keys at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// There are none, or they are too old.
    Any,
    /// They ran out while nobody came.
    Fresh,
    /// None fits of those that this flight brought: a rotation, or a lie.
    Newer { than: u64 },
}

impl Settings {
    fn now(&self) -> Instant {
        self.own_clock.as_ref().map_or_else(|| SystemClock.instant(), |clock| clock.instant())
    }
}

impl State {
    fn under_way(&self, now: Instant) -> Option<&Fetch> {
        self.fetch.as_ref().filter(|fetch| fetch.flight.is_under_way(now))
    }
}

impl Cache {
    pub(super) fn new(source: Source, settings: Settings) -> Self {
        let beginning = settings.now();
        let state = State { fetch: None, bucket: Bucket::full(beginning), failures: 0, last_error: None };
        Self {
            source: Arc::new(source),
            settings,
            snapshot: ArcSwapOption::empty(),
            beginning,
            retry_at: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            state: Mutex::new(state),
            log_limit: OncePerSecond::new(),
        }
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn now(&self) -> Instant {
        self.settings.now()
    }

    pub(super) fn snapshot(&self) -> Guard<Option<Arc<Snapshot>>> {
        self.snapshot.load()
    }

    /// How many fetches were sent before now.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Acquire)
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.state().last_error.as_ref().map(ToString::to_string)
    }

    /// The keys to judge with now; sets off a refresh beside it when it is time. `waited`: fresh ones were waited for already.
    pub(super) fn current(self: &Arc<Self>, waited: bool) -> Result<Guard<Option<Arc<Snapshot>>>, Need> {
        let loaded = self.snapshot.load();
        let Some(snapshot) = &*loaded else { return Err(Need::Any) };
        let now = self.now();
        if snapshot.age(now) < snapshot.refresh_after() {
            return Ok(loaded);
        }
        if !self.serves(snapshot, now) {
            return Err(Need::Any);
        }
        if !snapshot.is_fresh(now) && !waited && self.is_forgotten(now) {
            return Err(Need::Fresh);
        }
        self.refresh_ahead(snapshot, now);
        Ok(loaded)
    }

    /// Waits until there may be better keys. `Ok` says that it is worth judging again.
    pub(super) async fn wait(self: &Arc<Self>, need: Need) -> Result<(), AuthError> {
        match self.wait_for_landing(need).await {
            // The keys at hand serve, whatever became of fresh ones.
            Err(_) if need == Need::Fresh => Ok(()),
            result => result,
        }
    }

    async fn wait_for_landing(self: &Arc<Self>, need: Need) -> Result<(), AuthError> {
        let _place = self.queue()?;
        let max_wait = if need == Need::Fresh { FRESH_WAIT } else { self.max_wait() };
        for _ in 0..MAX_VANISHED {
            let Some(landed) = self.join_or_send(need)? else { return Ok(()) };
            match timeout(max_wait, landing(landed)).await {
                Ok(Some(Landing::Keys)) => return Ok(()),
                Ok(Some(Landing::Failed)) | Err(_) => break,
                Ok(None) => {}
            }
        }
        Err(self.unavailable())
    }

    /// Waits for a fetch that was sent after so many others; `None` if it was cut off.
    pub(super) async fn fetch_after(
        self: &Arc<Self>,
        sent_before: u64,
    ) -> Result<Option<Landing>, AuthError> {
        for _ in 0..MAX_VANISHED {
            let (number, landed) = self.join_or_send_for_refresh()?;
            match timeout(self.max_wait(), landing(landed)).await {
                Ok(Some(_)) if number <= sent_before => {}
                Ok(Some(landing)) => return Ok(Some(landing)),
                Err(_) => break,
                Ok(None) => {}
            }
        }
        Ok(None)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.beginning).as_millis()).unwrap_or(u64::MAX)
    }

    /// How long a fetch is waited for. It ends by itself before, if its runtime is driven.
    const fn max_wait(&self) -> Duration {
        self.settings.timeout.saturating_add(GRACE)
    }

    /// Whether keys may be used, fresh or stale.
    pub(super) fn serves(&self, snapshot: &Snapshot, now: Instant) -> bool {
        snapshot.age(now) < snapshot.fresh_for.saturating_add(self.settings.stale_for)
    }

    /// Keys that ran out: false if a refresh failed since, or one is under way that was sent in time. Only when nobody came
    /// for so long that none was sent must a request wait.
    fn is_forgotten(&self, now: Instant) -> bool {
        let ahead = |fetch: &Fetch| fetch.ahead && fetch.flight.is_under_way(now);
        !self.failing.load(Ordering::Relaxed) && !self.state().fetch.as_ref().is_some_and(ahead)
    }

    /// Lets verdicts be used again until then, but not beyond the time of the keys.
    fn lease_stale(&self, snapshot: &Snapshot, until: Option<Instant>) {
        let serves_for = snapshot.fresh_for.saturating_add(self.settings.stale_for);
        let serves_until = snapshot.fetched_at.checked_add(serves_for);
        let until = match (until, serves_until) {
            (Some(until), Some(end)) => Some(until.min(end)),
            (until, end) => until.or(end),
        };
        snapshot.keys.extend_leases(until);
    }

    fn refresh_ahead(self: &Arc<Self>, seen: &Snapshot, now: Instant) {
        let too_soon = || self.millis(now) < self.retry_at.load(Ordering::Relaxed);
        if too_soon() {
            return;
        }
        let mut state = self.state();
        let under_way = state.under_way(now).is_some();
        // Another request may have sent one that has landed since.
        let replaced = self.snapshot.load().as_ref().is_some_and(|snapshot| snapshot.flight != seen.flight);
        if under_way || replaced || too_soon() {
            return;
        }
        // Without a runtime there is nothing to do it in; requests are still judged.
        if let Ok(runtime) = runtime() {
            self.send(&mut state, &runtime, now);
            // Nobody needs to look again before it has landed.
            self.lease_stale(seen, now.checked_add(self.settings.timeout));
        }
    }

    /// Whether what a request lacked has come before it could wait for it.
    fn is_met(&self, need: Need, now: Instant) -> bool {
        self.snapshot.load().as_ref().is_some_and(|snapshot| match need {
            Need::Any => self.serves(snapshot, now),
            Need::Fresh => snapshot.is_fresh(now),
            Need::Newer { than } => snapshot.flight > than,
        })
    }

    /// Joins the flight under way, or sends one if that is allowed; `None` if none is needed any more.
    fn join_or_send(self: &Arc<Self>, need: Need) -> Result<Option<Landed<Landing>>, AuthError> {
        let runtime = runtime()?;
        let mut state = self.state();
        let now = self.now();
        if self.is_met(need, now) {
            return Ok(None);
        }
        if let Some(fetch) = state.under_way(now) {
            return Ok(Some(fetch.flight.landed()));
        }
        match need {
            Need::Newer { .. } => state
                .bucket
                .spend(now)
                .map_err(|after| AuthError::from(Reason::KeysThrottled).with_retry_after(after))?,
            Need::Any | Need::Fresh => {
                // The pause is for failures. After a fetch that vanished nobody knows how it would have ended.
                let failed =
                    state.failures > 0 && state.fetch.as_ref().is_none_or(|fetch| fetch.flight.has_landed());
                if failed && self.millis(now) < self.retry_at.load(Ordering::Relaxed) {
                    return Err(self.unavailable());
                }
            }
        }
        Ok(Some(self.send(&mut state, &runtime, now).1))
    }

    fn join_or_send_for_refresh(self: &Arc<Self>) -> Result<(u64, Landed<Landing>), AuthError> {
        let runtime = runtime()?;
        let mut state = self.state();
        let now = self.now();
        match state.under_way(now) {
            Some(fetch) => Ok((fetch.number, fetch.flight.landed())),
            None => Ok(self.send(&mut state, &runtime, now)),
        }
    }

    fn send(self: &Arc<Self>, state: &mut State, runtime: &Handle, now: Instant) -> (u64, Landed<Landing>) {
        let number = self.sent().saturating_add(1);
        self.sent.store(number, Ordering::Release);
        let (source, limit) = (Arc::clone(&self.source), self.settings.timeout);
        let owner = Arc::downgrade(self);
        let land = move |fetched| owner.upgrade().map(|cache| cache.land(number, fetched));
        let crashed = land.clone();
        let work =
            async move { land(timeout(limit, source.fetch(now)).await.unwrap_or(Err(FetchError::Timeout))) };
        let due = now.checked_add(self.max_wait());
        let flight = Flight::launch(runtime, due, work, move || crashed(Err(FetchError::Panic)));
        // Should the task vanish with its runtime, somebody looks again after this.
        let again = now.checked_add(self.settings.timeout).map_or(u64::MAX, |again| self.millis(again));
        self.retry_at.store(again.saturating_add(1), Ordering::Relaxed);
        let (ahead, landed) = (self.is_met(Need::Fresh, now), flight.landed());
        state.fetch = Some(Fetch { number, ahead, flight });
        (number, landed)
    }

    fn land(&self, number: u64, fetched: Result<Fetched, FetchError>) -> Landing {
        let mut state = self.state();
        let now = self.now();
        // Given up, and another was sent since: what it brings is older than what may be here already.
        if self.sent() != number {
            return Landing::Failed;
        }
        match fetched {
            Ok(Fetched { mut keys, max_age }) => {
                let before = self.snapshot.load();
                let lease = || Lease::new(self.settings.own_clock.clone());
                let kept = keys.replace(before.as_ref().map(|before| &before.keys), lease);
                let generation =
                    before.as_ref().map_or(0, |before| before.generation.saturating_add(u64::from(!kept)));
                let fresh_for = fresh_for(self.settings.fresh_for, max_age);
                let snapshot = Snapshot { keys, flight: number, generation, fetched_at: now, fresh_for };
                snapshot.keys.extend_leases(now.checked_add(snapshot.refresh_after()));
                self.snapshot.store(Some(Arc::new(snapshot)));
                state.failures = 0;
                self.failing.store(false, Ordering::Relaxed);
                state.last_error = None;
                self.retry_at.store(0, Ordering::Relaxed);
                Landing::Keys
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                self.failing.store(true, Ordering::Relaxed);
                let again =
                    now.checked_add(backoff(state.failures)).map_or(u64::MAX, |again| self.millis(again));
                self.retry_at.store(again, Ordering::Relaxed);
                if let Some(snapshot) = &*self.snapshot.load() {
                    self.lease_stale(snapshot, now.checked_add(backoff(state.failures)));
                }
                let failures = state.failures;
                state.last_error = Some(error.clone());
                // A subscriber is the application's code, which may ask for our status.
                drop(state);
                if self.log_limit.allows() {
                    tracing::error!(target: "portcullis", %error, failures, "keys could not be fetched");
                }
                Landing::Failed
            }
        }
    }

    fn unavailable(&self) -> AuthError {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        let left = retry_at.saturating_sub(self.millis(self.now()));
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
