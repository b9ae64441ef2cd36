//! The carrier: a telephone on UDP, scripted line by line.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::gateway;
use crate::lab::Lab;
use crate::sip::{Sip, end};

const PATIENCE: Duration = Duration::from_secs(10);

/// The carrier's end of the carrier trunk.
#[derive(Debug)]
pub struct Telephone {
    socket: UdpSocket,
    gateway: SocketAddr,
    seen: HashSet<Vec<u8>>,
    waiting: Vec<Sip>,
}

/// A dialog from the telephone's side.
#[derive(Clone, Debug)]
pub struct Dialog {
    /// `From` of what the telephone sends, with its tag.
    pub local: String,
    /// `To` of what the telephone sends, with the gateway's tag.
    pub remote: String,
    /// The gateway's Contact.
    pub target: String,
    /// The Call-ID.
    pub call_id: String,
}

impl Telephone {
    /// At the carrier's place.
    ///
    /// # Panics
    /// Somebody else is there.
    #[must_use]
    pub fn start(lab: &Lab) -> Self {
        Self::at(gateway::carrier(lab), gateway::udp(lab))
    }

    /// At a place of its own, towards this port of the gateway.
    ///
    /// # Panics
    /// Somebody else is there.
    #[must_use]
    pub fn at(own: SocketAddr, gateway: SocketAddr) -> Self {
        let socket = UdpSocket::bind(own).expect("the telephone's port is free");
        Self {
            socket,
            gateway,
            seen: HashSet::new(),
            waiting: Vec::new(),
        }
    }

    /// Where it is.
    ///
    /// # Panics
    /// The socket has no address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("the socket is bound")
    }

    /// Sends a message to the gateway.
    ///
    /// # Panics
    /// It cannot be sent.
    pub fn send(&self, text: &str) {
        self.socket
            .send_to(text.as_bytes(), self.gateway)
            .expect("loopback takes datagrams");
    }

    /// The next message that is `wanted`; retransmissions are left out.
    ///
    /// # Panics
    /// None comes.
    pub fn expect(&mut self, what: &str, wanted: impl Fn(&Sip) -> bool) -> Sip {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        let until = Instant::now() + PATIENCE;
        let mut buffer = vec![0; 65_536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what}; but {:?}", self.waiting);
            self.socket
                .set_read_timeout(Some(left))
                .expect("a timeout can be set");
            let Ok(length) = self.socket.recv(&mut buffer) else {
                continue;
            };
            if !self.seen.insert(buffer[..length].to_vec()) {
                continue;
            }
            let message = Sip::parse(&String::from_utf8_lossy(&buffer[..length]));
            if wanted(&message) {
                return message;
            }
            self.waiting.push(message);
        }
    }

    /// The next request of this method.
    pub fn request(&mut self, method: &str) -> Sip {
        self.expect(method, |message| message.method() == Some(method))
    }

    /// The next response to this method with this status.
    pub fn response(&mut self, method: &str, status: u16) -> Sip {
        self.expect(&format!("{status} to {method}"), |message| {
            message.answers(method, status)
        })
    }

    /// Rings.
    pub fn ring(&self, invite: &Sip) {
        self.send(&invite.response("180 Ringing", "phone", &[&self.contact()], ""));
    }

    /// Picks up; the ACK is still to come.
    #[must_use]
    pub fn pick_up(&self, invite: &Sip, media: SocketAddr) -> Dialog {
        self.send(&invite.response("200 OK", "phone", &[&self.contact()], &description(media)));
        Dialog {
            local: format!("{};tag=phone", invite.header("To")),
            remote: invite.header("From").to_owned(),
            target: invite.uri("Contact").to_owned(),
            call_id: invite.header("Call-ID").to_owned(),
        }
    }

    fn contact(&self) -> String {
        format!("Contact: <sip:{}>", self.address())
    }

    /// Calls a number and gives the INVITE's Call-ID.
    pub fn call(&self, calling: &str, called: &str, media: SocketAddr) -> String {
        let call_id = format!("call-{}@{}", self.seen.len(), self.address().ip());
        let (own, gateway) = (self.address(), self.gateway);
        self.send(
            &(format!(
                "INVITE sip:{called}@{gateway} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {own};branch=z9hG4bK-{call_id}-invite\r\n\
                 Max-Forwards: 70\r\n\
                 From: \"A caller\" <sip:{calling}@{own}>;tag=phone\r\n\
                 To: <sip:{called}@{gateway}>\r\n\
                 Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\
                 Contact: <sip:{calling}@{own}>\r\n\
                 Record-Route: <sip:{own};lr>\r\n"
            ) + &end(&[], &description(media))),
        );
        call_id
    }

    /// Acknowledges the 200 to its own INVITE.
    pub fn acknowledge(&self, ok: &Sip) -> Dialog {
        let dialog = Dialog {
            local: ok.header("From").to_owned(),
            remote: ok.header("To").to_owned(),
            target: ok.uri("Contact").to_owned(),
            call_id: ok.header("Call-ID").to_owned(),
        };
        self.send(&self.within(&dialog, "ACK", 1));
        dialog
    }

    /// Hangs up; the gateway must answer at once.
    pub fn hang_up(&mut self, dialog: &Dialog) {
        self.send(&self.within(dialog, "BYE", 7));
        self.response("BYE", 200);
    }

    fn within(&self, dialog: &Dialog, method: &str, number: u32) -> String {
        let Dialog {
            local,
            remote,
            target,
            call_id,
        } = dialog;
        format!(
            "{method} {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {};branch=z9hG4bK-{call_id}-{method}\r\n\
             Max-Forwards: 70\r\nFrom: {local}\r\nTo: {remote}\r\n\
             Call-ID: {call_id}\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
            self.address()
        )
    }
}

/// A plain G.711 description.
#[must_use]
pub fn description(media: SocketAddr) -> String {
    let (address, port) = (media.ip(), media.port());
    let family = if media.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
    )
}
