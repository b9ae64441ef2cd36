//! What reaches the socket of a shard, and what does not.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use media_io::sys::mmsg::{Datagram, HEADROOM, MAX_DATAGRAM, Receiver, Slots};
use media_io::sys::steer::{Allowance, Family, Steering, Unavailable};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::namespace::{alone, switch};

const PORTS: RangeInclusive<u16> = 20_000..=20_999;
const BATCH: usize = 32;

fn steering(allowance: Allowance) -> Steering {
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    let ranges = addresses.map(|address| (address.parse().unwrap(), PORTS));
    Steering::open(&ranges, 2, allowance).unwrap()
}

/// The sockets of a shard.
struct Ears {
    receivers: [Receiver; 2],
    slots: Slots,
}

impl Ears {
    fn of(steering: &Steering, shard: u8) -> Self {
        let receivers = [Family::V4, Family::V6].map(|family| {
            let receiver = Receiver::open(family, BATCH, 1 << 20).unwrap();
            let attached = steering.attach_socket(shard, family, receiver.as_fd());
            attached.unwrap();
            receiver
        });
        let slots = Slots::new(BATCH);
        Self { receivers, slots }
    }

    /// What is there of a family, and nothing more.
    fn heard(&mut self, family: Family) -> Vec<(Datagram, Vec<u8>)> {
        let receiver = &mut self.receivers[usize::from(family == Family::V6)];
        let mut heard = Vec::new();
        loop {
            let number = receiver.receive(&mut self.slots).unwrap();
            for n in 0..number {
                let datagram = receiver.datagram(n).unwrap();
                let octets = &self.slots.slot(n)[HEADROOM..][..datagram.len];
                heard.push((datagram, octets.to_vec()));
            }
            if number == 0 {
                return heard;
            }
        }
    }

    /// The next of a family, waited for.
    fn next(&mut self, family: Family) -> (Datagram, Vec<u8>) {
        let receiver = &self.receivers[usize::from(family == Family::V6)];
        let mut fds = [PollFd::new(receiver.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::from(10_000u16)), Ok(1));
        let mut heard = self.heard(family);
        assert_eq!(heard.len(), 1);
        heard.remove(0)
    }
}

fn caller(at: &str) -> UdpSocket {
    UdpSocket::bind((at.parse::<IpAddr>().unwrap(), 0)).unwrap()
}

#[test]
fn a_datagram_comes_with_where_it_was_sent_to() {
    alone(|| {
        let steering = steering(Allowance::default());
        let mut shards = [Ears::of(&steering, 0), Ears::of(&steering, 1)];
        for (range, address, port) in [
            (0, "192.0.2.1", 20_000),
            (1, "192.0.2.2", 20_010),
            (2, "2001:db8::1", 20_999),
        ] {
            let to = SocketAddr::new(address.parse().unwrap(), port);
            assert_eq!(steering.range_of(to), Some(range));
            let family = Family::of(to.ip());
            let caller = caller(address);
            for shard in [0u8, 1] {
                steering.port(range, port).unwrap().open(shard);
                caller.send_to(&[shard; 172], to).unwrap();
                let (datagram, octets) = shards[usize::from(shard)].next(family);
                assert_eq!(octets, [shard; 172]);
                let expected = Datagram {
                    source: caller.local_addr().unwrap(),
                    destination: to,
                    len: 172,
                    truncated: false,
                };
                assert_eq!(datagram, expected);
            }
        }
        for shard in &mut shards {
            assert!(shard.heard(Family::V4).is_empty());
        }
        assert!(steering.port(0, 19_999).is_none());
        assert!(steering.port(0, 21_000).is_none());
        assert!(steering.port(3, 20_000).is_none());
    });
}

#[test]
fn batches_are_taken_whole_and_in_order_and_what_is_too_long_is_marked() {
    alone(|| {
        let steering = steering(Allowance::default());
        let mut ears = Ears::of(&steering, 0);
        let caller = caller("192.0.2.1");
        let ports: Vec<_> = (0..100)
            .map(|n| steering.port(0, 20_000 + n).unwrap())
            .collect();
        for round in 0..3u8 {
            for (n, port) in (0u8..).zip(&ports) {
                port.open(0);
                port.set_peers(&[caller.local_addr().unwrap()]);
                let to = ("192.0.2.1", 20_000 + u16::from(n));
                caller.send_to(&[round, n], to).unwrap();
            }
            let heard = ears.heard(Family::V4);
            assert_eq!(heard.len(), ports.len());
            for (n, (datagram, octets)) in (0u8..).zip(heard) {
                assert_eq!(octets, [round, n]);
                assert_eq!(datagram.destination.port(), 20_000 + u16::from(n));
            }
        }
        for len in [MAX_DATAGRAM, MAX_DATAGRAM + 1] {
            caller
                .send_to(&vec![1; len], ("192.0.2.1", 20_000))
                .unwrap();
            let (datagram, octets) = ears.next(Family::V4);
            assert_eq!(octets.len(), MAX_DATAGRAM);
            assert_eq!(datagram.truncated, len > MAX_DATAGRAM);
        }
    });
}

