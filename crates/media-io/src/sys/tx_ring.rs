//! Frames in memory shared with the kernel, which an AF_PACKET socket sends from (packet(7),
//! `PACKET_TX_RING`): one system call for all of them, and no message header to read for each.
//!
//! The kernel copies every frame whole, because the header of virtio in front of it says that all
//! of it is header: for so few octets that costs less than to send the page that they are in.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

use super::mmsg::{Packet, Slots};
use super::prefetch;

/// Frames of a ring.
const FRAMES: usize = 256;
/// Octets of one, what the kernel needs in front of it included.
const FRAME: usize = 512;
/// Octets of what the kernel allocates at a time: whole pages, of whatever size they are.
const BLOCK: usize = 64 * 1024;
/// Where the kernel looks for a frame to send.
const OFFSET: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
/// Octets of a `virtio_net_hdr`.
const VIRTIO: usize = 10;
/// Octets of the longest frame, link header included: telephony in packets of up to 40 ms. Longer
/// ones are for an ordinary call.
const LONGEST: usize = FRAME - OFFSET - VIRTIO;

/// What an AF_PACKET socket sends from, and what waits for that.
#[derive(Debug)]
pub(super) struct TxRing {
    socket: OwnedFd,
    frames: Frames,
    waiting: Vec<Packet>,
}

impl TxRing {
    /// Gives a socket that is bound to an interface its ring.
    pub(super) fn new(socket: OwnedFd) -> Result<Self, Errno> {
        let set = |name, value: &[libc::c_int]| set_packet(socket.as_fd(), name, value);
        set(
            libc::PACKET_VERSION,
            &[libc::tpacket_versions::TPACKET_V2 as libc::c_int],
        )?;
        set(libc::PACKET_VNET_HDR, &[1])?;
        // A `tpacket_req`.
        let request = [BLOCK, FRAMES * FRAME / BLOCK, FRAME, FRAMES];
        set(libc::PACKET_TX_RING, &request.map(|n| n as libc::c_int))?;
        let frames = Frames::map(libc::MAP_SHARED, socket.as_raw_fd())?;
        Ok(Self {
            socket,
            frames,
            waiting: Vec::with_capacity(FRAMES),
        })
    }

    /// Adds a frame; whether it is short enough and there was room.
    #[must_use]
    pub(super) fn push(&mut self, frame: Packet) -> bool {
        let fits = usize::from(frame.len) <= LONGEST && self.waiting.len() < FRAMES;
        if fits {
            // It is not written before all others of the batch are carried.
            let place = self.frames.at(self.waiting.len());
            let octets = OFFSET + VIRTIO + usize::from(frame.len);
            prefetch::lines(place.as_ptr(), octets);
            self.waiting.push(frame);
        }
        fits
    }

    /// Sends what waits, and how many of it; what the kernel did not take is handed `back`, in
    /// order.
    pub(super) fn flush(&mut self, slots: &Slots, back: impl FnMut(Packet)) -> u32 {
        if self.waiting.is_empty() {
            return 0;
        }
        let octets = self.waiting.iter().map_while(|frame| slots.packet(*frame));
        let filled = self.frames.fill(octets);
        if filled > 0 {
            self.send();
        }
        let taken = self.frames.settle(filled);
        self.waiting.drain(..).skip(taken).for_each(back);
        taken as u32
    }

    fn send(&self) {
        // SAFETY: there are no octets but those of the ring.
        let result =
            unsafe { libc::send(self.socket.as_raw_fd(), ptr::null(), 0, libc::MSG_DONTWAIT) };
        if let Err(error) = Errno::result(result) {
            tracing::debug!(%error, "a ring of frames was not sent to its end");
        }
    }
}

