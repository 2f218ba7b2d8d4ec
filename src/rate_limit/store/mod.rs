//! Where the counts live.

pub(crate) mod leased;
pub(crate) mod leased_slice;
pub(crate) mod memory;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::gcra;
use super::key::RateKey;
use super::quotas::NamedQuota;
use crate::store::StoreAnswer;

/// Keeps the counts of a limit: [`MemoryRateLimits`](super::MemoryRateLimits) for one process, a shared one for several.
pub trait RateLimitStore: Send + Sync + 'static {
    /// Spends from every quota of the charge, or from none: as one step, so that of all who do it at the same time, in whatever
    /// process, none is admitted by what another has spent.
    ///
    /// The request waits for the answer: a store that does I/O bounds the time that it takes and the questions that are under
    /// way, and gives an error beyond.
    fn charge(&self, charge: &Charge<'_>) -> StoreAnswer<Standing>;
}

/// What happens to requests while the store cannot be asked. Each is counted: see [`RateLimitStatus`](super::RateLimitStatus).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// They pass, uncounted. The default: a limiter that is away should not take the service along.
    #[default]
    Open,
    /// They are refused with 503.
    Closed,
    /// They are limited by this process alone, in memory: each quota is divided by how many processes there are.
    Local {
        /// How many processes share the store.
        processes: NonZeroU32,
    },
}

/// What is to be spent, and by whom.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Charge<'a> {
    /// Who spends.
    pub key: RateKey,
    /// Of what. For one key, those of one name are the same.
    pub quotas: &'a [NamedQuota],
    /// How much has to be spent, or nothing.
    pub cost: u32,
    /// How much may be spent if there is room: usually no more.
    pub up_to: u32,
}

impl<'a> Charge<'a> {
    /// Spends exactly this much, or nothing.
    #[must_use]
    pub const fn new(key: RateKey, quotas: &'a [NamedQuota], cost: u32) -> Self {
        Self { key, quotas, cost, up_to: cost }
    }

    /// Spends as much as there is room for, up to this.
    #[must_use]
    pub const fn up_to(self, most: u32) -> Self {
        Self { up_to: if most > self.cost { most } else { self.cost }, ..self }
    }
}

/// What was spent, and how things stand afterwards.
#[derive(Clone, Debug)]
pub struct Standing {
    granted: u32,
    not_before: Duration,
    backlogs: SmallVec<[u64; 2]>,
}

impl Standing {
    /// So much was spent, zero if there was no room; `backlogs`: after how long each quota would be whole again, if nothing more
    /// was spent.
    #[must_use]
    pub fn new(granted: u32, backlogs: impl IntoIterator<Item = Duration>) -> Self {
        let backlogs = backlogs.into_iter().map(crate::clock::timestamp::nanos).collect();
        Self::from_nanos(granted, backlogs)
    }

    /// Says that it is of no use to come again before, whatever the backlogs.
    #[must_use]
    pub const fn not_before(mut self, wait: Duration) -> Self {
        self.not_before = wait;
        self
    }

    /// How much was spent.
    #[must_use]
    pub const fn granted(&self) -> u32 {
        self.granted
    }

    pub(super) const fn from_nanos(granted: u32, backlogs: SmallVec<[u64; 2]>) -> Self {
        Self { granted, not_before: Duration::ZERO, backlogs }
    }

    pub(super) fn into_backlogs(self) -> SmallVec<[u64; 2]> {
        self.backlogs
    }

    /// Each quota with its backlog. One that the store says nothing of counts as whole.
    pub(super) fn of<'a>(
        &'a self,
        quotas: &'a [NamedQuota],
    ) -> impl Iterator<Item = (&'a NamedQuota, u64)> + Clone {
        let backlogs = self.backlogs.iter().copied().chain(std::iter::repeat(0));
        quotas.iter().zip(backlogs)
    }

    /// Before that it is of no use to come again.
    pub(super) const fn earliest(&self) -> Duration {
        self.not_before
    }

    /// The names of the quotas that have no room for this much. Where all seem to have, since the store alone says that it is too
    /// early, the one with the least.
    pub(super) fn violated(&self, quotas: &[NamedQuota], cost: u32) -> Vec<Arc<str>> {
        let name = |(named, _): (&NamedQuota, u64)| Arc::clone(named.shared_name());
        let has_none = |(named, backlog): &(&NamedQuota, u64)| !gcra::has_room(*backlog, cost, named.quota());
        let violated: Vec<_> = self.of(quotas).filter(has_none).map(name).collect();
        if !violated.is_empty() {
            return violated;
        }
        let least = self.of(quotas).min_by_key(|(named, backlog)| gcra::room(*backlog, named.quota()));
        least.map(name).into_iter().collect()
    }

    /// After how long there is room for this much.
    pub(super) fn wait(&self, quotas: &[NamedQuota], cost: u32) -> Duration {
        let waits = self.of(quotas).map(|(named, backlog)| gcra::wait(backlog, cost, named.quota()));
        waits.max().unwrap_or_default().max(self.not_before)
    }
}
