//! eBPF: a small assembler, and the few commands of bpf(2) that steering needs.
//!
//! Programs are written in code, so that building needs no BPF compiler. Offsets of the kernel's
//! structures are part of its stable interface (`linux/bpf.h`).

mod assembler;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;

use super::own;
pub use assembler::{Alu, Assembler, AssemblyError, Helper, If, Label, Reg, Size};

const MAP_CREATE: u32 = 0;
const MAP_UPDATE_ELEM: u32 = 2;
const MAP_DELETE_ELEM: u32 = 3;
const PROG_LOAD: u32 = 5;
const LINK_CREATE: u32 = 28;
const LINK_DETACH: u32 = 34;

const MAP_TYPE_ARRAY: u32 = 2;
const MAP_TYPE_SOCKMAP: u32 = 15;
const F_MMAPABLE: u32 = 1 << 10;

const PROG_TYPE_SK_LOOKUP: u32 = 30;
const ATTACH_SK_LOOKUP: u32 = 36;

/// Octets kept of what the verifier says of a program that it refuses.
const LOG: usize = 64 * 1024;

/// What the kernel refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the kernel refused {what}: {error}{}{log}", if log.is_empty() { "" } else { "\n" })]
pub struct Refused {
    /// What was asked for.
    pub what: &'static str,
    /// The error.
    pub error: Errno,
    /// What the verifier says of a program; empty otherwise.
    pub log: String,
}

impl Refused {
    pub(super) fn new(what: &'static str, error: Errno) -> Self {
        let log = String::new();
        Self { what, error, log }
    }
}

/// A table that programs and this process share.
#[derive(Debug)]
pub struct Map(OwnedFd);

#[repr(C)]
struct CreateMap {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
}

