//! A call under attack, and the calls beside it.

use super::*;

const C: LegId = LegId(3);
const D: LegId = LegId(4);

fn stranger() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 9], 5004))
}

/// A second of forgeries, ten thousand of them, in the pauses of two calls.
#[test]
fn ten_thousand_forgeries_a_second_cost_other_calls_no_packet() {
    let mut world = World::joined(plain(1), secure(2, 10, 20));
    world.open(C, plain(3));
    world.open(D, secure(4, 30, 40));
    world.command(MediaCommand::Join { a: C, b: D });
    let (mut genuine, mut other) = (context(10), context(30));
    let mut wrong = context(99);
    let mut recorded = genuine.encrypt_rtp(&packet(5, 100)).unwrap().to_vec();
    world.rtp(2, &recorded).unwrap();
    let mut sent_to = Vec::new();
    for tick in 0..50u64 {
        sent_to.extend(
            world
                .run(Duration::from_millis(20))
                .into_iter()
                .map(|(_, t, _)| t.to),
        );
        let mut refused = |n, rtcp, datagram: &[u8], reason| {
            let given = world.give(n, rtcp, stranger(), datagram);
            assert_eq!(given.map(|(transmit, _)| transmit.to), Err(reason));
        };
        for n in 0..40 {
            let forged = wrong.encrypt_rtp(&packet(5, 101 + tick * 40 + n)).unwrap();
            refused(2, false, &forged, DropReason::BadTag);
            refused(2, false, &recorded, DropReason::Replay);
            refused(2, false, &packet(6, n), DropReason::BadTag);
            refused(1, false, &packet(6, n), DropReason::Stranger);
            refused(
                1,
                true,
                &[0x80, 201, 0, 1, 0, 0, 0, 1],
                DropReason::Stranger,
            );
        }
        recorded = genuine
            .encrypt_rtp(&packet(5, 101 + tick))
            .unwrap()
            .to_vec();
        world.rtp(2, &recorded).unwrap();
        world.rtp(1, &packet(7, tick)).unwrap();
        world.rtp(3, &packet(8, tick)).unwrap();
        let protected = other.encrypt_rtp(&packet(9, tick)).unwrap();
        world.rtp(4, &protected).unwrap();
    }
    let [a, b, c, d] = [A, B, C, D].map(|leg| world.stats(leg));
    let heard = |stats: &LegStats| (stats.received, stats.sent, stats.lost, stats.moves);
    assert_eq!((heard(&a), heard(&b)), ((50, 51, 0, 0), (51, 50, 0, 0)));
    assert_eq!(a.dropped[DropReason::Stranger], 4000);
    assert_eq!(b.dropped[DropReason::BadTag], 4000);
    assert_eq!(b.dropped[DropReason::Replay], 2000);
    assert_eq!((a.dropped.total(), b.dropped.total()), (4000, 6000));
    for stats in [c, d] {
        assert_eq!(heard(&stats), (50, 50, 0, 0));
        assert_eq!(stats.dropped.total(), 0);
    }
    assert!(!sent_to.contains(&stranger()), "a stranger is not answered");
}

/// RTCP that authenticates is cut at a rate; that of others is not counted against it.
#[test]
fn rtcp_that_anybody_could_send_uses_up_nobodys_rate() {
    let mut world = World::joined(plain(1), plain(2));
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    for _ in 0..10_000 {
        let given = world.give(1, true, stranger(), &report);
        assert_eq!(given.map(|_| ()), Err(DropReason::Stranger));
    }
    let given = world.give(1, true, party_rtcp(1), &report);
    assert_ne!(given.map(|_| ()), Err(DropReason::RtcpRate));
    assert_eq!(world.stats(A).received_rtcp, 1);
}
