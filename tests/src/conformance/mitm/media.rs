//! Media through the man in the middle: descriptions name his ports, packets are judged one by
//! one. He comes between only where a mutant changes media.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::conformance::mutant::{Change, Fate, Packet, Passed, Passing, Side};
use crate::conformance::trial::{Common, locked};

/// How often a pair of ports is tried.
const ATTEMPTS: usize = 64;
/// How often a reader looks whether he is still wanted.
const GLANCE: Duration = Duration::from_millis(200);

/// Every pair of ports he has opened.
#[derive(Debug)]
pub(super) struct Relays(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    common: Arc<Common>,
    carrier: bool,
    bind: IpAddr,
    /// By Call-ID, oldest first.
    calls: Mutex<HashMap<String, Vec<Arc<Post>>>>,
    gone: AtomicBool,
}

/// A pair of ports in the stead of one described address.
#[derive(Debug)]
struct Post {
    call: String,
    /// Whose address he stands for.
    side: Side,
    described: SocketAddr,
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
    }
}

impl Relays {
    pub(super) fn new(common: Arc<Common>, carrier: bool, bind: IpAddr) -> Self {
        Self(Arc::new(Inner {
            common,
            carrier,
            bind,
            calls: Mutex::default(),
            gone: AtomicBool::new(false),
        }))
    }

    /// Puts his own ports into a description that passes.
    pub(super) fn redirect(&self, passing: &mut Passing) {
        let Some(described) = address(&passing.message.body) else {
            return;
        };
        let inner = &self.0;
        // That there was media at all is what a change of media needs to know.
        inner.common.note(Passed::Media(Packet {
            towards: passing.towards,
            carrier: inner.carrier,
            control: false,
            bytes: Vec::new(),
        }));
        if !matches!(inner.common.change(), Some(Change::Media(_))) {
            return;
        }
        let Some(call) = passing.message.first("Call-ID").map(str::to_owned) else {
            return;
        };
        // The description is of the side it comes from.
        match inner.post(&call, opposite(passing.towards), described) {
            Ok(place) => replace(&mut passing.message.body, described, place),
            Err(fault) => inner
                .common
                .log(&format!("man in the middle: media: {fault}")),
        }
    }
}

impl Inner {
    /// His place for a described address.
    fn post(
        self: &Arc<Self>,
        call: &str,
        side: Side,
        described: SocketAddr,
    ) -> std::io::Result<SocketAddr> {
        let mut calls = locked(&self.calls);
        let posts = calls.entry(call.to_owned()).or_default();
        let same = |post: &&Arc<Post>| post.side == side && post.described == described;
        if let Some(post) = posts.iter().find(same) {
            return post.rtp.local_addr();
        }
        let (rtp, rtcp) = pair(self.bind)?;
        let post = Arc::new(Post {
            call: call.to_owned(),
            side,
            described,
            rtp,
            rtcp,
        });
        posts.push(Arc::clone(&post));
        for control in [false, true] {
            let (inner, post) = (Arc::clone(self), Arc::clone(&post));
            std::thread::spawn(move || inner.listen(&post, control));
        }
        post.rtp.local_addr()
    }

    fn listen(self: &Arc<Self>, post: &Arc<Post>, control: bool) {
        let socket = if control { &post.rtcp } else { &post.rtp };
        if socket.set_read_timeout(Some(GLANCE)).is_err() {
            return;
        }
        let mut buffer = vec![0; 2048];
        while !self.gone.load(Ordering::Acquire) {
            if let Ok(length) = socket.recv(&mut buffer) {
                self.pass(post, control, &buffer[..length]);
            }
        }
    }

    /// What arrives in the stead of one side comes from the other one and goes to it.
    fn pass(self: &Arc<Self>, post: &Arc<Post>, odd: bool, bytes: &[u8]) {
        let kind = bytes.get(1).copied().unwrap_or_default();
        let mut packet = Packet {
            towards: post.side,
            carrier: self.carrier,
            control: odd || (192..224).contains(&kind),
            bytes: bytes.to_vec(),
        };
        let fate = match self.common.change() {
            Some(Change::Media(edit)) => edit(&mut packet, &mut self.common.memory()),
            _ => Fate::Pass,
        };
        match fate {
            Fate::Pass | Fate::Astray => self.send(post, odd, &packet.bytes),
            Fate::Drop => {}
            Fate::Times(times) => (0..times).for_each(|_| self.send(post, odd, &packet.bytes)),
            Fate::Delay(time) => {
                let (inner, post) = (Arc::clone(self), Arc::clone(post));
                std::thread::spawn(move || {
                    std::thread::sleep(time);
                    inner.send(&post, odd, &packet.bytes);
                });
            }
        }
    }

    fn send(&self, post: &Post, odd: bool, bytes: &[u8]) {
        let calls = locked(&self.calls);
        let posts = calls.get(&post.call).map(Vec::as_slice).unwrap_or_default();
        // It leaves from the place that stands for its sender.
        let sender = posts.iter().rev().find(|other| other.side != post.side);
        let from = sender.map_or(post, |sender| sender);
        let mut to = post.described;
        to.set_port(to.port() + u16::from(odd));
        let socket = if odd { &from.rtcp } else { &from.rtp };
        // A port that nobody listens at loses what it would have lost anyway.
        let _ = socket.send_to(bytes, to);
    }
}

fn opposite(side: Side) -> Side {
    match side {
        Side::Gateway => Side::Peer,
        Side::Peer => Side::Gateway,
    }
}

/// An even port and the next one.
fn pair(bind: IpAddr) -> std::io::Result<(UdpSocket, UdpSocket)> {
    let mut last = std::io::Error::other("no ports");
    for _ in 0..ATTEMPTS {
        let rtp = UdpSocket::bind((bind, 0))?;
        let port = rtp.local_addr()?.port();
        if port % 2 != 0 {
            continue;
        }
        match UdpSocket::bind((bind, port + 1)) {
            Ok(rtcp) => return Ok((rtp, rtcp)),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// The first audio stream's address, where it has one.
fn address(body: &str) -> Option<SocketAddr> {
    let line = |start: &str| body.lines().rev().find_map(|line| line.strip_prefix(start));
    let ip: IpAddr = line("c=IN IP4 ")?.trim().parse().ok()?;
    let port: u16 = line("m=audio ")?.split(' ').next()?.parse().ok()?;
    (port != 0 && !ip.is_unspecified()).then_some(SocketAddr::new(ip, port))
}

fn replace(body: &mut String, before: SocketAddr, after: SocketAddr) {
    let (ip, port) = (before.ip().to_string(), before.port());
    let (new_ip, new_port) = (after.ip().to_string(), after.port());
    let lines = body.lines().map(|line| {
        if line.starts_with("c=") {
            line.replace(&ip, &new_ip)
        } else if line.starts_with("m=audio ") {
            line.replacen(&port.to_string(), &new_port.to_string(), 1)
        } else if line.starts_with("a=rtcp:") {
            let odd = line.contains(&(port + 1).to_string());
            let new_port = new_port + u16::from(odd);
            match line.split_once(" IN ") {
                Some(_) => format!("a=rtcp:{new_port} IN IP4 {new_ip}"),
                None => format!("a=rtcp:{new_port}"),
            }
        } else {
            line.to_owned()
        }
    });
    *body = lines.map(|line| line + "\r\n").collect();
}
