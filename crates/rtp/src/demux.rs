//! What a datagram on a media port is (RFC 7983 §7, RFC 5761 §4).

/// The protocol of a datagram, judged by its first two octets alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketKind {
    /// DTLS: first octet 20..=63.
    Dtls,
    /// None of the others: ZRTP, TURN channels, noise, nothing.
    Other,
    /// RTCP or SRTCP: version 2 and a packet type of 192..=223.
    Rtcp,
    /// RTP or SRTP: version 2 and anything else.
    Rtp,
    /// STUN: first octet 0..=3.
    Stun,
}

impl PacketKind {
    /// The kind of `datagram`. Says nothing about whether the rest is well formed.
    pub fn of(datagram: &[u8]) -> Self {
        match datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            // RTP payload types 64..=95 with the marker bit would collide and are never used.
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, _, ..] => Self::Rtp,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_by_first_octets() {
        assert_eq!(PacketKind::of(&[0, 1]), PacketKind::Stun);
        assert_eq!(PacketKind::of(&[3]), PacketKind::Stun);
        assert_eq!(PacketKind::of(&[4]), PacketKind::Other);
        assert_eq!(PacketKind::of(&[22, 254]), PacketKind::Dtls);
        assert_eq!(PacketKind::of(&[64]), PacketKind::Other);
        assert_eq!(PacketKind::of(&[0x80, 200]), PacketKind::Rtcp);
        assert_eq!(PacketKind::of(&[0x81, 223]), PacketKind::Rtcp);
        assert_eq!(PacketKind::of(&[0x80, 224]), PacketKind::Rtp);
        assert_eq!(PacketKind::of(&[0x80, 0]), PacketKind::Rtp);
        assert_eq!(PacketKind::of(&[0x80]), PacketKind::Other);
        assert_eq!(PacketKind::of(&[192, 0]), PacketKind::Other);
        assert_eq!(PacketKind::of(&[]), PacketKind::Other);
    }
}
