//! A system that refuses a path: another one carries the calls, and the report says why.
#![allow(unsafe_code)] // a process can only take its own rights away by system calls

use super::*;

/// An address of the namespace that is no loopback address.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

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
    let (pairs, [mut a, mut b]) = plane.call(0, LOOPBACK);
    talk(&mut a, &mut b, pairs, 100);
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
    // Of those that need no rights.
    keep_only(0);
    let plane = Plane::choosing(PathChoice::Auto, LOOPBACK, 41_840..=41_939);
    let path = plane.media.path();
    assert!(path.reason.contains("when measured"), "{}", path.reason);
}

/// Leaves this thread, and those it starts, with these rights alone.
fn keep_only(rights: u64) {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let [low, high] = [rights as u32, (rights >> 32) as u32];
    let data = [low, low, 0, high, high, 0];
    // SAFETY: a header and data of version 3 have two and six words; both outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    assert_eq!(result, 0);
}

#[test]
fn steering_without_its_rights_gives_way_and_says_which_is_missing() {
    const NET_ADMIN: u64 = 1 << 12;
    const NET_RAW: u64 = 1 << 13;
    const BPF: u64 = 1 << 39;
    for (choice, rights, missing) in [
        (
            PathChoice::Prefer(PathKind::Steered),
            NET_RAW,
            "CAP_BPF and CAP_NET_ADMIN",
        ),
        (
            PathChoice::Prefer(PathKind::Steered),
            BPF | NET_ADMIN,
            "CAP_NET_RAW",
        ),
        (
            PathChoice::Auto,
            0,
            "CAP_BPF and CAP_NET_ADMIN and CAP_NET_RAW",
        ),
    ] {
        namespace::alone(|| {
            keep_only(rights);
            let mut plane = Plane::choosing(choice, HOST, 41_940..=42_039);
            let path = plane.media.path();
            assert_ne!(path.kind, PathKind::Steered);
            let reason = format!("steered: the process lacks {missing})");
            assert!(path.reason.ends_with(&reason), "{}", path.reason);
            let (pairs, [mut a, mut b]) = plane.call(0, HOST);
            talk(&mut a, &mut b, pairs, 20);
        });
    }
}

#[test]
fn left_to_itself_with_all_rights_the_path_is_the_steered_one() {
    namespace::alone(|| {
        let plane = Plane::choosing(PathChoice::Auto, HOST, 42_040..=42_139);
        assert_eq!(plane.media.path().kind, PathKind::Steered);
        // The same range, beside it: blocks of ports keep the two apart.
        let mut planes = [
            plane,
            Plane::choosing(PathChoice::Auto, HOST, 42_040..=42_139),
        ];
        let [ours, theirs] = planes.each_mut().map(|plane| plane.bind(0, 16));
        assert!(
            ours.iter()
                .all(|one| theirs.iter().all(|other| one.rtp() != other.rtp()))
        );
    });
}

#[test]
fn the_loopback_and_any_address_are_not_steered_unasked() {
    namespace::alone(|| {
        for (bind, why) in [
            (LOOPBACK, "on the loopback"),
            (Ipv4Addr::UNSPECIFIED.into(), "unspecified"),
        ] {
            let plane = Plane::choosing(PathChoice::Auto, bind, 42_140..=42_239);
            let path = plane.media.path();
            assert_ne!(path.kind, PathKind::Steered);
            assert!(path.reason.ends_with(why), "{}", path.reason);
        }
    });
}
