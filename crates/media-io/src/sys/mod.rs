//! System calls that no library offers safely: the only unsafe code of the media plane.
//!
//! Programs that choose a socket, batches of datagrams with where they were sent to, frames past
//! the IP stack, rings. Each module gives types whose methods are safe whatever they are called
//! with.
#![allow(unsafe_code)] // each block says why it is sound

pub mod bpf;
pub mod mmsg;
pub mod packet;
pub mod prefetch;
pub mod raw;
pub mod steer;
mod table;
mod tx_ring;
pub(crate) mod uring;
mod xdp;

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

/// Sets an option of a socket that is an `int`.
fn set_int(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> Result<(), Errno> {
    let len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the pointer is to an int that outlives the call, and the length is an int's.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const value).cast(), len) };
    Errno::result(result).map(drop)
}

/// A socket that does not block and that children do not inherit.
fn open_socket(family: c_int, kind: c_int, protocol: c_int) -> Result<OwnedFd, Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the call takes no pointer.
    let fd = unsafe { libc::socket(family, kind | flags, protocol) };
    Errno::result(fd).map(own)
}

/// Takes a descriptor that a system call has just returned.
fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for the caller, so nobody else closes it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Asks for buffers of so many octets: beyond the system's limit where the rights allow that
/// (CAP_NET_ADMIN), up to the limit otherwise.
fn set_buffers(fd: BorrowedFd<'_>, octets: usize) -> Result<(), Errno> {
    let octets = c_int::try_from(octets).unwrap_or(c_int::MAX);
    for (force, plain) in [
        (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
        (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
    ] {
        if set_int(fd, libc::SOL_SOCKET, force, octets).is_err() {
            set_int(fd, libc::SOL_SOCKET, plain, octets)?;
        }
    }
    Ok(())
}