#[test]
fn strangers_are_turned_away_without_a_word_and_peers_are_heard() {
    const STRANGERS: u32 = 3;
    const FLOOD: usize = 1000;
    alone(|| {
        let steering = steering(Allowance {
            strangers: STRANGERS,
            peers: 512,
        });
        let mut ears = Ears::of(&steering, 0);
        for (range, address) in [(0, "192.0.2.1"), (2, "2001:db8::1")] {
            let to = SocketAddr::new(address.parse().unwrap(), 20_000);
            let family = Family::of(to.ip());
            let port = steering.port(range, 20_000).unwrap();
            port.open(0);
            let peers = ["1", "2", "3", "heard"].map(|_| caller(address));
            let names = peers.each_ref().map(|peer| peer.local_addr().unwrap());
            port.set_peers(&names[..3]);
            port.set_heard(Some(names[3]));
            let stranger = caller(address);
            stranger.connect(to).unwrap();
            let began = Instant::now();
            for _ in 0..FLOOD {
                stranger.send(b"stranger").unwrap();
            }
            let windows = began.elapsed().as_millis() as usize / 20 + 2;
            for peer in &peers {
                peer.send_to(b"peer", to).unwrap();
            }
            let heard = ears.heard(family);
            let known = |(datagram, _): &&(Datagram, _)| names.contains(&datagram.source);
            assert_eq!(heard.iter().filter(known).count(), peers.len());
            let strange = heard.len() - peers.len();
            assert!(strange >= STRANGERS as usize, "{strange}");
            assert!(strange <= windows * STRANGERS as usize, "{strange}");
            assert_eq!(port.turned_away() as usize, FLOOD - strange);

            // Who has waited is heard again, as a peer whose port has moved would be.
            let end = Instant::now() + Duration::from_secs(10);
            while ears.heard(family).is_empty() {
                stranger.send(b"moved").unwrap();
                assert!(Instant::now() < end, "the allowance was never filled up");
            }
            port.set_heard(Some(stranger.local_addr().unwrap()));
            ears.heard(family);
            for _ in 0..100 {
                stranger.send(b"latched").unwrap();
            }
            assert_eq!(ears.heard(family).len(), 100);
        }
    });
}

#[test]
fn not_even_a_peer_fills_the_queue() {
    alone(|| {
        let steering = steering(Allowance {
            strangers: 1,
            peers: 20,
        });
        let mut ears = Ears::of(&steering, 0);
        let port = steering.port(0, 20_000).unwrap();
        port.open(0);
        let peer = caller("192.0.2.2");
        port.set_peers(&[peer.local_addr().unwrap()]);
        let began = Instant::now();
        for _ in 0..1000 {
            peer.send_to(b"flood", ("192.0.2.1", 20_000)).unwrap();
        }
        let windows = began.elapsed().as_millis() as usize / 100 + 2;
        let heard = ears.heard(Family::V4).len();
        assert!((20..=20 * windows).contains(&heard), "{heard}");
        assert_eq!(port.turned_away() as usize, 1000 - heard);
    });
}

#[test]
fn a_closed_port_is_as_if_nothing_steered_it() {
    alone(|| {
        let steering = steering(Allowance::default());
        let mut ears = Ears::of(&steering, 0);
        let to: SocketAddr = "192.0.2.1:20020".parse().unwrap();
        let caller = caller("192.0.2.1");
        caller.connect(to).unwrap();
        caller
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();

        caller.send(b"anybody").unwrap();
        let refused = caller.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

        let other = UdpSocket::bind(to).unwrap();
        other
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let port = steering.port(0, to.port()).unwrap();
        let mut buf = [0; 8];
        for round in 0..3 {
            caller.send(&[round]).unwrap();
            assert_eq!(other.recv(&mut buf).unwrap(), 1);
            port.open(0);
            caller.send(&[round]).unwrap();
            assert_eq!(ears.next(Family::V4).1, [round]);
            port.close();
        }
        assert_eq!(port.turned_away(), 0);
    });
}

