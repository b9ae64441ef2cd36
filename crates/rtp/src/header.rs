//! The RTP header, read and rewritten where it lies (RFC 3550 §5.1).

use std::ops::Range;

use rtp_types::RtpPacketMut;

/// Why a datagram is not an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtpError {
    /// The padding octet counts none, or more than there is (§5.1).
    #[error("the padding count does not fit the packet")]
    Padding,
    /// The packet ends within its header.
    #[error("the packet ends within its header")]
    Truncated,
    /// The version is not 2.
    #[error("the RTP version is not 2")]
    Version,
}

/// The fixed fields of an RTP header and where the payload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 0..=127.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp, in units of the payload's clock.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: u32,
    /// Octets of header, contributing sources and extension together.
    pub len: usize,
}

impl Header {
    /// Octets of a header without contributing sources and extension.
    pub const MIN_LEN: usize = 12;

    /// Reads what is in the clear in RTP and SRTP alike: everything but the padding count.
    pub fn read(packet: &[u8]) -> Result<Self, RtpError> {
        let (fixed, _) = packet
            .split_first_chunk::<12>()
            .ok_or(RtpError::Truncated)?;
        if fixed[0] >> 6 != 2 {
            return Err(RtpError::Version);
        }
        let mut len = Self::MIN_LEN + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let words = packet.get(len + 2..len + 4).ok_or(RtpError::Truncated)?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        if packet.len() < len {
            return Err(RtpError::Truncated);
        }
        Ok(Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            len,
        })
    }

    /// Reads the header of a packet in the clear and checks its padding as well; returns with it
    /// where the payload lies, padding left out.
    pub fn parse(packet: &[u8]) -> Result<(Self, Range<usize>), RtpError> {
        let header = Self::read(packet)?;
        let payload = header.payload(packet)?;
        Ok((header, payload))
    }

    /// Where the payload of the packet in the clear lies that this header was read of, padding left
    /// out.
    ///
    /// # Errors
    /// [`RtpError::Padding`] where its last octet counts no padding, or more than there is.
    pub fn payload(&self, packet: &[u8]) -> Result<Range<usize>, RtpError> {
        let mut end = packet.len();
        if let [first, .., padding] = packet
            && first & 0x20 != 0
        {
            end = end.saturating_sub(usize::from(*padding));
            if *padding == 0 || end < self.len {
                return Err(RtpError::Padding);
            }
        }
        Ok(self.len..end)
    }
}

/// New values for the fields that a relay changes; the others stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderEdit {
    /// The marker bit.
    pub marker: bool,
    /// The payload type, 0..=127; the top bit is ignored.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The timestamp.
    pub timestamp: u32,
    /// The synchronization source.
    pub ssrc: u32,
}

impl HeaderEdit {
    /// Writes the fields into `packet`, which is in the clear. On an error nothing was changed.
    pub fn apply(&self, packet: &mut [u8]) -> Result<(), RtpError> {
        let mut packet = RtpPacketMut::parse(packet).map_err(|_| RtpError::Truncated)?;
        packet
            .set_payload_type(self.payload_type & 0x7f)
            .expect("seven bits are a valid payload type");
        packet.set_marker_bit(self.marker);
        packet.set_sequence_number(self.sequence);
        packet.set_timestamp(self.timestamp);
        packet.set_ssrc(self.ssrc);
        Ok(())
    }
}

/// Writes a header without contributing sources and extension into the first twelve octets of
/// `buf`; returns its length, or `None` where `buf` is shorter.
pub fn write(buf: &mut [u8], fields: &HeaderEdit) -> Option<usize> {
    let fixed = buf.first_chunk_mut::<12>()?;
    fixed[0] = 0x80;
    fixed[1] = u8::from(fields.marker) << 7 | fields.payload_type & 0x7f;
    fixed[2..4].copy_from_slice(&fields.sequence.to_be_bytes());
    fixed[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
    fixed[8..].copy_from_slice(&fields.ssrc.to_be_bytes());
    Some(Header::MIN_LEN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EDIT: HeaderEdit = HeaderEdit {
        marker: true,
        payload_type: 101,
        sequence: 65535,
        timestamp: 0xdead_beef,
        ssrc: 0x0102_0304,
    };

    #[test]
    fn edits_are_read_by_another_library() {
        let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9, 8, 7];
        EDIT.apply(&mut packet).unwrap();
        let reader = rtp_rs::RtpReader::new(&packet).unwrap();
        assert!(reader.mark());
        assert_eq!(reader.payload_type(), 101);
        assert_eq!(u16::from(reader.sequence_number()), 65535);
        assert_eq!(reader.timestamp(), 0xdead_beef);
        assert_eq!(reader.ssrc(), 0x0102_0304);
        assert_eq!(reader.payload(), [9, 8, 7]);
    }

    #[test]
    fn written_headers_are_read_back() {
        let mut packet = [0; 20];
        assert_eq!(write(&mut packet, &EDIT), Some(12));
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(
            (header.sequence, header.marker, header.payload_type),
            (65535, true, 101)
        );
        assert_eq!(payload, 12..20);
        assert_eq!(rtp_rs::RtpReader::new(&packet).unwrap().ssrc(), EDIT.ssrc);
        assert_eq!(write(&mut [0; 11], &EDIT), None);
    }

    #[test]
    fn counts_sources_extension_and_padding() {
        let mut packet = vec![0xb1, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0, 0, 0, 9]); // one contributing source
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]); // an extension of one word
        packet.extend([5, 6, 7, 0, 2]); // three octets of payload, two of padding
        let (header, payload) = Header::parse(&packet).unwrap();
        assert_eq!(header.len, 24);
        assert_eq!(payload, 24..27);
        for padding in [0, 6, 255] {
            *packet.last_mut().unwrap() = padding;
            assert_eq!(Header::parse(&packet), Err(RtpError::Padding));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..64),
            first in prop_oneof![Just(0xa0u8), Just(0xb1u8), any::<u8>()],
            last in 0u8..64,
        ) {
            if let [one, .., padding] = &mut bytes[..] {
                (*one, *padding) = (first, last);
            }
            if let Ok(header) = Header::read(&bytes) {
                prop_assert!(header.len <= bytes.len());
            }
            if let Ok((header, payload)) = Header::parse(&bytes) {
                prop_assert!(header.len <= payload.start && payload.end <= bytes.len());
                prop_assert!(payload.start <= payload.end);
            }
            let theirs = rtp_types::RtpPacket::parse(&bytes).ok().map(|packet| {
                let start = packet.payload_offset();
                start..bytes.len() - packet.padding().map_or(0, usize::from)
            });
            prop_assert_eq!(Header::parse(&bytes).ok().map(|(_, payload)| payload), theirs);
            let mut edited = bytes.clone();
            if EDIT.apply(&mut edited).is_ok() {
                prop_assert_eq!(Header::read(&edited).unwrap().ssrc, EDIT.ssrc);
            } else {
                prop_assert_eq!(edited, bytes);
            }
        }
    }
}
