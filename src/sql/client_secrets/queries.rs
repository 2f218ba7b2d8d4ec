//! What is asked and done in the tables of clients and their secrets.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use sqlx::Connection as _;

use super::encryption::{Place, Sealed, SealingKeys};
use super::record::SigningClientRecord;
use super::rows::{Found, RecordRow, SecretRow, records};
use crate::authenticator::signed_request::secret::ClientSecret;
use crate::authenticator::signed_request::token::MAX_SECRETS;
use crate::sql::api_key_rows::cannot_be_kept;
use crate::sql::database::{Database, on};
use crate::sql::error::or_absent;
use crate::store::StoreError;

/// Clients on a page of a list, and secrets that are sealed anew before the next ones are looked for.
const PAGE: i64 = 100;

/// The youngest first, with which most tokens are signed.
const FIND: &str = "SELECT c.scopes, c.plan, s.id, s.sealing_key, s.sealed FROM portcullis_clients AS c \
     LEFT JOIN portcullis_client_secrets AS s ON s.client = c.name \
     WHERE c.name = $1 ORDER BY s.created_at DESC, s.id";

const PUT: &str = "INSERT INTO portcullis_clients (name, scopes, plan, created_at) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (name) DO UPDATE SET scopes = excluded.scopes, plan = excluded.plan";

/// Those who add a secret to a client, or remove the client, take turns.
const LOCK: &str = "SELECT name FROM portcullis_clients WHERE name = $1 FOR NO KEY UPDATE";

const ADD: &str = "INSERT INTO portcullis_client_secrets (client, id, created_at, sealing_key, sealed) \
     VALUES ($1, $2, $3, $4, $5)";

const REMOVE_SECRET: &str = "DELETE FROM portcullis_client_secrets WHERE client = $1 AND id = $2";

const REMOVE_SECRETS: &str = "DELETE FROM portcullis_client_secrets WHERE client = $1";

const REMOVE: &str = "DELETE FROM portcullis_clients WHERE name = $1";

macro_rules! records_of {
    ($clients:literal) => {
        concat!(
            "SELECT c.name, c.scopes, c.plan, c.created_at, \
             s.id, s.created_at AS secret_created_at, s.sealing_key FROM (SELECT * FROM portcullis_clients ",
            $clients,
            ") AS c LEFT JOIN portcullis_client_secrets AS s ON s.client = c.name \
             ORDER BY c.name, s.created_at DESC, s.id"
        )
    };
}

const RECORD: &str = records_of!("WHERE name = $1");

const LIST: &str = records_of!("WHERE name > $1 ORDER BY name LIMIT $2");

const SEALED_WITH_OTHERS: &str = "SELECT client, id, sealing_key, sealed FROM portcullis_client_secrets \
     WHERE (client, id) > ($1, $2) AND sealing_key <> $3 ORDER BY client, id LIMIT $4";

/// No two sealings give the same bytes: where they still stand nobody was faster.
const RESEAL: &str = "UPDATE portcullis_client_secrets SET sealing_key = $3, sealed = $4 \
     WHERE client = $1 AND id = $2 AND sealed = $5";

/// What became of a secret that was to be added.
pub(super) enum Addition {
    Added,
    /// It is there already, under this id.
    Known(String),
    Full,
    NoClient,
}

impl Database {
    /// One statement, by primary keys: anybody can have any name looked up.
    pub(super) async fn find_client(&self, client: &str) -> Result<Option<Found>, StoreError> {
        if cannot_be_kept(client) {
            return Ok(None);
        }
        let rows = on!(self, pool => sqlx::query_as(FIND).bind(client).fetch_all(pool).await);
        Found::of(or_absent(rows, &[client], Vec::new())?)
    }

    pub(super) async fn put_client(
        &self,
        client: &str,
        scopes: &str,
        plan: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let _turn = self.turn().await;
        on!(self, pool => {
            sqlx::query(PUT).bind(client).bind(scopes).bind(plan).bind(now).execute(pool).await?;
        });
        Ok(())
    }

    pub(super) async fn add_secret(
        &self,
        keys: &SealingKeys,
        place: Place<'_>,
        secret: &ClientSecret,
        now: i64,
    ) -> Result<Addition, StoreError> {
        if cannot_be_kept(place.client) {
            return Ok(Addition::NoClient);
        }
        let new = keys.seal(place, secret.expose())?;
        let _turn = self.turn().await;
        on!(self, pool => {
            let mut held = self.hold(pool).await?;
            let mut work = held.begin_with(self.begin()).await?;
            if self.locks_rows() {
                let locked = sqlx::query(LOCK).bind(place.client).execute(&mut *work).await.map(|_| true);
                if !or_absent(locked, &[place.client], false)? {
                    work.rollback().await?;
                    held.release();
                    return Ok(Addition::NoClient);
                }
            }
            let rows = sqlx::query_as(FIND).bind(place.client).fetch_all(&mut *work).await?;
            let addition = judge(keys, place.client, Found::of(rows)?, secret)?;
            if !matches!(addition, Addition::Added) {
                work.rollback().await?;
                held.release();
                return Ok(addition);
            }
            let add = sqlx::query(ADD).bind(place.client).bind(place.id).bind(now);
            add.bind(&new.key).bind(&new.bytes).execute(&mut *work).await?;
            work.commit().await?;
            held.release();
            Ok(addition)
        })
    }

