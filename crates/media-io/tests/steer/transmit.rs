//! What leaves, as an ordinary socket receives it: a wrong checksum would never get there.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use media_io::link::next_hop::BELIEVED;
use media_io::link::transmitter::Transmitter;
use media_io::sys::mmsg::{HEADROOM, Packet, Sent, Slots};
use media_io::sys::packet::{PacketSocket, SentFrom};
use media_relay::Moment;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::RcvBufForce;

use crate::cable::cable;
use crate::namespace::{alone, ip, switch};

const BATCH: usize = 16;
/// One queue has one AF_XDP socket: of two transmitters the second sends from a ring.
const BOTH: [SentFrom; 2] = [SentFrom::Xdp, SentFrom::Ring];

/// Of datagrams in frames that are just short enough for the memory that they are sent from, and
/// just too long.
const LENGTHS_AROUND_LIMITS: [u16; 14] = [
    0, 1, 171, 172, 173, 408, 409, 428, 429, 450, 451, 470, 471, 1400,
];

struct Mouth {
    transmitter: Transmitter,
    slots: Slots,
    now: Moment,
}

impl Mouth {
    fn open() -> Self {
        Self {
            transmitter: Transmitter::open(0, BATCH, 46).unwrap(),
            slots: Slots::new(BATCH),
            now: Moment::from_nanos(1),
        }
    }

    /// Sends so many datagrams of `len` octets, each from a port of its own.
    fn send(&mut self, from: &str, to: &UdpSocket, count: u16, len: u16) -> Sent {
        self.send_of(from, to, &vec![len; count.into()])
    }

    /// The same with lengths of their own.
    fn send_of(&mut self, from: &str, to: &UdpSocket, lengths: &[u16]) -> Sent {
        let (from, to) = (from.parse().unwrap(), to.local_addr().unwrap());
        let mut hop = None;
        for (slot, &len) in (0..).zip(lengths) {
            let buf = &mut self.slots.slot(slot.into())[HEADROOM..];
            buf[..len.into()].fill(slot as u8);
            let start = HEADROOM as u16;
            let packet = Packet { slot, start, len };
            let from = SocketAddr::new(from, 20_000 + slot);
            let (transmitter, slots) = (&mut self.transmitter, &mut self.slots);
            transmitter.send(slots, packet, from, to, &mut hop, self.now);
        }
        self.transmitter.flush(&self.slots, self.now)
    }

    /// The same, and all of them arrive as they were.
    fn deliver(&mut self, from: &str, to: &UdpSocket, count: u16, len: u16) {
        let sent = u32::from(count);
        let all = Sent {
            sent,
            full: 0,
            failed: 0,
        };
        assert_eq!(self.send(from, to, count, len), all);
        let mut buf = [0; 4096];
        for slot in 0..count {
            let (got, source) = to.recv_from(&mut buf).expect("it arrives");
            assert_eq!(
                source,
                SocketAddr::new(from.parse().unwrap(), 20_000 + slot)
            );
            assert_eq!(buf[..got], vec![slot as u8; len.into()]);
        }
    }

    /// Lets answers grow old.
    fn later(&mut self) {
        self.now = self.now + BELIEVED;
    }

    /// From where frames left by this side of the cable.
    fn sent_from(&self) -> Option<SentFrom> {
        let interface = nix::net::if_::if_nametoindex("here0").unwrap();
        self.transmitter.sent_from(interface)
    }

    fn by_kernel(&self) -> u64 {
        self.transmitter.sent_by_kernel()
    }
}

#[test]
fn frames_reach_a_peer_on_the_cable() {
    alone(|| {
        let [v4, v6] = cable();
        let mut mouths = BOTH.map(|_| Mouth::open());
        for (from, to) in [("198.51.100.1", v4), ("2001:db8:1::1", v6)] {
            // Nobody knows the peer's address of Ethernet: the kernel asks, and sends these.
            let by_kernel = mouths[0].by_kernel();
            mouths[0].deliver(from, &to, 3, 172);
            assert_eq!(mouths[0].by_kernel(), by_kernel + 3);
            for (mouth, sent_from) in mouths.iter_mut().zip(BOTH) {
                mouth.later();
                mouth.deliver(from, &to, 1, 172);
                for len in LENGTHS_AROUND_LIMITS {
                    mouth.later();
                    mouth.deliver(from, &to, BATCH as u16, len);
                }
                let by_kernel = mouth.by_kernel();
                for _ in 0..50 {
                    mouth.deliver(from, &to, BATCH as u16, 172);
                }
                assert_eq!(mouth.by_kernel(), by_kernel, "all of them are frames");
                assert_eq!(mouth.sent_from(), Some(sent_from));
            }
        }
    });
}

