//! What stands in a row, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::api_key::record::{ApiKeyRecord, KeyDigest, StoredApiKey};
use crate::scope::ScopeSet;
use crate::store::StoreError;

/// The columns of [`RecordRow`], for a statement.
macro_rules! record_columns {
    () => {
        "id, hint, label, owner, client_id, scopes, plan, metadata, created_at, not_before, expires_at, \
         disabled_at, revoked_at, replaced_by, last_used_at"
    };
}
pub(super) use record_columns;

/// Reads a type out of the columns that are named like its fields, and what follows `and` out of the same row. By hand, since the
/// macro that sqlx derives it with has both databases compiled once more.
macro_rules! from_row {
    ($name:ident { $($field:ident),* $(; and $part:ident)? }) => {
        #[cfg(feature = "sqlite")]
        $crate::sql::api_key_rows::from_row!(sqlx::sqlite::SqliteRow, $name { $($field),* $(; and $part)? });
        #[cfg(feature = "postgres")]
        $crate::sql::api_key_rows::from_row!(sqlx::postgres::PgRow, $name { $($field),* $(; and $part)? });
    };
    ($row:ty, $name:ident { $($field:ident),* $(; and $part:ident)? }) => {
        impl sqlx::FromRow<'_, $row> for $name {
            fn from_row(row: &$row) -> sqlx::Result<Self> {
                Ok(Self {
                    $($field: sqlx::Row::try_get(row, stringify!($field))?,)*
                    $($part: sqlx::FromRow::from_row(row)?,)?
                })
            }
        }
    };
}
pub(super) use from_row;

/// What is known of a key, as it is kept.
pub(super) struct RecordRow {
    pub(super) id: String,
    pub(super) hint: String,
    pub(super) label: String,
    pub(super) owner: String,
    pub(super) client_id: Option<String>,
    /// Divided by spaces.
    pub(super) scopes: String,
    pub(super) plan: Option<String>,
    /// JSON.
    pub(super) metadata: String,
    /// Milliseconds since the epoch, like the other times.
    pub(super) created_at: i64,
    pub(super) not_before: Option<i64>,
    pub(super) expires_at: Option<i64>,
    pub(super) disabled_at: Option<i64>,
    pub(super) revoked_at: Option<i64>,
    pub(super) replaced_by: Option<String>,
    pub(super) last_used_at: Option<i64>,
}

from_row!(RecordRow {
    id,
    hint,
    label,
    owner,
    client_id,
    scopes,
    plan,
    metadata,
    created_at,
    not_before,
    expires_at,
    disabled_at,
    revoked_at,
    replaced_by,
    last_used_at
});

/// A key, as it is kept.
pub(super) struct KeyRow {
    pub(super) record: RecordRow,
    pub(super) digest: Vec<u8>,
    pub(super) pepper: Option<String>,
}

from_row!(KeyRow { digest, pepper; and record });

impl TryFrom<RecordRow> for ApiKeyRecord {
    type Error = StoreError;

    fn try_from(row: RecordRow) -> Result<Self, StoreError> {
        let scopes = ScopeSet::parse(&row.scopes).map_err(|_| unreadable("scopes"))?;
        let metadata = serde_json::from_str(&row.metadata).map_err(|_| unreadable("metadata"))?;
        let created_at = time(row.created_at)?;
        let mut record = Self::new(row.id, row.hint, row.label, row.owner, created_at);
        record.client_id = row.client_id;
        record.scopes = scopes;
        record.plan = row.plan;
        record.metadata = metadata;
        record.not_before = row.not_before.map(time).transpose()?;
        record.expires_at = row.expires_at.map(time).transpose()?;
        record.disabled_at = row.disabled_at.map(time).transpose()?;
        record.revoked_at = row.revoked_at.map(time).transpose()?;
        record.replaced_by = row.replaced_by;
        record.last_used_at = row.last_used_at.map(time).transpose()?;
        Ok(record)
    }
}

impl TryFrom<KeyRow> for StoredApiKey {
    type Error = StoreError;

    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let bytes = row.digest.try_into().map_err(|_| unreadable("digest"))?;
        Ok(Self::new(row.record.try_into()?, KeyDigest::new(bytes, row.pepper)))
    }
}

