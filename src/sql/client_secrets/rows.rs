//! What stands in a row about a client, and back.

use super::encryption::Sealed;
use super::record::{ClientSecretRecord, SigningClientRecord};
use crate::scope::ScopeSet;
use crate::sql::api_key_rows::{from_row, time};
use crate::store::StoreError;

/// A client with one of its secrets, or with none.
pub(super) struct FoundRow {
    scopes: String,
    plan: Option<String>,
    id: Option<String>,
    sealing_key: Option<String>,
    sealed: Option<Vec<u8>>,
}

from_row!(FoundRow { scopes, plan, id, sealing_key, sealed });

/// A client, as it is kept.
pub(super) struct Found {
    pub(super) scopes: ScopeSet,
    pub(super) plan: Option<String>,
    /// Behind their ids.
    pub(super) secrets: Vec<(String, Sealed)>,
}

impl Found {
    /// Out of the rows of one client.
    pub(super) fn of(rows: Vec<FoundRow>) -> Result<Option<Self>, StoreError> {
        let mut found = None;
        for row in rows {
            let found = match &mut found {
                Some(found) => found,
                none => {
                    none.insert(Self { scopes: scopes(&row.scopes)?, plan: row.plan, secrets: Vec::new() })
                }
            };
            if let (Some(id), Some(key), Some(bytes)) = (row.id, row.sealing_key, row.sealed) {
                found.secrets.push((id, Sealed { key, bytes }));
            }
        }
        Ok(found)
    }
}

/// A client with what is known of one of its secrets, or of none.
pub(super) struct RecordRow {
    name: String,
    scopes: String,
    plan: Option<String>,
    created_at: i64,
    id: Option<String>,
    secret_created_at: Option<i64>,
    sealing_key: Option<String>,
}

from_row!(RecordRow { name, scopes, plan, created_at, id, secret_created_at, sealing_key });

/// Out of rows in which those of one client follow each other.
pub(super) fn records(rows: Vec<RecordRow>) -> Result<Vec<SigningClientRecord>, StoreError> {
    let mut records: Vec<SigningClientRecord> = Vec::new();
    for row in rows {
        if records.last().is_none_or(|last| last.client != row.name) {
            records.push(SigningClientRecord {
                client: row.name,
                scopes: scopes(&row.scopes)?,
                plan: row.plan,
                created_at: time(row.created_at)?,
                secrets: Vec::new(),
            });
        }
        if let Some(client) = records.last_mut()
            && let (Some(id), Some(at), Some(sealing_key)) = (row.id, row.secret_created_at, row.sealing_key)
        {
            client.secrets.push(ClientSecretRecord { id, created_at: time(at)?, sealing_key });
        }
    }
    Ok(records)
}

/// A secret, and where it stands.
pub(super) struct SecretRow {
    pub(super) client: String,
    pub(super) id: String,
    pub(super) sealing_key: String,
    pub(super) sealed: Vec<u8>,
}

from_row!(SecretRow { client, id, sealing_key, sealed });

fn scopes(text: &str) -> Result<ScopeSet, StoreError> {
    ScopeSet::parse(text).map_err(|_| StoreError::unreadable("the scopes of a client cannot be read"))
}
