//! Network namespaces: one for a test, and one more behind a cable.

use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

/// Plays `test` in a namespace with nothing but its loopback and the documentation's addresses on
/// it, or says why it is not played.
pub(crate) fn alone(test: impl FnOnce() + Send) {
    let user = std::fs::metadata("/proc/self").unwrap().uid();
    if user != 0 {
        eprintln!("skipped: only root may make a network namespace");
        return;
    }
    let play = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        for address in ["192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128"] {
            ip(&format!("address add {address} dev lo"));
        }
        test();
    };
    thread::scope(|scope| scope.spawn(play).join().unwrap());
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

/// Lays a cable from here, `here0`, 198.51.100.1 and 2001:db8:1::1, to another namespace, `there0`
/// with 198.51.100.2 and 2001:db8:1::2. What listens there: a socket of each family.
pub(crate) fn cable() -> [UdpSocket; 2] {
    let (tell, told) = channel();
    let (go, gone) = channel();
    let there = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(gettid()).unwrap();
        gone.recv().unwrap();
        ip("address add 198.51.100.2/24 dev there0");
        ip("address add 2001:db8:1::2/64 dev there0 nodad");
        ip("link set there0 up");
        ["198.51.100.2:4000", "[2001:db8:1::2]:4000"].map(|at| {
            let socket = UdpSocket::bind(at).unwrap();
            let patience = Some(Duration::from_secs(10));
            socket.set_read_timeout(patience).unwrap();
            socket
        })
    });
    let other = told.recv().unwrap();
    ip("link add here0 type veth peer name there0");
    ip(&format!("link set there0 netns {other}"));
    ip("address add 198.51.100.1/24 dev here0");
    ip("address add 2001:db8:1::1/64 dev here0 nodad");
    ip("link set here0 up");
    go.send(()).unwrap();
    there.join().unwrap()
}