/// More of them than there is room for, and none that is too long for it.
#[test]
fn short_frames_are_sent_from_shared_memory() {
    alone(|| {
        let interface = nix::net::if_::if_nametoindex("lo").unwrap();
        let mut sockets = BOTH.map(|_| PacketSocket::open(interface, 0, BATCH).unwrap());
        let slots = Slots::new(BATCH);
        for (socket, sent_from) in sockets.iter_mut().zip(BOTH) {
            assert_eq!(socket.sent_from(), sent_from);
            for (len, batches) in [(400, 40), (1400, 1)] {
                for _ in 0..batches {
                    for slot in 0..BATCH as u16 {
                        let frame = Packet {
                            slot,
                            start: 0,
                            len,
                        };
                        assert!(socket.push(frame));
                    }
                    assert_eq!(socket.flush(&slots).sent, BATCH as u32);
                }
                assert_eq!(socket.sent_from_shared(), 40 * BATCH as u64);
            }
        }
    });
}

/// The kernel takes 32 a call.
#[test]
fn as_many_frames_as_there_is_room_for_leave_at_once() {
    alone(|| {
        let interface = nix::net::if_::if_nametoindex("lo").unwrap();
        let mut sockets = BOTH.map(|_| PacketSocket::open(interface, 0, 300).unwrap());
        let slots = Slots::new(1);
        for (socket, shared) in sockets.iter_mut().zip([256, 256]) {
            let frame = Packet {
                slot: 0,
                start: 0,
                len: 200,
            };
            for _ in 0..2 {
                let before = socket.sent_from_shared();
                for _ in 0..300 {
                    assert!(socket.push(frame));
                }
                assert_eq!(socket.flush(&slots).sent, 300);
                assert_eq!(socket.sent_from_shared() - before, shared);
            }
        }
    });
}

/// They are counted as lost, and would be old.
#[test]
fn frames_that_found_a_link_down_do_not_leave_when_it_is_up() {
    alone(|| {
        let interface = nix::net::if_::if_nametoindex("lo").unwrap();
        let mut socket = PacketSocket::open(interface, 0, BATCH).unwrap();
        assert_eq!(socket.sent_from(), SentFrom::Xdp);
        let slots = Slots::new(1);
        let mut send = |count| {
            for _ in 0..count {
                let frame = Packet {
                    slot: 0,
                    start: 0,
                    len: 200,
                };
                assert!(socket.push(frame));
            }
            socket.flush(&slots)
        };
        assert_eq!(send(4).sent, 4);
        ip("link set lo down");
        let lost = send(4);
        assert_eq!((lost.sent, lost.full, lost.failed), (0, 0, 4));
        ip("link set lo up");
        let after = send(2);
        assert_eq!(after.sent + after.full + after.failed, 2);
    });
}

/// An interface has a limited number of queues, and a shard has one of them.
#[test]
fn a_shard_without_a_queue_sends_from_a_ring() {
    alone(|| {
        let interface = nix::net::if_::if_nametoindex("lo").unwrap();
        let socket = PacketSocket::open(interface, 1000, BATCH).unwrap();
        assert_eq!(socket.sent_from(), SentFrom::Ring);
    });
}

/// A stream may be of packets that are too long for the ring and others that are not.
#[test]
fn frames_leave_in_the_order_in_which_they_came() {
    const LENGTHS: [u16; 8] = [172, 1000, 172, 30, 1000, 1000, 429, 172];
    alone(|| {
        let [v4, v6] = cable();
        let mut mouths = BOTH.map(|_| Mouth::open());
        for (from, to) in [("198.51.100.1", v4), ("2001:db8:1::1", v6)] {
            for (mouth, sent_from) in mouths.iter_mut().zip(BOTH) {
                mouth.deliver(from, &to, 1, 172);
                mouth.later();
                mouth.deliver(from, &to, 1, 172);
                let by_kernel = mouth.by_kernel();
                assert_eq!(mouth.send_of(from, &to, &LENGTHS).sent, 8);
                assert_eq!(mouth.by_kernel(), by_kernel, "all of them are frames");
                let came = LENGTHS.map(|_| to.recv(&mut [0; 2048]).expect("it arrives"));
                assert_eq!(came, LENGTHS.map(usize::from));
                assert_eq!(mouth.sent_from(), Some(sent_from));
            }
        }
    });
}

/// The memory that frames are sent from is written again long before a slow receiver reads them.
#[test]
fn a_frame_stays_as_it_was_until_it_is_read() {
    // Not a divisor of the frames that there is memory for.
    const FRAMES: u16 = 15;
    const BATCHES: u16 = 40;
    alone(|| {
        let [v4, _] = cable();
        setsockopt(&v4, RcvBufForce, &(4 * 1024 * 1024)).unwrap();
        let mut mouths = BOTH.map(|_| Mouth::open());
        for (mouth, sent_from) in mouths.iter_mut().zip(BOTH) {
            mouth.deliver("198.51.100.1", &v4, 1, 172);
            mouth.later();
            mouth.deliver("198.51.100.1", &v4, 1, 172);
            let by_kernel = mouth.by_kernel();
            for batch in 0..BATCHES {
                let sent = mouth.send("198.51.100.1", &v4, FRAMES, 100 + batch);
                assert_eq!(sent.sent, FRAMES.into());
            }
            assert_eq!(mouth.by_kernel(), by_kernel, "all of them are frames");
            assert_eq!(mouth.sent_from(), Some(sent_from));
            let mut buf = [0; 2048];
            for batch in 0..BATCHES {
                for slot in 0..FRAMES as u8 {
                    let got = v4.recv(&mut buf).expect("it arrives");
                    assert_eq!(buf[..got], vec![slot; (100 + batch).into()]);
                }
            }
        }
    });
}

