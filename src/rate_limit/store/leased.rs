//! Counts that are fetched ahead: a slice of the quota at a time.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;

use super::leased_slice::Slice;
use super::{Charge, RateLimitStore, Standing};
use crate::clock::{Clock, SystemClock};
use crate::rate_limit::key::RateKey;
use crate::rate_limit::quotas::NamedQuota;
use crate::store::{StoreAnswer, StoreError};

/// For how long a slice may be spent.
const LEASE: Duration = Duration::from_secs(1);

/// Callers of whom a slice is held.
const CAPACITY: usize = 100_000;

/// A full shard is left alone for so long after it was swept, which takes a hundredth of that.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);

/// Enough that two cores seldom meet in one.
const SHARDS: usize = 16;

/// Spends the quotas of a shared store in slices: the store is asked for several requests ahead, and those are answered here.
///
/// How many that is goes by how fast the caller comes. A slice may be spent for a [lease](Self::lease). While the store has
/// enough it is asked again as soon as a slice is spent; once it has not, only about once in a lease. So a caller who keeps many
/// processes busy costs each of them about one question in a lease, however many requests come.
///
/// # How much too much
/// What is spent was taken from the store at most a lease before. So within any time *w* all processes together admit at most what
/// the quota allows within *w + lease* (and the time that an answer takes): its burst, and what comes back meanwhile. That is one lease of the steady rate more than a
/// store that is asked each time, whatever the number of processes. Nor is it ever more than the slices that they hold, of which each
/// has at most [`largest_slice`](Self::largest_slice).
///
/// What is not spent within the lease is lost, which is at most four times what the caller spent of one of the last slices. A
/// request may be refused until the lease is over although another process holds something; as a whole the quota is spent all the
/// same while there is demand. A quota of which nothing comes back for longer is not asked about for as long. The numbers in headers
/// are those of the store's last answer.
///
/// One question is under way for all requests of a caller. They wait a lease for it at most, and then ask by themselves, each as
/// much as it needs.
///
/// Callers beyond 100,000 of whom something is held at once are asked about each time. Clones are the same store.
///
/// ```
/// use portcullis::{LeasedRateLimits, Quota, RateLimitLayer, Redis, RedisRateLimits};
/// use std::time::Duration;
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let redis = RedisRateLimits::new(Redis::open("redis://127.0.0.1:6379")?);
/// let leased = LeasedRateLimits::new(redis).lease(Duration::from_millis(500));
/// let limit = RateLimitLayer::per_client(Quota::per_second(1000)?).store(leased);
/// # Ok(())
/// # }
/// ```
pub struct LeasedRateLimits<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    store: S,
    lease: Duration,
    largest_slice: u32,
    clock: Arc<dyn Clock>,
    shards: Box<[Mutex<Shard>]>,
    secret: u64,
    random: RandomState,
    pauses: AtomicU64,
}

/// A caller, and quotas by their names: layers that share the store may have others for the same caller.
type Place = (RateKey, u64);

#[derive(Default)]
struct Shard {
    held: HashMap<Place, Held>,
    /// Before this time sweeping would be too much.
    sweep_at: Option<Instant>,
}

/// What is held of a caller's quotas, and the question for more.
#[derive(Default)]
struct Held {
    slice: Slice,
    /// It is under way as long as the other end is there, and that is dropped with whoever asks.
    asking: Option<UnderWay>,
}

/// Holds why the question failed, if it did.
type UnderWay = watch::Receiver<Option<StoreError>>;

/// What to do with a charge.
enum Step {
    Answer(Standing),
    Ask(Question),
    Wait(UnderWay),
    /// There is no room for another slice.
    Bypass,
}

struct Question {
    asked: Instant,
    cost: u32,
    up_to: u32,
    /// Held before, for the same request.
    left: u32,
    under_way: watch::Sender<Option<StoreError>>,
}

/// A charge that has to wait.
struct Waiting {
    key: RateKey,
    quotas: Box<[NamedQuota]>,
    cost: u32,
}

impl<S: RateLimitStore> LeasedRateLimits<S> {
    /// Takes slices of what this store keeps.
    #[must_use]
    pub fn new(store: S) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let clock = Arc::new(SystemClock);
        let (random, pauses) = (RandomState::new(), AtomicU64::new(0));
        let (lease, largest_slice, secret) = (LEASE, u32::MAX, random.hash_one(0));
        Self { inner: Arc::new(Inner { store, lease, largest_slice, clock, shards, secret, random, pauses }) }
    }

    /// Sets for how long a slice may be spent; 1 second by default. Longer is fewer questions, and more that is admitted beyond the
    /// quota. To be set before it is cloned.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        self.change(|inner| inner.lease = lease)
    }

    /// Sets how many requests are taken at once, at most; by default as many as a caller may ever spend at once. To be set before it
    /// is cloned.
    #[must_use]
    pub fn largest_slice(self, requests: u32) -> Self {
        self.change(|inner| inner.largest_slice = requests.max(1))
    }

    /// Brings a clock. To be set before it is cloned.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.change(|inner| inner.clock = Arc::new(clock))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner<S>)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            change(inner);
        }
        self
    }
}

impl<S: RateLimitStore> RateLimitStore for LeasedRateLimits<S> {
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing> {
        if let Some(standing) = self.inner.known(charge) {
            return StoreAnswer::ready(Ok(standing));
        }
        // A question begins when it is polled: one that never is would have others wait for it.
        let (inner, waiting) = (Arc::clone(&self.inner), Waiting::of(charge));
        StoreAnswer::boxed(async move { inner.find_out(&waiting).await })
    }
}

