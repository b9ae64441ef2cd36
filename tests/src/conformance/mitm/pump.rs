//! Established connections: messages cut out of one side's stream, judged, written to the other.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::Connection;

use super::{Desk, Door};
use crate::conformance::mutant::{Fate, Passing, Side};
use crate::conformance::trial::locked;
use crate::sip::Sip;

/// One end of a carried connection.
#[derive(Debug)]
pub(super) struct End {
    socket: TcpStream,
    tls: Mutex<Connection>,
    open: AtomicBool,
}

impl End {
    fn new(socket: TcpStream, tls: Connection) -> Arc<Self> {
        Arc::new(Self {
            socket,
            tls: Mutex::new(tls),
            open: AtomicBool::new(true),
        })
    }

    fn send(&self, bytes: &[u8]) {
        let mut tls = locked(&self.tls);
        // An end that is gone is noticed by the one who reads it.
        let _ = tls.writer().write_all(bytes);
        while tls.wants_write() && tls.write_tls(&mut &self.socket).is_ok() {}
    }

    fn close(&self) {
        if !self.open.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut tls = locked(&self.tls);
        tls.send_close_notify();
        while tls.wants_write() && tls.write_tls(&mut &self.socket).is_ok() {}
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Hands over what has been decrypted; tells whether the other side has closed.
    fn decrypted(&self, into: &mut Vec<u8>, mut sealed: &[u8]) -> bool {
        loop {
            let mut tls = locked(&self.tls);
            if !sealed.is_empty() && tls.read_tls(&mut sealed).is_err() {
                return true;
            }
            let Ok(state) = tls.process_new_packets() else {
                return true;
            };
            let start = into.len();
            into.resize(start + state.plaintext_bytes_to_read(), 0);
            if tls.reader().read_exact(&mut into[start..]).is_err() {
                into.truncate(start);
            }
            // Tickets and key updates are answered by the library.
            while tls.wants_write() && tls.write_tls(&mut &self.socket).is_ok() {}
            if state.peer_has_closed() {
                return true;
            }
            if sealed.is_empty() {
                return false;
            }
        }
    }
}

/// A carried connection.
#[derive(Debug)]
pub(super) struct Span {
    towards: Side,
    proxy: usize,
    linger: bool,
    /// The opener's end; another one takes its place where the mutant never renews.
    near: Mutex<Arc<End>>,
    far: Arc<End>,
}

impl Span {
    pub(super) fn new(
        door: Door,
        linger: bool,
        near: (TcpStream, Connection),
        far: (TcpStream, Connection),
    ) -> Self {
        Self {
            towards: door.towards,
            proxy: door.proxy,
            linger,
            near: Mutex::new(End::new(near.0, near.1)),
            far: End::new(far.0, far.1),
        }
    }

    fn near(&self) -> Arc<End> {
        Arc::clone(&locked(&self.near))
    }

    /// The end on this side's side.
    fn end_of(&self, side: Side) -> Arc<End> {
        if side == self.towards {
            Arc::clone(&self.far)
        } else {
            self.near()
        }
    }

    pub(super) fn cut(&self) {
        for end in [self.near(), Arc::clone(&self.far)] {
            // It may be gone already.
            let _ = end.socket.shutdown(Shutdown::Both);
        }
    }

    fn is_open(&self) -> bool {
        self.far.open.load(Ordering::Acquire)
    }
}

impl Desk {
    /// The first connection through this door that is still open at its far end.
    pub(super) fn first_span(&self, door: Door) -> Option<Arc<Span>> {
        let spans = locked(&self.spans);
        let same = |span: &&Arc<Span>| {
            span.towards == door.towards && span.proxy == door.proxy && span.is_open()
        };
        spans.iter().find(same).cloned()
    }
}

/// Carries from now on.
pub(super) fn join(desk: &Arc<Desk>, span: Span) {
    let span = Arc::new(span);
    locked(&desk.spans).push(Arc::clone(&span));
    start(desk, &span, span.near(), span.towards);
    start(desk, &span, Arc::clone(&span.far), opposite(span.towards));
}

/// Puts another near end in the place of the one before.
pub(super) fn rejoin(desk: &Arc<Desk>, span: &Arc<Span>, down: TcpStream, near: Connection) {
    let end = End::new(down, near);
    *locked(&span.near) = Arc::clone(&end);
    start(desk, span, end, span.towards);
}

fn start(desk: &Arc<Desk>, span: &Arc<Span>, from: Arc<End>, towards: Side) {
    let (desk, span) = (Arc::clone(desk), Arc::clone(span));
    std::thread::spawn(move || read(&desk, &span, &from, towards));
}

fn opposite(side: Side) -> Side {
    match side {
        Side::Gateway => Side::Peer,
        Side::Peer => Side::Gateway,
    }
}

fn read(desk: &Arc<Desk>, span: &Arc<Span>, from: &Arc<End>, towards: Side) {
    let mut sealed = vec![0; 16_384];
    let mut stream = Vec::new();
    let mut length = 0;
    loop {
        let closed = from.decrypted(&mut stream, &sealed[..length]);
        while let Some(item) = next(&mut stream) {
            pass(desk, span, towards, &item);
        }
        if closed {
            break;
        }
        match (&from.socket).read(&mut sealed) {
            Ok(0) | Err(_) => break,
            Ok(read) => length = read,
        }
    }
    from.close();
    let near_ended = towards == span.towards;
    let replaced = near_ended && !Arc::ptr_eq(from, &span.near());
    let lingers = near_ended && span.linger;
    if !lingers && !replaced {
        span.end_of(towards).close();
    }
}

/// Takes the next message or empty line off a stream.
fn next(stream: &mut Vec<u8>) -> Option<Vec<u8>> {
    if stream.starts_with(b"\r\n") {
        let blank = stream
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        return Some(stream.drain(..blank).collect());
    }
    let head = stream.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&stream[..head]);
    let length: usize = text
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| {
            let name = name.trim();
            name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l")
        })
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    (stream.len() >= head + length).then(|| stream.drain(..head + length).collect())
}

fn pass(desk: &Arc<Desk>, span: &Arc<Span>, towards: Side, item: &[u8]) {
    let blank = item.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
    let read = if blank {
        Some(empty())
    } else {
        Sip::read(item)
    };
    let Some(message) = read else {
        span.end_of(towards).send(item);
        return;
    };
    let before = Passing {
        towards,
        opened_by: opposite(span.towards),
        proxy: span.proxy,
        message,
    };
    let mut after = before.clone();
    let fate = desk.judge(&mut after);
    // What nobody changed goes on byte for byte.
    let bytes = if after.message == before.message {
        item.to_vec()
    } else {
        after.message.text().into_bytes()
    };
    match fate {
        Fate::Pass => span.end_of(towards).send(&bytes),
        Fate::Drop => {}
        Fate::Delay(time) => {
            let end = span.end_of(towards);
            std::thread::spawn(move || {
                std::thread::sleep(time);
                end.send(&bytes);
            });
        }
        Fate::Times(times) => {
            for _ in 0..times {
                span.end_of(towards).send(&bytes);
            }
        }
        Fate::Astray => {
            let spans = locked(&desk.spans);
            let other = spans.iter().rev().find(|other| {
                other.towards != span.towards && other.proxy == span.proxy && other.is_open()
            });
            other.unwrap_or(span).end_of(towards).send(&bytes);
        }
    }
}

fn empty() -> Sip {
    Sip {
        start: String::new(),
        headers: Vec::new(),
        body: String::new(),
    }
}
