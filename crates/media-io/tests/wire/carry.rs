//! Calls on loopback.

use super::*;

on_every_path!(
    audio_crosses_between_plain_and_srtp,
    ipv6_is_served_alike,
    any_address_is_served_alike,
    a_port_that_moves_is_heard_again_within_300_ms,
    the_first_packet_after_a_join_is_carried
);

pub(crate) fn audio_crosses_between_plain_and_srtp(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 41_000..=41_039);
    let (pairs, [mut a, mut b]) = plane.call(0, LOOPBACK);
    talk(&mut a, &mut b, pairs, 200);
    for leg in [1, 2] {
        let stats = plane.close(leg);
        assert_eq!((stats.received, stats.sent, stats.lost), (200, 200, 0));
        assert_eq!(stats.dropped.total(), 0);
    }
    let total = plane.media.counters().total();
    assert_eq!(
        (total.received, total.dropped, total.legs, total.ports),
        (400, 0, 0, 2)
    );
}

pub(crate) fn ipv6_is_served_alike(path: PathKind) {
    let bind = IpAddr::V6(Ipv6Addr::LOCALHOST);
    if UdpSocket::bind((bind, 0)).is_err() {
        return; // a machine without IPv6
    }
    let mut plane = Plane::start(path, bind, 41_220..=41_239);
    let (pairs, [mut a, mut b]) = plane.call(0, bind);
    talk(&mut a, &mut b, pairs, 50);
}

pub(crate) fn any_address_is_served_alike(path: PathKind) {
    let mut plane = Plane::start(path, Ipv4Addr::UNSPECIFIED.into(), 28_260..=28_279);
    let (pairs, [mut a, mut b]) = plane.call(0, LOOPBACK);
    // As the parties reach them, and as they are answered.
    let pairs = pairs.map(|pair| PortPair {
        address: LOOPBACK,
        ..pair
    });
    talk(&mut a, &mut b, pairs, 50);
}

pub(crate) fn a_port_that_moves_is_heard_again_within_300_ms(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 41_080..=41_119);
    let (pairs, [mut a, mut b]) = plane.call(1, LOOPBACK);
    talk(&mut a, &mut b, pairs, 20);

    a.socket = Party::plain(LOOPBACK, 1).socket;
    b.socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    // One packet in 20 ms: fifteen of them are the 300 ms, on a busy machine too.
    let heard = (0..15).any(|_| {
        a.send(pairs[0].rtp());
        b.receive().is_some()
    });
    assert!(heard, "heard again in time");
    b.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    talk(&mut a, &mut b, pairs, 50);
    assert_eq!(plane.close(1).moves, 1);
}

pub(crate) fn the_first_packet_after_a_join_is_carried(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 28_000..=28_099);
    let pairs = plane.bind(0, 2);
    let (mut a, b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    b.socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut buffer = [0; 2048];
    for round in 0..300 {
        plane.command(MediaCommand::Split { leg: LegId(1) });
        plane.settle(1);
        plane.join(1, 2);
        a.send(pairs[0].rtp());
        let heard = b.socket.recv(&mut buffer);
        assert!(heard.is_ok(), "round {round}: {heard:?}");
    }
}
