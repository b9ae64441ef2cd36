//! A bad network between one party and the daemon.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A UDP proxy with one face to the party and one to the daemon that loses every n-th datagram
/// and doubles others, in both directions. Its threads end with the test's process.
#[derive(Debug)]
pub struct Lossy {
    dropped: Arc<AtomicU64>,
    doubled: Arc<AtomicU64>,
}

impl Lossy {
    /// Faces the party at `address:5061` and the daemon at `address:5060`. Of every `every`
    /// datagrams of a direction one is lost and another one sent twice.
    ///
    /// # Panics
    /// The address is taken.
    #[must_use]
    pub fn start(address: IpAddr, party: SocketAddr, daemon: SocketAddr, every: u64) -> Self {
        let bind = |port| Arc::new(UdpSocket::bind((address, port)).expect("the address is free"));
        let (inner, outer) = (bind(5061), bind(5060));
        let lossy = Self {
            dropped: Arc::default(),
            doubled: Arc::default(),
        };
        lossy.carry(&inner, &outer, daemon, every);
        lossy.carry(&outer, &inner, party, every);
        lossy
    }

    /// How many datagrams were lost and how many came twice.
    #[must_use]
    pub fn faults(&self) -> (u64, u64) {
        (
            self.dropped.load(Ordering::Relaxed),
            self.doubled.load(Ordering::Relaxed),
        )
    }

    fn carry(&self, from: &Arc<UdpSocket>, by: &Arc<UdpSocket>, to: SocketAddr, every: u64) {
        let (from, by) = (Arc::clone(from), Arc::clone(by));
        let (dropped, doubled) = (Arc::clone(&self.dropped), Arc::clone(&self.doubled));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            for number in 1_u64.. {
                let Ok((length, _)) = from.recv_from(&mut buffer) else {
                    continue;
                };
                let copies = match number % every {
                    0 => 0,
                    2 => 2,
                    _ => 1,
                };
                match copies {
                    0 => dropped.fetch_add(1, Ordering::Relaxed),
                    1 => 0,
                    _ => doubled.fetch_add(1, Ordering::Relaxed),
                };
                for _ in 0..copies {
                    // A party that has gone away loses its datagrams, as on any network.
                    let _ = by.send_to(&buffer[..length], to);
                }
            }
        });
    }
}
