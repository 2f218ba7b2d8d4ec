//! Those who ask may go away at any moment.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use portcullis::api_key::ApiKeyUse;
use portcullis::{ApiKeyStore as _, SqlStore};

use crate::key_stores::{at, key};

/// Steps by which they go later and later: so often a look was taken at what they wait for.
const STEPS: u32 = 60;

/// What comes of it, unless it is given up before.
async fn looked_at<T>(times: u32, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), times);
    poll_fn(|cx| {
        let Some(fewer) = left.checked_sub(1) else { return Poll::Ready(None) };
        left = fewer;
        work.as_mut().poll(cx).map(Some)
    })
    .await
}

pub(super) async fn what_is_given_up_happens_as_a_whole_or_not_at_all(url: &str) {
    let store = Arc::new(SqlStore::connect(url).await.unwrap());
    let (mut given_up, mut done) = (0, 0);
    for step in 0..STEPS {
        let (old, new) = (format!("old {step}"), format!("new {step}"));
        assert!(store.insert(&key(&old)).await.unwrap());
        match looked_at(step, store.replace(&old, &key(&new), at(10))).await {
            Some(replaced) => {
                done += 1;
                assert!(replaced.unwrap());
            }
            None => given_up += 1,
        }
        let uses = [ApiKeyUse::new(old, at(1)), ApiKeyUse::new(new, at(1))];
        let _ = looked_at(step, store.record_uses(&uses)).await;
    }
    assert!(given_up > 0 && done > 0 && done + given_up == STEPS, "{given_up} given up, {done} done");
    for step in 0..STEPS {
        let (old, new) = (format!("old {step}"), format!("new {step}"));
        // Nothing of it is still on its way: this waits for what is, and finds a key that it may not replace.
        let late = store.replace(&old, &key(&format!("late {step}")), at(10)).await.unwrap();
        let record = store.find(&old).await.unwrap().unwrap().record;
        let replaced = store.find(&new).await.unwrap().is_some();
        assert_eq!(replaced, !late, "{step}");
        assert_eq!(record.replaced_by, Some(if late { format!("late {step}") } else { new }), "{step}");
    }
}
