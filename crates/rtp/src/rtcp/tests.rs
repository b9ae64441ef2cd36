use proptest::prelude::*;
use rtcp_types::{
    Packet as Theirs, ReportBlock as TheirBlock, RtcpPacketWriterExt, Sdes, SdesChunk, SdesItem,
    SenderReport as TheirSr,
};

use super::*;

const INFO: SenderInfo = SenderInfo {
    ntp: 0x0102_0304_0506_0708,
    rtp_timestamp: 1000,
    packets: 5,
    octets: 800,
};

fn block(ssrc: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 3,
        lost: 17,
        highest: 0x0002_0005,
        jitter: 44,
        last_sr: INFO.compact_ntp(),
        delay: 65_536,
    }
}

fn built() -> Vec<u8> {
    let mut buf = [0; 256];
    let writer = Writer::new(&mut buf, 0);
    let writer = writer
        .report(10, Some(&INFO), &[block(20), block(30)])
        .unwrap();
    let len = writer.cname(10, b"name").unwrap().bye(10).unwrap().finish();
    buf[..len].to_vec()
}

#[test]
fn another_library_reads_what_we_build() {
    let packet = built();
    let mut parts = rtcp_types::Compound::parse(&packet)
        .unwrap()
        .map(Result::unwrap);
    let Some(Theirs::Sr(sr)) = parts.next() else {
        panic!("no SR")
    };
    assert_eq!(
        (sr.ssrc(), sr.ntp_timestamp(), sr.rtp_timestamp()),
        (10, INFO.ntp, 1000)
    );
    assert_eq!(
        (sr.packet_count(), sr.octet_count(), sr.n_reports()),
        (5, 800, 2)
    );
    let first = sr.report_blocks().next().unwrap();
    assert_eq!(
        (first.ssrc(), first.fraction_lost(), first.cumulative_lost()),
        (20, 3, 17)
    );
    assert_eq!(first.extended_sequence_number(), 0x0002_0005);
    let Some(Theirs::Sdes(sdes)) = parts.next() else {
        panic!("no SDES")
    };
    let chunk = sdes.chunks().next().unwrap();
    assert_eq!(
        (chunk.ssrc(), chunk.items().next().unwrap().value()),
        (10, &b"name"[..])
    );
    let Some(Theirs::Bye(bye)) = parts.next() else {
        panic!("no BYE")
    };
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [10]);
    assert!(parts.next().is_none());
}

#[test]
fn canonical_names_of_every_length_are_padded_right() {
    for len in 0..40 {
        let mut buf = [0xff; 256];
        let name = vec![b'n'; len];
        let writer = Writer::new(&mut buf, 0).report(1, None, &[]).unwrap();
        let end = writer.cname(1, &name).unwrap().finish();
        Compound::parse(&buf[..end]).unwrap();
        let sdes = <Sdes<'_> as RtcpPacketParser>::parse(&buf[8..end]).unwrap();
        assert_eq!(
            sdes.chunks()
                .next()
                .unwrap()
                .items()
                .next()
                .unwrap()
                .value(),
            name
        );
    }
}

#[test]
fn we_read_what_another_library_builds() {
    let their_block = TheirBlock::builder(20)
        .cumulative_lost(9)
        .extended_sequence_number(77);
    let builder =
        rtcp_types::Compound::builder()
            .add_packet(
                TheirSr::builder(10)
                    .ntp_timestamp(INFO.ntp)
                    .add_report_block(their_block),
            )
            .add_packet(Sdes::builder().add_chunk(
                SdesChunk::builder(10).add_item(SdesItem::builder(SdesItem::CNAME, "x@y")),
            ))
            .add_packet(Bye::builder().add_source(10).add_source(11).reason("gone"));
    let mut buf = [0; 256];
    let len = builder.write_into(&mut buf).unwrap();
    let packets: Vec<_> = Compound::parse(&buf[..len]).unwrap().packets().collect();
    let [
        Packet::SenderReport(info, report),
        Packet::Other(SDES),
        Packet::Bye(bye),
    ] = &packets[..]
    else {
        panic!("{packets:?}")
    };
    assert_eq!((info.ntp, report.ssrc), (INFO.ntp, 10));
    assert_eq!(
        report
            .blocks()
            .map(|b| (b.ssrc, b.lost, b.highest))
            .collect::<Vec<_>>(),
        [(20, 9, 77)]
    );
    assert_eq!(bye_sources(bye).collect::<Vec<_>>(), [10, 11]);
}

