//! The memory of a walk, named while the packets before it are still carried.
//!
//! A leg is heard fifty times a second. In between, other legs and the kernel push it out of the
//! processor's caches, and a walk that meets its memory line by line waits for each line. What is
//! named here can be fetched all at once, beside other work:
//!
//! ```text
//! twelve packets ahead    hearing   the leg that will be heard
//! eight                   sending   its key, and the leg that it is joined to
//! four                    sealing   that leg's key
//! ```
//!
//! Each step reads only what the one before it has fetched.

use crate::leg::Leg;
use crate::{PortPairId, Relay};

/// Has the memory of values brought near. It may do nothing: what is named is read in any case.
pub trait Fetch {
    /// A value's own memory, not what it points to.
    fn fetch<T>(&mut self, value: &T);
}

impl Relay {
    /// First: the leg that a packet to these ports will be heard from.
    pub fn foresee_hearing(&self, ports: PortPairId, fetch: &mut impl Fetch) {
        if let Some(leg) = self.at_ports(ports) {
            leg.foresee_hearing(fetch);
        }
    }

    /// Second: the key of that leg, and the leg that the packet will be sent to.
    pub fn foresee_sending(&self, ports: PortPairId, fetch: &mut impl Fetch) {
        let Some(leg) = self.at_ports(ports) else {
            return;
        };
        if let Some(remote) = leg.remotes.get(usize::from(leg.speaking)) {
            remote.foresee_opening(fetch);
        }
        if let Some(peer) = self.peer_of(leg) {
            peer.foresee_sending(fetch);
        }
    }

    /// Last: the key that the packet will be sealed with. Returns the ports that it will leave
    /// from.
    pub fn foresee_sealing(&self, ports: PortPairId, fetch: &mut impl Fetch) -> Option<PortPairId> {
        let peer = self.peer_of(self.at_ports(ports)?)?;
        peer.outbound.foresee_sealing(fetch);
        Some(peer.ports.id)
    }

    fn at_ports(&self, ports: PortPairId) -> Option<&Leg> {
        let slot = self.by_ports.get(ports)?;
        self.legs.get(slot as usize)?.as_deref()
    }

    fn peer_of(&self, leg: &Leg) -> Option<&Leg> {
        self.legs.get(leg.peer? as usize)?.as_deref()
    }
}

impl Leg {
    /// What is read and written when a packet is accepted, one value for each line or two.
    fn foresee_hearing(&self, fetch: &mut impl Fetch) {
        fetch.fetch(&self.id);
        fetch.fetch(&self.peer);
        fetch.fetch(&self.remotes);
        fetch.fetch(&self.params.networks);
        fetch.fetch(&self.params.telephone_event);
        fetch.fetch(&self.params.latch);
        fetch.fetch(&self.params.listen);
        self.streams.foresee_hearing(fetch);
        fetch.fetch(&self.stats.received);
        fetch.fetch(&self.stats.moves);
        fetch.fetch(&self.timers);
        fetch.fetch(&self.detector);
        fetch.fetch(&self.ear);
        fetch.fetch(&self.news.listed);
        fetch.fetch(&self.news.first_packet);
    }

    /// What is read and written when a packet is sent.
    fn foresee_sending(&self, fetch: &mut impl Fetch) {
        fetch.fetch(&self.params.networks);
        fetch.fetch(&self.params.telephone_event);
        fetch.fetch(&self.params.pt_map);
        fetch.fetch(&self.remotes);
        fetch.fetch(&self.outbound);
        fetch.fetch(&self.ports);
        fetch.fetch(&self.digits);
        fetch.fetch(&self.source);
        fetch.fetch(&self.news.listed);
        fetch.fetch(&self.news.first_packet);
    }
}
