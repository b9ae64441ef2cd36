//! Any datagram on a media port: told apart, read, edited, and refused by a cryptographic context
//! it was not made for. The first octet chooses the suite.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rtp::rtcp::Compound;
use rtp::{Header, MasterKey, PacketKind, SrtpInbound, Suite};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, packet)) = data.split_first() else {
        return;
    };
    let _ = PacketKind::of(packet);
    if let Ok((header, payload)) = Header::parse(packet) {
        assert!(payload.end <= packet.len(), "{header:?}");
    }
    if let Ok(compound) = Compound::parse(packet) {
        let _ = compound.report_len();
        let _ = compound.packets().count();
    }
    let _ = rtp::rtcp::bye_sources(packet).count();
    let suite = match choice & 3 {
        0 => Suite::AesCm128HmacSha1_80,
        1 => Suite::AesCm128HmacSha1_32,
        2 => Suite::AesCm256HmacSha1_80,
        _ => Suite::AeadAes128Gcm,
    };
    let key = MasterKey::new(suite, &[7; 64][..suite.master_len()]).expect("the suite's length");
    let mut inbound = SrtpInbound::new(&key, choice >> 6);
    let before = packet.to_vec();
    let mut copy = before.clone();
    if inbound.unprotect_rtp(&mut copy).is_err() {
        assert_eq!(copy, before, "a refused packet is left as it was");
    }
    let mut copy = before.clone();
    if inbound.unprotect_rtcp(&mut copy).is_err() {
        assert_eq!(copy, before, "a refused packet is left as it was");
    }
});
