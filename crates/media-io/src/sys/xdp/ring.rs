//! A ring of entries in memory that one side writes and the other reads.

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

/// Memory of its own pages.
pub(super) struct Mapping {
    first: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// So many octets that nobody else has.
    pub(super) fn own(len: usize) -> Result<Self, Errno> {
        Self::map(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    fn map(len: usize, kind: libc::c_int, fd: libc::c_int, at: libc::off_t) -> Result<Self, Errno> {
        // SAFETY: the kernel chooses where, so nothing that is mapped is replaced.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                kind | libc::MAP_POPULATE,
                fd,
                at,
            )
        };
        let first = NonNull::new(address.cast()).filter(|_| address != libc::MAP_FAILED);
        let first = first.ok_or_else(Errno::last)?;
        Ok(Self { first, len })
    }

    /// Where it begins: at a page.
    pub(super) fn first(&self) -> NonNull<u8> {
        self.first
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.first.as_ptr().cast(), self.len) };
        if let Err(error) = Errno::result(result) {
            tracing::warn!(%error, "memory shared with the kernel stays mapped");
        }
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len).finish()
    }
}

/// The ring: how far each side is, counted without end, and the entries.
#[derive(Debug)]
pub(super) struct Ring<T> {
    mapping: Mapping,
    producer: usize,
    consumer: usize,
    first: usize,
    entries: usize,
    of: PhantomData<T>,
}

impl<T: Copy> Ring<T> {
    /// One of a socket's, of so many entries, a power of 2: the one mapped from `page` on, in which
    /// everything is where the kernel says.
    pub(super) fn of(
        fd: BorrowedFd<'_>,
        page: libc::off_t,
        at: &libc::xdp_ring_offset,
        entries: usize,
    ) -> Result<Self, Errno> {
        let [producer, consumer, first] = [at.producer, at.consumer, at.desc].map(|n| n as usize);
        let len = first + entries * size_of::<T>();
        let word = size_of::<u32>();
        let within = |at: usize| at.is_multiple_of(word) && at + word <= len;
        if !within(producer) || !within(consumer) || !first.is_multiple_of(align_of::<T>()) {
            return Err(Errno::EINVAL);
        }
        Ok(Self {
            mapping: Mapping::map(len, libc::MAP_SHARED, fd.as_raw_fd(), page)?,
            producer,
            consumer,
            first,
            entries,
            of: PhantomData,
        })
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: `of` saw that the word is aligned and within the mapping, which begins at a page
        // and stays until `self` is dropped. Both sides write it atomically.
        unsafe { AtomicU32::from_ptr(self.mapping.first.add(at).cast().as_ptr()) }
    }

    /// How many entries were ever written.
    pub(super) fn produced(&self) -> u32 {
        self.word(self.producer).load(Ordering::Acquire)
    }

    /// How many of them the other side is done with.
    pub(super) fn consumed(&self) -> u32 {
        self.word(self.consumer).load(Ordering::Acquire)
    }

    /// Hands over all entries before the `n`-th.
    pub(super) fn produce(&self, n: u32) {
        self.word(self.producer).store(n, Ordering::Release);
    }

    /// Gives back all entries before the `n`-th.
    pub(super) fn consume(&self, n: u32) {
        self.word(self.consumer).store(n, Ordering::Release);
    }

    fn entry(&self, n: u32) -> NonNull<T> {
        let at = self.first + n as usize % self.entries * size_of::<T>();
        // SAFETY: there are so many entries within the mapping.
        unsafe { self.mapping.first.add(at).cast() }
    }

    /// Writes the `n`-th entry, which is not handed over.
    pub(super) fn write(&mut self, n: u32, value: T) {
        // SAFETY: it is within the mapping and aligned. Were it handed over already, the kernel
        // would read a mixture of plain numbers, each of which it checks.
        unsafe { self.entry(n).write_volatile(value) };
    }

    /// The `n`-th entry.
    pub(super) fn read(&self, n: u32) -> T {
        // SAFETY: as in `write`; every octet was written by the kernel, be it with 0.
        unsafe { self.entry(n).read_volatile() }
    }
}
