//! Keys in a table.

use std::collections::BTreeMap;
use std::time::SystemTime;

use sqlx::{Connection as _, QueryBuilder};

use super::SqlStore;
use super::api_key_rows::{KeyRow, RecordRow, cannot_be_kept, millis, nearest_millis, record_columns};
use super::database::{CHANGE, Database, LOOK_UP, on};
use super::error::or_absent;
use crate::api_key::record::{ApiKeyRecord, KeyDigest, StoredApiKey};
use crate::api_key::store::{ApiKeyChange, ApiKeyQuery, ApiKeyStore, ApiKeyUse};
use crate::store::{StoreError, StoreFuture};

/// Keys of which one statement notes the use: so few that PostgreSQL looks each of them up, and does not read a table of 100,000.
const USES_AT_ONCE: usize = 100;

const FIND: &str =
    concat!("SELECT ", record_columns!(), ", digest, pepper FROM portcullis_api_keys WHERE id = $1");

const INSERT: &str = concat!(
    "INSERT INTO portcullis_api_keys (",
    record_columns!(),
    ", digest, pepper) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
     ON CONFLICT (id) DO NOTHING"
);

const LIST: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM portcullis_api_keys WHERE (created_at, id) < ($1, $2) \
     ORDER BY created_at DESC, id DESC LIMIT $3"
);

const LIST_OF_OWNER: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM portcullis_api_keys WHERE (created_at, id) < ($1, $2) AND owner = $4 \
     ORDER BY created_at DESC, id DESC LIMIT $3"
);

const REVOKE: &str = concat!(
    "UPDATE portcullis_api_keys SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1 RETURNING ",
    record_columns!()
);

const DISABLE: &str = concat!(
    "UPDATE portcullis_api_keys \
     SET disabled_at = CASE WHEN revoked_at IS NULL THEN COALESCE(disabled_at, $2) ELSE disabled_at END \
     WHERE id = $1 RETURNING ",
    record_columns!()
);

/// The new time is none.
const ENABLE: &str = concat!(
    "UPDATE portcullis_api_keys \
     SET disabled_at = CASE WHEN revoked_at IS NULL THEN $2 ELSE disabled_at END \
     WHERE id = $1 RETURNING ",
    record_columns!()
);

const EXPIRE: &str = concat!(
    "UPDATE portcullis_api_keys \
     SET expires_at = CASE WHEN revoked_at IS NULL AND (replaced_by IS NULL OR $2 < expires_at) THEN $2 ELSE expires_at END \
     WHERE id = $1 RETURNING ",
    record_columns!()
);

const RETIRE: &str = "UPDATE portcullis_api_keys \
     SET replaced_by = $2, expires_at = CASE WHEN expires_at < $3 THEN expires_at ELSE $3 END \
     WHERE id = $1 AND revoked_at IS NULL AND disabled_at IS NULL AND replaced_by IS NULL";

const SWAP_DIGEST: &str = "UPDATE portcullis_api_keys SET digest = $2, pepper = $3 \
     WHERE id = $1 AND digest = $4 AND pepper IS NOT DISTINCT FROM $5";

/// One after the other by id, so that two processes never wait for each other.
const LOCK: &str = "SELECT id FROM portcullis_api_keys WHERE id IN (";
const LOCK_END: &str = ") ORDER BY id FOR NO KEY UPDATE";

const NOTE_USES: &str = "UPDATE portcullis_api_keys SET last_used_at = used.column2 FROM (";
const NOTE_USES_END: &str = ") AS used WHERE id = used.column1 \
     AND (last_used_at IS NULL OR last_used_at < used.column2)";

impl ApiKeyStore for SqlStore {
    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<StoredApiKey>> {
        Box::pin(self.database.within(LOOK_UP, self.database.find(id)))
    }

    fn at_once(&self) -> usize {
        self.database.connections()
    }

    fn insert<'a>(&'a self, key: &'a StoredApiKey) -> StoreFuture<'a, bool> {
        Box::pin(self.database.within(CHANGE, self.database.insert(key)))
    }

    fn list<'a>(&'a self, query: &'a ApiKeyQuery) -> StoreFuture<'a, Vec<ApiKeyRecord>> {
        Box::pin(self.database.within(CHANGE, self.database.list(query)))
    }

