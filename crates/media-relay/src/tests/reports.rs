use rtp::rtcp::{Compound, Packet, ReportBlock, SenderInfo, Writer};

use super::*;

fn report(ssrc: u32, sender: Option<SenderInfo>, blocks: &[ReportBlock]) -> Vec<u8> {
    let mut buf = [0; 256];
    let writer = Writer::new(&mut buf, 0)
        .report(ssrc, sender.as_ref(), blocks)
        .unwrap();
    let len = writer.cname(ssrc, b"secret@192.0.2.1").unwrap().finish();
    buf[..len].to_vec()
}

fn read(packet: &[u8]) -> (u32, Option<SenderInfo>, Vec<ReportBlock>) {
    match Compound::parse(packet).unwrap().packets().next() {
        Some(Packet::SenderReport(info, report)) => {
            (report.ssrc, Some(info), report.blocks().collect())
        }
        Some(Packet::ReceiverReport(report)) => (report.ssrc, None, report.blocks().collect()),
        other => panic!("{other:?}"),
    }
}

fn talk(world: &mut World, packets: u64) {
    for _ in 0..packets {
        world.pass_ms(20);
        let (a, b) = (world.stats(A).received, world.stats(B).received);
        world.rtp(1, &packet(7, 100 + a)).unwrap();
        world.rtp(2, &packet(8, 60_000 + b)).unwrap();
    }
}

#[test]
fn reports_are_carried_with_the_other_sides_numbers() {
    let mut world = World::joined(plain(1), plain(2));
    talk(&mut world, 10);
    // Leg A's source changes, so that the offsets are not zero.
    world.pass_ms(20);
    world.rtp(1, &packet(17, 40_000)).unwrap();
    let seen = world.rtp(1, &packet(17, 40_001)).unwrap();
    let (sequence, timestamp) = (header(&seen).sequence, header(&seen).timestamp);

    let info = SenderInfo {
        ntp: 5 << 32,
        rtp_timestamp: (40_001u32).wrapping_mul(160),
        packets: 3,
        octets: 9,
    };
    let sent = report(17, Some(info), &[]);
    let (transmit, seen) = world.give(1, true, party_rtcp(1), &sent).unwrap();
    assert_eq!((transmit.to, transmit.rtcp), (party_rtcp(2), true));
    let (ssrc, seen_info, _) = read(&seen);
    let expected = SenderInfo {
        rtp_timestamp: timestamp,
        packets: 12,
        octets: 12 * 160,
        ..info
    };
    assert_eq!((ssrc, seen_info), (0x1002, Some(expected)));
    assert!(
        !seen.windows(6).any(|window| window == b"secret"),
        "names stay on their side"
    );

    let block = ReportBlock {
        ssrc: 0x1002,
        highest: sequence.into(),
        last_sr: info.compact_ntp(),
        delay: 5,
        ..ReportBlock::default()
    };
    let back = report(8, None, &[block, ReportBlock { ssrc: 99, ..block }]);
    let (transmit, seen) = world.give(2, true, party_rtcp(2), &back).unwrap();
    assert_eq!(transmit.to, party_rtcp(1));
    let (ssrc, none, blocks) = read(&seen);
    let expected = ReportBlock {
        ssrc: 17,
        highest: 40_001,
        ..block
    };
    assert_eq!((ssrc, none, blocks), (0x1001, None, vec![expected]));
    assert_eq!(
        (world.stats(A).received_rtcp, world.stats(B).sent_rtcp),
        (1, 1)
    );
}

