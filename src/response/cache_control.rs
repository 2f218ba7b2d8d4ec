//! Keeps answers to one caller out of caches that many share.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};

/// What says that its writer has thought of shared caches. `private="…"` speaks of some fields alone.
const DECIDED: [&str; 4] = ["private", "no-store", "public", "s-maxage"];

/// Gives an answer what RFC 9111 §3.5 gives to answers to `Authorization`: a shared cache must not use it for others, unless
/// `Cache-Control` says that it may. For credentials in fields of which caches know nothing. `must-revalidate` does not say
/// that here: who writes it wants less of caches, not more.
pub(crate) fn keep_private(headers: &mut HeaderMap) {
    let lines = || headers.get_all(CACHE_CONTROL).iter();
    let directives = lines().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let is_decided = directives.into_iter().any(|directive| {
        let (name, value) =
            directive.split_once('=').map_or((directive, None), |(name, value)| (name, Some(value)));
        let name = name.trim();
        let partly = value.is_some() && name.eq_ignore_ascii_case("private");
        !partly && DECIDED.iter().any(|decided| decided.eq_ignore_ascii_case(name))
    });
    if !is_decided {
        headers.append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_added_where_nothing_is_said_of_shared_caches() {
        for (lines, kept) in [
            (&[][..], &["private"][..]),
            (&["max-age=60"], &["max-age=60", "private"]),
            (&["no-cache", "max-age=0"], &["no-cache", "max-age=0", "private"]),
            (&["x=\"public\""], &["x=\"public\"", "private"]),
            (&["max-age=60, Public"], &["max-age=60, Public"]),
            (&["s-maxage=60"], &["s-maxage=60"]),
            (&["max-age=1", "no-store"], &["max-age=1", "no-store"]),
            (&["private=\"x\""], &["private=\"x\"", "private"]),
            (&["max-age=60, must-revalidate"], &["max-age=60, must-revalidate", "private"]),
            (&["Private"], &["Private"]),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            keep_private(&mut headers);
            let values: Vec<_> = headers.get_all(CACHE_CONTROL).iter().collect();
            assert_eq!(values, kept, "{lines:?}");
        }
    }
}
