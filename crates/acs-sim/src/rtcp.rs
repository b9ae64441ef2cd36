//! Sender and receiver reports (RFC 3550 §6.4) with the CNAME every compound packet must carry.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds between the NTP and the Unix epoch.
const NTP_OFFSET: u64 = 2_208_988_800;

/// What a report says about our own stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    pub(crate) timestamp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// What a report says about the stream we receive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) ssrc: u32,
    pub(crate) highest: u32,
}

/// A compound packet: SR when something was sent, else RR; then SDES with `cname`.
pub(crate) fn compound(sent: Sent, heard: Option<Heard>, cname: &str) -> Vec<u8> {
    let mut packet = Vec::with_capacity(128);
    let blocks = u8::from(heard.is_some());
    let report_words = if sent.packets > 0 { 6 } else { 1 } + u16::from(blocks) * 6;
    packet.extend([0x80 | blocks, if sent.packets > 0 { 200 } else { 201 }]);
    packet.extend(report_words.to_be_bytes());
    packet.extend(sent.ssrc.to_be_bytes());
    if sent.packets > 0 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        packet.extend(((now.as_secs() + NTP_OFFSET) as u32).to_be_bytes());
        let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
        packet.extend((fraction as u32).to_be_bytes());
        packet.extend(sent.timestamp.to_be_bytes());
        packet.extend(sent.packets.to_be_bytes());
        packet.extend(sent.octets.to_be_bytes());
    }
    if let Some(heard) = heard {
        packet.extend(heard.ssrc.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(heard.highest.to_be_bytes());
        packet.extend([0; 12]);
    }
    let mut chunk = sent.ssrc.to_be_bytes().to_vec();
    chunk.extend([1, cname.len() as u8]);
    chunk.extend(cname.as_bytes());
    chunk.push(0);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    packet.extend([0x81, 202]);
    packet.extend(((chunk.len() / 4) as u16).to_be_bytes());
    packet.extend(chunk);
    packet
}

/// Whether a packet on a multiplexed port is RTCP (RFC 5761 §4).
pub(crate) fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, 192..=223, ..] if first >> 6 == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_words_less_one() {
        let sent = Sent {
            ssrc: 1,
            timestamp: 160,
            packets: 1,
            octets: 160,
        };
        let heard = Heard {
            ssrc: 2,
            highest: 9,
        };
        for (sent, heard) in [
            (sent, Some(heard)),
            (sent, None),
            (Sent { packets: 0, ..sent }, Some(heard)),
            (Sent { packets: 0, ..sent }, None),
        ] {
            let packet = compound(sent, heard, "carrier");
            let mut rest = &packet[..];
            let mut kinds = Vec::new();
            while let [_, kind, high, low, ..] = rest {
                kinds.push(*kind);
                rest = &rest[(usize::from(u16::from_be_bytes([*high, *low])) + 1) * 4..];
            }
            assert!(rest.is_empty());
            assert_eq!(kinds, [if sent.packets > 0 { 200 } else { 201 }, 202]);
            assert!(is_rtcp(&packet));
        }
    }
}
