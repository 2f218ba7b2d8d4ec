//! The verdicts of a layer that may be used again, under a keyed digest of the credential: no credential stays in memory.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use highway::{HighwayHash, HighwayHasher, Key};
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use crate::clock::timestamp::Timestamp;
use crate::credential::parse::Found;
use crate::error::AuthError;
use crate::principal::record::Facts;

/// Bytes that a layer may use for what it remembers.
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    pub(crate) verdicts: u64,
    pub(crate) refusals: u64,
}

impl Bytes {
    /// Some fifty thousand verdicts of the usual size. Refusals have a cache of their own, so that no flood of garbage drives out
    /// what was accepted.
    pub(crate) const DEFAULT: Self = Self { verdicts: 32 * 1024 * 1024, refusals: 4 * 1024 * 1024 };
}

/// What the cache itself needs for an entry: the key, its place in the table and in the order of eviction.
const ENTRY_BYTES: u64 = 96;

/// What a credential comes to under the secret of one cache and one place where credentials stand: 128 bits of HighwayHash, a
/// keyed pseudo-random function. Who does not know the secret cannot make two credentials meet, and chance does not in practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(u64, u64);

/// The verdicts and refusals of one layer and its clones.
pub(super) struct VerdictCache {
    /// One for each presentation of the layer: the same text in two places is two credentials.
    secrets: Box<[Key]>,
    verdicts: Cache<Digest, Arc<Facts>, Weights, Uniform>,
    refusals: Cache<Digest, Refusal, Weights, Uniform>,
}

/// A refusal, and for how long it need not be asked for again.
#[derive(Clone)]
struct Refusal {
    error: AuthError,
    lasts: Timestamp,
}

impl VerdictCache {
    pub(super) fn new(places: usize, bytes: Bytes) -> Self {
        // Seeded by the operating system, as for every hash table of the process; outputs of a pseudo-random function.
        let secret = |_| {
            let random = RandomState::new();
            Key([0_u8, 1, 2, 3].map(|part| random.hash_one(part)))
        };
        Self {
            secrets: (0..places).map(secret).collect(),
            verdicts: sized(bytes.verdicts, 800),
            refusals: sized(bytes.refusals, 160),
        }
    }

    /// The digest of what stands where a credential should.
    pub(super) fn digest(&self, found: Found<'_>) -> Option<Digest> {
        let hasher = HighwayHasher::new(*self.secrets.get(found.place)?);
        let [first, second] = hasher.hash128(found.bytes);
        Some(Digest(first, second))
    }

    pub(super) fn verdict(&self, digest: Digest) -> Option<Arc<Facts>> {
        self.verdicts.get(&digest)
    }

    pub(super) fn refusal(&self, digest: Digest, now: Timestamp) -> Option<AuthError> {
        self.refusals.get(&digest).filter(|refusal| now.is_before(refusal.lasts)).map(|refusal| refusal.error)
    }

    pub(super) fn accept(&self, digest: Digest, facts: Arc<Facts>) {
        self.verdicts.insert(digest, facts);
    }

    /// Takes away what was accepted, and keeps the refusal where it may be used again.
    pub(super) fn refuse(&self, digest: Digest, error: &AuthError, lasts: Option<Timestamp>) {
        // Looked for first: a flood of garbage must not wait for the lock of who writes.
        if self.verdicts.contains_key(&digest) {
            self.verdicts.remove(&digest);
        }
        if let Some(lasts) = lasts {
            self.refusals.insert(digest, Refusal { error: error.clone(), lasts });
        }
    }
}

/// A cache for so many bytes; `usual` are those of one entry, for the first size of its tables.
fn sized<V: Clone>(bytes: u64, usual: u64) -> Cache<Digest, V, Weights, Uniform>
where
    Weights: Weighter<Digest, V>,
{
    let items = bytes.checked_div(usual).and_then(|items| usize::try_from(items).ok()).unwrap_or_default();
    Cache::with(items, bytes, Weights, Uniform, DefaultLifecycle::default())
}

/// How many bytes an entry stands for.
#[derive(Clone)]
struct Weights;

impl Weighter<Digest, Arc<Facts>> for Weights {
    fn weight(&self, _: &Digest, facts: &Arc<Facts>) -> u64 {
        ENTRY_BYTES.saturating_add(facts.bytes())
    }
}

impl Weighter<Digest, Refusal> for Weights {
    fn weight(&self, _: &Digest, _: &Refusal) -> u64 {
        u64::try_from(size_of::<Refusal>()).map_or(u64::MAX, |bytes| ENTRY_BYTES.saturating_add(bytes))
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Takes a digest as it is: it is uniform already.
#[derive(Clone, Default)]
struct Uniform;

impl BuildHasher for Uniform {
    type Hasher = FirstHalf;

    fn build_hasher(&self) -> FirstHalf {
        FirstHalf(0)
    }
}

struct FirstHalf(u64);

impl Hasher for FirstHalf {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
