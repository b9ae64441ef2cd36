//! Packets that nobody asked for.

use super::*;

#[test]
fn strangers_are_neither_carried_nor_answered() {
    let mut plane = Plane::start(LOOPBACK, 41_120..=41_159);
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
                copy.send(pair.rtp);
                stranger
                    .send_to(&[0x80, 201, 0, 1, 0, 0, 0, 1], pair.rtcp)
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
