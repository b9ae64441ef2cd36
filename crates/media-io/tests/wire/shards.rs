//! Legs that move between shards, end by a fault, or all at once.

use super::*;

on_every_path!(
    legs_of_two_shards_are_joined_again_and_again,
    what_comes_while_a_leg_moves_goes_after_it,
    a_fault_ends_its_leg_and_no_other,
    stopping_says_goodbye_on_every_leg
);

pub(crate) fn legs_of_two_shards_are_joined_again_and_again(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 41_040..=41_079);
    let pairs = [
        plane.bind(0, 1)[0],
        plane.bind(1, 1)[0],
        plane.bind(1, 1)[0],
    ];
    let mut parties = [
        Party::plain(LOOPBACK, 1),
        Party::secure(LOOPBACK, 2),
        Party::secure(LOOPBACK, 3),
    ];
    for (n, (party, pair)) in (1..).zip(parties.iter().zip(pairs)) {
        plane.open(n, pair, party.params());
    }
    let [a, b, c] = &mut parties;
    for _ in 0..10 {
        plane.join(1, 2);
        plane.settle(1);
        talk(a, b, [pairs[0], pairs[1]], 16);
        plane.join(3, 1);
        plane.settle(3);
        talk(c, a, [pairs[2], pairs[0]], 16);
        plane.join(2, 3);
        plane.join(1, 2);
        plane.join(2, 3);
        plane.settle(2);
        talk(b, c, [pairs[1], pairs[2]], 16);
    }
    for leg in 1..=3 {
        let stats = plane.close(leg);
        assert_eq!(
            (stats.received, stats.lost, stats.dropped.total()),
            (320, 0, 0),
            "leg {leg}"
        );
    }
    // The pairs can be used again wherever they are by now.
    for (n, (party, pair)) in (11..).zip(parties.iter().zip(pairs)) {
        plane.open(n, pair, party.params());
        plane.settle(n);
        plane.close(n);
    }
    plane.command(MediaCommand::ReleasePorts {
        pairs: pairs.map(|pair| pair.id).to_vec(),
    });
    let end = Instant::now() + PATIENCE;
    while plane.media.counters().total().ports > 0 {
        assert!(Instant::now() < end, "all ports are released");
        std::thread::yield_now();
    }
    for pair in pairs {
        UdpSocket::bind(pair.rtp()).unwrap();
        UdpSocket::bind(pair.rtcp()).unwrap();
    }
}

pub(crate) fn what_comes_while_a_leg_moves_goes_after_it(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 28_220..=28_259);
    let pairs = [plane.bind(0, 1)[0], plane.bind(1, 1)[0]];
    let (mut a, b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.settle(1);
    let mut sent = 0;
    for _ in 0..300 {
        // The first leg goes to the second one's shard, and is back at home when opened again.
        for _ in 0..4 {
            a.send(pairs[0].rtp());
            sent += 1;
        }
        plane.join(2, 1);
        for _ in 0..4 {
            a.send(pairs[0].rtp());
            sent += 1;
        }
        plane.join(1, 2);
        plane.settle(1);
        plane.join(2, 1);
        plane.settle(2);
        let other = plane.bind(0, 1)[0];
        plane.open(3, other, b.params());
        plane.join(3, 1);
        plane.settle(3);
        plane.close(3);
        plane.command(MediaCommand::ReleasePorts {
            pairs: vec![other.id],
        });
        // So many may be on their way after a leg, and no more.
        let end = Instant::now() + PATIENCE;
        while plane.media.counters().total().received < sent {
            assert!(Instant::now() < end, "all of them come");
            plane.settle(1);
        }
    }
    plane.settle(1);
    let total = plane.media.counters().total();
    assert_eq!((total.received, total.no_leg), (sent, 0));
    let stats = plane.close(1);
    assert_eq!((stats.received, stats.lost), (sent, 0));
}

pub(crate) fn a_fault_ends_its_leg_and_no_other(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 41_160..=41_199);
    let pairs = plane.bind(0, 4);
    let mut parties: Vec<_> = (1..=4).map(|n| Party::plain(LOOPBACK, n)).collect();
    for (n, (party, pair)) in (1..).zip(parties.iter().zip(&pairs)) {
        plane.open(n, *pair, party.params());
    }
    plane.join(1, 2);
    plane.join(3, 4);
    plane.settle(3);
    parties[0]
        .socket
        .send_to(PLANTED_FAULT, pairs[0].rtp())
        .unwrap();
    let error = plane.event(|event| match event {
        MediaEvent::Failed {
            leg: LegId(1),
            error,
        } => Some(*error),
        _ => None,
    });
    assert_eq!(error, MediaError::Internal);
    let [_, _, c, d] = &mut parties[..] else {
        panic!()
    };
    talk(c, d, [pairs[2], pairs[3]], 150);
    plane.settle(2);
    let total = plane.media.counters().total();
    assert_eq!((total.faults, total.legs), (1, 3));
    // Its ports are free for the next call.
    plane.open(5, pairs[0], parties[0].params());
    plane.join(5, 2);
    plane.settle(5);
    let [a, b, ..] = &mut parties[..] else {
        panic!()
    };
    talk(a, b, [pairs[0], pairs[1]], 20);
}

pub(crate) fn stopping_says_goodbye_on_every_leg(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 41_240..=41_279);
    let pairs = [plane.bind(0, 1)[0], plane.bind(1, 1)[0]];
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
    let rtcp = [
        UdpSocket::bind((LOOPBACK, 0)).unwrap(),
        UdpSocket::bind((LOOPBACK, 0)).unwrap(),
    ];
    for (n, (party, pair)) in (1..).zip([&a, &b].into_iter().zip(pairs)) {
        let mut params = party.params();
        params.remotes[0].rtcp = rtcp[n as usize - 1].local_addr().unwrap();
        plane.open(n, pair, params);
    }
    plane.join(1, 2);
    plane.settle(1);
    talk(&mut a, &mut b, pairs, 5);
    let Plane { media, events } = plane;
    media.stop();
    let mut closed = Vec::new();
    while let Some(event) = events.recv() {
        if let MediaEvent::Closed { leg, .. } = event {
            closed.push(leg.0);
        }
    }
    closed.sort_unstable();
    assert_eq!(closed, [1, 2]);
    for socket in rtcp {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buf = [0; 256];
        let len = socket.recv(&mut buf).unwrap();
        assert_eq!(buf[len - 7], 203, "the compound ends in a BYE");
    }
}
