//! A folder and a piece of loopback for one test.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

/// One test's surroundings; the folder goes with it.
#[derive(Debug)]
pub struct Lab {
    folder: tempfile::TempDir,
    net: [u8; 2],
    /// As long as it is bound, the network is this laboratory's.
    _claim: UdpSocket,
}

static NEXT: AtomicU8 = AtomicU8::new(1);

/// Where a network is claimed: its last host, at a port that nothing else here uses.
const CLAIM: (u8, u16) = (254, 40_003);

impl Lab {
    /// A fresh folder and a fresh 127.x.y.0/24, which no other laboratory has, of whatever process.
    ///
    /// # Panics
    /// No temporary folder can be made, or no network is free.
    #[must_use]
    pub fn new() -> Self {
        // Test processes run side by side, and their numbers are no further apart than they like.
        let process = std::process::id() % 200;
        let second = NEXT.fetch_add(1, Ordering::Relaxed);
        let claim = |step: u32| {
            let net = [20 + ((process + step) % 200) as u8, second];
            let place = Ipv4Addr::new(127, net[0], net[1], CLAIM.0);
            Some((net, UdpSocket::bind((place, CLAIM.1)).ok()?))
        };
        let (net, claim) = (0..200).find_map(claim).expect("a network is free");
        Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            net,
            _claim: claim,
        }
    }

    /// Host `n` of the lab's network.
    #[must_use]
    pub fn host(&self, n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.net[0], self.net[1], n))
    }

    /// A path in the lab's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The lab's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in the lab's folder and gives its path.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        path
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}
