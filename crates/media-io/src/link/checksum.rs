//! The Internet checksum (RFC 1071).

/// The sum of the octets as numbers of 16 bits, in the order of this machine's memory, added to
/// `start`; an odd last octet is followed by a zero. Of up to 2^32 octets in all.
///
/// The order of octets does not matter to the sum as long as it is one order throughout
/// (RFC 1071 §2 (B)).
pub fn sum(octets: &[u8], start: u64) -> u64 {
    let mut total = start;
    let mut rest = octets.chunks_exact(4);
    for word in &mut rest {
        let word: [u8; 4] = word.try_into().unwrap_or_default();
        total = total.wrapping_add(u32::from_ne_bytes(word).into());
    }
    let mut last = [0; 4];
    for (to, from) in last.iter_mut().zip(rest.remainder()) {
        *to = *from;
    }
    total.wrapping_add(u32::from_ne_bytes(last).into())
}

/// The checksum of a sum, as it is written: in the order of this machine's memory.
pub fn fold(sum: u64) -> [u8; 2] {
    let mut sum = (sum >> 32) + (sum & 0xffff_ffff);
    for _ in 0..3 {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    (!(sum as u16)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Word by word, as RFC 1071 §4.1 has it.
    fn simple(octets: &[u8]) -> [u8; 2] {
        let mut sum = 0u32;
        for pair in octets.chunks(2) {
            let low = pair.get(1).copied().unwrap_or(0);
            sum += u32::from(u16::from_be_bytes([pair[0], low]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!(sum as u16)).to_be_bytes()
    }

    #[test]
    fn the_example_of_the_standard() {
        // RFC 1071 §3: the sum is ddf2.
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&octets, 0)), (!0xddf2u16).to_be_bytes());
    }

    #[test]
    fn every_length_and_carry() {
        for len in 0..300 {
            for fill in [0u8, 1, 0x7f, 0xff] {
                let octets: Vec<u8> = (0..len)
                    .map(|n: u32| fill.wrapping_mul(n as u8 | 0x81))
                    .collect();
                assert_eq!(fold(sum(&octets, 0)), simple(&octets), "{len} × {fill}");
            }
        }
        let octets = [0xff; 2048];
        assert_eq!(fold(sum(&octets, 0)), simple(&octets));
    }
}
