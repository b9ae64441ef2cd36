//! Frames in memory shared with the kernel, which an AF_XDP socket sends from in copy mode (Linux,
//! Documentation/networking/af_xdp.rst): one system call for 32 of them, no header to read for
//! each, and a number to hand back. No program is attached and nothing is received.

mod ring;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};

use nix::errno::Errno;

use self::ring::{Mapping, Ring};
use super::mmsg::{Packet, Sent, Slots};
use super::{open_socket, prefetch, set_buffers};

/// Frames that may be under way, and entries of each ring.
const FRAMES: usize = 256;
/// Octets of one: telephony in packets of up to 40 ms. Longer ones are for an ordinary call.
const FRAME: usize = 512;
/// Octets of the memory that the kernel lets frames be within; it allows no fewer.
const CHUNK: usize = 2048;
/// Octets of frames that may wait for a device.
const BUFFER: usize = 4 * 1024 * 1024;

/// What an AF_XDP socket sends from, and what waits for that.
#[derive(Debug)]
pub(super) struct XdpSender {
    socket: OwnedFd,
    memory: Mapping,
    sending: Ring<libc::xdp_desc>,
    done: Ring<u64>,
    /// Where frames are that the kernel does not have. The last ones are used first: they are in
    /// the processor's cache.
    free: Vec<u64>,
    waiting: Vec<Packet>,
    /// How far the kernel was in `sending` when it was last looked.
    taken: u32,
    /// Nothing can be sent any more.
    broken: bool,
}

impl XdpSender {
    /// For one queue of an interface, of which there can be one such socket. Takes CAP_NET_RAW, and
    /// room in RLIMIT_MEMLOCK.
    pub(super) fn open(interface: u32, queue: u32) -> Result<Self, Errno> {
        let socket = open_socket(libc::AF_XDP, libc::SOCK_RAW, 0)?;
        let memory = Mapping::own(FRAMES * FRAME)?;
        let area = libc::xdp_umem_reg_v1 {
            addr: memory.first().as_ptr() as u64,
            len: (FRAMES * FRAME) as u64,
            chunk_size: CHUNK as u32,
            headroom: 0,
        };
        set_option(socket.as_fd(), libc::XDP_UMEM_REG, &area)?;
        for ring in [
            // A socket has one to receive by, used or not.
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_TX_RING,
        ] {
            set_option(socket.as_fd(), ring, &(FRAMES as libc::c_int))?;
        }
        set_buffers(socket.as_fd(), BUFFER)?;
        let offsets = offsets(socket.as_fd())?;
        let completions = libc::XDP_UMEM_PGOFF_COMPLETION_RING as libc::off_t;
        let sending = Ring::of(socket.as_fd(), libc::XDP_PGOFF_TX_RING, &offsets.tx, FRAMES)?;
        let done = Ring::of(socket.as_fd(), completions, &offsets.cr, FRAMES)?;
        bind(socket.as_fd(), interface, queue)?;
        Ok(Self {
            socket,
            memory,
            sending,
            done,
            free: (0..FRAMES).rev().map(|n| (n * FRAME) as u64).collect(),
            waiting: Vec::with_capacity(FRAMES),
            taken: 0,
            broken: false,
        })
    }

    /// Adds a frame; whether it is short enough and there was room.
    #[must_use]
    pub(super) fn push(&mut self, frame: Packet) -> bool {
        if self.waiting.len() >= self.free.len() {
            self.take_back();
        }
        if self.broken || usize::from(frame.len) > FRAME {
            return false;
        }
        let Some(next) = self.free.len().checked_sub(self.waiting.len() + 1) else {
            return false;
        };
        // It is not written before all others of the batch are carried.
        let place = self.memory.first().as_ptr();
        let place = place.wrapping_add(self.free[next] as usize);
        prefetch::lines(place, frame.len.into());
        self.waiting.push(frame);
        true
    }

