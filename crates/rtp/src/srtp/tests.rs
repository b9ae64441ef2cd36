mod vectors;

use proptest::prelude::*;
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::*;
use crate::header;
use crate::{HeaderEdit, PacketKind};

/// Suites that the other library speaks as well.
const SUITES: [(Suite, ProtectionProfile); 4] = [
    (
        Suite::AesCm128HmacSha1_80,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ),
    (
        Suite::AesCm128HmacSha1_32,
        ProtectionProfile::Aes128CmHmacSha1_32,
    ),
    (Suite::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
    (Suite::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm),
];

const ALL: [Suite; 5] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::AesCm256HmacSha1_80,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn key_of(suite: Suite, fill: u8) -> MasterKey {
    let bytes: Vec<u8> = (0..suite.master_len())
        .map(|i| fill.wrapping_mul(7).wrapping_add(i as u8))
        .collect();
    MasterKey::new(suite, &bytes).unwrap()
}

fn key(fill: u8) -> MasterKey {
    key_of(Suite::AesCm128HmacSha1_80, fill)
}

fn theirs(key: &MasterKey, profile: ProtectionProfile) -> Context {
    Context::new(key.key(), key.salt(), profile, None, None).unwrap()
}

/// A packet of stream `ssrc` whose payload tells which one it is.
fn rtp(ssrc: u32, index: u64) -> Vec<u8> {
    let mut packet = vec![0; 12];
    let fields = HeaderEdit {
        marker: false,
        payload_type: 0,
        sequence: index as u16,
        timestamp: (index as u32).wrapping_mul(160),
        ssrc,
    };
    header::write(&mut packet, &fields).unwrap();
    packet.extend(index.to_be_bytes());
    packet.resize(12 + 100 + (index % 61) as usize, index as u8);
    packet
}

fn rtcp(ssrc: u32, n: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x80, 204, 0, 3]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(*b"test");
    packet.extend(n.to_be_bytes());
    packet
}

fn protect(out: &mut SrtpOutbound, packet: &[u8], index: u64) -> Result<Vec<u8>, SrtpError> {
    let mut buf = packet.to_vec();
    buf.resize(packet.len() + 16, 0xee);
    let len = out.protect_rtp(&mut buf, packet.len(), index)?;
    buf.truncate(len);
    Ok(buf)
}

fn protect_control(out: &mut SrtpOutbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buf = packet.to_vec();
    buf.resize(packet.len() + 20, 0xee);
    let len = out.protect_rtcp(&mut buf, packet.len())?;
    buf.truncate(len);
    Ok(buf)
}

fn unprotect(inbound: &mut SrtpInbound, packet: &[u8]) -> Result<(Vec<u8>, u64), SrtpError> {
    let mut buf = packet.to_vec();
    let result = match PacketKind::of(packet) {
        PacketKind::Rtcp => inbound.unprotect_rtcp(&mut buf),
        PacketKind::Dtls | PacketKind::Other | PacketKind::Rtp | PacketKind::Stun => {
            inbound.unprotect_rtp(&mut buf)
        }
    };
    match result {
        Ok(unprotected) => Ok((buf[..unprotected.len].to_vec(), unprotected.index)),
        Err(error) => {
            assert_eq!(buf, packet, "a refused packet must stay as it was");
            Err(error)
        }
    }
}

#[test]
fn a_key_has_the_length_of_its_suite() {
    for suite in ALL {
        for given in 0..64 {
            let made = MasterKey::new(suite, &vec![7; given]);
            assert_eq!(made.is_ok(), given == suite.master_len());
        }
    }
}

/// Three wraps of the sequence number with one key, then a new key: ROC 0 on both sides (D-04).
#[test]
fn two_hundred_thousand_packets_through_three_wraps() {
    for suite in ALL {
        let mut out = SrtpOutbound::new(&key_of(suite, 1));
        let mut inbound = SrtpInbound::new(&key_of(suite, 1), 0);
        for index in 65_500..65_500 + 200_000_u64 {
            let packet = rtp(5, index);
            let protected = protect(&mut out, &packet, index).unwrap();
            assert_eq!(unprotect(&mut inbound, &protected), Ok((packet, index)));
        }
        let mut out = SrtpOutbound::new(&key_of(suite, 2));
        let mut inbound = SrtpInbound::new(&key_of(suite, 2), 0);
        let sequence = (65_500 + 200_000) & 0xffff;
        let protected = protect(&mut out, &rtp(5, sequence), sequence).unwrap();
        let heard = unprotect(&mut inbound, &protected).unwrap();
        assert_eq!(heard.1, sequence, "a new key begins at ROC 0");
    }
}

