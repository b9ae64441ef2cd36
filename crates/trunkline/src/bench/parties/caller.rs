//! The calling party: INVITE, ACK, later BYE, with the retransmissions of RFC 3261 over UDP.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::message::Message;
use super::timers::{T1, T2, Timers, What};
use crate::bench::histogram::Histogram;

/// A transaction is given up after so long (64 T1; RFC 3261 §17.1).
const GIVEN_UP: Duration = Duration::from_secs(32);

/// What became of a call.
enum State {
    /// The INVITE is unanswered; whether at least provisionally.
    Inviting { ringing: bool, every: Duration },
    /// It is up.
    Talking,
    /// The BYE is unanswered.
    Leaving { since: Instant, every: Duration },
    /// It is over.
    Over,
}

struct Call {
    state: State,
    began: Instant,
    /// What is sent again: the INVITE, later the ACK, later the BYE.
    last: String,
    /// The other side of the dialog: To with its tag, and Contact.
    to: String,
    target: String,
}

/// What was counted.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) answered: u32,
    pub(super) ended: u32,
    pub(super) failed: BTreeMap<String, u32>,
    pub(super) retransmissions: u32,
}

/// Calls numbered as they begin, over one socket.
pub(super) struct Caller {
    pub(super) socket: UdpSocket,
    own: SocketAddr,
    media: SocketAddr,
    gateway: SocketAddr,
    /// Tells this process's calls from another's.
    mark: u32,
    /// The number of the first call in `calls`.
    first: usize,
    calls: Vec<Call>,
    /// How long a call is held; without it until told.
    pub(super) hold: Option<Duration>,
    pub(super) tally: Tally,
    pub(super) delays: Histogram,
}

impl Caller {
    pub(super) fn new(socket: UdpSocket, media: SocketAddr, gateway: SocketAddr) -> Result<Self> {
        Ok(Self {
            own: socket.local_addr()?,
            socket,
            media,
            gateway,
            mark: std::process::id(),
            first: 0,
            calls: Vec::new(),
            hold: None,
            tally: Tally::default(),
            delays: Histogram::new(),
        })
    }

    /// Counts anew. Calls that are over are forgotten; those that are up stay where they are.
    pub(super) fn count_anew(&mut self) {
        self.tally = Tally::default();
        self.delays = Histogram::new();
        if self
            .calls
            .iter()
            .all(|call| matches!(call.state, State::Over))
        {
            self.first += self.calls.len();
            self.calls.clear();
        }
    }

    /// Calls that are up.
    pub(super) fn talking(&self) -> Vec<usize> {
        let talking = |(n, call): (usize, &Call)| {
            matches!(call.state, State::Talking).then_some(self.first + n)
        };
        self.calls.iter().enumerate().filter_map(talking).collect()
    }

    fn send(&self, text: &str) {
        // What the kernel does not take is lost, as on a network, and sent again.
        let _ = self.socket.send_to(text.as_bytes(), self.gateway);
    }