    fn change<'a>(&'a self, id: &'a str, change: ApiKeyChange) -> StoreFuture<'a, Option<ApiKeyRecord>> {
        Box::pin(self.database.within(CHANGE, self.database.change(id, change)))
    }

    fn replace<'a>(&'a self, id: &'a str, by: &'a StoredApiKey, ends: SystemTime) -> StoreFuture<'a, bool> {
        Box::pin(self.database.within(CHANGE, self.database.replace(id, by, ends)))
    }

    fn record_uses<'a>(&'a self, uses: &'a [ApiKeyUse]) -> StoreFuture<'a, ()> {
        Box::pin(self.database.within(CHANGE, self.database.record_uses(uses)))
    }
}

macro_rules! insert {
    ($row:ident, $executor:expr) => {
        sqlx::query(INSERT)
            .bind(&$row.record.id)
            .bind(&$row.record.hint)
            .bind(&$row.record.label)
            .bind(&$row.record.owner)
            .bind(&$row.record.client_id)
            .bind(&$row.record.scopes)
            .bind(&$row.record.plan)
            .bind(&$row.record.metadata)
            .bind($row.record.created_at)
            .bind($row.record.not_before)
            .bind($row.record.expires_at)
            .bind($row.record.disabled_at)
            .bind($row.record.revoked_at)
            .bind(&$row.record.replaced_by)
            .bind($row.record.last_used_at)
            .bind(&$row.digest)
            .bind(&$row.pepper)
            .execute($executor)
            .await?
            .rows_affected()
            == 1
    };
}

impl Database {
    async fn find(&self, id: &str) -> Result<Option<StoredApiKey>, StoreError> {
        if cannot_be_kept(id) {
            return Ok(None);
        }
        let row = on!(self, pool => sqlx::query_as(FIND).bind(id).fetch_optional(pool).await);
        let row: Option<KeyRow> = or_absent(row, &[id], None)?;
        row.map(StoredApiKey::try_from).transpose()
    }

    async fn insert(&self, key: &StoredApiKey) -> Result<bool, StoreError> {
        let row = KeyRow::try_from(key)?;
        let _turn = self.turn().await;
        Ok(on!(self, pool => insert!(row, pool)))
    }

    async fn list(&self, query: &ApiKeyQuery) -> Result<Vec<ApiKeyRecord>, StoreError> {
        let (created_at, id) = match &query.after {
            Some(after) => (nearest_millis(after.created_at), after.id.as_str()),
            None => (i64::MAX, ""),
        };
        if query.owner.as_deref().is_some_and(cannot_be_kept) || cannot_be_kept(id) {
            return Ok(Vec::new());
        }
        let limit = i64::from(query.limit.get());
        let rows = on!(self, pool => match &query.owner {
            Some(owner) => {
                sqlx::query_as(LIST_OF_OWNER).bind(created_at).bind(id).bind(limit).bind(owner).fetch_all(pool)
            }
            None => sqlx::query_as(LIST).bind(created_at).bind(id).bind(limit).fetch_all(pool),
        }
        .await);
        let owner = query.owner.as_deref().unwrap_or_default();
        let rows: Vec<RecordRow> = or_absent(rows, &[owner, id], Vec::new())?;
        rows.into_iter().map(ApiKeyRecord::try_from).collect()
    }

    async fn change(&self, id: &str, change: ApiKeyChange) -> Result<Option<ApiKeyRecord>, StoreError> {
        let (statement, time) = match change {
            ApiKeyChange::Revoke(time) => (REVOKE, Some(millis(time)?)),
            ApiKeyChange::Disable(time) => (DISABLE, Some(millis(time)?)),
            ApiKeyChange::Enable => (ENABLE, None),
            ApiKeyChange::Expire(time) => (EXPIRE, Some(millis(time)?)),
        };
        if cannot_be_kept(id) {
            return Ok(None);
        }
        let _turn = self.turn().await;
        // All rows and not the first: SQLite commits behind the last one, and tells there if that fails.
        let rows = on!(self, pool => sqlx::query_as(statement).bind(id).bind(time).fetch_all(pool).await);
        let rows: Vec<RecordRow> = or_absent(rows, &[id], Vec::new())?;
        rows.into_iter().next().map(ApiKeyRecord::try_from).transpose()
    }

