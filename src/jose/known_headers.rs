//! Headers that need not be read again: an issuer writes the same one on all tokens that it signs with a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use super::Parts;
use super::header::Header;

/// As many keys as are in use at once.
const MAX: usize = 4;

/// Where there are more, one of so many tokens with another header drives out the oldest.
const SELDOM: u64 = 64;

/// The headers of tokens that were accepted of late, so that nobody without a good token has any say in it.
#[derive(Default)]
pub(crate) struct KnownHeaders {
    known: ArcSwap<Vec<Arc<KnownHeader>>>,
    unknown: AtomicU64,
}

/// A header as it is written, and as it was read and judged.
struct KnownHeader {
    encoded: Box<str>,
    header: Header<'static>,
}

/// The headers that are known right now.
pub(crate) struct Known(Guard<Arc<Vec<Arc<KnownHeader>>>>);

impl KnownHeaders {
    pub(crate) fn now(&self) -> Known {
        Known(self.known.load())
    }

    /// Remembers the header of a token that was accepted and whose header was not known.
    pub(crate) fn learn(&self, parts: &Parts<'_>, header: &Header<'_>) {
        let known = self.known.load();
        let seldom = self.unknown.fetch_add(1, Ordering::Relaxed).is_multiple_of(SELDOM);
        if known.len() < MAX || seldom {
            let oldest = known.len().saturating_sub(MAX.saturating_sub(1));
            let learnt = KnownHeader { encoded: parts.header.into(), header: header.to_owned() };
            // Who does the same at the same time may be forgotten, until the next token.
            self.known
                .store(Arc::new(known.iter().skip(oldest).cloned().chain([Arc::new(learnt)]).collect()));
        }
    }
}

impl Known {
    pub(super) fn find(&self, parts: &Parts<'_>) -> Option<&Header<'static>> {
        self.0.iter().find(|known| *known.encoded == *parts.header).map(|known| &known.header)
    }
}
