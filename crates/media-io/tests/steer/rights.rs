//! Without the rights.

use media_io::link::transmitter::Transmitter;
use media_io::sys::steer::{Allowance, Steering};
use nix::errno::Errno;

use crate::namespace::alone;

/// Leaves this thread, and what it starts, with these rights alone.
#[allow(unsafe_code)] // capset(2) is in no library that is used here
fn keep_only(rights: u64) {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let [low, high] = [rights as u32, (rights >> 32) as u32];
    let data = [low, low, 0, high, high, 0];
    // SAFETY: a header and data of version 3 have two and six words; both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    Errno::result(result).unwrap();
}

#[test]
fn the_reason_names_the_right_that_is_missing() {
    const NET_ADMIN: u64 = 1 << 12;
    const NET_RAW: u64 = 1 << 13;
    const BPF: u64 = 1 << 39;
    for (rights, reason) in [
        (NET_ADMIN, "the process lacks CAP_BPF"),
        (BPF, "the process lacks CAP_NET_ADMIN"),
        (NET_RAW, "the process lacks CAP_BPF and CAP_NET_ADMIN"),
    ] {
        alone(move || {
            keep_only(rights);
            let range = ("192.0.2.1".parse().unwrap(), 20_000..=20_999);
            let error = Steering::open(&[range], 1, Allowance::default()).unwrap_err();
            assert_eq!(error.to_string(), reason);
        });
    }
    alone(|| {
        keep_only(BPF | NET_ADMIN | NET_RAW);
        let range = ("192.0.2.1".parse().unwrap(), 20_000..=20_999);
        Steering::open(&[range], 1, Allowance::default()).unwrap();
        Transmitter::open(0, 8, 46).unwrap();
        keep_only(BPF | NET_ADMIN);
        assert_eq!(Transmitter::open(0, 8, 46).unwrap_err(), Errno::EPERM);
    });
}