/// Sets an option of AF_PACKET that is made of `int`s.
fn set_packet(fd: BorrowedFd<'_>, name: libc::c_int, value: &[libc::c_int]) -> Result<(), Errno> {
    // SAFETY: the pointer is to as many octets as said, which outlive the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            name,
            value.as_ptr().cast(),
            size_of_val(value) as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// The shared memory: each frame begins with a `tpacket2_hdr`, the first word of which says whose
/// it is. The kernel looks at them in turn, and never at one that it has not been given.
struct Frames {
    first: NonNull<u8>,
    /// The one that the kernel will look at next.
    next: usize,
}

// SAFETY: the mapping belongs to no thread.
unsafe impl Send for Frames {}

impl Frames {
    /// The memory of a socket's ring, or as much of nobody else's.
    fn map(kind: libc::c_int, fd: libc::c_int) -> Result<Self, Errno> {
        // SAFETY: the kernel chooses where, so nothing that is mapped is replaced.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                FRAMES * FRAME,
                libc::PROT_READ | libc::PROT_WRITE,
                kind | libc::MAP_POPULATE,
                fd,
                0,
            )
        };
        let first = NonNull::new(address.cast()).filter(|_| address != libc::MAP_FAILED);
        let first = first.ok_or_else(Errno::last)?;
        Ok(Self { first, next: 0 })
    }

    /// The `n`-th from the next on.
    fn at(&self, n: usize) -> NonNull<u8> {
        let offset = (self.next + n) % FRAMES * FRAME;
        // SAFETY: the mapping is `FRAMES` frames long.
        unsafe { self.first.add(offset) }
    }

    /// Whose the `n`-th from the next on is.
    fn status(&self, n: usize) -> &AtomicU32 {
        // SAFETY: the mapping begins at a page, and a frame's length is a multiple of 16, so that
        // its first word is aligned. It is written atomically by both sides, and stays until `self`
        // is dropped.
        unsafe { AtomicU32::from_ptr(self.at(n).cast().as_ptr()) }
    }

    /// Gives the kernel frames, up to one too long or until one is reached that is still being
    /// sent; how many.
    fn fill<'o>(&mut self, frames: impl Iterator<Item = &'o [u8]>) -> usize {
        let mut filled = 0;
        for octets in frames.take(FRAMES) {
            let free = self.status(filled).load(Ordering::Acquire) == libc::TP_STATUS_AVAILABLE;
            if !free || octets.len() > LONGEST {
                break;
            }
            self.write(filled, octets);
            let status = self.status(filled);
            status.store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
            filled += 1;
        }
        filled
    }

    /// Writes a frame that is free. Its octets are [`LONGEST`] at most.
    fn write(&mut self, n: usize, octets: &[u8]) {
        assert!(octets.len() <= LONGEST);
        let len = octets.len() as u16;
        // A `virtio_net_hdr`: nothing is left to the device, and as much is header.
        let [low, high] = len.to_ne_bytes();
        let head: [u8; VIRTIO] = [0, 0, low, high, 0, 0, 0, 0, 0, 0];
        let total = (VIRTIO + octets.len()) as u32;
        // SAFETY: the frame is free, so that the kernel neither reads nor writes it, and `&mut
        // self` keeps others of this process away. All is written within it: `LONGEST` leaves room
        // for both headers. Its start is aligned for a `tpacket2_hdr`.
        unsafe {
            let frame = self.at(n);
            let header = frame.cast::<libc::tpacket2_hdr>().as_ptr();
            (&raw mut (*header).tp_len).write(total);
            let data = frame.add(OFFSET);
            data.copy_from_nonoverlapping(NonNull::from(&head).cast(), VIRTIO);
            let data = data.add(VIRTIO);
            data.copy_from_nonoverlapping(NonNull::from(octets).cast(), octets.len());
        }
    }

    /// How many of the frames filled the kernel took; it has the others no more, and will look at
    /// the first of them next.
    fn settle(&mut self, filled: usize) -> usize {
        const OURS: u32 = libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_WRONG_FORMAT;
        let refused = |n: &usize| self.status(*n).load(Ordering::Acquire) & OURS != 0;
        let taken = (0..filled).find(refused).unwrap_or(filled);
        for n in taken..filled {
            let status = self.status(n);
            status.store(libc::TP_STATUS_AVAILABLE, Ordering::Release);
        }
        self.next = (self.next + taken) % FRAMES;
        taken
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and no reference into it outlives `self`.
        let result = unsafe { libc::munmap(self.first.as_ptr().cast(), FRAMES * FRAME) };
        if let Err(error) = Errno::result(result) {
            tracing::warn!(%error, "a ring of frames stays mapped");
        }
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames").field("next", &self.next).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Frames {
        Frames::map(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1).expect("memory")
    }

    fn fill(frames: &mut Frames, lengths: &[usize]) -> usize {
        let octets = [7; FRAME];
        frames.fill(lengths.iter().map(|len| &octets[..*len]))
    }

    /// What the kernel says of the `n`-th frame from the next on.
    fn says(frames: &Frames, n: usize, status: u32) {
        frames.status(n).store(status, Ordering::Release);
    }

    #[test]
    fn a_frame_is_described_and_handed_over() {
        let mut frames = frames();
        assert_eq!(fill(&mut frames, &[3]), 1);
        // SAFETY: the memory is there, and nobody writes it.
        let frame = unsafe { std::slice::from_raw_parts(frames.at(0).as_ptr(), FRAME) };
        let word = |at: usize| u32::from_ne_bytes(*frame[at..].first_chunk().expect("a word"));
        assert_eq!((word(0), word(4)), (libc::TP_STATUS_SEND_REQUEST, 13));
        let [low, high] = 3u16.to_ne_bytes();
        assert_eq!(
            frame[32..46],
            [0, 0, low, high, 0, 0, 0, 0, 0, 0, 7, 7, 7, 0]
        );
    }

    #[test]
    fn what_the_kernel_did_not_take_is_handed_over_again() {
        let mut frames = frames();
        assert_eq!(fill(&mut frames, &[LONGEST; 5]), 5);
        says(&frames, 0, libc::TP_STATUS_AVAILABLE);
        says(&frames, 1, libc::TP_STATUS_SENDING);
        says(&frames, 2, libc::TP_STATUS_WRONG_FORMAT);
        assert_eq!(frames.settle(5), 2);
        assert_eq!(frames.next, 2);
        assert_eq!(fill(&mut frames, &[1; 3]), 3, "they are ours again");
        assert_eq!(frames.settle(3), 0, "nobody took them");
    }

    #[test]
    fn a_frame_that_is_still_being_sent_is_left_alone() {
        let mut frames = frames();
        assert_eq!(fill(&mut frames, &[9; FRAMES + 1]), FRAMES);
        for n in 0..FRAMES {
            says(&frames, n, libc::TP_STATUS_SENDING);
        }
        assert_eq!(frames.settle(FRAMES), FRAMES);
        assert_eq!(frames.next, 0);
        assert_eq!(fill(&mut frames, &[9]), 0);
        says(&frames, 0, libc::TP_STATUS_AVAILABLE);
        assert_eq!(fill(&mut frames, &[9, 9]), 1);
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let mut frames = frames();
        assert_eq!(fill(&mut frames, &[1, LONGEST + 1, 1]), 1);
    }
}
