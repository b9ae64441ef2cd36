//! Peers that have been heard for a while, and what changes then.

use super::*;

on_every_path!(
    strangers_of_a_settled_call_are_counted_and_not_carried,
    a_settled_peer_that_moves_is_heard_and_settles_again,
    an_update_of_a_settled_call_loses_nothing,
    another_peer_takes_the_place_of_a_settled_one,
    ports_of_an_ended_call_serve_the_next,
);

/// A call between a plain and a secure party, far enough on that both are settled.
fn settled_call(path: PathKind, ports: RangeInclusive<u16>) -> (Plane, [PortPair; 2], [Party; 2]) {
    let mut plane = Plane::start(path, LOOPBACK, ports);
    let (pairs, [mut a, mut b]) = plane.call(0, LOOPBACK);
    talk(&mut a, &mut b, pairs, 100);
    (plane, pairs, [a, b])
}

pub(crate) fn strangers_of_a_settled_call_are_counted_and_not_carried(path: PathKind) {
    let (mut plane, pairs, [mut a, mut b]) = settled_call(path, 42_600..=42_619);
    let mut stranger = Party::plain(LOOPBACK, 1);
    for _ in 0..20 {
        stranger.send(pairs[0].rtp());
        stranger.send(pairs[1].rtp());
        talk(&mut a, &mut b, pairs, 1);
    }
    plane.settle(1);
    for leg in [1, 2] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.lost), (120, 0), "leg {leg}");
        assert_eq!(stats.dropped.total(), 20, "{:?}", stats.dropped);
    }
}

pub(crate) fn a_settled_peer_that_moves_is_heard_and_settles_again(path: PathKind) {
    let (mut plane, pairs, [mut a, mut b]) = settled_call(path, 42_620..=42_639);
    for moved in 1..=3 {
        a.socket = Party::plain(LOOPBACK, 1).socket;
        b.socket
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        let heard = (0..15).any(|_| {
            a.send(pairs[0].rtp());
            b.receive().is_some()
        });
        assert!(heard, "heard again within 300 ms");
        b.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        talk(&mut a, &mut b, pairs, 100);
        plane.settle(1);
        let connected = plane.media.counters().total().connected;
        assert_eq!(connected, 2, "settled again after move {moved}");
    }
    let stats = plane.close(1);
    let now = a.socket.local_addr().unwrap();
    assert_eq!((stats.moves, stats.destination), (3, Some(now)));
}

pub(crate) fn an_update_of_a_settled_call_loses_nothing(path: PathKind) {
    let (mut plane, pairs, [mut a, mut b]) = settled_call(path, 42_640..=42_659);
    for round in 0..50 {
        // What is under way while the update is carried out is carried as well.
        let sent: Vec<_> = (0..4).map(|_| a.send(pairs[0].rtp())).collect();
        plane.command(MediaCommand::UpdateLeg {
            leg: LegId(1),
            params: Box::new(a.params()),
        });
        for sent in sent {
            let (packet, _) = b.receive().expect("nothing is lost by an update");
            assert_eq!(packet[12..], sent, "round {round}");
        }
    }
    talk(&mut a, &mut b, pairs, 20);
    let stats = plane.close(1);
    assert_eq!((stats.received, stats.lost), (320, 0));
    assert_eq!(stats.dropped.total(), 0, "{:?}", stats.dropped);
}

pub(crate) fn another_peer_takes_the_place_of_a_settled_one(path: PathKind) {
    let (mut plane, pairs, [mut a, mut b]) = settled_call(path, 42_660..=42_679);
    let mut c = Party::plain(LOOPBACK, 3);
    plane.command(MediaCommand::UpdateLeg {
        leg: LegId(1),
        params: Box::new(c.params()),
    });
    plane.settle(1);
    // The one before is a stranger now.
    a.send(pairs[0].rtp());
    // The leg keeps its SSRC towards the other side.
    for _ in 0..100 {
        let sent = c.send(pairs[0].rtp());
        let (packet, _) = b.receive().expect("the new peer is heard");
        assert_eq!(packet[12..], sent);
        let sent = b.send(pairs[1].rtp());
        let (packet, source) = c.receive().expect("the new peer is sent to");
        assert_eq!((&packet[12..], source), (&sent[..], pairs[0].rtp()));
    }
    let stats = plane.close(1);
    assert_eq!((stats.received, stats.dropped.total()), (200, 1));
}

pub(crate) fn ports_of_an_ended_call_serve_the_next(path: PathKind) {
    let (mut plane, pairs, [a, b]) = settled_call(path, 42_680..=42_699);
    plane.close(1);
    plane.close(2);
    assert_eq!(plane.media.counters().total().connected, 0);
    drop((a, b));
    let (mut c, mut d) = (Party::plain(LOOPBACK, 3), Party::plain(LOOPBACK, 4));
    plane.open(3, pairs[0], c.params());
    plane.open(4, pairs[1], d.params());
    plane.join(3, 4);
    plane.settle(3);
    talk(&mut c, &mut d, pairs, 100);
    for leg in [3, 4] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.dropped.total()), (100, 0));
    }
}
