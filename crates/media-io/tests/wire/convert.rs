//! Speech that is converted by a thread of its own.

use media_relay::{Conversion, Law, PtMap, Speech};

use super::*;

on_every_path!(
    speech_crosses_between_codecs_in_order_and_beside_other_calls,
    a_flood_of_speech_to_convert_is_dropped_in_numbers_and_not_in_calls
);

const LEGS: [(Speech, u8); 2] = [(Speech::G711(Law::Ulaw), 0), (Speech::G722, 9)];

/// Parameters of a leg that speaks the first codec towards one that speaks the second.
fn params(party: &Party, own: (Speech, u8), across: (Speech, u8)) -> LegParams {
    LegParams {
        pt_map: PtMap::empty(),
        conversion: Some(Box::new(Conversion {
            from: vec![(across.1, across.0)],
            to: own.0,
            payload_type: own.1,
        })),
        ..party.params()
    }
}

pub(crate) fn speech_crosses_between_codecs_in_order_and_beside_other_calls(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 28_100..=28_139);
    let pairs = plane.bind(0, 4);
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    let (mut c, mut d) = (Party::plain(LOOPBACK, 3), Party::plain(LOOPBACK, 4));
    plane.open(1, pairs[0], params(&a, LEGS[0], LEGS[1]));
    plane.open(2, pairs[1], params(&b, LEGS[1], LEGS[0]));
    plane.open(3, pairs[2], c.params());
    plane.open(4, pairs[3], d.params());
    plane.join(1, 2);
    plane.join(3, 4);
    plane.settle(3);
    let first = a.next;
    for round in 0..10u16 {
        for _ in 0..20 {
            a.send(pairs[0].rtp());
        }
        talk(&mut c, &mut d, [pairs[2], pairs[3]], 20);
        for n in 0..20 {
            let (packet, source) = b.receive().expect("nothing may be lost on loopback");
            let sequence = first.wrapping_add(round * 20 + n);
            assert_eq!(packet[2..4], sequence.to_be_bytes(), "round {round}");
            assert_eq!((packet[1] & 0x7f, packet.len()), (9, 172));
            assert_eq!(source, pairs[1].rtp());
        }
    }
    let settled = plane.media.counters().total();
    assert_eq!((settled.converted, settled.unconverted), (200, 0));
    for (leg, sent) in [(1, 0), (2, 200), (3, 200), (4, 200)] {
        let stats = plane.close(leg);
        assert_eq!((stats.sent, stats.dropped.total()), (sent, 0), "leg {leg}");
    }
}

pub(crate) fn a_flood_of_speech_to_convert_is_dropped_in_numbers_and_not_in_calls(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 28_140..=28_179);
    let pairs = plane.bind(0, 2);
    let (mut a, b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
    plane.open(1, pairs[0], params(&a, LEGS[0], LEGS[1]));
    plane.open(2, pairs[1], params(&b, LEGS[1], LEGS[0]));
    plane.join(1, 2);
    plane.settle(1);
    let mut sent = 0;
    while sent < 20_000 {
        a.send(pairs[0].rtp());
        sent += 1;
    }
    // All that the shard received is accounted for, once it is through with them.
    let end = Instant::now() + PATIENCE;
    let total = loop {
        plane.settle(1);
        let total = plane.media.counters().total();
        if total.converted + total.dropped == total.received {
            break total;
        }
        assert!(Instant::now() < end, "{total:?}");
    };
    assert!(total.received > 1000, "{total:?}");
    let stats = plane.close(1);
    let busy = stats.dropped[media_relay::DropReason::ConverterBusy];
    // A path may have turned some away, which the shard never received.
    let turned_away = stats.dropped[media_relay::DropReason::TurnedAway];
    assert_eq!(
        (busy, stats.dropped.total() - turned_away),
        (total.unconverted, total.dropped)
    );
    assert!(turned_away == 0 || path == PathKind::Steered);
}