#[test]
fn both_sides_get_reports_although_neither_sends_any() {
    let mut world = World::joined(plain(1), secure(2, 1, 2));
    let mut reader = context(2);
    let mut counts = [0; 2];
    for index in 0..50 * 60u64 {
        for (_, transmit, datagram) in world.run(Duration::from_millis(20)) {
            let leg = usize::from(transmit.ports == PortPairId(2));
            assert_eq!(transmit.to, [party_rtcp(1), party_rtcp(2)][leg]);
            let clear = if leg == 1 {
                reader.decrypt_rtcp(&datagram).unwrap()
            } else {
                datagram.into()
            };
            let (ssrc, sender, blocks) = read(&clear);
            assert_eq!(ssrc, [0x1001, 0x1002][leg]);
            // Only leg A speaks.
            assert_eq!((sender.is_some(), blocks.len()), (leg == 1, 1 - leg));
            counts[leg] += 1;
        }
        world.rtp(1, &packet(7, index)).unwrap();
    }
    assert!(
        counts.iter().all(|count| (11..=12).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn reports_go_on_during_hold_and_stop_where_the_other_side_gives_them() {
    let held = LegParams {
        send: false,
        receive: false,
        ..plain(1)
    };
    let mut world = World::joined(held, plain(2));
    talk(&mut world, 0);
    let sent = world.run(Duration::from_secs(60));
    for leg in [1, 2] {
        let count = sent
            .iter()
            .filter(|(_, t, _)| t.ports == PortPairId(leg))
            .count();
        assert_eq!(count, 12, "leg {leg}");
    }
    world.update(A, plain(1));
    talk(&mut world, 3);
    let mut own = 0;
    for n in 0..10 {
        let info = SenderInfo {
            ntp: n << 32,
            ..SenderInfo::default()
        };
        world
            .give(1, true, party_rtcp(1), &report(7, Some(info), &[]))
            .unwrap();
        let sent = world.run(Duration::from_secs(4));
        own += sent
            .iter()
            .filter(|(_, t, _)| t.ports == PortPairId(2))
            .count();
    }
    assert_eq!(own, 0);
}

#[test]
fn multiplexed_rtcp_uses_the_rtp_port() {
    let a = LegParams {
        rtcp_mux: true,
        ..secure(1, 1, 2)
    };
    let mut world = World::joined(a, plain(2));
    talk_secure(&mut world);
    let mut out = context(1);
    let sr = report(7, Some(SenderInfo::default()), &[]);
    let protected = out.encrypt_rtcp(&sr).unwrap();
    let (transmit, _) = world.give(1, false, party(1), &protected).unwrap();
    assert_eq!((transmit.to, transmit.rtcp), (party_rtcp(2), true));
    assert_eq!(
        world.give(1, false, party(1), &protected),
        Err(DropReason::Replay)
    );
    let sent = world.run(Duration::from_secs(6));
    let (_, transmit, _) = sent
        .iter()
        .find(|(_, t, _)| t.ports == PortPairId(1))
        .unwrap();
    assert_eq!((transmit.to, transmit.rtcp), (party(1), false));
}

fn talk_secure(world: &mut World) {
    let mut out = context(1);
    for index in 0..3 {
        world
            .rtp(1, &out.encrypt_rtp(&packet(7, index)).unwrap())
            .unwrap();
        world.rtp(2, &packet(8, index)).unwrap();
    }
}

#[test]
fn floods_of_rtcp_are_cut_and_rtp_does_not_notice() {
    let mut world = World::joined(plain(1), plain(2));
    let mut carried = 0;
    for index in 0..500 {
        world.pass_ms(20);
        world.rtp(1, &packet(7, index)).unwrap();
        for _ in 0..200 {
            let sr = report(7, Some(SenderInfo::default()), &[]);
            match world.give(1, true, party_rtcp(1), &sr) {
                Ok(_) => carried += 1,
                Err(reason) => assert_eq!(reason, DropReason::RtcpRate),
            }
        }
    }
    assert!((500..=550).contains(&carried), "{carried} in ten seconds");
}

#[test]
fn a_goodbye_is_for_the_leg_that_ends() {
    let mut world = World::joined(plain(1), plain(2));
    talk(&mut world, 3);
    let mut buf = [0; 64];
    let len = Writer::new(&mut buf, 0)
        .report(7, None, &[])
        .unwrap()
        .bye(7)
        .unwrap()
        .finish();
    let bye = buf[..len].to_vec();
    assert_eq!(
        world.give(1, true, party_rtcp(1), &bye),
        Err(DropReason::RtcpAbsorbed)
    );
    world.rtp(1, &packet(70, 0)).unwrap();
    world.command(MediaCommand::CloseLeg { leg: A });
    let sent = world.run(Duration::ZERO);
    let [(_, transmit, farewell)] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(transmit.to, party_rtcp(1));
    assert!(
        Compound::parse(farewell)
            .unwrap()
            .packets()
            .any(|p| matches!(p, Packet::Bye(_)))
    );
}

#[test]
fn what_the_peer_reports_of_us_is_counted() {
    let mut world = World::joined(plain(1), plain(2));
    talk(&mut world, 3);
    let block = ReportBlock {
        ssrc: 0x1001,
        fraction_lost: 25,
        lost: 4,
        jitter: 80,
        ..ReportBlock::default()
    };
    world
        .give(1, true, party_rtcp(1), &report(7, None, &[block]))
        .unwrap();
    let stats = world.stats(A);
    assert_eq!(
        (
            stats.remote_fraction_lost,
            stats.remote_lost,
            stats.remote_jitter
        ),
        (25, 4, 80)
    );
    let mut cut = report(7, None, &[block]);
    cut.truncate(20);
    assert_eq!(
        world.give(1, true, party_rtcp(1), &cut),
        Err(DropReason::MalformedRtcp)
    );
}
