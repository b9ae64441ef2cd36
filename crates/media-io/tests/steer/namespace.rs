//! A network namespace for a test.

use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

/// Plays `test` in a namespace with nothing but its loopback and the documentation's addresses on
/// it, or says why it is not played.
pub(crate) fn alone(test: impl FnOnce() + Send) {
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    if user != 0 {
        corpora::skip("only root may make a network namespace");
        return;
    }
    let play = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        // The ports that the tests use are none that the kernel gives away.
        switch("ipv4/ip_local_port_range", "60000 60999");
        // Without nodad the address of IPv6 cannot be bound until the kernel's worker has been by.
        for address in ["192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128 nodad"] {
            ip(&format!("address add dev lo {address}"));
        }
        await_route("2001:db8::1");
        test();
    };
    thread::scope(|scope| scope.spawn(play).join().unwrap());
}

/// Waits until what is sent to an own address of IPv6 arrives: the kernel's worker adds the route
/// to it some time after the address, and drops without a word what comes before.
pub(crate) fn await_route(address: &str) {
    let address: IpAddr = address.parse().unwrap();
    let socket = UdpSocket::bind((address, 0)).unwrap();
    let patience = Duration::from_millis(10);
    socket.set_read_timeout(Some(patience)).unwrap();
    let here = socket.local_addr().unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    let arrives = || socket.send_to(&[0], here).is_ok() && socket.recv(&mut [0]).is_ok();
    while !arrives() {
        assert!(Instant::now() < until, "{address} is not reached");
        thread::yield_now();
    }
}

/// Runs ip(8) in the namespace of this thread.
pub(crate) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

/// Sets a switch of the namespace of this thread.
pub(crate) fn switch(name: &str, value: &str) {
    std::fs::write(format!("/proc/sys/net/{name}"), value).unwrap();
}
