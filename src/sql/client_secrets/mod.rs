//! Secrets of clients in tables.

pub(crate) mod encryption;
pub(crate) mod error;
pub(crate) mod queries;
pub(crate) mod record;
pub(crate) mod rows;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use encryption::SealingKeys;
use error::ClientSecretsError;
use record::{IssuedClientSecret, SigningClientRecord};

use encryption::{Place, Sealed};
use queries::Addition;

use super::SqlStore;
use super::api_key_rows::millis;
use super::database::{CHANGE, Database, LOOK_UP};
use crate::api_key::base62;
use crate::authenticator::signed_request::claims::MAX_NAME_LEN;
use crate::authenticator::signed_request::client_store::ClientSecrets;
use crate::authenticator::signed_request::secret::{ClientSecret, SigningClient};
use crate::clock::{Clock as _, SystemClock};
use crate::scope::ScopeSet;
use crate::store::{StoreAnswer, StoreError};

/// Characters of a secret: 214 bits, and as long as the UUID with which the keys of GOV.UK Notify's clients end.
const SECRET_LEN: usize = 36;

/// Characters of its id: 71 bits.
const ID_LEN: usize = 12;

/// Bytes of the name of a plan.
const MAX_PLAN_LEN: usize = 255;

impl SqlStore {
    /// The secrets of clients that sign their requests, in this database. They are sealed with these keys, which are kept elsewhere.
    #[must_use]
    pub fn client_secrets(&self, keys: SealingKeys) -> SqlClientSecrets {
        SqlClientSecrets { database: self.database.clone(), keys: Arc::new(keys) }
    }
}

/// Clients that sign their requests, in SQLite or PostgreSQL. A clone is the same store.
///
/// Each request looks its client up, in one statement by primary keys, so what is changed here counts in every process from the next
/// request on. Nothing is kept in memory.
///
/// ```
/// use portcullis::{SealingKeys, ScopeSet, SignedRequestAuthenticator, SqlStore};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key_from_the_environment = [7; 32];
/// let store = SqlStore::connect("sqlite::memory:").await?;
/// let clients = store.client_secrets(SealingKeys::new("2026", key_from_the_environment)?);
/// let auth = SignedRequestAuthenticator::new(clients.clone());
///
/// clients.put("dashboard", &ScopeSet::parse("todo:read")?, None).await?;
/// let old = clients.issue("dashboard").await?;
/// println!("{}", old.expose()); // the one time that it can be seen
///
/// // Later: another one, good beside the first until the client has changed over.
/// clients.issue("dashboard").await?;
/// clients.remove_secret("dashboard", &old.id).await?;
/// assert_eq!(clients.record("dashboard").await?.secrets.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Secrets that do not open
/// A secret whose sealing key is missing, or that does not open with it, fails the look-ups of its client: its requests are a 503
/// and a line in the log that names the secret, also those which another secret has signed. Passing it over would refuse a client
/// that may be right, and would hide what is broken until that client changes over. Other clients are not touched by it, and
/// [`remove_secret`](Self::remove_secret) ends it.
///
/// # Security
/// Without a sealing key nobody can read a secret out of the database, or make one up, or give one client's to another. Names, scopes
/// and plans are not sealed: whoever can write to these tables can give a client more scopes, and put back what was removed from
/// them.
#[derive(Clone)]
pub struct SqlClientSecrets {
    database: Database,
    keys: Arc<SealingKeys>,
}

impl SqlClientSecrets {
    /// Adds a client that has no secrets yet, or changes what one may do: its secrets stay.
    ///
    /// # Errors
    /// If the name of the client is not of 1 to 256 bytes, that of the plan of 1 to 255, or one of them has control characters; or if
    /// the store fails.
    pub async fn put(
        &self,
        client: &str,
        scopes: &ScopeSet,
        plan: Option<&str>,
    ) -> Result<(), ClientSecretsError> {
        check("client", client, MAX_NAME_LEN, "has 1 to 256 bytes and no control characters")?;
        if let Some(plan) = plan {
            check("plan", plan, MAX_PLAN_LEN, "has 1 to 255 bytes and no control characters")?;
        }
        let now = millis(SystemClock.now())?;
        Ok(self.database.within(CHANGE, self.database.put_client(client, scopes.as_str(), plan, now)).await?)
    }

    /// Makes a new secret for a client, good beside those that it has: 36 letters and digits, out of 214 random bits.
    ///
    /// # Errors
    /// If there is no such client, it has eight secrets already, one of them does not open, or the store fails: then it may have been
    /// kept, but nobody has seen it.
    pub async fn issue(&self, client: &str) -> Result<IssuedClientSecret, ClientSecretsError> {
        let text = random(SECRET_LEN)?;
        let secret = ClientSecret::new(&*text).map_err(|_| ClientSecretsError::Random)?;
        Ok(IssuedClientSecret { id: self.add(client, &secret).await?, text })
    }

