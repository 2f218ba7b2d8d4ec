//! Base64url to the letter (RFC 7515 §2): no padding, no white space, no other characters, no bits left over.

use std::sync::LazyLock;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd;
use base64::engine::general_purpose::NO_PAD;
use base64::{Engine as _, decoded_len_estimate};
use smallvec::SmallVec;

/// Tokens are long, and decoding them byte by byte would be the largest cost beside the signature.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: LazyLock<GeneralPurpose> =
    LazyLock::new(|| GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD));

/// Decodes onto the stack where it fits there; `None` if the text is not exact. Only what is needed is zeroed: tokens are short
/// beside what they may be.
pub(super) fn decode_small<'b, const N: usize>(
    text: &[u8],
    buffer: &'b mut SmallVec<[u8; N]>,
) -> Option<&'b [u8]> {
    buffer.clear();
    buffer.resize(decoded_len_estimate(text.len()), 0);
    let len = ENGINE.decode_slice(text, buffer).ok()?;
    buffer.get(..len)
}

/// Decodes into a fresh vector; `None` if the text is not exact.
pub(super) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let text = text.as_ref();
    let mut bytes = Vec::with_capacity(decoded_len_estimate(text.len()));
    ENGINE.decode_vec(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Encodes without padding.
#[cfg(any(feature = "introspection", feature = "test-util"))]
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    ENGINE.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_read() {
        assert_eq!(decode("AQAB"), Some(vec![1, 0, 1]));
        assert_eq!(decode("_-8"), Some(vec![0xff, 0xef]));
        // Padding, the other alphabet, white space, left-over bits, an impossible length.
        for bad in ["AQ==", "+/8", "AQ AB", "AQAB\n", "AB", "A", "AQA\u{0}", "AQÀB"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
        assert_eq!(decode("AA"), Some(vec![0]));
    }

    /// Long texts are decoded many bytes at a time, by other code.
    #[test]
    fn long_texts_are_read_as_exactly() {
        let good = "-_09azAZ".repeat(40);
        assert_eq!(decode(&good).map(|bytes| bytes.len()), Some(240));
        for place in 0..good.len() {
            for bad in ["=", "+", "/", " ", "\n", ".", "\0", "\u{7f}", "\u{80}"] {
                let text = [good.get(..place).unwrap(), bad, good.get(place + 1..).unwrap()].concat();
                assert_eq!(decode(&text), None, "{bad:?} at {place}");
            }
        }
    }
}