    /// Sends what waits. What the kernel does not take now it takes the next time, before the rest,
    /// and it is counted then.
    pub(super) fn flush(&mut self, slots: &Slots) -> Sent {
        let mut outcome = Sent::default();
        let mut produced = self.sending.produced();
        for frame in self.waiting.drain(..) {
            let octets = slots.packet(frame).filter(|octets| octets.len() <= FRAME);
            let Some((octets, addr)) = octets.and_then(|octets| Some((octets, self.free.pop()?)))
            else {
                outcome.failed += 1;
                continue;
            };
            // SAFETY: `free` has places of `FRAME` octets within the memory that the kernel neither
            // reads nor writes, and `&mut self` keeps others of this process away.
            unsafe {
                let place = self.memory.first().add(addr as usize);
                place.copy_from_nonoverlapping(NonNull::from(octets).cast(), octets.len());
            }
            let len = octets.len() as u32;
            let options = 0;
            self.sending
                .write(produced, libc::xdp_desc { addr, len, options });
            produced = produced.wrapping_add(1);
        }
        self.sending.produce(produced);
        if produced != self.taken && !self.broken {
            self.send(produced, &mut outcome);
            self.take_back();
        }
        outcome
    }

    /// Has the kernel send up to where the ring is filled; it takes a part of that a call.
    fn send(&mut self, produced: u32, outcome: &mut Sent) {
        while self.taken != produced {
            let result = self.wake();
            let taken = self.sending.consumed();
            let more = taken.wrapping_sub(self.taken);
            self.taken = taken;
            outcome.sent += more;
            match result {
                Ok(()) | Err(Errno::EAGAIN) if more > 0 => {}
                Ok(()) | Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM) => return,
                // The device took one and dropped it.
                Err(Errno::EBUSY) if more > 0 => {
                    outcome.sent -= 1;
                    outcome.full += 1;
                }
                Err(error) => {
                    tracing::debug!(%error, "a ring of frames cannot be sent any more");
                    self.broken = true;
                    outcome.failed += produced.wrapping_sub(taken);
                    return;
                }
            }
        }
    }

    fn wake(&self) -> Result<(), Errno> {
        let fd = self.socket.as_raw_fd();
        // SAFETY: there are no octets but those of the ring.
        let result = unsafe { libc::send(fd, ptr::null(), 0, libc::MSG_DONTWAIT) };
        Errno::result(result).map(drop)
    }

    /// Takes the places of those frames back that the kernel is done with.
    fn take_back(&mut self) {
        let (from, to) = (self.done.consumed(), self.done.produced());
        for n in 0..to.wrapping_sub(from) {
            let addr = self.done.read(from.wrapping_add(n));
            // Memory is written there: what is said is looked at first.
            let at = addr as usize;
            if at.is_multiple_of(FRAME) && at < FRAMES * FRAME {
                self.free.push(addr);
            }
        }
        self.done.consume(to);
    }
}

fn set_option<T>(fd: BorrowedFd<'_>, name: libc::c_int, value: &T) -> Result<(), Errno> {
    // SAFETY: the pointer is to as many octets as said, which outlive the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}

/// Where the kernel keeps what of each ring.
fn offsets(fd: BorrowedFd<'_>) -> Result<libc::xdp_mmap_offsets, Errno> {
    // SAFETY: it is made of numbers, of which 0 is one.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut len = size_of_val(&offsets) as libc::socklen_t;
    // SAFETY: both pointers are to what outlives the call, the first to as many octets as the
    // second says.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_XDP,
            libc::XDP_MMAP_OFFSETS,
            (&raw mut offsets).cast(),
            &raw mut len,
        )
    };
    Errno::result(result)?;
    if (len as usize) < size_of_val(&offsets) {
        // A kernel before 5.4, which tells less of each.
        return Err(Errno::ENOTSUP);
    }
    Ok(offsets)
}

fn bind(fd: BorrowedFd<'_>, interface: u32, queue: u32) -> Result<(), Errno> {
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_COPY,
        sxdp_ifindex: interface,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    // SAFETY: the pointer is to an address of the length given, which outlives the call.
    let result = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop)
}
