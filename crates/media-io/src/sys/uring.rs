//! A ring of io_uring with its own receive buffers, made so that no call can be unsound.
//!
//! All memory that the kernel writes to, or reads from later than a call, belongs to the [`Ring`]:
//! receive buffers, copies of packets, addresses. A buffer is lent to the caller from the completion
//! that names it until it is given back or sent; while it is sent nobody can name it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use io_uring::types::{BufRingEntry, Fd, Fixed, RecvMsgOut, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};

/// Requests that wait to be handed in.
const REQUESTS: u32 = 512;
/// Completions that wait to be taken.
const COMPLETIONS: u32 = 8192;
/// Receive buffers; a power of two.
const BUFFERS: u16 = 512;
/// Packets made elsewhere that wait to be sent.
const COPIES: u16 = 64;
/// The group of the receive buffers; a ring has one.
const GROUP: u16 = 0;
/// Octets kept for a source address in front of a datagram.
const NAME: usize = 32;
/// Octets in front of a datagram that was received with its source.
pub(crate) const LEAD: usize = 16 + NAME;
/// What a page is, at least: where the kernel wants the ring of buffers to begin.
const PAGE: usize = 4096;
/// Asks the kernel to do what waits to be done, and to look for completions (io_uring_enter(2)).
const GETEVENTS: u32 = 1;
/// A poll that stays armed, as `io_uring_prep_poll_multishot` has it.
const POLLIN: u32 = libc::POLLIN as u32;

/// A socket as the ring knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum File {
    /// By the number it was registered under: the kernel need not look it up.
    Registered(u32),
    /// By its descriptor.
    Plain(RawFd),
}

/// What the kernel has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// What the request was named.
    pub(crate) name: u64,
    /// Octets, or what failed.
    pub(crate) result: Result<u32, Errno>,
    /// The buffer that was filled; it is the caller's now.
    pub(crate) buffer: Option<u16>,
    /// The request goes on.
    pub(crate) more: bool,
}

/// Memory at an address that stays where it is, one piece for all buffers.
struct Memory {
    octets: Vec<u8>,
    stride: usize,
}

impl Memory {
    fn new(pieces: usize, stride: usize) -> Self {
        Self {
            octets: vec![0; pieces * stride],
            stride,
        }
    }

    fn piece(&mut self, number: u16) -> &mut [u8] {
        let from = usize::from(number) * self.stride;
        &mut self.octets[from..from + self.stride]
    }
}

/// The ring of receive buffers that the kernel takes from.
#[repr(C, align(4096))]
struct BufRing([[u8; 16]; BUFFERS as usize]);

const _: () = assert!(align_of::<BufRing>() == PAGE && size_of::<BufRingEntry>() == 16);

/// See the module.
pub(crate) struct Ring {
    // Dropped first: after it the kernel touches none of what follows.
    ring: IoUring,
    buf_ring: Box<BufRing>,
    tail: u16,
    memory: Memory,
    copies: Memory,
    copied: u16,
    /// The longest datagram, in octets.
    longest: usize,
    header: Box<libc::msghdr>,
    /// Where each buffer, and behind them each copy, is sent to.
    addresses: Vec<SockaddrStorage>,
    /// Buffers that are being sent; theirs again once the kernel has taken all requests.
    sending: Vec<u16>,
    files: u32,
}

// SAFETY: the raw pointers inside `msghdr` are null; everything else is owned, and the ring is used
// by one thread at a time, the one that owns the value.
unsafe impl Send for Ring {}