#[test]
fn a_doubtful_neighbour_is_asked_by_a_packet_of_the_kernel() {
    alone(|| {
        let [v4, _] = cable();
        let mut mouth = Mouth::open();
        mouth.deliver("198.51.100.1", &v4, 1, 172);
        ip("neighbour change 198.51.100.2 dev here0 nud stale");
        mouth.later();
        mouth.deliver("198.51.100.1", &v4, 1, 172);
        let by_kernel = mouth.by_kernel();
        mouth.deliver("198.51.100.1", &v4, 8, 172);
        assert_eq!(mouth.by_kernel(), by_kernel + 1);
    });
}

#[test]
fn a_neighbour_that_moves_is_followed_within_a_second() {
    alone(|| {
        let [v4, _] = cable();
        let mut mouth = Mouth::open();
        mouth.deliver("198.51.100.1", &v4, 1, 172);
        ip("neighbour replace 198.51.100.2 lladdr 02:00:00:00:00:01 nud permanent dev here0");
        mouth.later();
        mouth.send("198.51.100.1", &v4, 1, 172);
        v4.set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        while v4.recv(&mut [0; 2048]).is_ok() {}
        assert_eq!(mouth.send("198.51.100.1", &v4, 1, 172).sent, 1);
        assert!(v4.recv(&mut [0; 2048]).is_err(), "it went to somebody else");
        ip("neighbour delete 198.51.100.2 dev here0");
        mouth.later();
        mouth.send("198.51.100.1", &v4, 1, 172);
        v4.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        mouth.deliver("198.51.100.1", &v4, 1, 172);
    });
}

#[test]
fn what_is_longer_than_the_link_allows_is_counted() {
    alone(|| {
        let [v4, v6] = cable();
        for (from, to, longest) in [("198.51.100.1", v4, 1472), ("2001:db8:1::1", v6, 1452)] {
            let mut mouth = Mouth::open();
            for _ in 0..3 {
                mouth.deliver(from, &to, 1, longest);
                let too_long = mouth.send(from, &to, 2, longest + 1);
                assert_eq!((too_long.sent, too_long.failed), (0, 2));
                mouth.later();
            }
        }
    });
}

#[test]
fn a_link_that_goes_away_fails_and_is_found_again() {
    alone(|| {
        let [v4, _] = cable();
        let mut mouth = Mouth::open();
        for _ in 0..3 {
            mouth.deliver("198.51.100.1", &v4, 4, 172);
            mouth.later();
        }
        ip("link set here0 down");
        let lost = mouth.send("198.51.100.1", &v4, 4, 172);
        assert_eq!((lost.sent, lost.full + lost.failed), (0, 4));
        ip("link set here0 up");
        // What was known of the link is not believed any more.
        let by_kernel = mouth.by_kernel();
        mouth.deliver("198.51.100.1", &v4, 4, 172);
        assert_eq!(mouth.by_kernel(), by_kernel + 4);
        for _ in 0..3 {
            mouth.later();
            mouth.deliver("198.51.100.1", &v4, 4, 172);
        }
        let by_kernel = mouth.by_kernel();
        mouth.deliver("198.51.100.1", &v4, 4, 172);
        assert_eq!(mouth.by_kernel(), by_kernel, "frames again");
    });
}

#[test]
fn this_host_is_reached_by_frames_only_where_it_takes_them() {
    alone(|| {
        let addresses = ["192.0.2.2", "127.0.0.1", "2001:db8::1", "::1"];
        for (switches, framed) in [
            (&[][..], [false, false, true, true]),
            (&["accept_local"], [true, false, true, true]),
            (&["accept_local", "route_localnet"], [true; 4]),
        ] {
            for name in switches {
                switch(&format!("ipv4/conf/lo/{name}"), "1");
            }
            for (address, framed) in addresses.into_iter().zip(framed) {
                let mut mouth = Mouth::open();
                let port = 4000;
                let at = SocketAddr::new(address.parse().unwrap(), port);
                let peer = UdpSocket::bind(at).unwrap();
                peer.set_read_timeout(Some(Duration::from_secs(10)))
                    .unwrap();
                let from = match address {
                    "192.0.2.2" => "192.0.2.1",
                    own => own,
                };
                mouth.deliver(from, &peer, 2, 172);
                assert_eq!(mouth.by_kernel(), 2);
                mouth.deliver(from, &peer, BATCH as u16, 172);
                assert_eq!(mouth.by_kernel() == 2, framed, "{address} {switches:?}");
            }
        }
    });
}
