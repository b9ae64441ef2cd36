//! The ports as the steering program sees them: an array in the kernel, mapped into this process.

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

use nix::errno::Errno;

use super::bpf::{Map, Refused};

/// Peers that a port knows.
pub(super) const PEERS: usize = 4;

/// A port: one cache line, which the program and this process write. All zero: closed.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    /// 0: closed; otherwise the shard's number and one.
    pub(super) state: AtomicU32,
    /// Datagrams still taken from strangers.
    pub(super) strangers: AtomicU32,
    /// When that was last filled up, in ticks.
    pub(super) strangers_since: AtomicU32,
    /// Datagrams still taken from peers.
    pub(super) known: AtomicU32,
    /// When that was last filled up, in ticks.
    pub(super) known_since: AtomicU32,
    padding: u32,
    /// Datagrams turned away since the port was first opened.
    pub(super) turned_away: AtomicU64,
    /// The peers' keys, first that of the one last heard; 0 is none.
    pub(super) peers: [AtomicU64; PEERS],
}

/// The mapped array.
pub(super) struct Table {
    first: NonNull<Entry>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread, and an `Entry` is made of atomics (and of padding that
// nobody writes), so that sharing it is sound.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// An array of `len` closed ports, and its mapping.
    pub(super) fn create(name: &str, len: usize) -> Result<(Map, Self), Refused> {
        const { assert!(size_of::<Entry>() == 64) }
        let map = Map::array(name, size_of::<Entry>() as u32, len as u32)?;
        // SAFETY: the kernel chooses where, so nothing that is mapped is replaced.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len * size_of::<Entry>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_fd().as_raw_fd(),
                0,
            )
        };
        let first = NonNull::new(address.cast::<Entry>());
        let first = first.filter(|_| address != libc::MAP_FAILED);
        let refused = || Refused::new("to map the array of ports", Errno::last());
        let first = first.ok_or_else(refused)?;
        Ok((map, Self { first, len }))
    }
}

impl Deref for Table {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        // SAFETY: the mapping begins at a page and holds `len` entries, which the kernel made zero;
        // zero is a value of each of their fields. It stays until `self` is dropped. What writes
        // beside this process is the program, through the same atomic memory.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let octets = self.len * size_of::<Entry>();
        // SAFETY: this is the mapping that `create` made, and no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.first.as_ptr().cast(), octets) };
        if let Err(error) = Errno::result(result) {
            tracing::warn!(%error, "the array of ports stays mapped");
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len).finish()
    }
}
