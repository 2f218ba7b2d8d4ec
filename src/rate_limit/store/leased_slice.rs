//! What a process holds of a caller's quotas: pure, time comes in as an argument.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::Standing;
use crate::clock::timestamp::nanos;
use crate::rate_limit::gcra;
use crate::rate_limit::quotas::NamedQuota;

/// A slice is to last for this part of a lease, so that little of it is lost: three quarters.
const LASTS: (u32, u32) = (3, 4);

/// A slice is at most so many times what was spent lately: a caller who comes twice at once is not taken for a flood.
const GROWTH: u32 = 4;

/// What was taken of a caller's quotas and may be spent here.
#[derive(Default)]
pub(super) struct Slice {
    /// Left of it.
    units: u32,
    /// `None`: nothing was ever taken.
    taken: Option<Taken>,
    /// Before that the store has nothing more for requests that need at least so much.
    ask_at: Option<Instant>,
    least: u32,
    /// How the store stood when it was last asked.
    backlogs: SmallVec<[u64; 2]>,
    asked: Option<Instant>,
}

struct Taken {
    at: Instant,
    ends: Instant,
    /// All that was asked for: the store has more.
    whole: bool,
    spent: u32,
    /// Spent of those before, the last one counting most: a slice that was small for want of more does not start anew.
    usual: u32,
    last_spent: Instant,
}

impl Taken {
    fn lately(&self) -> u32 {
        self.spent.max(self.usual)
    }
}

impl Slice {
    /// What can be said without the store: it is spent, or the store has nothing yet.
    pub(super) fn answer(&mut self, cost: u32, now: Instant, quotas: &[NamedQuota]) -> Option<Standing> {
        self.spend(cost, now, quotas).or_else(|| self.refuse(cost, now))
    }

    fn spend(&mut self, cost: u32, now: Instant, quotas: &[NamedQuota]) -> Option<Standing> {
        let taken = self.taken.as_mut().filter(|taken| now < taken.ends)?;
        self.units = self.units.checked_sub(cost)?;
        taken.spent = taken.spent.saturating_add(cost);
        taken.last_spent = now;
        Some(self.standing(cost, now, quotas))
    }

    fn refuse(&self, cost: u32, now: Instant) -> Option<Standing> {
        if cost < self.least {
            return None;
        }
        let wait = self.ask_at?.checked_duration_since(now).filter(|wait| !wait.is_zero())?;
        Some(Standing::from_nanos(0, self.backlogs_at(now)).not_before(wait))
    }

    /// Where it does not suffice: how much to ask the store for, or nothing, and up to how much to take; and what is left of it,
    /// which goes into the request.
    pub(super) fn next(&mut self, cost: u32, now: Instant, lease: Duration) -> [u32; 3] {
        let valid = self.taken.as_ref().is_some_and(|taken| now < taken.ends);
        let left = if valid { std::mem::take(&mut self.units) } else { 0 };
        let cost = cost.saturating_sub(left);
        [cost, self.wanted(now, lease).saturating_sub(left).max(cost), left]
    }

    /// The request that it went into was refused. It ends when it would have.
    pub(super) fn give_back(&mut self, left: u32) {
        self.units = self.units.saturating_add(left);
    }

    /// How much is needed until a slice should be spent, at the pace at which the last one was.
    fn wanted(&self, now: Instant, lease: Duration) -> u32 {
        let Some(taken) = &self.taken else { return 0 };
        // Who found nothing left in the store came in vain since, and who did not would have asked again.
        let until = if taken.whole { now } else { taken.last_spent };
        let took = nanos(until.saturating_duration_since(taken.at)).max(1);
        let pace = u128::from(taken.spent).saturating_mul(nanos(lease).into());
        let (part, whole) = LASTS;
        let wanted =
            pace.saturating_mul(part.into()).div_euclid(u128::from(took).saturating_mul(whole.into()).max(1));
        u32::try_from(wanted).unwrap_or(u32::MAX).min(taken.lately().saturating_mul(GROWTH))
    }

    /// Notes what the store said to a question for `cost` and up to so much, which was sent then. `pause`: when to ask again if it
    /// has no more.
    pub(super) fn refill(
        &mut self,
        said: Standing,
        [cost, up_to]: [u32; 2],
        asked: Instant,
        pause: Duration,
        lease: Duration,
        quotas: &[NamedQuota],
    ) {
        let granted = said.granted();
        let soon = said.wait(quotas, 1);
        self.asked = Some(asked);
        self.backlogs = said.into_backlogs();
        let whole = granted >= up_to;
        self.ask_at = if whole { None } else { asked.checked_add(pause.max(soon)) };
        self.least = if granted < cost { cost } else { 1 };
        if granted < cost {
            return;
        }
        self.units = granted.saturating_sub(cost);
        let ends = asked.checked_add(lease).unwrap_or(asked);
        let usual = self.taken.as_ref().map_or(0, Taken::lately).div_euclid(2);
        self.taken = Some(Taken { at: asked, ends, whole, spent: cost, usual, last_spent: asked });
    }

    /// How the caller stands as far as this process knows, with what it holds.
    pub(super) fn standing(&self, granted: u32, now: Instant, quotas: &[NamedQuota]) -> Standing {
        let held = |(backlog, named): (u64, &NamedQuota)| {
            backlog.saturating_sub(gcra::spend(0, self.units, named.quota()))
        };
        let backlogs = self.backlogs_at(now).into_iter().zip(quotas).map(held).collect();
        let wait = self.ask_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let standing = Standing::from_nanos(granted, backlogs);
        if granted > 0 { standing } else { standing.not_before(wait) }
    }

    fn backlogs_at(&self, now: Instant) -> SmallVec<[u64; 2]> {
        let since = self.asked.map_or(0, |asked| nanos(now.saturating_duration_since(asked)));
        self.backlogs.iter().map(|backlog| backlog.saturating_sub(since)).collect()
    }

    /// Whether anything is lost with it but a guess.
    pub(super) fn matters(&self, now: Instant) -> bool {
        let holds = self.taken.as_ref().is_some_and(|taken| self.units > 0 && now < taken.ends);
        holds || self.ask_at.is_some_and(|at| now < at)
    }
}
