//! Packets that nobody asked for.

use super::*;

on_every_path!(
    strangers_are_neither_carried_nor_answered,
    a_flood_of_forgeries_at_one_call_loses_no_packet_of_another
);

pub(crate) fn strangers_are_neither_carried_nor_answered(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 41_120..=41_159);
    let pairs = plane.bind(0, 2);
    let stranger = UdpSocket::bind((LOOPBACK, 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    let noise = |a: &Party| {
        let mut copy = Party {
            socket: stranger.try_clone().unwrap(),
            crypt: None,
            ..*a
        };
        for pair in &pairs {
            for _ in 0..10 {
                copy.send(pair.rtp());
                stranger
                    .send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], pair.rtcp())
                    .unwrap();
            }
        }
    };
    noise(&a);
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.join(1, 2);
    plane.settle(1);
    for _ in 0..15 {
        noise(&a);
        talk(&mut a, &mut b, [pairs[0], pairs[1]], 10);
    }
    noise(&a);
    for leg in [1, 2] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.sent, stats.moves), (150, 150, 0));
        assert!(stats.dropped.total() >= 150 * 2, "{:?}", stats.dropped);
    }
    noise(&a);
    assert!(
        stranger.recv(&mut [0; 64]).is_err(),
        "a stranger hears nothing"
    );
}

pub(crate) fn a_flood_of_forgeries_at_one_call_loses_no_packet_of_another(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 28_180..=28_219);
    let pairs = plane.bind(0, 4);
    let (a, b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    let (mut c, mut d) = (Party::plain(LOOPBACK, 3), Party::secure(LOOPBACK, 4));
    for (n, (party, pair)) in (1..).zip([&a, &b, &c, &d].into_iter().zip(&pairs)) {
        plane.open(n, *pair, party.params());
    }
    plane.join(1, 2);
    plane.join(3, 4);
    plane.settle(3);
    let mut stranger = Party::secure(LOOPBACK, 9);
    stranger.socket.set_nonblocking(true).unwrap();
    for _ in 0..500 {
        for _ in 0..10 {
            stranger.send(pairs[0].rtp());
            stranger.send(pairs[1].rtp());
        }
        talk(&mut c, &mut d, [pairs[2], pairs[3]], 1);
    }
    for leg in [3, 4] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.sent, stats.lost), (500, 500, 0));
        assert_eq!(stats.dropped.total(), 0);
    }
    // What the kernel kept of the flood was refused for what it is, and nobody was answered.
    let reasons = [
        media_relay::DropReason::Stranger,
        media_relay::DropReason::BadTag,
    ];
    for (leg, reason) in [1, 2].into_iter().zip(reasons) {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.sent), (0, 0));
        // A path may have turned most of it away before anybody looked.
        let turned_away = stats.dropped[media_relay::DropReason::TurnedAway];
        let looked_at = if path == PathKind::Steered { 0 } else { 1000 };
        assert!(stats.dropped[reason] > looked_at, "{:?}", stats.dropped);
        assert!(stats.dropped.total() > 1000, "{:?}", stats.dropped);
        assert_eq!(stats.dropped.total(), stats.dropped[reason] + turned_away);
        assert!(turned_away == 0 || path == PathKind::Steered);
    }
    assert!(stranger.socket.recv(&mut [0; 64]).is_err());
}
