//! Which quotas a caller gets.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::Quotas;
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

/// One of the plans: its place in the list, `None` for the default.
pub(super) type Plan = Option<usize>;

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
        self.named.iter().position(|(name, _)| **name == *plan)
    }

    pub(super) fn name(&self, plan: Plan) -> Option<&str> {
        self.named.get(plan?).map(|(name, _)| &**name)
    }

    pub(super) fn quotas(&self, plan: Plan) -> &Quotas {
        plan.and_then(|plan| self.named.get(plan)).map_or(&self.default, |(_, quotas)| quotas)
    }
}
