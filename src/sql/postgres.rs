//! Opens PostgreSQL.

use std::str::FromStr as _;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::database::CONNECTION;
use crate::store::StoreError;

/// Enough for thousands of look-ups in a second; a server of many processes has some hundred in all.
const MAX_CONNECTIONS: u32 = 8;

/// What may stand behind the question mark.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

pub(super) async fn open(url: &str) -> Result<PgPool, StoreError> {
    if !url.split_once('?').is_none_or(|(_, parameters)| are_known(parameters)) {
        return Err(StoreError::new("the URL of the database has a parameter that is not known"));
    }
    // What sqlx says of it may hold what was meant to be a password.
    let unread = |_| StoreError::new("the URL of the database cannot be read");
    let options = PgConnectOptions::from_str(url).map_err(unread)?;
    let pool = PgPoolOptions::new().acquire_timeout(CONNECTION).max_connections(MAX_CONNECTIONS);
    pool.connect_with(options).await.map_err(|error| match &error {
        // Its text names the user and the database.
        sqlx::Error::Database(refusal) => {
            let code = refusal.code().unwrap_or_default();
            StoreError::new(format!("PostgreSQL refused the connection (SQLSTATE {code})"))
        }
        _ => error.into(),
    })
}

/// sqlx passes others over and logs them: a misspelt `sslmode` would turn TLS off, a misspelt `password` would be in the log.
fn are_known(parameters: &str) -> bool {
    parameters.split('&').all(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        PARAMETERS.contains(&name) || name.starts_with("options[")
    })
}