    async fn replace(&self, id: &str, by: &StoredApiKey, ends: SystemTime) -> Result<bool, StoreError> {
        let (row, ends) = (KeyRow::try_from(by)?, millis(ends)?);
        if cannot_be_kept(id) {
            return Ok(false);
        }
        let _turn = self.turn().await;
        on!(self, pool => {
            let mut held = self.hold(pool).await?;
            let mut work = held.begin_with(self.begin()).await?;
            let retire = sqlx::query(RETIRE).bind(id).bind(&row.record.id).bind(ends);
            let retired = retire.execute(&mut *work).await.map(|done| done.rows_affected() == 1);
            let retired = or_absent(retired, &[id], false)?;
            let replaced = retired && insert!(row, &mut *work);
            if replaced { work.commit().await? } else { work.rollback().await? }
            held.release();
            Ok(replaced)
        })
    }

    async fn record_uses(&self, uses: &[ApiKeyUse]) -> Result<(), StoreError> {
        let latest = latest(uses)?;
        let _turn = self.turn().await;
        on!(self, pool => {
            let mut held = self.hold(pool).await?;
            let mut work = held.begin_with(self.begin()).await?;
            for some in latest.chunks(USES_AT_ONCE) {
                if self.locks_rows() {
                    let mut lock = QueryBuilder::new(LOCK);
                    some.iter().fold(&mut lock.separated(", "), |ids, (id, _)| ids.push_bind(*id));
                    lock.push(LOCK_END).build().persistent(false).execute(&mut *work).await?;
                }
                let mut note = QueryBuilder::new(NOTE_USES);
                note.push_values(some, |mut row, (id, at)| {
                    row.push_bind(*id).push_bind(*at);
                });
                note.push(NOTE_USES_END).build().persistent(false).execute(&mut *work).await?;
            }
            for (id, old, new) in swaps(uses) {
                let swap = sqlx::query(SWAP_DIGEST).bind(id).bind(&new.bytes[..]).bind(&new.pepper);
                swap.bind(&old.bytes[..]).bind(&old.pepper).execute(&mut *work).await?;
            }
            work.commit().await?;
            held.release();
            Ok(())
        })
    }
}

/// When each key was used last, by id.
fn latest(uses: &[ApiKeyUse]) -> Result<Vec<(&str, i64)>, StoreError> {
    let mut latest = BTreeMap::new();
    for used in uses.iter().filter(|used| !cannot_be_kept(&used.id)) {
        let at = millis(used.at)?;
        latest.entry(used.id.as_str()).and_modify(|known: &mut i64| *known = at.max(*known)).or_insert(at);
    }
    Ok(latest.into_iter().collect())
}

fn swaps(uses: &[ApiKeyUse]) -> impl Iterator<Item = (&str, &KeyDigest, &KeyDigest)> {
    let known = uses.iter().filter(|used| !cannot_be_kept(&used.id));
    known.filter_map(|used| used.digest.as_ref().map(|(old, new)| (used.id.as_str(), old, new)))
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;

    async fn plan(statement: &'static str) -> String {
        let store = SqlStore::connect("sqlite::memory:").await.unwrap();
        let Database::Sqlite { pool, .. } = &store.database else { panic!("another database") };
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let steps: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(pool).await.unwrap();
        steps.into_iter().map(|(_, _, _, step)| step).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn sqlite_finds_keys_by_indices() {
        let table = "portcullis_api_keys";
        let by_id = format!("SEARCH {table} USING INDEX sqlite_autoindex_{table}_1 (id=?)");
        for statement in [FIND, REVOKE, DISABLE, ENABLE, EXPIRE, RETIRE, SWAP_DIGEST] {
            assert_eq!(plan(statement).await, by_id, "{statement}");
        }
        let of_owner = "portcullis_api_keys_of_owner (owner=? AND (created_at,id)<(?,?))";
        assert_eq!(plan(LIST_OF_OWNER).await, format!("SEARCH {table} USING INDEX {of_owner}"));
        let by_age = "portcullis_api_keys_by_age ((created_at,id)<(?,?))";
        assert_eq!(plan(LIST).await, format!("SEARCH {table} USING INDEX {by_age}"));
    }
}