    /// Adds a secret that a client has already, and gives its id: that of the one which is there, if it is there already. So no
    /// secret outlives its removal under another id, and who adds some and fails can begin again.
    ///
    /// # Errors
    /// As for [`issue`](Self::issue).
    pub async fn add(&self, client: &str, secret: &ClientSecret) -> Result<String, ClientSecretsError> {
        let id = random(ID_LEN)?.to_string();
        let now = millis(SystemClock.now())?;
        let place = Place { client, id: &id };
        match self.database.within(CHANGE, self.database.add_secret(&self.keys, place, secret, now)).await? {
            Addition::Added => Ok(id),
            Addition::Known(id) => Ok(id),
            Addition::Full => Err(ClientSecretsError::Full),
            Addition::NoClient => Err(ClientSecretsError::NotFound),
        }
    }

    /// Takes a secret away. A client without any is as unknown as one that is not there.
    ///
    /// # Errors
    /// If there is no such client, it has no secret of this id, or the store fails: then ask again.
    pub async fn remove_secret(&self, client: &str, id: &str) -> Result<(), ClientSecretsError> {
        there(self.database.within(CHANGE, self.database.remove_secret(Place { client, id })).await?)
    }

    /// Takes a client away, with all its secrets.
    ///
    /// # Errors
    /// If there is no such client, or the store fails: then ask again.
    pub async fn remove(&self, client: &str) -> Result<(), ClientSecretsError> {
        there(self.database.within(CHANGE, self.database.remove_client(client)).await?)
    }

    /// What is known of a client.
    ///
    /// # Errors
    /// If there is no such client, or the store fails.
    pub async fn record(&self, client: &str) -> Result<SigningClientRecord, ClientSecretsError> {
        let record = self.database.within(CHANGE, self.database.client_record(client)).await?;
        record.ok_or(ClientSecretsError::NotFound)
    }

    /// A page of what is known of all clients: a hundred at most, by their names, behind the one that is given. The last page is
    /// empty.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, after: Option<&str>) -> Result<Vec<SigningClientRecord>, ClientSecretsError> {
        Ok(self.database.within(CHANGE, self.database.clients_behind(after.unwrap_or_default())).await?)
    }

    /// Seals what older keys have sealed with the first one, and says how many secrets that were. Requests are answered meanwhile,
    /// and what is added, removed or sealed anew at the same time stays so.
    ///
    /// # Errors
    /// If a secret does not open; all others are sealed anew all the same. Or if the store fails: then ask again.
    pub async fn reseal(&self) -> Result<u64, ClientSecretsError> {
        let (mut count, mut failure) = (0_u64, None);
        let (mut client, mut id) = (String::new(), String::new());
        loop {
            let behind = Place { client: &client, id: &id };
            let rows = self
                .database
                .within(CHANGE, self.database.sealed_with_others(self.keys.current(), behind))
                .await?;
            if rows.is_empty() {
                return failure.map_or(Ok(count), |error: StoreError| Err(error.into()));
            }
            for row in rows {
                let sealed = Sealed { key: row.sealing_key, bytes: row.sealed };
                (client, id) = (row.client, row.id);
                let place = Place { client: &client, id: &id };
                match self.keys.open(place, &sealed) {
                    Ok(secret) => {
                        let new = self.keys.seal(place, secret.expose())?;
                        let resealed =
                            self.database.within(CHANGE, self.database.reseal(place, &sealed, &new)).await?;
                        count = count.saturating_add(resealed.into());
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
    }

    async fn look_up(&self, client: &str) -> Result<Option<Arc<SigningClient>>, StoreError> {
        let Some(found) = self.database.find_client(client).await? else { return Ok(None) };
        let secrets = found.secrets.iter();
        let secrets = secrets.map(|(id, sealed)| self.keys.open(Place { client, id }, sealed));
        let secrets = secrets.collect::<Result<_, _>>()?;
        Ok(Some(Arc::new(SigningClient { secrets, scopes: found.scopes, plan: found.plan })))
    }
}

impl ClientSecrets for SqlClientSecrets {
    fn at_once(&self) -> usize {
        self.database.connections()
    }

    fn find(&self, client: &str) -> StoreAnswer<Option<Arc<SigningClient>>> {
        let (store, client) = (self.clone(), client.to_owned());
        StoreAnswer::boxed(async move { store.database.within(LOOK_UP, store.look_up(&client)).await })
    }
}

fn check(
    field: &'static str,
    name: &str,
    max_len: usize,
    problem: &'static str,
) -> Result<(), ClientSecretsError> {
    if name.is_empty() || name.len() > max_len || name.chars().any(char::is_control) {
        return Err(ClientSecretsError::Invalid { field, problem });
    }
    Ok(())
}

fn random(characters: usize) -> Result<Zeroizing<String>, ClientSecretsError> {
    let mut text = Zeroizing::new(String::with_capacity(characters));
    base62::push_random(&mut text, characters).map_err(|_| ClientSecretsError::Random)?;
    Ok(text)
}

const fn there(was_there: bool) -> Result<(), ClientSecretsError> {
    if was_there { Ok(()) } else { Err(ClientSecretsError::NotFound) }
}

/// Shows which database it is and the names of the keys.
impl fmt::Debug for SqlClientSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlClientSecrets")
            .field("database", &self.database)
            .field("keys", &self.keys)
            .finish()
    }
}
