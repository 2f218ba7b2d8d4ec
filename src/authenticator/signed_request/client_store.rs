//! Where the secrets of clients are found.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::secret::SigningClient;
use crate::store::StoreAnswer;

/// Knows the clients that sign their requests.
///
/// Asked once for each request whose token is well-formed and of this moment, before anything about it is proven: anybody can
/// have any name looked up. So a look-up goes by an index. Where it takes I/O, at most 64 are under way at once, 1,000 wait, and
/// each is given up after a [`timeout`](crate::SignedRequestAuthenticatorBuilder::timeout).
///
/// ```
/// use portcullis::{ClientSecret, ClientSecrets, ScopeSet, SigningClient, StoreAnswer, StoreError};
/// use std::sync::Arc;
/// # #[derive(Clone)] struct Pool;
/// # impl Pool {
/// #     async fn secret_of(&self, _: &str) -> Result<Option<String>, std::io::Error> { Ok(None) }
/// # }
///
/// struct Partners(Pool);
///
/// impl ClientSecrets for Partners {
///     fn find(&self, client: &str) -> StoreAnswer<Option<Arc<SigningClient>>> {
///         let (pool, client) = (self.0.clone(), client.to_owned());
///         StoreAnswer::boxed(async move {
///             let Some(secret) = pool.secret_of(&client).await.map_err(StoreError::new)? else { return Ok(None) };
///             let secret = ClientSecret::new(secret).map_err(StoreError::new)?;
///             Ok(Some(Arc::new(SigningClient::new([secret], ScopeSet::default()))))
///         })
///     }
/// }
/// ```
///
/// # Security
/// Whoever reads a store of such secrets can sign in every client's name, for a secret that both sides use cannot be hashed: guard
/// it as you guard private keys.
pub trait ClientSecrets: Send + Sync + 'static {
    /// The client of this name, compared exactly. Say `None` where there is none, and an error only where that is not known.
    fn find(&self, client: &str) -> StoreAnswer<Option<Arc<SigningClient>>>;

    /// How many look-ups it can do at once; 64 by default, and never more. Those beyond it wait in line outside, where they cannot be
    /// taken for a store that is slow.
    fn at_once(&self) -> usize {
        64
    }
}

/// Clients in the memory of this process. What is changed counts from the next request on. Clones are the same clients.
///
/// ```
/// use portcullis::{ClientSecret, MemoryClientSecrets, ScopeSet, SigningClient};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = ClientSecret::new("3d844edf-8d35-48ac-975b-e847b4f122b0")?;
/// let client = SigningClient::new([secret], ScopeSet::parse("todo:read").map_err(|_| "no scopes")?);
/// let clients = MemoryClientSecrets::from_iter([("dashboard", client)]);
/// assert!(clients.remove("dashboard") && !clients.remove("dashboard"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryClientSecrets {
    clients: Arc<RwLock<Clients>>,
}

type Clients = HashMap<String, Arc<SigningClient>>;

impl MemoryClientSecrets {
    /// No clients yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a client, or takes the place of the one of that name: with the secrets that are given here, and no others.
    pub fn put(&self, client: impl Into<String>, known: SigningClient) {
        self.write().insert(client.into(), Arc::new(known));
    }

    /// Takes a client away. False if there was none of that name.
    #[expect(clippy::must_use_candidate, reason = "it is gone, whether it was there or not")]
    pub fn remove(&self, client: &str) -> bool {
        self.write().remove(client).is_some()
    }

    fn read(&self) -> RwLockReadGuard<'_, Clients> {
        self.clients.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Clients> {
        self.clients.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSecrets for MemoryClientSecrets {
    fn find(&self, client: &str) -> StoreAnswer<Option<Arc<SigningClient>>> {
        StoreAnswer::ready(Ok(self.read().get(client).cloned()))
    }
}

impl<N: Into<String>> FromIterator<(N, SigningClient)> for MemoryClientSecrets {
    fn from_iter<I: IntoIterator<Item = (N, SigningClient)>>(clients: I) -> Self {
        let clients = clients.into_iter().map(|(name, client)| (name.into(), Arc::new(client)));
        Self { clients: Arc::new(RwLock::new(clients.collect())) }
    }
}

/// Shows how many, never who.
impl fmt::Debug for MemoryClientSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryClientSecrets").field("clients", &self.read().len()).finish_non_exhaustive()
    }
}
