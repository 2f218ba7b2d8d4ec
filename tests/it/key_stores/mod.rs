//! What `ApiKeyStore` says of each store, sentence by sentence.

mod changing;
mod finding;
mod listing;
mod replacing;
mod uses;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portcullis::api_key::{KeyDigest, StoredApiKey};
use portcullis::{ApiKeyRecord, ApiKeyStore, MemoryApiKeyStore};
use tokio::task::JoinSet;

pub type Store = Arc<dyn ApiKeyStore>;

/// How many try the same at once.
const MANY: usize = 16;

/// Each check gets a store that is empty.
pub async fn keeps_the_contract(fresh: impl AsyncFn() -> Store) {
    macro_rules! check {
        ($($check:path),* $(,)?) => {
            $(
                eprintln!("{}", stringify!($check));
                $check(fresh().await).await;
            )*
        };
    }
    check!(
        finding::a_key_is_found_as_it_was_inserted,
        finding::times_are_kept_to_a_millisecond,
        finding::an_id_is_compared_exactly,
        finding::a_key_that_is_there_stays_as_it_is,
        finding::one_of_many_that_insert_the_same_id_wins,
        listing::the_youngest_come_first,
        listing::of_one_millisecond_the_last_id_comes_first_byte_by_byte,
        listing::a_thousand_of_one_millisecond_are_paged_through_once_each,
        listing::a_page_begins_behind_a_place_where_nothing_is,
        listing::an_owner_is_compared_exactly,
        changing::each_change_does_what_it_says_and_is_seen_at_once,
        changing::a_change_of_one_leaves_others_alone,
        changing::what_is_revoked_stays_as_it_is,
        changing::a_time_at_which_something_happened_stays,
        changing::a_revocation_beats_what_happens_beside_it,
        replacing::another_takes_the_place_of_one,
        replacing::an_end_is_never_put_off,
        replacing::what_is_revoked_disabled_or_replaced_is_not_replaced,
        replacing::nothing_happens_if_the_new_id_is_taken,
        replacing::one_of_many_that_replace_the_same_key_wins,
        replacing::a_key_is_either_replaced_or_revoked_first,
        uses::the_latest_use_is_noted,
        uses::keys_that_are_gone_are_passed_over,
        uses::a_digest_is_put_in_place_of_the_one_that_is_there,
        uses::one_of_many_that_swap_a_digest_wins,
        uses::many_notes_of_the_same_keys_get_by_each_other,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_keeps_the_contract() {
    keeps_the_contract(async || Arc::new(MemoryApiKeyStore::new()) as Store).await;
}

/// So many milliseconds after a beginning.
pub fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + millis)
}

pub fn key(id: &str) -> StoredApiKey {
    key_of("ann", id, at(0))
}

pub fn key_of(owner: &str, id: &str, created_at: SystemTime) -> StoredApiKey {
    let record =
        ApiKeyRecord::new(id.into(), "todo_live_…cdef".into(), "a label".into(), owner.into(), created_at);
    StoredApiKey::new(record, digest(1, None))
}

pub fn digest(byte: u8, pepper: Option<&str>) -> KeyDigest {
    KeyDigest::new([byte; 32], pepper.map(str::to_owned))
}

/// Adds a key that is not there yet.
pub async fn add(store: &Store, key: &StoredApiKey) {
    assert!(store.insert(key).await.unwrap(), "{key:?}");
}

/// A key that is there.
pub async fn found(store: &Store, id: &str) -> StoredApiKey {
    store.find(id).await.unwrap().unwrap_or_else(|| panic!("{id:?} is gone"))
}

/// What many say who do something at once, each with its number.
async fn at_once<T, F>(store: &Store, does: impl Fn(usize, Store) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let tasks: JoinSet<_> = (0..MANY).map(|number| does(number, Arc::clone(store))).collect();
    tasks.join_all().await
}
