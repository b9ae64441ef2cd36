//! Flows: which connection or socket a message takes, and to whom it leads.

use std::sync::Arc;

use b2bua::profile::FlowPolicy;
use sip_msg::wire::{Arrival, FlowId, Hop, PeerIdentity, To, Transmit, TransmitId, TransportError};
use sip_msg::{Framing, Limits, Message, TransportKind, parse};

use super::{Event, Sim};
use crate::link::Toward;
use crate::party::Reach;
use crate::world::{GATEWAY, GATEWAY_NAME};

/// Flows from here on were accepted by the TLS listener, one for each party.
const ACCEPTED: u64 = 1_000;
/// Flows from here on were opened by the gateway, one for each party.
const OPENED: u64 = 2_000;

impl Sim {
    /// The flow that a party's own requests come on.
    pub(super) fn own_flow(&self, index: usize) -> FlowId {
        let seat = &self.seats[index];
        match seat.party.transport {
            TransportKind::Udp => FlowId(u64::from(seat.listener.0)),
            TransportKind::Tcp | TransportKind::Tls | TransportKind::Ws | TransportKind::Wss => {
                FlowId(ACCEPTED + index as u64)
            }
        }
    }

    /// What a flow speaks: a party on UDP may be connected to as well (RFC 3261 §18.1.1).
    pub(super) fn transport(&self, index: usize, flow: FlowId) -> TransportKind {
        let own = self.seats[index].party.transport;
        if own == TransportKind::Udp && flow.0 >= OPENED {
            TransportKind::Tcp
        } else {
            own
        }
    }

    /// How a message of a party on that flow looks to the gateway.
    pub(super) fn arrival(&self, index: usize, flow: FlowId) -> Arrival {
        let seat = &self.seats[index];
        let opened = flow.0 >= OPENED;
        let secure = seat.party.transport == TransportKind::Tls;
        let name = seat.trunk.as_str() == "acs";
        let identity = PeerIdentity {
            names: vec!["sip.pstnhub.microsoft.com".to_owned()],
            subject: "CN=sip.pstnhub.microsoft.com".to_owned(),
            fingerprint_sha256: [1; 32],
        };
        let port = seat.party.gateway.1;
        Arrival {
            flow,
            listener: (!opened).then_some(seat.listener),
            opened_for: opened.then(|| seat.trunk.clone()),
            transport: self.transport(index, flow),
            local: (GATEWAY, if opened { 49_152 } else { port }).into(),
            remote: seat.party.sip,
            server_name: (secure && !opened).then(|| Arc::from(GATEWAY_NAME)),
            identity: (secure && name).then(|| Arc::new(identity)),
        }
    }

    /// Takes a message of the gateway to the party it is for.
    pub(super) fn transmit(&mut self, transmit: Transmit) {
        let Transmit { id, to, message } = transmit;
        let parsed = match parse(message.clone(), &Limits::default(), Framing::Datagram) {
            Ok(parsed) => parsed,
            Err(rejected) => {
                self.leaks.push(format!(
                    "the gateway sent what is no message: {}",
                    rejected.error
                ));
                return;
            }
        };
        let (index, flow) = match &to {
            To::Flow { flow, remote, .. } => {
                let Some(index) = self.party_on(*flow, remote) else {
                    return self.fail(id, TransportError::NoFlow);
                };
                self.check_one_way(index, *flow, &parsed);
                (index, *flow)
            }
            To::Hop(hop) => {
                let Some(index) = self.party_at(hop) else {
                    return self.fail(id, TransportError::Unreachable);
                };
                let party = &self.seats[index].party;
                if party.transport != hop.transport && !party.takes_streams {
                    return self.fail(id, TransportError::Refused);
                }
                let opened = hop.transport != TransportKind::Udp;
                let flow = if opened {
                    FlowId(OPENED + index as u64)
                } else {
                    self.own_flow(index)
                };
                (index, flow)
            }
        };
        if self.searches {
            self.look_for_leaks(index, &message);
        }
        self.send_to_party(index, flow, id, &parsed, &message);
    }

    fn send_to_party(
        &mut self,
        index: usize,
        flow: FlowId,
        id: TransmitId,
        parsed: &Message,
        octets: &[u8],
    ) {
        let reliable = self.transport(index, flow) != TransportKind::Udp;
        if !reliable && octets.len() > self.longest_datagram {
            self.fail(id, TransportError::TooLarge);
            return;
        }
        let seat = &mut self.seats[index];
        let mut times = seat
            .outward
            .deliveries(seat.link.lane(Toward::Party), reliable);
        match seat.party.reach {
            Reach::Here => {}
            Reach::Refuses => {
                self.fail(id, TransportError::Refused);
                return;
            }
            Reach::Gone if reliable => {
                self.fail(id, TransportError::ConnectTimeout);
                return;
            }
            Reach::Gone => times.clear(),
        }
        let column = self.column(index);
        self.note(1, column, parsed, times.len());
        for after in times {
            let octets = octets.to_vec();
            self.schedule(
                after,
                Event::ToParty {
                    party: index,
                    flow,
                    octets,
                },
            );
        }
    }

    fn party_on(&self, flow: FlowId, remote: &std::net::SocketAddr) -> Option<usize> {
        let by_address = self.seats.iter().position(|seat| seat.party.sip == *remote);
        match flow.0 {
            OPENED.. => usize::try_from(flow.0 - OPENED).ok(),
            ACCEPTED.. => usize::try_from(flow.0 - ACCEPTED).ok(),
            _ => by_address,
        }
    }

    fn party_at(&self, hop: &Hop) -> Option<usize> {
        self.seats
            .iter()
            .position(|seat| seat.party.sip == hop.addr && seat.party.speaks(hop.transport))
    }

    /// Requests of the gateway never travel on a connection that Microsoft opened (K-01).
    fn check_one_way(&mut self, index: usize, flow: FlowId, message: &Message) {
        let seat = &mut self.seats[index];
        let accepted = (ACCEPTED..OPENED).contains(&flow.0);
        if accepted && seat.party.style.strict && matches!(message, Message::Request(_)) {
            let policy = FlowPolicy::OneWay;
            seat.party
                .faults
                .push(format!("request on their connection: {policy:?} (K-01)"));
        }
    }

    /// Nothing of one side may appear on the other (hosts, Call-IDs and tags).
    fn look_for_leaks(&mut self, receiver: usize, octets: &[u8]) {
        let text = String::from_utf8_lossy(octets).into_owned();
        let own = &self.seats[receiver];
        for seat in self.seats.iter().filter(|seat| seat.trunk != own.trunk) {
            for secret in seat.party.secrets() {
                if text.contains(&secret) {
                    let line = text.lines().find(|line| line.contains(&secret));
                    let (from, to) = (&seat.party.name, &own.party.name);
                    let line = line.unwrap_or_default();
                    self.leaks
                        .push(format!("{secret} of {from} goes to {to}: {line}"));
                }
            }
        }
    }
}