    pub(super) async fn remove_secret(&self, place: Place<'_>) -> Result<bool, StoreError> {
        if cannot_be_kept(place.client) || cannot_be_kept(place.id) {
            return Ok(false);
        }
        let _turn = self.turn().await;
        on!(self, pool => {
            let remove = sqlx::query(REMOVE_SECRET).bind(place.client).bind(place.id);
            let removed = remove.execute(pool).await.map(|done| done.rows_affected() == 1);
            or_absent(removed, &[place.client, place.id], false)
        })
    }

    /// Its secrets are named, although they go with it: an application's own pool may have foreign keys turned off.
    pub(super) async fn remove_client(&self, client: &str) -> Result<bool, StoreError> {
        if cannot_be_kept(client) {
            return Ok(false);
        }
        let _turn = self.turn().await;
        on!(self, pool => {
            let mut held = self.hold(pool).await?;
            let mut work = held.begin_with(self.begin()).await?;
            if self.locks_rows() {
                let locked = sqlx::query(LOCK).bind(client).execute(&mut *work).await.map(|_| true);
                if !or_absent(locked, &[client], false)? {
                    work.rollback().await?;
                    held.release();
                    return Ok(false);
                }
            }
            sqlx::query(REMOVE_SECRETS).bind(client).execute(&mut *work).await?;
            let removed = sqlx::query(REMOVE).bind(client).execute(&mut *work).await?.rows_affected() == 1;
            work.commit().await?;
            held.release();
            Ok(removed)
        })
    }

    pub(super) async fn client_record(
        &self,
        client: &str,
    ) -> Result<Option<SigningClientRecord>, StoreError> {
        if cannot_be_kept(client) {
            return Ok(None);
        }
        let rows = on!(self, pool => sqlx::query_as(RECORD).bind(client).fetch_all(pool).await);
        let rows: Vec<RecordRow> = or_absent(rows, &[client], Vec::new())?;
        Ok(records(rows)?.into_iter().next())
    }

    pub(super) async fn clients_behind(&self, client: &str) -> Result<Vec<SigningClientRecord>, StoreError> {
        if cannot_be_kept(client) {
            return Ok(Vec::new());
        }
        records(on!(self, pool => sqlx::query_as(LIST).bind(client).bind(PAGE).fetch_all(pool).await?))
    }

    /// Some of those that this key has not sealed, in the order of where they stand.
    pub(super) async fn sealed_with_others(
        &self,
        key: &str,
        behind: Place<'_>,
    ) -> Result<Vec<SecretRow>, StoreError> {
        on!(self, pool => {
            let others = sqlx::query_as(SEALED_WITH_OTHERS).bind(behind.client).bind(behind.id);
            Ok(others.bind(key).bind(PAGE).fetch_all(pool).await?)
        })
    }

    /// False if it is no longer what it was.
    pub(super) async fn reseal(
        &self,
        place: Place<'_>,
        old: &Sealed,
        new: &Sealed,
    ) -> Result<bool, StoreError> {
        let _turn = self.turn().await;
        on!(self, pool => {
            let reseal = sqlx::query(RESEAL).bind(place.client).bind(place.id).bind(&new.key);
            Ok(reseal.bind(&new.bytes).bind(&old.bytes).execute(pool).await?.rows_affected() == 1)
        })
    }
}

fn judge(
    keys: &SealingKeys,
    client: &str,
    found: Option<Found>,
    new: &ClientSecret,
) -> Result<Addition, StoreError> {
    let Some(found) = found else { return Ok(Addition::NoClient) };
    let full = found.secrets.len() >= MAX_SECRETS;
    for (id, sealed) in found.secrets {
        let known = keys.open(Place { client, id: &id }, &sealed)?;
        if verify_slices_are_equal(known.expose(), new.expose()).is_ok() {
            return Ok(Addition::Known(id));
        }
    }
    Ok(if full { Addition::Full } else { Addition::Added })
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;
    use crate::sql::SqlStore;

    /// The steps of SQLite's plan for a statement.
    async fn plan(statement: &str) -> Vec<String> {
        let store = SqlStore::connect("sqlite::memory:").await.unwrap();
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let steps: Vec<(i64, i64, i64, String)> = match store.database {
            Database::Sqlite { pool, .. } => sqlx::query_as(explain).fetch_all(&pool).await.unwrap(),
            #[cfg(feature = "postgres")]
            Database::Postgres(_) => panic!("it is SQLite"),
        };
        steps.into_iter().map(|(.., step)| step).collect()
    }

    #[tokio::test]
    async fn a_client_is_looked_up_by_primary_keys() {
        let steps = plan(FIND).await;
        let searches = steps.iter().filter(|step| step.starts_with("SEARCH") && step.contains("autoindex"));
        assert_eq!(searches.count(), 2, "{steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
        let scanned = plan(&FIND.replace("c.name = $1", "c.plan = $1")).await;
        assert!(scanned.iter().any(|step| step.starts_with("SCAN")), "{scanned:?}");
    }
}
