//! The characters of header fields.

/// Whether all bytes are of `token68` (RFC 9110 §11.2): letters, digits, and `- . _ ~ + /`.
pub(crate) fn are_token68(bytes: &[u8]) -> bool {
    // Sums up without a branch for each byte, which the compiler does for many bytes at once. Each
    // term is zero for its characters alone.
    let wrong = bytes.iter().fold(0, |wrong, byte| {
        let letter = (byte | 0x20).wrapping_sub(b'a').saturating_sub(b'z' - b'a');
        let from_minus_to_nine = byte.wrapping_sub(b'-').saturating_sub(b'9' - b'-');
        let mark = (byte ^ b'_').min(byte ^ b'~').min(byte ^ b'+');
        wrong | letter.min(from_minus_to_nine).min(mark)
    });
    wrong == 0
}

/// RFC 9110 §5.6.2 `token`.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token68_has_exactly_its_characters_anywhere() {
        let right = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        for len in [1, 2, 15, 16, 17, 31, 32, 33, 100] {
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'a'; len];
                    text[place] = byte;
                    assert_eq!(are_token68(&text), right(byte), "{byte} at {place} of {len}");
                }
            }
        }
        assert!(are_token68(b""));
    }
}
