//! Whether a text is made of certain bytes alone, asked of many bytes at once.

/// How many are looked at together.
const LANES: usize = 16;

/// Whether `beside` is zero for every byte: how far that byte is from the right ones. Arithmetic without a branch becomes one
/// instruction for all lanes, which no comparison does.
pub(crate) fn all(bytes: &[u8], beside: impl Fn(u8) -> u8) -> bool {
    let Some(last) = bytes.last_chunk::<LANES>() else {
        return bytes.iter().all(|byte| beside(*byte) == 0);
    };
    let mut found = [0_u8; LANES];
    let mut look = |chunk: &[u8; LANES]| {
        found.iter_mut().zip(chunk).for_each(|(found, byte)| *found |= beside(*byte));
    };
    bytes.as_chunks().0.iter().for_each(&mut look);
    // Those that are left over, and some once more.
    look(last);
    found == [0; LANES]
}

/// Zero from `first` to `last`.
pub(crate) const fn beyond(byte: u8, first: u8, last: u8) -> u8 {
    byte.wrapping_sub(first).saturating_sub(last.wrapping_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_where_it_says() {
        for byte in 0..=u8::MAX {
            assert_eq!(beyond(byte, b'-', b'9') == 0, (b'-'..=b'9').contains(&byte), "{byte}");
            assert_eq!(beyond(byte, 0, u8::MAX), 0, "{byte}");
        }
    }

    #[test]
    fn one_wrong_byte_is_found_wherever_it_stands() {
        for len in 0..=100 {
            let right = vec![b'5'; len];
            assert!(all(&right, |byte| beyond(byte, b'0', b'9')), "{len}");
            for place in 0..len {
                for wrong in [0, b'/', b':', u8::MAX] {
                    let mut text = right.clone();
                    text[place] = wrong;
                    assert!(!all(&text, |byte| beyond(byte, b'0', b'9')), "{wrong} at {place} of {len}");
                }
            }
        }
    }
}
