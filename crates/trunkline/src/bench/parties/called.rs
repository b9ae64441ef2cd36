//! The called party: 180 and 200 at once, then whatever comes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::link::{Link, Peer};
use super::message::Message;
use super::timers::{T1, T2, Timers, What};

/// An answer whose ACK does not come is given up after so long (64 T1; RFC 3261 §13.3.1.4).
const GIVEN_UP: Duration = Duration::from_secs(32);

struct Answer {
    number: usize,
    text: String,
    peer: Peer,
    since: Instant,
    every: Duration,
    acknowledged: bool,
}

/// Everybody who is called, on one socket.
pub(super) struct Called {
    media: SocketAddr,
    /// How it is reached: the URI in its Contact.
    contact: String,
    /// By Call-ID.
    calls: HashMap<String, Answer>,
    ids: HashMap<usize, String>,
    next: usize,
    pub(super) retransmissions: u32,
    /// Answers whose ACK never came.
    pub(super) unacknowledged: u32,
}

impl Called {
    pub(super) fn new(media: SocketAddr, contact: String) -> Self {
        Self {
            media,
            contact,
            calls: HashMap::new(),
            ids: HashMap::new(),
            next: 0,
            retransmissions: 0,
            unacknowledged: 0,
        }
    }

    /// Takes a message.
    pub(super) fn hear(
        &mut self,
        octets: &[u8],
        peer: Peer,
        link: &mut Link,
        now: Instant,
        timers: &mut Timers,
    ) {
        let Some(message) = Message::read(octets) else {
            return;
        };
        let Some(id) = message.field("Call-ID") else {
            return;
        };
        match message.method() {
            "INVITE" => self.invited(&message, id, peer, link, now, timers),
            "ACK" => {
                if let Some(answer) = self.calls.get_mut(id) {
                    answer.acknowledged = true;
                }
            }
            "BYE" => {
                match self.calls.remove(id) {
                    Some(answer) => drop(self.ids.remove(&answer.number)),
                    // The answer to the first one was lost, or came too late.
                    None => self.retransmissions += 1,
                }
                link.send(peer, &super::response(&message, "200 OK", "", ""));
            }
            "OPTIONS" => link.send(peer, &super::response(&message, "200 OK", "", "")),
            _ => {
                if message.status().is_none() {
                    let text = super::response(&message, "501 Not Implemented", "", "");
                    link.send(peer, &text);
                }
            }
        }
    }

    fn invited(
        &mut self,
        message: &Message<'_>,
        id: &str,
        peer: Peer,
        link: &mut Link,
        now: Instant,
        timers: &mut Timers,
    ) {
        if let Some(answer) = self.calls.get(id) {
            self.retransmissions += 1;
            return link.send(peer, &answer.text);
        }
        if !message.has_audio() {
            let text = super::response(message, "488 Not Acceptable Here", "", "");
            return link.send(peer, &text);
        }
        let number = self.next;
        self.next += 1;
        let fields = format!("Contact: <{}>\r\n", self.contact);
        link.send(peer, &super::response(message, "180 Ringing", &fields, ""));
        let body = super::description(self.media);
        let fields = fields + "Content-Type: application/sdp\r\n";
        let text = super::response(message, "200 OK", &fields, &body);
        link.send(peer, &text);
        timers.set(now + T1, What::Answer(number));
        self.ids.insert(number, id.to_owned());
        self.calls.insert(
            id.to_owned(),
            Answer {
                number,
                text,
                peer,
                since: now,
                every: T1,
                acknowledged: false,
            },
        );
    }

    /// Sends an answer again whose ACK has not come.
    pub(super) fn answer_again(
        &mut self,
        number: usize,
        link: &mut Link,
        now: Instant,
        timers: &mut Timers,
    ) {
        let answer = self.ids.get(&number).and_then(|id| self.calls.get_mut(id));
        let Some(answer) = answer.filter(|answer| !answer.acknowledged) else {
            return;
        };
        if now - answer.since >= GIVEN_UP {
            answer.acknowledged = true;
            self.unacknowledged += 1;
            return;
        }
        self.retransmissions += 1;
        link.send(answer.peer, &answer.text);
        answer.every = (answer.every * 2).min(T2);
        timers.set(now + answer.every, What::Answer(number));
    }
}