/// Copies of the descriptors that keep programs of this process running.
#[allow(unsafe_code)] // descriptors are known by their numbers alone here
fn copies_of_links() -> Vec<OwnedFd> {
    let links = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let target = std::fs::read_link(&path).ok()?;
            let is_link = target.to_str()? == "anon_inode:bpf_link";
            is_link.then(|| path.file_name()?.to_str()?.parse().ok())?
        });
    // Other tests close theirs meanwhile.
    links
        .filter_map(|fd: RawFd| {
            // SAFETY: the number is only asked for a copy, and gives none when it was closed.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fd.try_clone_to_owned().ok()
        })
        .collect()
}

#[test]
fn two_steer_the_same_range_side_by_side() {
    alone(|| {
        let older = steering(Allowance::default());
        let newer = steering(Allowance::default());
        let mut ears = [Ears::of(&older, 0), Ears::of(&newer, 0)];
        let caller = caller("192.0.2.1");
        older.port(0, 20_000).unwrap().open(0);
        newer.port(0, 20_002).unwrap().open(0);
        for port in [20_000, 20_002] {
            caller.send_to(b"call", ("192.0.2.1", port)).unwrap();
        }
        let [old, new] = ears.each_mut().map(|ears| ears.next(Family::V4).0);
        assert_eq!(old.destination.port(), 20_000);
        assert_eq!(new.destination.port(), 20_002);
        // As a child process that another thread starts has for a moment.
        let copies = copies_of_links();
        assert!(copies.len() >= 2, "{}", copies.len());
        drop(older);
        newer.port(0, 20_000).unwrap().open(0);
        caller.send_to(b"call", ("192.0.2.1", 20_000)).unwrap();
        assert_eq!(ears[1].next(Family::V4).0.destination.port(), 20_000);
    });
}

#[test]
fn what_a_full_socket_drops_is_known() {
    alone(|| {
        let steering = steering(Allowance {
            strangers: 100_000,
            peers: 100_000,
        });
        let receiver = Receiver::open(Family::V4, BATCH, 16 * 1024).unwrap();
        steering
            .attach_socket(0, Family::V4, receiver.as_fd())
            .unwrap();
        steering.port(0, 20_000).unwrap().open(0);
        assert_eq!(receiver.kernel_drops(), Ok(0));
        let caller = caller("192.0.2.1");
        for _ in 0..1000 {
            caller.send_to(&[0; 172], ("192.0.2.1", 20_000)).unwrap();
        }
        let mut receiver = receiver;
        let mut slots = Slots::new(BATCH);
        let mut heard = 0;
        while let number @ 1.. = receiver.receive(&mut slots).unwrap() {
            heard += number;
        }
        assert!(heard > 0 && heard < 1000, "{heard}");
        assert_eq!(receiver.kernel_drops().unwrap() as usize, 1000 - heard);
    });
}

#[test]
fn a_range_that_the_kernel_gives_away_is_refused() {
    alone(|| {
        switch("ipv4/ip_local_port_range", "20999 30000");
        let range = ("192.0.2.1".parse().unwrap(), PORTS);
        let error = Steering::open(&[range], 1, Allowance::default()).unwrap_err();
        assert!(matches!(
            error,
            Unavailable::Overlap(20_000, 20_999, 20_999, 30_000)
        ));
        switch("ipv4/ip_local_port_range", "21000 30000");
        let range = ("192.0.2.1".parse().unwrap(), PORTS);
        Steering::open(&[range], 1, Allowance::default()).unwrap();
    });
}

#[test]
fn any_address_and_many_ranges() {
    alone(|| {
        let any: IpAddr = "0.0.0.0".parse().unwrap();
        let any6: IpAddr = "::".parse().unwrap();
        let mut ranges = vec![(any, PORTS), (any6, PORTS)];
        for n in 0..100u8 {
            ranges.push((IpAddr::from([203, 0, 113, n]), 21_000..=21_099));
            let v6 = format!("2001:db8:ff::{n}");
            ranges.push((v6.parse().unwrap(), 21_000..=21_099));
        }
        let steering = Steering::open(&ranges, 64, Allowance::default()).unwrap();
        let mut ears = Ears::of(&steering, 63);
        for (range, address) in [(0, "192.0.2.2"), (1, "2001:db8::1")] {
            let to = SocketAddr::new(address.parse().unwrap(), 20_500);
            assert_eq!(steering.range_of(to), Some(range));
            steering.port(range, 20_500).unwrap().open(63);
            caller(address).send_to(b"call", to).unwrap();
            assert_eq!(ears.next(Family::of(to.ip())).0.destination, to);
        }
    });
}