#[repr(C)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Map {
    /// An array of `entries` values of `size` octets, that can be mapped into memory.
    pub fn array(name: &str, size: u32, entries: u32) -> Result<Self, Refused> {
        let what = "a BPF array";
        Self::create(what, name, MAP_TYPE_ARRAY, size, entries, F_MMAPABLE)
    }

    /// A table of `entries` sockets.
    pub fn sockets(name: &str, entries: u32) -> Result<Self, Refused> {
        Self::create("a BPF socket map", name, MAP_TYPE_SOCKMAP, 8, entries, 0)
    }

    fn create(
        what: &'static str,
        name: &str,
        map_type: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
    ) -> Result<Self, Refused> {
        let attributes = CreateMap {
            map_type,
            key_size: 4,
            value_size,
            max_entries,
            map_flags,
            inner_map_fd: 0,
            numa_node: 0,
            map_name: short(name),
        };
        // SAFETY: a `CreateMap` is what MAP_CREATE takes, and holds no pointer.
        let fd = unsafe { bpf(MAP_CREATE, &attributes) };
        match fd {
            Ok(fd) => Ok(Self(own(fd))),
            Err(error) => Err(Refused::new(what, error)),
        }
    }

    /// Puts a socket into a table of sockets; it leaves the table when it is closed.
    pub fn put_socket(&self, at: u32, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let value = socket.as_raw_fd() as u64;
        let element = self.element(&at, &raw const value as u64);
        // SAFETY: an `Element` is what MAP_UPDATE_ELEM takes; key (four octets) and value (eight)
        // are as large as the table was created with, and outlive the call.
        unsafe { bpf(MAP_UPDATE_ELEM, &element) }.map(drop)
    }

    /// Takes a socket out of a table of sockets.
    pub fn remove(&self, at: u32) -> Result<(), Errno> {
        let element = self.element(&at, 0);
        // SAFETY: an `Element` is what MAP_DELETE_ELEM takes; the key outlives the call.
        unsafe { bpf(MAP_DELETE_ELEM, &element) }.map(drop)
    }

    fn element(&self, key: &u32, value: u64) -> Element {
        Element {
            map_fd: self.0.as_raw_fd() as u32,
            padding: 0,
            key: &raw const *key as u64,
            value,
            flags: 0,
        }
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A program that chooses the socket of a datagram. It runs as long as this value lives.
#[derive(Debug)]
pub struct SkLookup {
    _program: OwnedFd,
    link: OwnedFd,
}

#[repr(C)]
struct LoadProgram {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

#[repr(C)]
struct CreateLink {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
struct DetachLink {
    link_fd: u32,
}

impl SkLookup {
    /// Loads a program and has it run in the network namespace of this thread.
    pub fn attach(name: &str, code: &[u64]) -> Result<Self, Refused> {
        let program = load(name, code)?;
        let namespace = std::fs::File::open("/proc/thread-self/ns/net").map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
            Refused::new("its own network namespace", errno)
        })?;
        let link = CreateLink {
            prog_fd: program.as_raw_fd() as u32,
            target_fd: namespace.as_raw_fd() as u32,
            attach_type: ATTACH_SK_LOOKUP,
            flags: 0,
        };
        // SAFETY: a `CreateLink` is what LINK_CREATE takes, and holds no pointer.
        let link = unsafe { bpf(LINK_CREATE, &link) }
            .map_err(|error| Refused::new("to run the steering program", error))?;
        Ok(Self {
            _program: program,
            link: own(link),
        })
    }
}

impl Drop for SkLookup {
    /// A copy of the descriptor, as a child process has one until it executes its program, would
    /// keep the program running, and that would take what is meant for its successor.
    fn drop(&mut self) {
        let link = DetachLink {
            link_fd: self.link.as_raw_fd() as u32,
        };
        // SAFETY: a `DetachLink` is what LINK_DETACH takes, and holds no pointer.
        if let Err(error) = unsafe { bpf(LINK_DETACH, &link) } {
            tracing::warn!(%error, "the steering program may go on for a while");
        }
    }
}

/// Loads a program; should the verifier refuse it, once more to hear why.
fn load(name: &str, code: &[u64]) -> Result<OwnedFd, Refused> {
    match load_once(name, code, &mut []) {
        Ok(fd) => Ok(fd),
        Err(error) => {
            let mut log = vec![0; LOG];
            let _ = load_once(name, code, &mut log);
            let end = log.iter().position(|&octet| octet == 0);
            log.truncate(end.unwrap_or(LOG));
            Err(Refused {
                what: "the steering program",
                error,
                log: String::from_utf8_lossy(&log).trim_end().to_owned(),
            })
        }
    }
}

fn load_once(name: &str, code: &[u64], log: &mut [u8]) -> Result<OwnedFd, Errno> {
    let attributes = LoadProgram {
        prog_type: PROG_TYPE_SK_LOOKUP,
        insn_cnt: code.len() as u32,
        insns: code.as_ptr() as u64,
        // The helpers that are called are open to programs under any licence.
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr() as u64
        },
        kern_version: 0,
        prog_flags: 0,
        prog_name: short(name),
        prog_ifindex: 0,
        expected_attach_type: ATTACH_SK_LOOKUP,
    };
    // SAFETY: a `LoadProgram` is what PROG_LOAD takes; code, licence and log outlive the call, with
    // the lengths given, and the log is borrowed for writing.
    unsafe { bpf(PROG_LOAD, &attributes) }.map(own)
}

/// A name as the kernel keeps it: 15 octets and a zero.
fn short(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    for (to, from) in short[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    short
}

/// bpf(2).
///
/// # Safety
/// `attributes` is what the kernel expects for `command`; what it points to lives as long as the
/// call and is as large as the kernel takes it to be.
unsafe fn bpf<T>(command: u32, attributes: &T) -> Result<RawFd, Errno> {
    // SAFETY: as the caller promises.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attributes,
            size_of::<T>() as u32,
        )
    };
    Errno::result(result).map(|fd| fd as RawFd)
}