#[test]
fn repeated_and_forged_packets_are_refused() {
    let (mut out, mut inbound) = (SrtpOutbound::new(&key(3)), SrtpInbound::new(&key(3), 0));
    let packets: Vec<_> = (0..400)
        .map(|index| protect(&mut out, &rtp(9, index), index).unwrap())
        .collect();
    for packet in packets.iter().skip(200) {
        unprotect(&mut inbound, packet).unwrap();
    }
    for packet in &packets[272..] {
        assert_eq!(unprotect(&mut inbound, packet), Err(SrtpError::Replayed));
    }
    for packet in &packets[..272] {
        assert_eq!(unprotect(&mut inbound, packet), Err(SrtpError::TooOld));
    }
    for bit in 0..8 * packets[0].len() {
        let mut forged = protect(&mut out.clone(), &rtp(9, 400), 400).unwrap();
        forged[bit / 8] ^= 1 << (bit % 8);
        assert!(unprotect(&mut inbound, &forged).is_err(), "bit {bit}");
    }
    let genuine = protect(&mut out, &rtp(9, 400), 400).unwrap();
    assert_eq!(unprotect(&mut inbound, &genuine).unwrap().1, 400);
    let control = protect_control(&mut out, &rtcp(9, 1)).unwrap();
    unprotect(&mut inbound, &control).unwrap();
    assert_eq!(unprotect(&mut inbound, &control), Err(SrtpError::Replayed));
}

#[test]
fn late_packets_within_the_window_are_read_once() {
    let (mut out, mut inbound) = (
        SrtpOutbound::new(&key_of(Suite::AesCm128HmacSha1_32, 4)),
        SrtpInbound::new(&key_of(Suite::AesCm128HmacSha1_32, 4), 0),
    );
    let start = 65_536 - 100;
    let packets: Vec<_> = (start..start + 300)
        .map(|index| protect(&mut out, &rtp(9, index), index).unwrap())
        .collect();
    for chunk in packets.chunks(100) {
        for packet in chunk.iter().rev() {
            unprotect(&mut inbound, packet).unwrap();
        }
    }
    assert!(
        packets
            .iter()
            .all(|packet| unprotect(&mut inbound, packet).is_err())
    );
}

#[test]
fn an_index_is_never_used_twice() {
    let mut out = SrtpOutbound::new(&key(5));
    for index in 0..300 {
        protect(&mut out, &rtp(1, index), index).unwrap();
    }
    assert_eq!(
        protect(&mut out, &rtp(1, 299), 299),
        Err(SrtpError::IndexUsed)
    );
    assert_eq!(
        protect(&mut out, &rtp(1, 172), 172),
        Err(SrtpError::IndexUsed)
    );
    assert_eq!(protect(&mut out, &rtp(1, 171), 171), Err(SrtpError::TooOld));
    assert_eq!(
        protect(&mut out, &rtp(1, 300), 301),
        Err(SrtpError::IndexMismatch)
    );
    protect(&mut out, &rtp(2, 299), 299).unwrap();
    let mut restored = SrtpOutbound::import(&out.export());
    assert_eq!(
        protect(&mut restored, &rtp(1, 299), 299),
        Err(SrtpError::IndexUsed)
    );
    protect(&mut restored, &rtp(1, 300), 300).unwrap();
}

#[test]
fn keys_end_after_as_many_packets_as_they_may_protect() {
    let mut out = SrtpOutbound::new(&key(6));
    let last = (1 << 48) - 1;
    protect(&mut out, &rtp(1, last), last).unwrap();
    assert_eq!(
        protect(&mut out, &rtp(1, last + 1), last + 1),
        Err(SrtpError::KeyExhausted)
    );
    out.skip_rtcp((1 << 31) - 1);
    protect_control(&mut out, &rtcp(1, 0)).unwrap();
    assert_eq!(
        protect_control(&mut out, &rtcp(1, 0)),
        Err(SrtpError::KeyExhausted)
    );
    let mut restored = SrtpOutbound::import(&out.export());
    assert_eq!(
        protect_control(&mut restored, &rtcp(1, 0)),
        Err(SrtpError::KeyExhausted)
    );
}

