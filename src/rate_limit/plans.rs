//! Which quotas a caller gets.

use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::quotas::Quotas;
use crate::principal::Principal;

/// The quotas of all plans.
#[derive(Clone)]
pub(super) struct Plans {
    /// Of callers whose plan is none of those below.
    default: Quotas,
    named: Vec<(Arc<str>, Quotas)>,
    by: PlanBy,
}

/// Where the name of a caller's plan comes from.
#[derive(Clone)]
pub(super) enum PlanBy {
    Principal,
    Claim(Arc<str>),
    Own(Arc<PlanOf>),
}

pub(super) type PlanOf = dyn Fn(&Principal) -> Option<String> + Send + Sync;

/// One of the plans: its place in the list, counted from one; `None` for the default.
pub(super) type Plan = Option<NonZeroU32>;

impl Plans {
    pub(super) const fn new(default: Quotas) -> Self {
        Self { default, named: Vec::new(), by: PlanBy::Principal }
    }

    /// Adds a plan; one of the same name is replaced.
    pub(super) fn set(&mut self, name: Arc<str>, quotas: Quotas) {
        self.named.retain(|(known, _)| *known != name);
        self.named.push((name, quotas));
    }

    pub(super) fn by(&mut self, by: PlanBy) {
        self.by = by;
    }

    pub(super) fn of(&self, principal: &Principal) -> Plan {
        if self.named.is_empty() {
            return None;
        }
        match &self.by {
            PlanBy::Principal => self.find(principal.plan()?),
            PlanBy::Claim(name) => match principal.claims::<Map<String, Value>>().ok()?.get(&**name)? {
                Value::String(plan) => self.find(plan),
                _ => None,
            },
            PlanBy::Own(plan) => self.find(&plan(principal)?),
        }
    }

    fn find(&self, plan: &str) -> Plan {
        let place = self.named.iter().position(|(name, _)| **name == *plan)?;
        u32::try_from(place.saturating_add(1)).ok().and_then(NonZeroU32::new)
    }

    pub(super) fn name(&self, plan: Plan) -> Option<&str> {
        self.at(plan).map(|(name, _)| &**name)
    }

    pub(super) fn quotas(&self, plan: Plan) -> &Quotas {
        self.at(plan).map_or(&self.default, |(_, quotas)| quotas)
    }

    fn at(&self, plan: Plan) -> Option<&(Arc<str>, Quotas)> {
        self.named.get(usize::try_from(plan?.get()).ok()?.checked_sub(1)?)
    }
}