#[test]
fn reports_are_edited_in_place() {
    let mut packet = built();
    let edit = ReportEdit {
        sender_ssrc: 110,
        timestamp_offset: 5u32.wrapping_neg(),
        counts: (50, 8000),
        reported_ssrc: 30,
        source_ssrc: 130,
        sequence_offset: 0x0001_0000,
        relayed_sr: Some(INFO.compact_ntp()),
    };
    let len = edit_report(&mut packet, &edit).unwrap();
    let compound = Compound::parse(&packet[..len]).unwrap();
    let Some(Packet::SenderReport(info, report)) = compound.packets().next() else {
        panic!()
    };
    assert_eq!(report.ssrc, 110);
    assert_eq!(
        info,
        SenderInfo {
            rtp_timestamp: 995,
            packets: 50,
            octets: 8000,
            ..INFO
        }
    );
    let right = ReportBlock {
        ssrc: 130,
        highest: 0x0001_0005,
        ..block(30)
    };
    assert_eq!(report.blocks().collect::<Vec<_>>(), [right]);

    let mut packet = built();
    let len = edit_report(
        &mut packet,
        &ReportEdit {
            relayed_sr: None,
            ..edit
        },
    )
    .unwrap();
    let compound = Compound::parse(&packet[..len]).unwrap();
    let Some(Packet::SenderReport(_, report)) = compound.packets().next() else {
        panic!()
    };
    assert_eq!(
        report.blocks().collect::<Vec<_>>(),
        [ReportBlock {
            last_sr: 0,
            delay: 0,
            ..right
        }]
    );
}

#[test]
fn malformed_compounds_are_told_apart() {
    let good = built();
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        Compound::parse(&packet).map(|_| ()).unwrap_err()
    };
    assert_eq!(refused(&|p| p[1] = SDES), RtcpError::Report);
    assert_eq!(refused(&|p| p[0] = 0x40), RtcpError::Version);
    assert_eq!(refused(&|p| p[76] = 0x41), RtcpError::Version);
    assert_eq!(refused(&|p| p[0] |= 0x20), RtcpError::Padding);
    assert_eq!(refused(&|p| p[0] |= 0x1f), RtcpError::Count);
    assert_eq!(refused(&|p| p[3] += 50), RtcpError::Length);
    assert_eq!(refused(&|p| p.truncate(p.len() - 1)), RtcpError::Length);
    assert_eq!(refused(&Vec::clear), RtcpError::Report);
    Compound::parse(&good).unwrap();
}

#[test]
fn building_stops_at_the_end_of_the_buffer() {
    let whole = built().len();
    for room in 0..whole {
        let mut buf = vec![0; room];
        let built = Writer::new(&mut buf, 0)
            .report(10, Some(&INFO), &[block(20), block(30)])
            .and_then(|w| w.cname(10, b"name"))
            .and_then(|w| w.bye(10));
        assert!(built.is_none(), "{room}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
        kind in 200u8..206,
        words in 0u8..30,
    ) {
        if let [first, second, high, low, ..] = &mut bytes[..] {
            *first = *first & 0x3f | 0x80;
            (*second, *high, *low) = (kind, 0, words);
        }
        if let Ok(compound) = Compound::parse(&bytes) {
            for packet in compound.packets() {
                match packet {
                    Packet::Bye(bye) => assert!(bye_sources(bye).count() <= 31),
                    Packet::ReceiverReport(report) | Packet::SenderReport(_, report) => {
                        assert!(report.blocks().count() <= 31);
                    }
                    Packet::Other(_) => {}
                }
            }
        }
        let edit = ReportEdit {
            sender_ssrc: 1, timestamp_offset: 1, counts: (1, 1), reported_ssrc: 1, source_ssrc: 1,
            sequence_offset: 1, relayed_sr: None,
        };
        if let Some(len) = edit_report(&mut bytes, &edit) {
            prop_assert!(len <= bytes.len());
        }
    }
}
