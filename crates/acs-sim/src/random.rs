//! Tokens and keys from the operating system: nothing here needs to be replayed.

/// Fills `buffer` with random bytes.
pub(crate) fn fill(buffer: &mut [u8]) {
    getrandom::fill(buffer).expect("the operating system has a source of randomness");
}

pub(crate) fn u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

pub(crate) fn u32() -> u32 {
    u64() as u32
}

/// A token of sixteen hexadecimal digits: tags, Call-IDs.
pub(crate) fn token() -> String {
    format!("{:016x}", u64())
}

/// A branch with the cookie of RFC 3261 §8.1.1.7.
pub(crate) fn branch() -> String {
    format!("z9hG4bK{}", token())
}
