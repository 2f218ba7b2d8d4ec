//! What is said of a key when it is issued.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::error::ApiKeyError;
use super::record::ApiKeyRecord;
use crate::scope::ScopeSet;

/// Bytes of a name: a label, an owner, a client, a plan.
const MAX_NAME_LEN: usize = 255;

/// Bytes of the metadata as JSON: it is part of every verdict that is kept in memory.
const MAX_METADATA_LEN: usize = 8 * 1024;

/// How deeply the metadata may be nested: readers of JSON have a limit, and it will be part of larger documents.
const MAX_METADATA_DEPTH: usize = 16;

/// What a new key is to be: see [`ApiKeys::issue`](super::ApiKeys::issue).
#[derive(Clone, Debug)]
#[must_use]
pub struct NewApiKey {
    label: String,
    owner: String,
    client_id: Option<String>,
    scopes: ScopeSet,
    plan: Option<String>,
    metadata: Map<String, Value>,
    not_before: Option<SystemTime>,
    ends: Option<End>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    At(SystemTime),
    /// So long after it was issued.
    In(Duration),
}

impl NewApiKey {
    /// A key with a label for people, of an owner: the [`subject`](crate::Principal::subject) of its callers. It grants nothing, and
    /// does not expire.
    pub fn new(label: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            owner: owner.into(),
            client_id: None,
            scopes: ScopeSet::default(),
            plan: None,
            metadata: Map::new(),
            not_before: None,
            ends: None,
        }
    }

    /// Sets the client that uses it. Without one limits per client count by its owner.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets what it grants.
    pub fn scopes(mut self, scopes: ScopeSet) -> Self {
        self.scopes = scopes;
        self
    }

    /// Sets a name for the quotas that it gets.
    pub fn plan(mut self, plan: impl Into<String>) -> Self {
        self.plan = Some(plan.into());
        self
    }

    /// Adds something that the application wants to know of it. Handlers see it, and so may whoever reads the store: no secrets.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Sets from when on it is good.
    pub fn not_before(mut self, time: SystemTime) -> Self {
        self.not_before = Some(time);
        self
    }

    /// Sets until when it is good.
    pub fn expires_at(mut self, time: SystemTime) -> Self {
        self.ends = Some(End::At(time));
        self
    }

    /// Sets for how long it is good, from when it is issued.
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.ends = Some(End::In(time));
        self
    }

    /// The one that takes another's place: like that, and no longer than that.
    pub(super) fn like(record: ApiKeyRecord) -> Self {
        Self {
            label: record.label,
            owner: record.owner,
            client_id: record.client_id,
            scopes: record.scopes,
            plan: record.plan,
            metadata: record.metadata,
            not_before: None,
            ends: record.expires_at.map(End::At),
        }
    }

    pub(super) fn check(&self, now: SystemTime) -> Result<(), ApiKeyError> {
        let invalid = |field, problem| Err(ApiKeyError::Invalid { field, problem });
        let names = [
            ("label", Some(&self.label)),
            ("owner", Some(&self.owner)),
            ("client_id", self.client_id.as_ref()),
            ("plan", self.plan.as_ref()),
        ];
        for (field, name) in names {
            let Some(name) = name else { continue };
            if name.is_empty() || name.len() > MAX_NAME_LEN || name.chars().any(char::is_control) {
                return invalid(field, "has 1 to 255 bytes and no control characters");
            }
        }
        if self.metadata.values().any(|value| is_deeper_than(value, MAX_METADATA_DEPTH)) {
            return invalid("metadata", "is nested 16 times at most");
        }
        if serde_json::to_vec(&self.metadata).map_or(usize::MAX, |json| json.len()) > MAX_METADATA_LEN {
            return invalid("metadata", "has at most 8 KiB as JSON");
        }
        if let Some(end) = self.ends {
            let Some(end) = end.time(now) else { return invalid("expires_in", "is too long") };
            if end <= now || Some(end) <= self.not_before {
                return invalid("expires_at", "is over before it begins");
            }
        }
        Ok(())
    }

    pub(super) fn into_record(self, id: &str, hint: String, now: SystemTime) -> ApiKeyRecord {
        ApiKeyRecord {
            client_id: self.client_id,
            scopes: self.scopes,
            plan: self.plan,
            metadata: self.metadata,
            not_before: self.not_before.map(to_millis),
            expires_at: self.ends.and_then(|end| end.time(now)).map(to_millis),
            ..ApiKeyRecord::new(id.to_owned(), hint, self.label, self.owner, to_millis(now))
        }
    }
}

fn is_deeper_than(value: &Value, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    match value {
        Value::Array(values) => values.iter().any(|value| is_deeper_than(value, depth)),
        Value::Object(members) => members.values().any(|value| is_deeper_than(value, depth)),
        _ => false,
    }
}

impl End {
    fn time(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::In(time) => now.checked_add(time),
        }
    }
}

/// Stores keep milliseconds: so a record that was just made is the same as the one that is read.
pub(super) fn to_millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(time)
}