impl<S: RateLimitStore> Inner<S> {
    /// What can be answered here.
    fn known(&self, charge: &Charge<'_>) -> Option<Standing> {
        let now = self.clock.instant();
        let mut shard = self.shard(charge.key)?;
        shard.held.get_mut(&place(charge.key, charge.quotas))?.slice.answer(charge.cost, now, charge.quotas)
    }

    fn step(&self, charge: &Charge<'_>, now: Instant) -> Step {
        let Some(mut shard) = self.shard(charge.key) else { return Step::Bypass };
        let place = place(charge.key, charge.quotas);
        if !shard.held.contains_key(&place) && !shard.has_room(now) {
            return Step::Bypass;
        }
        let held = shard.held.entry(place).or_default();
        if let Some(standing) = held.slice.answer(charge.cost, now, charge.quotas) {
            return Step::Answer(standing);
        }
        if let Some(under_way) = held.asking.clone().filter(|_| held.is_asking()) {
            return Step::Wait(under_way);
        }
        let [cost, up_to, left] = held.slice.next(charge.cost, now, self.lease);
        let (under_way, receiver) = watch::channel(None);
        held.asking = Some(receiver);
        let up_to = up_to.min(self.largest_slice.max(cost));
        Step::Ask(Question { asked: now, cost, up_to, left, under_way })
    }

    /// Notes what the store said.
    fn conclude(
        &self,
        waiting: &Waiting,
        question: &Question,
        said: Result<Standing, StoreError>,
    ) -> Result<Standing, StoreError> {
        let Some(mut shard) = self.shard(waiting.key) else { return said };
        let held = shard.held.entry(waiting.place()).or_default();
        held.asking = None;
        let Question { asked, cost, up_to, left, .. } = *question;
        let taken = said.as_ref().is_ok_and(|standing| standing.granted() >= cost);
        if !taken {
            held.slice.give_back(left);
        }
        match said {
            Ok(standing) => {
                held.slice.refill(standing, [cost, up_to], asked, self.pause(), self.lease, &waiting.quotas);
                let granted = if taken { waiting.cost } else { 0 };
                Ok(held.slice.standing(granted, asked, &waiting.quotas))
            }
            Err(error) => {
                // Everybody who waits for it is told the same.
                question.under_way.send_replace(Some(error.clone()));
                Err(error)
            }
        }
    }

    /// Asks; where somebody does already, waits until there is an answer, and then tries again.
    async fn find_out(&self, waiting: &Waiting) -> Result<Standing, StoreError> {
        let charge = Charge::new(waiting.key, &waiting.quotas, waiting.cost);
        let now = SystemClock.instant();
        let patience = now.checked_add(self.lease).unwrap_or(now).into();
        loop {
            let mut under_way = match self.step(&charge, self.clock.instant()) {
                Step::Answer(standing) => return Ok(standing),
                Step::Bypass => break,
                Step::Wait(under_way) => under_way,
                Step::Ask(question) => {
                    let said = self.store.charge(&question.charge(&charge)).answer().await;
                    return self.conclude(waiting, &question, said);
                }
            };
            // It ends when the other end is dropped.
            let ended = async { while under_way.changed().await.is_ok() {} };
            if timeout_at(patience, ended).await.is_err() {
                break;
            }
            if let Some(error) = under_way.borrow().clone() {
                return Err(error);
            }
        }
        self.store.charge(&charge).answer().await
    }

    /// About a lease, three to five quarters: processes that ask at the same time would not go on doing so, and each finds
    /// something.
    fn pause(&self) -> Duration {
        let random = self.random.hash_one(self.pauses.fetch_add(1, Ordering::Relaxed));
        let eighths = u32::try_from(random.checked_rem(5).unwrap_or_default()).unwrap_or_default();
        self.lease.div_f32(8.0).saturating_mul(eighths.saturating_add(6))
    }

    fn shard(&self, key: RateKey) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(key.shard(self.secret, SHARDS))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    fn has_room(&mut self, now: Instant) -> bool {
        let has_room = |held: &HashMap<_, _>| held.len() < CAPACITY.div_euclid(SHARDS);
        if !has_room(&self.held) && self.sweep_at.is_none_or(|at| at <= now) {
            self.held.retain(|_, held| held.is_asking() || held.slice.matters(now));
            self.sweep_at = now.checked_add(SWEEP_PAUSE);
        }
        has_room(&self.held)
    }
}

impl Held {
    fn is_asking(&self) -> bool {
        self.asking.as_ref().is_some_and(|under_way| under_way.has_changed().is_ok())
    }
}

impl Question {
    const fn charge<'a>(&self, charge: &Charge<'a>) -> Charge<'a> {
        Charge::new(charge.key, charge.quotas, self.cost).up_to(self.up_to)
    }
}

impl Waiting {
    fn of(charge: &Charge<'_>) -> Self {
        Self { key: charge.key, quotas: charge.quotas.into(), cost: charge.cost }
    }

    fn place(&self) -> Place {
        place(self.key, &self.quotas)
    }
}

fn place(key: RateKey, quotas: &[NamedQuota]) -> Place {
    // One name has the number zero, so how many there are counts too.
    (key, quotas.iter().fold(1, |names: u64, named| names.rotate_left(1) ^ named.mark()))
}

impl<S> Clone for LeasedRateLimits<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S> fmt::Debug for LeasedRateLimits<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedRateLimits").field("lease", &self.inner.lease).finish_non_exhaustive()
    }
}