    /// Everything up to the body of a request.
    fn request(&self, n: usize, method: &str, target: &str, cseq: u32, to: &str) -> String {
        let (own, mark) = (self.own, self.mark);
        format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{mark}-{n}-{method}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+14255550199@{own}>;tag=c{n}\r\nTo: {to}\r\n\
             Call-ID: {n}-{mark}@{own}\r\nCSeq: {cseq} {method}\r\n"
        )
    }

    /// Asks whether the gateway is there.
    pub(super) fn ping(&self, n: u32) {
        let gateway = self.gateway;
        let to = format!("<sip:{gateway}>");
        let head = self.request(0, "OPTIONS", &format!("sip:{gateway}"), n, &to);
        let head = head.replace("-OPTIONS\r\n", &format!("-OPTIONS{n}\r\n"));
        self.send(&(head + "Content-Length: 0\r\n\r\n"));
    }

    /// Begins the next call.
    pub(super) fn begin(&mut self, now: Instant, timers: &mut Timers) {
        let n = self.first + self.calls.len();
        let (own, media) = (self.own, self.media);
        let to = format!("<sip:+14255550123@{}>", self.gateway);
        let target = format!("sip:+14255550123@{}", self.gateway);
        let body = super::description(media);
        let invite = self.request(n, "INVITE", &target, 1, &to)
            + &format!(
                "Contact: <sip:+14255550199@{own}>\r\nContent-Type: application/sdp\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
        self.send(&invite);
        timers.set(now + T1, What::Invite(n));
        self.calls.push(Call {
            state: State::Inviting {
                ringing: false,
                every: T1,
            },
            began: now,
            last: invite,
            to,
            target,
        });
    }

    /// Takes a message; how many calls ended by it.
    pub(super) fn hear(&mut self, octets: &[u8], now: Instant, timers: &mut Timers) {
        let Some(message) = Message::read(octets) else {
            return;
        };
        let Some(status) = message.status() else {
            return self.refuse(&message);
        };
        let number = message
            .field("Call-ID")
            .and_then(|id| id.split('-').next()?.parse::<usize>().ok())
            .and_then(|n| n.checked_sub(self.first));
        let Some(at) = number.filter(|at| *at < self.calls.len()) else {
            return;
        };
        match message.cseq_method() {
            Some("INVITE") if status < 200 => {
                if let State::Inviting { ringing, .. } = &mut self.calls[at].state {
                    *ringing = true;
                }
            }
            Some("INVITE") if status < 300 => self.answered(at, &message, now, timers),
            Some("INVITE") => self.refused(at, &message),
            Some("BYE") => {
                if matches!(self.calls[at].state, State::Leaving { .. }) {
                    self.calls[at].state = State::Over;
                    if status < 300 {
                        self.tally.ended += 1;
                    } else {
                        self.fail(format!("BYE: {}", message.words()));
                    }
                }
            }
            Some(_) | None => {}
        }
    }

    fn answered(&mut self, at: usize, message: &Message<'_>, now: Instant, timers: &mut Timers) {
        let n = self.first + at;
        if !matches!(self.calls[at].state, State::Inviting { .. }) {
            // The answer again: the ACK was lost, or came too late.
            self.tally.retransmissions += 1;
            if matches!(self.calls[at].state, State::Talking) {
                self.send(&self.calls[at].last);
            }
            return;
        }
        let (Some(to), Some(target)) = (message.field("To"), message.contact()) else {
            return;
        };
        self.calls[at].to = to.to_owned();
        self.calls[at].target = target.to_owned();
        let ack = self.request(n, "ACK", target, 1, to) + "Content-Length: 0\r\n\r\n";
        self.send(&ack);
        let waited = now - self.calls[at].began;
        self.delays.record(waited.as_nanos() as u64);
        self.tally.answered += 1;
        if !message.has_audio() {
            self.fail("an answer without audio".to_owned());
        }
        let call = &mut self.calls[at];
        (call.last, call.state) = (ack, State::Talking);
        if let Some(hold) = self.hold {
            timers.set(now + hold, What::Hang(n));
        }
    }

    fn refused(&mut self, at: usize, message: &Message<'_>) {
        let n = self.first + at;
        let to = message.field("To").unwrap_or_default();
        let ack = self.request(n, "ACK", &self.calls[at].target, 1, to);
        // The same branch as the INVITE's: this ACK is part of its transaction (§17.1.1.3).
        let ack = ack.replacen(&format!("-{n}-ACK\r\n"), &format!("-{n}-INVITE\r\n"), 1);
        self.send(&(ack + "Content-Length: 0\r\n\r\n"));
        if matches!(self.calls[at].state, State::Inviting { .. }) {
            self.calls[at].state = State::Over;
            self.fail(message.words().to_owned());
        }
    }

    /// Answers what the gateway asks of its own accord, so that it does not ask again.
    fn refuse(&mut self, message: &Message<'_>) {
        let status = match message.method() {
            "ACK" => return,
            "BYE" => {
                self.fail("the gateway hung up".to_owned());
                "200 OK"
            }
            "OPTIONS" => "200 OK",
            _ => "501 Not Implemented",
        };
        self.send(&super::response(message, status, "", ""));
    }

    fn fail(&mut self, why: String) {
        *self.tally.failed.entry(why).or_default() += 1;
    }

    /// Ends a call that is up.
    pub(super) fn hang(&mut self, n: usize, now: Instant, timers: &mut Timers) {
        let Some(at) = n.checked_sub(self.first) else {
            return;
        };
        let Some(call) = self.calls.get(at) else {
            return;
        };
        if !matches!(call.state, State::Talking) {
            return;
        }
        let bye = self.request(n, "BYE", &call.target, 2, &call.to) + "Content-Length: 0\r\n\r\n";
        self.send(&bye);
        let call = &mut self.calls[at];
        call.last = bye;
        call.state = State::Leaving {
            since: now,
            every: T1,
        };
        timers.set(now + T1, What::Bye(n));
    }

    /// Sends an INVITE again (timer A), unless it was heard or is to be given up.
    pub(super) fn invite_again(&mut self, n: usize, now: Instant, timers: &mut Timers) {
        let Some(at) = n.checked_sub(self.first) else {
            return;
        };
        let Some(call) = self.calls.get_mut(at) else {
            return;
        };
        let State::Inviting { ringing, every } = &mut call.state else {
            return;
        };
        if now - call.began >= GIVEN_UP {
            call.state = State::Over;
            return self.fail("INVITE: no answer".to_owned());
        }
        *every *= 2;
        let heard = *ringing;
        timers.set(now + *every, What::Invite(n));
        if !heard {
            self.tally.retransmissions += 1;
            self.send(&self.calls[at].last);
        }
    }

    /// Sends a BYE again (timer E).
    pub(super) fn bye_again(&mut self, n: usize, now: Instant, timers: &mut Timers) {
        let Some(at) = n.checked_sub(self.first) else {
            return;
        };
        let Some(call) = self.calls.get_mut(at) else {
            return;
        };
        let State::Leaving { since, every } = &mut call.state else {
            return;
        };
        if now - *since >= GIVEN_UP {
            call.state = State::Over;
            return self.fail("BYE: no answer".to_owned());
        }
        *every = (*every * 2).min(T2);
        timers.set(now + *every, What::Bye(n));
        self.tally.retransmissions += 1;
        self.send(&self.calls[at].last);
    }
}
