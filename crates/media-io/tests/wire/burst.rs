//! More at once than a shard takes in one go.

use super::*;

on_every_path!(what_the_sockets_hold_is_carried_however_much_comes_at_once);

const CALLS: usize = 24;
/// Fewer than a socket with the least room holds.
const PACKETS: usize = 110;

pub(crate) fn what_the_sockets_hold_is_carried_however_much_comes_at_once(path: PathKind) {
    let mut plane = Plane::start(path, LOOPBACK, 42_700..=42_899);
    let mut calls: Vec<_> = (0..CALLS as u64)
        .map(|call| {
            let pairs: [PortPair; 2] = plane.bind(0, 2).try_into().unwrap();
            let (a, b) = (Party::plain(LOOPBACK, 1), Party::plain(LOOPBACK, 2));
            plane.open(2 * call, pairs[0], a.params());
            plane.open(2 * call + 1, pairs[1], b.params());
            plane.join(2 * call, 2 * call + 1);
            plane.settle(2 * call);
            (pairs, a, b)
        })
        .collect();
    // Before their sockets are settled, and after.
    for round in 0..6 {
        let packets: Vec<Vec<_>> = calls
            .iter_mut()
            .map(|(_, a, _)| (0..PACKETS).map(|_| a.packet()).collect())
            .collect();
        for n in 0..PACKETS {
            for ((pairs, a, _), packets) in calls.iter().zip(&packets) {
                a.socket.send_to(&packets[n], pairs[0].rtp()).unwrap();
            }
        }
        for (call, ((_, _, b), packets)) in calls.iter_mut().zip(&packets).enumerate() {
            for (n, packet) in packets.iter().enumerate() {
                let (heard, _) = b.receive().unwrap_or_else(|| {
                    panic!("round {round}, call {call}: packet {n} has not come")
                });
                let place = (round, call, n);
                assert_eq!(heard[2..4], packet[2..4], "{place:?}: in order");
                assert_eq!(heard[12..], packet[12..], "{place:?}");
            }
        }
    }
}
