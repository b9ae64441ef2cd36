//! Sockets connected to peers that have settled, beside the ports' own.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use media_relay::PortPairId;

use super::{KIND, RECEIVE, Uring};
use crate::counters::count;
use crate::path::BATCH;
use crate::path::pairs::{Pair, Which};

/// Turns that a connected socket is not heard for where a port's own does not run dry.
const PATIENCE: u8 = 8;

impl Uring {
    pub(super) fn give_way(&mut self) -> bool {
        let slots = self.pairs.giving_way();
        for slot in &slots {
            self.disconnect(*slot);
        }
        !slots.is_empty()
    }

    pub(super) fn disconnect(&mut self, slot: u32) {
        self.disarm(slot, Which::Connected);
        if self
            .pairs
            .get_mut(slot)
            .and_then(Pair::disconnect)
            .is_some()
        {
            self.counters.connected.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Connects a socket to a peer that is settled; it is heard later.
    pub(super) fn connect(&mut self, ports: PortPairId, peer: SocketAddr) {
        let Some(slot) = self.pairs.slot(ports) else {
            return;
        };
        self.disconnect(slot);
        if self.pairs.connect(slot, peer) {
            count(&self.counters.connected);
            self.unheard.push((ports, PATIENCE));
        }
    }

    /// Hears connected sockets once nothing comes any more from the ports' own, so that nothing is
    /// overtaken.
    pub(super) fn hear(&mut self) {
        if self.unheard.is_empty() || self.ring.wait(BATCH, Duration::ZERO).is_err() {
            return;
        }
        self.ring.completions(&mut self.completions, usize::MAX);
        for (ports, patience) in std::mem::take(&mut self.unheard) {
            let Some(slot) = self.pairs.slot(ports) else {
                continue;
            };
            let connected = Which::Connected.number() as usize;
            if self.armed[slot as usize][connected].is_some() {
                continue; // connected twice meanwhile
            }
            if patience > 0 && self.is_coming(slot, Which::Rtp) {
                self.unheard.push((ports, patience - 1));
            } else {
                self.arm(slot, Which::Connected);
            }
        }
    }

    /// Whether something is still to be read of what came for a socket, or to be asked of it again.
    fn is_coming(&self, slot: u32, which: Which) -> bool {
        let mut unread = self.completions.iter().skip(self.at);
        unread.any(|completion| {
            completion.name & KIND == RECEIVE && self.named(completion.name) == Some((slot, which))
        })
    }
}
