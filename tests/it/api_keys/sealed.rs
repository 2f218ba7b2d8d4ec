//! Keys as somebody makes them who knows their form and has not got our library.

/// A text and its checksum, made without the library: CRC-32 (as in gzip) in base62, six digits.
pub fn sealed(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    let crc = text.bytes().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), step));
    let digit = |place: u32| char::from(DIGITS[(!crc / 62_u32.pow(place) % 62) as usize]);
    text.chars().chain((0..6).rev().map(digit)).collect()
}

/// The same key with another secret: its id is known, its form is right.
pub fn with_another_secret(key: &str) -> String {
    let other = |character: char| if character == 'x' { 'y' } else { 'x' };
    let (covered, _) = key.split_at(key.len() - 6);
    let (id, secret) = covered.split_at(covered.len() - 27);
    sealed(&format!("{id}{}", secret.chars().map(other).collect::<String>()))
}

/// The id is the twelve characters behind the prefix.
pub fn id_of(key: &str) -> &str {
    let body = &key[key.rfind('_').unwrap() + 1..];
    &body[..12]
}
