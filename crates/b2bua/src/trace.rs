//! Ladders without a capture: every message in and out, kept in a ring bounded by bytes.
//!
//! Nothing that could decrypt a call or impersonate a user is kept: SRTP keys and the answers to
//! authentication challenges are taken out before a message becomes a [`TraceEntry`].

mod redact;

use std::collections::VecDeque;
use std::net::SocketAddr;

use ambient::WallTime;
use bytes::Bytes;
use sip_msg::TransportKind;
use sip_msg::wire::TrunkName;

use crate::identify::Unidentified;
use crate::key::CallKey;

pub use redact::redact;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To this gateway.
    In,
    /// From this gateway.
    Out,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceVerdict {
    /// It was sent, or handed on.
    Accepted,
    /// It was no acceptable message; the status answers it where it can be answered.
    Rejected {
        /// What the sender sees.
        status: u16,
    },
    /// It belongs to no trunk.
    Unidentified(Unidentified),
    /// It could not be sent.
    Failed,
}

/// One message, with what identifies it in a ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEntry {
    /// When it passed.
    pub at: WallTime,
    /// The call it belongs to, if to one.
    pub call: Option<CallKey>,
    /// Which way it went.
    pub direction: Direction,
    /// The trunk it belongs to, if to one.
    pub trunk: Option<TrunkName>,
    /// What it travelled on.
    pub transport: TransportKind,
    /// Our end; `None` where only the transport knows it.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub remote: SocketAddr,
    /// The message, redacted.
    pub text: Bytes,
    /// What became of it.
    pub verdict: TraceVerdict,
}

impl TraceEntry {
    /// Its first line, for a ladder's arrow; empty for bytes that have none.
    #[must_use]
    pub fn first_line(&self) -> String {
        let end = self
            .text
            .iter()
            .position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &self.text[..end.unwrap_or(self.text.len())];
        String::from_utf8_lossy(line)
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect()
    }

    fn cost(&self) -> usize {
        // What a ring entry takes beside its text, so that a million empty messages are bounded.
        self.text.len() + size_of::<Self>()
    }
}

/// The most recent messages. The oldest make room for new ones; a message larger than the whole
/// ring is not kept.
#[derive(Debug)]
pub struct TraceRing {
    entries: VecDeque<TraceEntry>,
    bytes: usize,
    capacity: usize,
    evicted: u64,
}

impl TraceRing {
    /// An empty ring of at most `capacity` bytes, overhead included.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            capacity,
            evicted: 0,
        }
    }

    /// Keeps a message.
    pub fn push(&mut self, entry: TraceEntry) {
        let cost = entry.cost();
        if cost > self.capacity {
            self.evicted += 1;
            return;
        }
        while self.bytes + cost > self.capacity {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.cost();
            self.evicted += 1;
        }
        self.bytes += cost;
        self.entries.push_back(entry);
    }

    /// The messages of one call that are still kept, oldest first.
    pub fn call(&self, call: CallKey) -> impl Iterator<Item = &TraceEntry> {
        self.entries
            .iter()
            .filter(move |entry| entry.call == Some(call))
    }

    /// All messages that are still kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &TraceEntry> {
        self.entries.iter()
    }

    /// Bytes in use, overhead included; never above the capacity.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that had to make room, since the start.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests;
