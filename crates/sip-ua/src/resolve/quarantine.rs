//! Addresses that failed, for a time: they are tried last (RFC 3263 §4.3).

use std::net::SocketAddr;
use std::time::Duration;

use ambient::{Deadlines, Moment};
use sip_msg::TransportKind;

/// Bounded: when full, the address that would be pardoned next is pardoned now.
#[derive(Debug)]
pub(super) struct Quarantine {
    until: Deadlines<(TransportKind, SocketAddr)>,
    length: Duration,
    capacity: usize,
}

impl Quarantine {
    pub(super) fn new(length: Duration, capacity: usize) -> Self {
        Self {
            until: Deadlines::new(),
            length,
            capacity,
        }
    }

    pub(super) fn put(&mut self, now: Moment, transport: TransportKind, addr: SocketAddr) {
        while self.until.pop_due(now).is_some() {}
        while self.until.len() >= self.capacity {
            let Some(soonest) = self.until.next() else {
                return;
            };
            self.until.pop_due(soonest);
        }
        self.until.set((transport, addr), now + self.length);
    }

    pub(super) fn pardon(&mut self, transport: TransportKind, addr: SocketAddr) {
        self.until.cancel(&(transport, addr));
    }

    pub(super) fn holds(&self, now: Moment, transport: TransportKind, addr: SocketAddr) -> bool {
        self.until
            .deadline(&(transport, addr))
            .is_some_and(|until| until > now)
    }

    pub(super) fn len(&self) -> usize {
        self.until.len()
    }
}