#[test]
fn exported_contexts_go_on_where_they_were() {
    let (mut out, mut inbound) = (SrtpOutbound::new(&key(7)), SrtpInbound::new(&key(7), 0));
    let start = 3 * 65_536 - 50;
    let stream = StreamState {
        ssrc: 1,
        highest: start - 1,
        seen: 1,
    };
    out = SrtpOutbound::import(&SrtpState {
        rtp: vec![stream],
        ..out.export()
    });
    inbound = SrtpInbound::import(&SrtpState {
        rtp: vec![stream],
        ..inbound.export()
    });
    let mut sent = Vec::new();
    for index in start..start + 100 {
        let packet = protect(&mut out, &rtp(1, index), index).unwrap();
        let control = protect_control(&mut out, &rtcp(1, 0)).unwrap();
        unprotect(&mut inbound, &packet).unwrap();
        unprotect(&mut inbound, &control).unwrap();
        sent.extend([packet, control]);
        let (next_out, next_in) = (out.export(), inbound.export());
        assert_eq!(SrtpOutbound::import(&next_out).export(), next_out);
        assert_eq!(SrtpInbound::import(&next_in).export(), next_in);
        (out, inbound) = (
            SrtpOutbound::import(&next_out),
            SrtpInbound::import(&next_in),
        );
    }
    assert!(
        sent.iter()
            .all(|packet| unprotect(&mut inbound, packet).is_err())
    );
}

#[test]
fn a_stale_context_finds_the_rollover_counter_again() {
    let mut out = SrtpOutbound::new(&key(8));
    let mut inbound = SrtpInbound::new(&key(8), 0);
    // The first packets of a stream were lost, and a wrap with them.
    let packet = protect(&mut out, &rtp(1, 65_540), 65_540).unwrap();
    assert_eq!(unprotect(&mut inbound, &packet).unwrap().1, 65_540);
    let stale = inbound.export();
    let later = 65_540 + 40_000 + 65_536;
    let packet = protect(&mut out, &rtp(1, later), later).unwrap();
    assert_eq!(unprotect(&mut inbound, &packet), Err(SrtpError::TooOld));
    assert_eq!(
        unprotect(&mut SrtpInbound::import(&stale), &packet)
            .unwrap()
            .1,
        later
    );
}

#[test]
fn streams_are_bounded_and_none_is_forgotten() {
    let mut inbound = SrtpInbound::new(&key(9), 0);
    let limit = SrtpInbound::MAX_STREAMS as u32;
    for ssrc in 0..limit {
        let mut out = SrtpOutbound::new(&key(9));
        unprotect(&mut inbound, &protect(&mut out, &rtp(ssrc, 1), 1).unwrap()).unwrap();
        unprotect(
            &mut inbound,
            &protect_control(&mut out, &rtcp(ssrc, 1)).unwrap(),
        )
        .unwrap();
    }
    let mut out = SrtpOutbound::new(&key(9));
    let packet = protect(&mut out, &rtp(limit, 1), 1).unwrap();
    assert_eq!(
        unprotect(&mut inbound, &packet),
        Err(SrtpError::TooManyStreams)
    );
    let control = protect_control(&mut out, &rtcp(limit, 1)).unwrap();
    assert_eq!(
        unprotect(&mut inbound, &control),
        Err(SrtpError::TooManyStreams)
    );
    let packet = protect(&mut out, &rtp(0, 1), 1).unwrap();
    assert_eq!(unprotect(&mut inbound, &packet), Err(SrtpError::Replayed));
    let mut out = SrtpOutbound::new(&key(9));
    for ssrc in 0..4 {
        protect(&mut out, &rtp(ssrc, 1), 1).unwrap();
    }
    assert_eq!(
        protect(&mut out, &rtp(4, 1), 1),
        Err(SrtpError::TooManyStreams)
    );
}

