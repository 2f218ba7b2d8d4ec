//! Letters and digits alone: text that goes through every shell, URL and double click.

use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The digit of a value below 62.
pub(crate) fn digit(value: u32) -> u8 {
    usize::try_from(value).ok().and_then(|value| ALPHABET.get(value)).copied().unwrap_or(b'0')
}

/// Adds so many characters out of the system's random source. Each holds log2(62) bits, 27 of them 160.
///
/// # Security
/// A text that has to grow leaves a copy behind: give it room beforehand.
pub(crate) fn push_random(text: &mut String, characters: usize) -> Result<(), getrandom::Error> {
    let wanted = text.len().saturating_add(characters);
    while text.len() < wanted {
        let mut random = Zeroizing::new([0_u8; 64]);
        getrandom::fill(&mut *random)?;
        // Four times 62: what is above would make some characters more likely than others.
        let fair = random.iter().filter(|byte| **byte < 248);
        let missing = wanted.saturating_sub(text.len());
        text.extend(fair.take(missing).map(|byte| char::from(digit(u32::from(byte % 62)))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_characters_are_alike_likely() {
        let mut counts = std::collections::HashMap::<u8, u32>::new();
        for _ in 0..2000 {
            let mut text = String::from("ab_");
            push_random(&mut text, 39).unwrap();
            assert_eq!(text.len(), 42);
            text.bytes().skip(3).for_each(|byte| *counts.entry(byte).or_default() += 1);
        }
        assert_eq!(counts.len(), 62);
        // 78,000 characters: 1,258 of each on average, with a standard deviation of 35.
        assert!(counts.values().all(|count| (1000..1520).contains(count)), "{counts:?}");
    }
}
