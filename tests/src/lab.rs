//! A folder and a piece of loopback for one test.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

/// One test's surroundings; the folder goes with it.
#[derive(Debug)]
pub struct Lab {
    folder: tempfile::TempDir,
    net: [u8; 2],
}

static NEXT: AtomicU8 = AtomicU8::new(1);

impl Lab {
    /// A fresh folder and a fresh 127.x.y.0/24.
    ///
    /// # Panics
    /// No temporary folder can be made.
    #[must_use]
    pub fn new() -> Self {
        // Test processes run side by side: the process number keeps them apart, the counter keeps
        // apart the tests of one process.
        let process = (std::process::id() % 200) as u8;
        let net = [20 + process, NEXT.fetch_add(1, Ordering::Relaxed)];
        Self {
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
            net,
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
