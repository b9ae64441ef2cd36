//! Datagrams from a UDP listener to the core.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sip_msg::wire::{Arrival, FlowId};
use sip_msg::{Framing, TransportKind};
use tokio::time::sleep;

use crate::counters::Counter;
use crate::lanes::{Lane, lane_of};
use crate::network;
use crate::shared::{Listener, Shared};
use crate::shed;
use crate::udp::{Datagram, UdpFlow};

/// No datagram is longer.
const LONGEST: usize = 65_535;

/// Local addresses that one wildcard socket is called at.
const LOCAL_ADDRESSES: usize = 1024;

/// Pause after a failed receive.
const RECEIVE_PAUSE: Duration = Duration::from_millis(10);

/// Receives until the transport stops.
pub(crate) async fn run(shared: Arc<Shared>, listener: Arc<Listener>, own: UdpFlow) {
    let mut buffer = vec![0; LONGEST];
    let own_id = shared.flows.enter_udp(own.clone());
    let mut inbound = Inbound {
        shared: &shared,
        listener: &listener,
        own,
        own_id,
        called: BTreeMap::new(),
    };
    loop {
        let received = tokio::select! {
            received = inbound.own.listener.receive(&mut buffer) => received,
            () = shared.stopped() => return,
        };
        match received {
            Ok(datagram) => inbound.handle(&buffer[..datagram.length], datagram),
            Err(error) => {
                tracing::warn!(local = %listener.local, %error, "receive failed");
                sleep(RECEIVE_PAUSE).await;
            }
        }
    }
}

struct Inbound<'a> {
    shared: &'a Shared,
    listener: &'a Listener,
    own: UdpFlow,
    own_id: FlowId,
    /// On a wildcard socket, one flow for each address we were called at.
    called: BTreeMap<IpAddr, (FlowId, UdpFlow)>,
}

impl Inbound<'_> {
    fn handle(&mut self, bytes: &[u8], datagram: Datagram) {
        let tally = &self.shared.tally;
        if !network::is_allowed(&self.listener.networks.load(), datagram.remote.ip()) {
            tally.add(Counter::UnknownSourceUdp);
            return;
        }
        if datagram.truncated || bytes.len() > self.shared.limits.datagram_bytes {
            tally.add(Counter::DatagramTooLarge);
            return;
        }
        // Keep-alives that need no answer: line ends, and the zero bytes some peers send.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            tally.add(Counter::PingsIn);
            return;
        }
        let (id, flow) = self.flow(datagram.local);
        let arrival = Arrival {
            flow: id,
            listener: Some(self.listener.id),
            opened_for: None,
            transport: TransportKind::Udp,
            local: (datagram.local, self.listener.local.port()).into(),
            remote: datagram.remote,
            server_name: None,
            identity: None,
        };
        let message = Bytes::copy_from_slice(bytes);
        let parsed = sip_msg::parse(message, &self.shared.limits.message, Framing::Datagram);
        tally.add(if parsed.is_ok() {
            Counter::MessagesIn
        } else {
            Counter::MessagesRejected
        });
        let lane = lane_of(&parsed);
        let Err(full) = self.shared.lanes.try_send(lane, arrival, parsed) else {
            return;
        };
        match lane {
            // Retransmitted by its sender, like any datagram that was lost on the way.
            Lane::First => tally.add(Counter::LaneFull),
            Lane::Second => {
                if let Some(refusal) = shed::refusal(self.shared, &full.0) {
                    let _ = flow.send(&refusal, datagram.remote);
                }
            }
        }
    }

    fn flow(&mut self, local: IpAddr) -> (FlowId, UdpFlow) {
        if !self.own.listener.is_wildcard() {
            return (self.own_id, self.own.clone());
        }
        if let Some((id, flow)) = self.called.get(&local) {
            return (*id, flow.clone());
        }
        if self.called.len() >= LOCAL_ADDRESSES {
            return (self.own_id, self.own.clone());
        }
        let flow = UdpFlow {
            source: Some(local),
            ..self.own.clone()
        };
        let id = self.shared.flows.enter_udp(flow.clone());
        self.called.insert(local, (id, flow.clone()));
        (id, flow)
    }
}