impl TryFrom<&StoredApiKey> for KeyRow {
    type Error = StoreError;

    fn try_from(key: &StoredApiKey) -> Result<Self, StoreError> {
        if cannot_be_kept(&key.record.id) || cannot_be_kept(&key.record.owner) {
            return Err(StoreError::new("an id or an owner that holds a NUL cannot be kept"));
        }
        let ApiKeyRecord {
            id,
            hint,
            label,
            owner,
            client_id,
            scopes,
            plan,
            metadata,
            created_at,
            not_before,
            expires_at,
            disabled_at,
            revoked_at,
            replaced_by,
            last_used_at,
        } = key.record.clone();
        let record = RecordRow {
            id,
            hint,
            label,
            owner,
            client_id,
            scopes: scopes.as_str().to_owned(),
            plan,
            metadata: json(&metadata)?,
            created_at: millis(created_at)?,
            not_before: not_before.map(millis).transpose()?,
            expires_at: expires_at.map(millis).transpose()?,
            disabled_at: disabled_at.map(millis).transpose()?,
            revoked_at: revoked_at.map(millis).transpose()?,
            replaced_by,
            last_used_at: last_used_at.map(millis).transpose()?,
        };
        Ok(Self { record, digest: key.digest.bytes.to_vec(), pepper: key.digest.pepper.clone() })
    }
}

/// PostgreSQL keeps no text that holds a NUL, and takes a question for one as a mistake. So there is none in any database.
pub(super) fn cannot_be_kept(text: &str) -> bool {
    text.contains('\0')
}

/// Milliseconds since the epoch. The last one that there is stands for what comes after all keys.
pub(super) fn millis(time: SystemTime) -> Result<i64, StoreError> {
    let since = time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_millis()).ok());
    let kept = since.filter(|millis| *millis < i64::MAX);
    kept.ok_or_else(|| StoreError::new("a time before 1970 or beyond all times cannot be kept"))
}

/// For comparing: a time that cannot be kept is before or behind all that are.
pub(super) fn nearest_millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).map(|since| i64::try_from(since.as_millis()));
    since.map_or(-1, |millis| millis.unwrap_or(i64::MAX))
}

pub(super) fn time(millis: i64) -> Result<SystemTime, StoreError> {
    let since = u64::try_from(millis).ok().map(Duration::from_millis);
    since.and_then(|since| UNIX_EPOCH.checked_add(since)).ok_or_else(|| unreadable("time"))
}

/// Text that will be read again: JSON can be written deeper than it can be read.
fn json(metadata: &Map<String, Value>) -> Result<String, StoreError> {
    let text = serde_json::to_string(metadata).ok();
    text.filter(|text| serde_json::from_str::<Map<String, Value>>(text).is_ok())
        .ok_or_else(|| StoreError::new("metadata that is nested so deeply cannot be kept"))
}

fn unreadable(what: &str) -> StoreError {
    StoreError::unreadable(format!("the {what} of a key cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_kept_is_an_error() {
        let second = Duration::from_secs(1);
        assert_eq!(millis(UNIX_EPOCH).unwrap(), 0);
        assert!(millis(UNIX_EPOCH - second).is_err());
        let last = Duration::from_millis(i64::MAX.unsigned_abs() - 1);
        assert_eq!(millis(UNIX_EPOCH + last).unwrap(), i64::MAX - 1);
        assert!(millis(UNIX_EPOCH + last + second).is_err());
        assert_eq!(time(1).unwrap(), UNIX_EPOCH + Duration::from_millis(1));
        assert!(time(-1).is_err());
    }

    #[test]
    fn a_time_loses_what_is_finer_than_a_millisecond() {
        let time_then = UNIX_EPOCH + Duration::from_nanos(1_999_999);
        assert_eq!(time(millis(time_then).unwrap()).unwrap(), UNIX_EPOCH + Duration::from_millis(1));
    }

    #[test]
    fn metadata_that_could_not_be_read_again_is_not_kept() {
        let nested = |depth| {
            let value = (0..depth).fold(Value::Null, |value, _| Value::Array(vec![value]));
            json(&Map::from_iter([("deep".to_owned(), value)]))
        };
        assert!(nested(100).is_ok());
        assert!(nested(200).is_err());
    }
}
