//! Captures of others' media, payload for payload through the relay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;

/// A datagram of a capture: when it was taken, in microseconds, where from, and what.
type Datagram = (u64, Vec<u8>, Vec<u8>);

/// The UDP datagrams over IPv4 of a capture file (little-endian, Ethernet or Linux cooked).
fn datagrams(file: &Path) -> Vec<Datagram> {
    let bytes = std::fs::read(file).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), 0xa1b2_c3d4, "{}", file.display());
    let link = match word(20) {
        1 => 14,
        113 => 16,
        other => panic!("link type {other}"),
    };
    let (mut at, mut found) = (24, Vec::new());
    while at + 16 <= bytes.len() {
        let time = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        let len = word(at + 8) as usize;
        let Some(frame) = bytes.get(at + 16..at + 16 + len) else {
            break;
        };
        at += 16 + len;
        let Some(ip) = frame
            .get(link..)
            .filter(|ip| ip.len() >= 28 && ip[0] >> 4 == 4)
        else {
            continue;
        };
        let header = usize::from(ip[0] & 0x0f) * 4;
        if ip[9] != 17 {
            continue;
        }
        let total = usize::from(u16::from_be_bytes([ip[2], ip[3]])).min(ip.len());
        let source = [&ip[12..16], &ip[header..header + 2]].concat();
        found.push((time, source, ip[header + 8..total].to_vec()));
    }
    found
}

fn captures() -> Vec<PathBuf> {
    let Some(folder) = corpora::folder("pcaps") else {
        return Vec::new();
    };
    let files = ["sipp", "asterisk"].map(|name| std::fs::read_dir(folder.join(name)).unwrap());
    let mut files: Vec<_> = files
        .into_iter()
        .flatten()
        .map(|file| file.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "pcap"));
    files.sort();
    files
}

/// What became of the packets of one source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    carried: u64,
    digits: String,
    dropped: BTreeMap<&'static str, u64>,
}

fn relay(packets: &[(u64, Vec<u8>)]) -> Tally {
    let event = Some(TelephoneEvent {
        heard: 101,
        sent: 101,
        clock: 8000,
    });
    let a = LegParams {
        telephone_event: event,
        ..plain(1)
    };
    let mut world = World::joined(a, secure(2, 10, 20));
    let mut reader = context(20);
    let mut tally = Tally::default();
    let mut last = packets[0].0;
    for (time, packet) in packets {
        world.pass(Duration::from_micros(time.saturating_sub(last)));
        last = *time;
        world.relay.handle_timeout(world.now);
        match world.rtp(1, packet) {
            Err(reason) => *tally.dropped.entry(reason.name()).or_default() += 1,
            Ok(seen) => {
                let seen = reader.decrypt_rtp(&seen).unwrap();
                let payload = |packet: &[u8]| {
                    let (header, payload) = Header::parse(packet).unwrap();
                    (header.payload_type, packet[payload].to_vec())
                };
                assert_eq!(payload(&seen), payload(packet));
                tally.carried += 1;
            }
        }
    }
    world.pass(Duration::from_secs(2));
    world.relay.handle_timeout(world.now);
    let digits = world.events().into_iter().filter_map(|event| {
        let MediaEvent::Dtmf { digit, .. } = event else {
            return None;
        };
        Some(digit.as_char())
    });
    tally.digits = digits.collect();
    let dropped: u64 = tally.dropped.values().sum();
    assert_eq!(world.stats(A).dropped.total(), dropped);
    tally
}

#[test]
fn captures_cross_payload_for_payload() {
    let mut total = Tally::default();
    for file in captures() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut sources: BTreeMap<Vec<u8>, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        for (time, source, datagram) in datagrams(&file) {
            if rtp::PacketKind::of(&datagram) == rtp::PacketKind::Rtp {
                sources.entry(source).or_default().push((time, datagram));
            }
        }
        assert!(!sources.is_empty(), "{name}");
        for packets in sources.values() {
            let tally = relay(packets);
            if let Some(digit) = name.strip_prefix("dtmf_2833_") {
                let digit = digit.replace("star", "*").replace("pound", "#");
                assert_eq!(
                    (tally.digits.as_str(), packets.len()),
                    (&*digit, 10),
                    "{name}"
                );
            }
            // What was captured twice, or is no packet, is not carried; everything else is.
            for reason in tally.dropped.keys() {
                assert!(
                    ["duplicate", "malformed"].contains(reason),
                    "{name}: {tally:?}"
                );
            }
            total.carried += tally.carried;
            for (reason, count) in tally.dropped {
                *total.dropped.entry(reason).or_default() += count;
            }
        }
    }
    if total.carried > 0 {
        corpora::tally("pcaps", "packets carried", total.carried as usize);
        for (reason, count) in &total.dropped {
            let verdict = format!("packets dropped as {reason}");
            corpora::tally("pcaps", &verdict, *count as usize);
        }
    }
    // 4952 packets of 22 files, of which 26 were captured twice or are no packets.
    let dropped: u64 = total.dropped.values().sum();
    let whole = !captures().is_empty();
    assert_eq!(
        (total.carried, dropped),
        if whole { (4926, 26) } else { (0, 0) }
    );
}

/// RFC 5769's messages and others': no ICE is offered, so whoever sends them is no party of a call.
#[test]
fn stun_messages_are_dropped_and_heard_by_nobody() {
    for (corpus, folder) in [
        ("media-vectors, STUN", "media-vectors"),
        ("fuzz-seeds, STUN", "fuzz-seeds/pjproject/fuzz-stun"),
    ] {
        let Some(folder) = corpora::folder(folder) else {
            return;
        };
        let files = std::fs::read_dir(folder).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let is_message = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.ends_with(".stun") || name.starts_with("stun") && name.ends_with(".bin")
        };
        let messages: Vec<_> = files.filter(is_message).collect();
        assert!(messages.len() >= 4, "{corpus}");
        let mut world = World::joined(plain(1), secure(2, 10, 20));
        for (count, file) in (1..).zip(&messages) {
            let message = std::fs::read(file).unwrap();
            for (party, leg) in [(1, A), (2, B)] {
                let dropped = world.rtp(party, &message).unwrap_err();
                assert_eq!(dropped, DropReason::NotRtp, "{}", file.display());
                assert_eq!(world.stats(leg).dropped.total(), count);
            }
        }
        corpora::tally(corpus, "dropped as no RTP", messages.len());
    }
}
