//! Requests that are too long for a datagram: over a connection where the peer takes one, and over
//! UDP where it does not (RFC 3261 §18.1.1).

use ambient::Now;
use sip_msg::TransportKind;
use sip_msg::wire::Hop;

use super::UserAgent;
use crate::client::Attempt;
use crate::event::DatagramPolicy;

impl UserAgent {
    /// The way a request of `octets` takes instead of `hop`; `None` where `hop` is as good as any.
    pub(super) fn instead_of_datagram(
        &mut self,
        now: Now,
        hop: &Hop,
        octets: usize,
        policy: DatagramPolicy,
    ) -> Option<Hop> {
        if hop.transport != TransportKind::Udp || octets <= policy.longest {
            return None;
        }
        if !policy.streams || self.resolver.refuses_streams(now.moment, hop.addr) {
            self.counters.long_datagrams += 1;
            return None;
        }
        self.counters.long_by_stream += 1;
        Some(Hop {
            transport: TransportKind::Tcp,
            ..hop.clone()
        })
    }
}

impl Attempt {
    /// Whether it goes over a connection for nothing but its length.
    pub(super) fn is_for_length(&self) -> bool {
        is_for_length(&self.hop, self.rest.front())
    }
}

/// Whether `hop` stands for the datagram that would follow it.
pub(super) fn is_for_length(hop: &Hop, next: Option<&Hop>) -> bool {
    let datagram = |next: &Hop| next.transport == TransportKind::Udp && next.addr == hop.addr;
    hop.transport == TransportKind::Tcp && next.is_some_and(datagram)
}
