//! A system that refuses a path: another one carries the calls, and the report says why.
#![allow(unsafe_code)] // a process can only take its own rights away by system calls

use super::*;

/// What loads of a filter are made of (linux/filter.h).
const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Where the number of the system call lies in what a filter sees (linux/seccomp.h).
const NUMBER: u32 = 0;

/// Has the kernel answer EPERM to a system call of this thread and of those it starts.
fn forbid(call: libc::c_long) {
    let statement = |code, k| libc::sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let mut filter = [
        statement(LOAD_WORD, NUMBER),
        libc::sock_filter {
            code: JUMP_EQUAL,
            jt: 0,
            jf: 1,
            k: call as u32,
        },
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the program and its filter live until the calls return, and the kernel copies them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
        assert_eq!(
            libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program),
            0
        );
    }
}

fn carries_without_io_uring(choice: PathChoice, ports: RangeInclusive<u16>) {
    forbid(libc::SYS_io_uring_setup);
    let mut plane = Plane::choosing(choice, LOOPBACK, ports);
    let path = plane.media.path();
    assert_eq!(path.kind, PathKind::Epoll);
    let reason = path.reason.to_lowercase();
    assert!(
        reason.contains("io_uring") && reason.contains("not permitted"),
        "{reason}"
    );
    let pairs = plane.bind(0, 2);
    let (mut a, mut b) = (Party::plain(LOOPBACK, 1), Party::secure(LOOPBACK, 2));
    plane.open(1, pairs[0], a.params());
    plane.open(2, pairs[1], b.params());
    plane.join(1, 2);
    plane.settle(1);
    talk(&mut a, &mut b, [pairs[0], pairs[1]], 100);
}

#[test]
fn io_uring_forbidden_is_found_out_when_the_path_is_chosen() {
    carries_without_io_uring(PathChoice::Auto, 41_700..=41_799);
}

#[test]
fn io_uring_forbidden_though_configured_gives_way_to_epoll() {
    carries_without_io_uring(PathChoice::Prefer(PathKind::Uring), 41_800..=41_839);
}

#[test]
fn left_to_itself_the_path_is_one_that_was_measured() {
    let plane = Plane::choosing(PathChoice::Auto, LOOPBACK, 41_840..=41_939);
    let path = plane.media.path();
    assert!(path.reason.contains("when measured"), "{}", path.reason);
}