/// Seven senders under one key, in turns: each is heard in every turn, and nothing twice, neither of
/// a stream whose list is kept nor of one that was cut to its end.
#[test]
fn streams_that_come_back_are_heard_again_and_never_replayed() {
    let mut inbound = SrtpInbound::new(&key(9), 0);
    let mut recorded = Vec::new();
    for turn in 0..40u64 {
        for ssrc in 0..7 {
            let first = 65_500 + 5 * turn;
            for index in [first, first + 2, first + 1] {
                let mut out = SrtpOutbound::new(&key(9));
                let packet = protect(&mut out, &rtp(ssrc, index), index).unwrap();
                assert_eq!(unprotect(&mut inbound, &packet).unwrap().1, index);
                recorded.push(packet);
            }
            let mut out = SrtpOutbound::new(&key(9));
            out.skip_rtcp(turn as u32);
            let control = protect_control(&mut out, &rtcp(ssrc, 1)).unwrap();
            unprotect(&mut inbound, &control).unwrap();
            assert_eq!(unprotect(&mut inbound, &control), Err(SrtpError::Replayed));
        }
    }
    for packet in recorded {
        let again = unprotect(&mut inbound, &packet);
        assert!(matches!(
            again,
            Err(SrtpError::Replayed | SrtpError::TooOld)
        ));
    }
}

/// What a call holds for each direction that is encrypted.
#[test]
fn contexts_are_small() {
    let (inbound, outbound) = (size_of::<SrtpInbound>(), size_of::<SrtpOutbound>());
    assert!(inbound <= 640 && outbound <= 480, "{inbound}, {outbound}");
}

#[test]
fn keys_are_never_printed() {
    let master = MasterKey::aes_cm_128_80(&[0xa5; 30]);
    let state = SrtpOutbound::new(&master).export();
    let shown = format!("{master:?} {state:?}");
    assert!(shown.contains("redacted") && !shown.contains("165") && !shown.contains("a5"));
}

#[test]
fn protecting_wants_room() {
    let mut out = SrtpOutbound::new(&key(1));
    let mut buf = rtp(1, 1);
    let len = buf.len();
    assert_eq!(out.protect_rtp(&mut buf, len, 1), Err(SrtpError::NoRoom));
    assert_eq!(
        out.protect_rtp(&mut buf, len + 1, 1),
        Err(SrtpError::NoRoom)
    );
    assert_eq!(out.protect_rtp(&mut buf, 5, 1), Err(SrtpError::Malformed));
    assert_eq!(buf, rtp(1, 1));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_unchanged(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
        first in prop_oneof![Just(0x80u8), any::<u8>()],
        suite in proptest::sample::select(&ALL[..]),
        mki in prop_oneof![Just(0u8), any::<u8>()],
    ) {
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        let mut inbound = SrtpInbound::new(&key_of(suite, 1), mki);
        let mut buf = bytes.clone();
        prop_assert!(inbound.unprotect_rtp(&mut buf).is_err());
        prop_assert!(inbound.unprotect_rtcp(&mut buf).is_err());
        prop_assert_eq!(&buf, &bytes);
        let mut out = SrtpOutbound::new(&key_of(suite, 1));
        for len in [0, bytes.len() / 2, bytes.len()] {
            let _ = out.protect_rtp(&mut buf, len, 1);
            let _ = out.protect_rtcp(&mut buf, len);
        }
    }

    #[test]
    fn what_goes_in_comes_out(
        payload in proptest::collection::vec(any::<u8>(), 0..1500),
        index in 0u64..65_536,
        mki in 0u8..=8,
    ) {
        let mut packet = rtp(3, index)[..12].to_vec();
        packet.extend(payload);
        for suite in ALL {
            let mut out = SrtpOutbound::new(&key_of(suite, 1));
            let mut protected = protect(&mut out, &packet, index).unwrap();
            prop_assert!(packet.len() < 20 || protected[12..packet.len()] != packet[12..]);
            let aead = matches!(suite, Suite::AeadAes128Gcm | Suite::AeadAes256Gcm);
            let tag = protected.len() - if aead { 0 } else { suite.rtp_tag_len() };
            protected.splice(tag..tag, std::iter::repeat_n(0x11, mki.into()));
            let mut inbound = SrtpInbound::new(&key_of(suite, 1), mki);
            prop_assert_eq!(unprotect(&mut inbound, &protected).unwrap(), (packet.clone(), index));
        }
    }
}
