//! Texts that come again and again, with what they were read as: an issuer writes the same header on all tokens that it signs with
//! a key, and the same scopes on those of many users.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

/// How many are remembered: as many keys as are in use at once.
const MAX: usize = 4;

/// Where there are more, one of so many others drives out the oldest.
const SELDOM: u64 = 64;

/// Texts of tokens that were accepted of late, so that nobody without a good token has any say in it.
pub(crate) struct Lately<T> {
    known: ArcSwap<Vec<Arc<Read<T>>>>,
    unknown: AtomicU64,
}

struct Read<T> {
    text: Box<[u8]>,
    meaning: T,
}

/// What is known right now.
pub(crate) struct Known<T>(Guard<Arc<Vec<Arc<Read<T>>>>>);

impl<T> Lately<T> {
    pub(crate) fn now(&self) -> Known<T> {
        Known(self.known.load())
    }

    /// Remembers a text that was not known, now and then. To be called only when all of the token was found right.
    pub(crate) fn learn(&self, text: impl AsRef<[u8]>, meaning: impl FnOnce() -> T) {
        let known = self.known.load();
        let seldom = self.unknown.fetch_add(1, Ordering::Relaxed).is_multiple_of(SELDOM);
        if known.len() < MAX || seldom {
            let oldest = known.len().saturating_sub(MAX.saturating_sub(1));
            let read = Arc::new(Read { text: text.as_ref().into(), meaning: meaning() });
            // What somebody else learns at the same time may be forgotten, until the next token.
            self.known.store(Arc::new(known.iter().skip(oldest).cloned().chain([read]).collect()));
        }
    }
}

impl<T> Known<T> {
    pub(crate) fn find(&self, text: impl AsRef<[u8]>) -> Option<&T> {
        self.0.iter().find(|read| *read.text == *text.as_ref()).map(|read| &read.meaning)
    }
}

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self { known: ArcSwap::default(), unknown: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(lately: &Lately<usize>) -> Vec<usize> {
        lately.now().0.iter().map(|read| read.meaning).collect()
    }

    #[test]
    fn the_first_are_learnt_at_once_and_others_seldom() {
        let lately = Lately::default();
        assert_eq!(lately.now().find("0"), None);
        for number in 0..4 {
            lately.learn(&number.to_string(), || number);
        }
        assert_eq!(known(&lately), [0, 1, 2, 3]);
        assert_eq!((lately.now().find("2"), lately.now().find("22")), (Some(&2), None));
        for number in 4..64 {
            lately.learn(&number.to_string(), || panic!("too often"));
        }
        assert_eq!(known(&lately), [0, 1, 2, 3]);
        lately.learn("64", || 64);
        assert_eq!(known(&lately), [1, 2, 3, 64]);
    }
}
