//! The packets: in one round all flows of a side are sent the same one, but for the last four
//! octets.

/// Octets of a packet: header and 20 ms of PCMU.
pub(super) const LEN: usize = 172;
/// Octets of the header, without contributing sources (RFC 3550 §5.1).
const HEADER: usize = 12;
/// Octets at the end that name the call.
pub(super) const NAME: usize = 4;
/// The name in packets that all calls share, because they are encrypted once for all.
pub(super) const ALL: u32 = u32::MAX;

/// The packet of a round without its last octets. A side is told from the other by its SSRC and
/// by every octet of its sound.
pub(super) fn head(side: usize, round: u64) -> [u8; LEN - NAME] {
    let mut packet = [0; LEN - NAME];
    packet[0] = 0x80; // version 2, payload type 0
    packet[2..4].copy_from_slice(&sequence(round).to_be_bytes());
    packet[4..8].copy_from_slice(&(round as u32).wrapping_mul(160).to_be_bytes());
    packet[8..12].copy_from_slice(&ssrc(side).to_be_bytes());
    packet[HEADER..HEADER + 8].copy_from_slice(&round.to_be_bytes());
    // An odd factor: no two rounds have the same sound.
    let number = round.rotate_left(1) ^ side as u64;
    let sound = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for (n, octet) in packet[HEADER + 8..].iter_mut().enumerate() {
        *octet = sound.to_be_bytes()[n % 8].wrapping_add(n as u8);
    }
    packet
}

/// The sequence number that a round is sent with.
pub(super) fn sequence(round: u64) -> u16 {
    // Not the first ones: a relay may set out anywhere, and a first packet that comes late must
    // not look like one of the cycle before.
    (round as u16).wrapping_add(1000)
}

/// Whose sequence number it is in a packet, RTP or SRTP; `None` of what is neither.
pub(super) fn sequence_of(datagram: &[u8]) -> Option<u16> {
    match datagram {
        [first, _, high, low, ..] if first >> 6 == 2 && datagram.len() >= LEN => {
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    }
}

/// The round of a packet in the clear, if it is one that `side` sent in `call`'s name, whole and
/// unchanged but for what a relay may change: sequence number, timestamp, SSRC, payload type.
pub(super) fn round_of(clear: &[u8], side: usize, call: u32) -> Option<u64> {
    let octets = clear.get(HEADER..HEADER + 8)?;
    let round = u64::from_be_bytes(octets.try_into().ok()?);
    let (rest, name) = clear.split_last_chunk::<NAME>()?;
    let expected = head(side, round);
    let plain = clear[0] == 0x80 && rest[HEADER..] == expected[HEADER..];
    (plain && u32::from_be_bytes(*name) == call).then_some(round)
}

fn ssrc(side: usize) -> u32 {
    0xbe0c_0000 + side as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(side: usize, round: u64, call: u32) -> Vec<u8> {
        let mut packet = head(side, round).to_vec();
        packet.extend(call.to_be_bytes());
        packet
    }

    #[test]
    fn a_packet_is_known_by_every_octet_of_its_sound() {
        let packet = whole(0, 70_000, 9);
        assert_eq!(packet.len(), LEN);
        assert_eq!(round_of(&packet, 0, 9), Some(70_000));
        assert_eq!(round_of(&packet, 1, 9), None);
        assert_eq!(round_of(&packet, 0, 8), None);
        assert_eq!(sequence_of(&packet), Some(sequence(70_000)));
        for at in HEADER..LEN {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            let found = round_of(&changed, 0, 9);
            assert!(found.is_none(), "octet {at}: {found:?}");
        }
        for len in 0..LEN {
            assert_eq!(round_of(&packet[..len], 0, 9), None, "{len}");
            assert_eq!(sequence_of(&packet[..len]), None, "{len}");
        }
    }

    #[test]
    fn a_relay_may_change_the_header() {
        let mut packet = whole(1, 5, ALL);
        packet[1..12].fill(0x77);
        assert_eq!(round_of(&packet, 1, ALL), Some(5));
    }
}