impl Ring {
    /// A ring whose buffers hold datagrams of `longest` octets with `tailroom` behind them, and that
    /// can register `files` sockets. It works once [`Ring::begin`] was called, and then on that
    /// thread only.
    pub(crate) fn new(longest: usize, tailroom: usize, files: u32) -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_r_disabled()
            .setup_cqsize(COMPLETIONS)
            .setup_submit_all()
            .build(REQUESTS)?;
        ring.submitter().register_files_sparse(files)?;
        // SAFETY: an all-zero `msghdr` is a valid one that names no memory.
        let mut header: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        header.msg_namelen = NAME as libc::socklen_t;
        // One octet more than the longest shows that a datagram has more.
        let stride = (LEAD + longest + 1 + tailroom).next_multiple_of(64);
        let none = SockaddrStorage::from(SocketAddr::from(([0, 0, 0, 0], 0)));
        let mut this = Self {
            ring,
            buf_ring: Box::new(BufRing([[0; 16]; BUFFERS as usize])),
            tail: 0,
            memory: Memory::new(BUFFERS.into(), stride),
            copies: Memory::new(COPIES.into(), stride),
            copied: 0,
            longest,
            header,
            addresses: vec![none; usize::from(BUFFERS) + usize::from(COPIES)],
            sending: Vec::with_capacity(BUFFERS.into()),
            files,
        };
        let at = std::ptr::from_ref::<BufRing>(&this.buf_ring) as u64;
        // SAFETY: the memory is page-aligned, holds `BUFFERS` entries and lives, unmoved, for as
        // long as the ring, which is dropped before it.
        unsafe {
            this.ring
                .submitter()
                .register_buf_ring_with_flags(at, BUFFERS, GROUP, 0)?;
        }
        for buffer in 0..BUFFERS {
            this.give_back(buffer);
        }
        Ok(this)
    }

    /// Makes the ring this thread's.
    pub(crate) fn begin(&self) -> io::Result<()> {
        self.ring.submitter().register_enable_rings()
    }

    /// Registers a socket under a number, or takes the one there out. A number that is too high
    /// gives the socket by its descriptor.
    pub(crate) fn register(&self, number: u32, socket: &impl AsRawFd) -> File {
        let fd = socket.as_raw_fd();
        if number >= self.files {
            return File::Plain(fd);
        }
        match self.ring.submitter().register_files_update(number, &[fd]) {
            Ok(_) => File::Registered(number),
            Err(_) => File::Plain(fd),
        }
    }

    /// Takes a socket out of the registered ones.
    pub(crate) fn unregister(&self, file: File) {
        if let File::Registered(number) = file {
            // It can only fail where nothing was registered.
            let _ = self.ring.submitter().register_files_update(number, &[-1]);
        }
    }

    /// Receives from a socket, each datagram with its source, until the request ends.
    pub(crate) fn receive_from(&mut self, name: u64, file: File) {
        let header: *const libc::msghdr = &raw const *self.header;
        let entry = match file {
            File::Registered(number) => {
                opcode::RecvMsgMulti::new(Fixed(number), header, GROUP).build()
            }
            File::Plain(fd) => opcode::RecvMsgMulti::new(Fd(fd), header, GROUP).build(),
        };
        self.push(&entry.user_data(name));
    }

    /// Receives from a connected socket until the request ends.
    pub(crate) fn receive(&mut self, name: u64, file: File) {
        let entry = match file {
            File::Registered(number) => opcode::RecvMulti::new(Fixed(number), GROUP).build(),
            File::Plain(fd) => opcode::RecvMulti::new(Fd(fd), GROUP).build(),
        };
        self.push(&entry.user_data(name));
    }

    /// Completes each time the descriptor becomes readable.
    pub(crate) fn watch(&mut self, name: u64, descriptor: &impl AsRawFd) {
        let fd = Fd(descriptor.as_raw_fd());
        let entry = opcode::PollAdd::new(fd, POLLIN).multi(true).build();
        self.push(&entry.user_data(name));
    }

    /// Ends a request; it completes with an error, the cancelling as `own`.
    pub(crate) fn cancel(&mut self, name: u64, own: u64) {
        self.push(&opcode::AsyncCancel::new(name).build().user_data(own));
    }

    /// A datagram received with its source: where it begins in the buffer, its length, from whom,
    /// and whether it was longer than may be.
    pub(crate) fn named(&mut self, buffer: u16, filled: u32) -> Option<(usize, SocketAddr, bool)> {
        let longest = self.longest;
        let octets = self.memory.piece(buffer).get(..filled as usize)?;
        let out = RecvMsgOut::parse(octets, &self.header).ok()?;
        let source = socket_address(out.name_data())?;
        let len = out.payload_data().len();
        let cut = out.is_payload_truncated() || len > longest;
        Some((len.min(longest), source, cut))
    }

    /// The octets of a buffer from `lead` on.
    pub(crate) fn octets(&mut self, buffer: u16, lead: usize) -> &mut [u8] {
        &mut self.memory.piece(buffer)[lead..]
    }

    /// Gives a buffer back to the kernel.
    pub(crate) fn give_back(&mut self, buffer: u16) {
        let lead = LEAD + self.longest + 1;
        let addr = self.memory.piece(buffer).as_mut_ptr() as u64;
        let at = usize::from(self.tail & (BUFFERS - 1));
        let base = std::ptr::from_mut::<BufRing>(&mut self.buf_ring).cast::<BufRingEntry>();
        // SAFETY: `at` is below `BUFFERS`, so the entry lies in `buf_ring`; the kernel reads entries
        // only below the tail, which is moved past this one afterwards. The tail lies in what the
        // first entry leaves free and is aligned for `u16`; the kernel only reads it.
        unsafe {
            let entry = &mut *base.add(at);
            entry.set_addr(addr);
            entry.set_len(lead as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(base).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Sends `len` octets of a buffer from `lead` on; it is given back once they are sent.
    pub(crate) fn send_buffer(
        &mut self,
        name: u64,
        (buffer, lead, len): (u16, usize, usize),
        file: File,
        to: Option<SocketAddr>,
    ) {
        let packet = &self.memory.piece(buffer)[lead..lead + len];
        let (at, len) = (packet.as_ptr(), len as u32);
        self.send_at(name, (at, len), usize::from(buffer), file, to);
        self.sending.push(buffer);
    }

    /// Sends a copy of a packet; one longer than a buffer is cut.
    pub(crate) fn send_copy(
        &mut self,
        name: u64,
        packet: &[u8],
        file: File,
        to: Option<SocketAddr>,
    ) {
        if self.copied == COPIES {
            let _ = self.enter();
            if self.copied == COPIES {
                return; // the kernel takes nothing now
            }
        }
        let number = self.copied;
        let piece = self.copies.piece(number);
        let len = packet.len().min(piece.len());
        piece[..len].copy_from_slice(&packet[..len]);
        let at = (piece.as_ptr(), len as u32);
        self.copied += 1;
        let address = usize::from(BUFFERS) + usize::from(number);
        self.send_at(name, at, address, file, to);
    }

    fn send_at(
        &mut self,
        name: u64,
        (at, len): (*const u8, u32),
        address: usize,
        file: File,
        to: Option<SocketAddr>,
    ) {
        let (to, to_len) = match to {
            Some(to) => {
                let address = &mut self.addresses[address];
                *address = SockaddrStorage::from(to);
                (address.as_ptr(), address.len())
            }
            None => (std::ptr::null(), 0),
        };
        macro_rules! send {
            ($file:expr) => {
                opcode::Send::new($file, at, len)
                    .flags(libc::MSG_DONTWAIT)
                    .dest_addr(to)
                    .dest_addr_len(to_len)
                    .build()
            };
        }
        let entry = match file {
            File::Registered(number) => send!(Fixed(number)),
            File::Plain(fd) => send!(Fd(fd)),
        };
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(name);
        self.push(&entry);
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: every entry is made in this module. What it points to is in `memory`,
            // `copies`, `addresses` or `header`: none of them moves or shrinks, each lives until the
            // ring is gone, and a piece is not written to again before the kernel has taken the
            // entry (see `taken`).
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return;
            }
            if let Err(error) = self.enter()
                && !matches!(error, Errno::EINTR | Errno::EAGAIN | Errno::EBUSY)
            {
                tracing::error!(%error, "io_uring takes no more requests");
                return;
            }
        }
    }

    /// Hands in what waits, and lets the kernel do what it can do at once.
    pub(crate) fn enter(&mut self) -> Result<(), Errno> {
        let waiting = self.ring.submission().len() as u32;
        // SAFETY: no argument is given, so the kernel reads none.
        let entered = unsafe {
            self.ring
                .submitter()
                .enter::<libc::sigset_t>(waiting, 0, GETEVENTS, None)
        };
        self.taken();
        entered.map(|_| ()).map_err(|error| errno(&error))
    }

    /// Hands in what waits, then waits for `want` completions, `time` at most.
    pub(crate) fn wait(&mut self, want: usize, time: Duration) -> Result<(), Errno> {
        let time = Timespec::from(time);
        let args = SubmitArgs::new().timespec(&time);
        let entered = self.ring.submitter().submit_with_args(want, &args);
        self.taken();
        match entered.map_err(|error| errno(&error)) {
            Ok(_) | Err(Errno::ETIME | Errno::EINTR | Errno::EBUSY | Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Frees what was sent, if the kernel has taken every request: datagrams are sent, or refused,
    /// while it takes them.
    fn taken(&mut self) {
        if !self.ring.submission().is_empty() {
            return;
        }
        self.copied = 0;
        while let Some(buffer) = self.sending.pop() {
            self.give_back(buffer);
        }
    }

    /// Takes completions, as many as there is room for.
    pub(crate) fn completions(&mut self, into: &mut Vec<Completion>, most: usize) {
        for entry in self.ring.completion().take(most) {
            let result = u32::try_from(entry.result()).map_err(|_| {
                // A negative result is an error number.
                Errno::from_raw(-entry.result())
            });
            into.push(Completion {
                name: entry.user_data(),
                result,
                buffer: cqueue::buffer_select(entry.flags()),
                more: cqueue::more(entry.flags()),
            });
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // No request may outlive the memory it fills.
        let all = io_uring::types::CancelBuilder::any();
        let _ = self.ring.submitter().register_sync_cancel(None, all);
        let _ = self.enter();
        // Else the sockets would close only some time after the ring.
        let _ = self.ring.submitter().unregister_files();
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// The address in what the kernel wrote.
fn socket_address(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(name.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(name.get(2..4)?.try_into().ok()?);
    match i32::from(family) {
        libc::AF_INET => {
            let ip: [u8; 4] = name.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::from((ip, port)))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = name.get(8..24)?.try_into().ok()?;
            let scope = u32::from_ne_bytes(name.get(24..28)?.try_into().ok()?);
            Some(std::net::SocketAddrV6::new(ip.into(), port, 0, scope).into())
        }
        _ => None,
    }
}
