//! Another namespace behind a cable.

use std::net::UdpSocket;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;

use crate::namespace::{await_route, ip};

/// Lays a cable from here, `here0`, 198.51.100.1 and 2001:db8:1::1, to another namespace, `there0`
/// with 198.51.100.2 and 2001:db8:1::2. What listens there: a socket of each family.
pub(crate) fn cable() -> [UdpSocket; 2] {
    let (tell, told) = channel();
    let (go, gone) = channel();
    let there = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        tell.send(gettid()).unwrap();
        gone.recv().unwrap();
        ip("link set lo up");
        ip("address add 198.51.100.2/24 dev there0");
        ip("address add 2001:db8:1::2/64 dev there0 nodad");
        ip("link set there0 up");
        await_route("2001:db8:1::2");
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
    let there = there.join().unwrap();
    await_route("2001:db8:1::1");
    there
}
